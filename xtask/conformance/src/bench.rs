//! The bench that a check works with: the coordinator, the executors if there are
//! any, and the operations of the API. After a check the bench ends the runs that
//! the check has started, so that the next one finds an idle coordinator.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Barrier, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use scripted_executor::{Behaviour, Call, Executors};
use serde_json::{Value, json};

use crate::{
    executors::inputs,
    http::{Answer, As, Http},
    setup::{Setup, TypeName},
    values::{is_over, nodes_of, only, text, with},
    verdict::{Stop, Verdict, fail},
};

/// The polling interval for states that no event announces.
const PACE: Duration = Duration::from_millis(20);

pub struct Bench {
    pub setup: Setup,
    pub http: Http,
    executors: Option<Executors>,
    /// Distinguishes the ids of this process from those of others.
    nonce: String,
    count: AtomicUsize,
    started: Mutex<Vec<String>>,
}

/// A run that a check has started.
#[derive(Clone, Debug)]
pub struct Run {
    pub id: String,
    pub root: String,
    /// The Run as it was answered.
    pub body: Value,
}

impl Run {
    pub fn path(&self) -> String {
        format!("/v1/runs/{}", self.id)
    }

    pub fn root_path(&self) -> String {
        node_path(&self.root)
    }
}

pub fn node_path(id: &str) -> String {
    format!("/v1/node-runs/{id}")
}

impl Bench {
    pub fn new(setup: Setup, executors: Option<Executors>) -> Self {
        let http = Http::new(&setup.url, setup.token.clone(), setup.patience);
        let nonce = format!("{:08x}", RandomState::new().hash_one(&setup.url) as u32);
        Self { setup, http, executors, nonce, count: AtomicUsize::new(0), started: Mutex::default() }
    }

    pub fn has_executors(&self) -> bool {
        self.executors.is_some()
    }

    /// The executors of the suite.
    pub fn executors(&self) -> Verdict<&Executors> {
        self.executors.as_ref().ok_or_else(|| Stop::Skipped("there are no executors".into()))
    }

    /// An id that was never used before.
    pub fn fresh(&self, what: &str) -> String {
        format!("{what}-{}-{}", self.nonce, self.count.fetch_add(1, Ordering::Relaxed))
    }

    pub fn atomic_type(&self) -> Value {
        let given = self.setup.atomic_type.as_ref();
        given.map_or_else(|| TypeName::new("atomic.conformance", "1.0.0").to_ref(), TypeName::to_ref)
    }

    pub fn composite_type(&self) -> Value {
        let given = self.setup.composite_type.as_ref();
        given.map_or_else(|| TypeName::new("composite.conformance", "1.0.0").to_ref(), TypeName::to_ref)
    }

    pub fn get(&self, path: &str) -> Verdict<Answer> {
        self.http.get(path)
    }

    pub fn post(&self, path: &str, body: &Value) -> Verdict<Answer> {
        self.http.post(path, body)
    }

    /// Sends a request to start a run.
    pub fn start(&self, request: &Value) -> Verdict<Answer> {
        self.start_text(&request.to_string())
    }

    /// Sends exactly this text to start a run.
    pub fn start_text(&self, request: &str) -> Verdict<Answer> {
        let answer = self.http.send("POST", "/v1/runs", As::Caller, Some("application/json"), request)?;
        if let Some(id) = answer.json().ok().as_ref().and_then(|run| run["run_id"].as_str()) {
            self.started.lock().unwrap_or_else(PoisonError::into_inner).push(id.to_owned());
        }
        Ok(answer)
    }

    /// A request to start an atomic run, with further members.
    pub fn atomic_request(&self, behaviour: Behaviour, more: Value) -> Value {
        with(json!({"root_node_type_ref": self.atomic_type(), "input": inputs(behaviour)}), more)
    }

    pub fn composite_request(&self, more: Value) -> Value {
        with(json!({"root_node_type_ref": self.composite_type(), "input": {}}), more)
    }

    pub fn started(&self, request: &Value) -> Verdict<Run> {
        run_of(self.start(request)?.ok()?)
    }

    pub fn atomic(&self, behaviour: Behaviour) -> Verdict<Run> {
        self.started(&self.atomic_request(behaviour, json!({})))
    }

    /// A run of a composite with these constraints, which the executors have
    /// accepted.
    pub fn composite(&self, constraints: Value) -> Verdict<Run> {
        self.composite_with(only("constraints", constraints))
    }

    pub fn composite_with(&self, more: Value) -> Verdict<Run> {
        let run = self.started(&self.composite_request(more))?;
        self.work(&run.root)?;
        self.node_in(&run.root, "running")?;
        Ok(run)
    }

    /// Waits until the executors are called for a node.
    pub fn work(&self, node: &str) -> Verdict<Call> {
        self.called(&format!("work of {node}"), |call| call.is_work_of(node))
    }

    /// Waits until the executors are called to cancel a node.
    pub fn cancel_call(&self, node: &str) -> Verdict<Call> {
        self.called(&format!("the cancel of {node}"), |call| call.is_cancel_of(node))
    }

    fn called(&self, what: &str, wanted: impl Fn(&Call) -> bool) -> Verdict<Call> {
        let patience = self.setup.patience;
        match self.executors()?.called(patience, wanted) {
            Some(call) => Ok(call),
            None => fail(format!("{what}: the executors got no such call within {patience:?}")),
        }
    }

    pub fn atomic_spec(&self, behaviour: Behaviour, more: Value) -> Value {
        with(json!({"node_type_ref": self.atomic_type(), "inputs": inputs(behaviour)}), more)
    }

    pub fn composite_spec(&self, more: Value) -> Value {
        with(json!({"node_type_ref": self.composite_type(), "inputs": {}}), more)
    }

    /// Sends a request to create children of a node.
    pub fn create(&self, run: &Run, parent: &str, specs: &[Value]) -> Verdict<Answer> {
        let body = json!({"run_id": run.id, "parent_node_run_id": parent, "node_runs": specs});
        self.post("/v1/node-runs", &body)
    }

    /// Creates children of a node.
    pub fn children_of(&self, run: &Run, parent: &str, specs: &[Value]) -> Verdict<Vec<Value>> {
        let answer = self.create(run, parent, specs)?;
        let nodes = nodes_of(&answer)?;
        if nodes.len() == specs.len() { Ok(nodes) } else { answer.wrong("has not a NodeRun a spec") }
    }

    /// Creates children of the root.
    pub fn children(&self, run: &Run, specs: &[Value]) -> Verdict<Vec<Value>> {
        self.children_of(run, &run.root, specs)
    }

    pub fn complete(&self, node: &str, state: &str) -> Verdict<Answer> {
        self.post(&format!("{}:complete", node_path(node)), &json!({ "state": state }))
    }

    pub fn cancel(&self, run: &Run) -> Verdict<Value> {
        self.post(&format!("{}:cancel", run.path()), &json!({}))?.ok()
    }

    pub fn node(&self, id: &str) -> Verdict<Value> {
        self.get(&node_path(id))?.ok()
    }

    pub fn run(&self, run: &Run) -> Verdict<Value> {
        self.get(&run.path())?.ok()
    }

    pub fn node_in(&self, id: &str, state: &str) -> Verdict<Value> {
        self.until(&node_path(id), &format!("is {state}"), |node| node["state"] == state)
    }

    /// Waits until a node is in a terminal state.
    pub fn node_ended(&self, id: &str) -> Verdict<Value> {
        self.until(&node_path(id), "is over", is_over)
    }

    pub fn run_ended(&self, run: &Run) -> Verdict<Value> {
        self.until(&run.path(), "is over", is_over)
    }

    /// Polls a resource until the condition holds.
    pub fn until(&self, path: &str, what: &str, done: impl Fn(&Value) -> bool) -> Verdict<Value> {
        let deadline = Instant::now() + self.setup.patience;
        loop {
            let seen = self.get(path)?.ok()?;
            if done(&seen) {
                return Ok(seen);
            }
            if Instant::now() > deadline {
                return fail(format!("{path}: not {what} within {:?}: {seen}", self.setup.patience));
            }
            thread::park_timeout(PACE);
        }
    }

    /// The events of a run so far, in any format: a check of its own demands
    /// NDJSON.
    pub fn events(&self, run: &Run) -> Verdict<Vec<Value>> {
        self.events_at(&format!("{}/events", run.path()))
    }

    pub fn events_at(&self, path: &str) -> Verdict<Vec<Value>> {
        let answer = self.get(path)?;
        let text = match (answer.status, serde_json::from_str(&answer.text)) {
            (200, Ok(Value::String(text))) => text,
            (200, Ok(_) | Err(_)) => answer.text.clone(),
            (_, _) => return answer.wrong("is no stream"),
        };
        let lines = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
        lines.or_else(|_| answer.wrong("has lines that are not JSON"))
    }

    /// Waits for the end of a run and of its stream: all events.
    pub fn ended_events(&self, run: &Run) -> Verdict<Vec<Value>> {
        self.run_ended(run)?;
        let deadline = Instant::now() + self.setup.patience;
        loop {
            let events = self.events(run)?;
            if events.iter().any(|event| event["type"] == "run_completed") || Instant::now() > deadline {
                return Ok(events);
            }
            thread::park_timeout(PACE);
        }
    }

    /// Calls from many threads at the same time.
    pub fn at_once<T: Send>(
        &self,
        count: usize,
        call: impl Fn(usize) -> Verdict<T> + Sync,
    ) -> Verdict<Vec<T>> {
        let barrier = Barrier::new(count);
        let (call, barrier) = (&call, &barrier);
        thread::scope(|scope| {
            let callers: Vec<_> = (0..count)
                .map(|index| {
                    scope.spawn(move || {
                        barrier.wait();
                        call(index)
                    })
                })
                .collect();
            let joined = callers
                .into_iter()
                .map(|caller| caller.join().unwrap_or_else(|_| fail("the check itself has panicked")));
            joined.collect()
        })
    }

    /// Ends the runs that the check before has left. A failure does not matter.
    pub fn clean_up(&self) {
        let started = std::mem::take(&mut *self.started.lock().unwrap_or_else(PoisonError::into_inner));
        for id in started {
            if let Some(executors) = &self.executors {
                executors.release(&id);
            }
            let _ = self.post(&format!("/v1/runs/{id}:cancel"), &json!({}));
        }
        self.http.exchanges();
    }
}

fn run_of(body: Value) -> Verdict<Run> {
    Ok(Run { id: text(&body, "run_id")?, root: text(&body, "root_node_run_id")?, body })
}
