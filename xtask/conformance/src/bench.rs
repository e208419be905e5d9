//! What a check works with: the coordinator, the executors if there are any,
//! and the verbs of the API. What a check starts, the bench ends after it, so
//! that the next one finds a quiet coordinator.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    str::FromStr,
    sync::{
        Barrier, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    check::{Need, Stop, Verdict, ensure, fail},
    executors::{Behaviour, Call, Executors},
    http::{Answer, As, Http},
};

/// How often we look again for what nobody tells us.
const PACE: Duration = Duration::from_millis(20);

/// A node type, as `id@version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeName {
    pub id: String,
    pub version: String,
}

impl TypeName {
    pub fn new(id: &str, version: &str) -> Self {
        Self { id: id.to_owned(), version: version.to_owned() }
    }

    /// A NodeTypeRef.
    pub fn to_ref(&self) -> Value {
        json!({"node_type_id": self.id, "version": self.version})
    }
}

impl FromStr for TypeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.rsplit_once('@') {
            Some((id, version)) if !id.is_empty() && !version.is_empty() => Ok(Self::new(id, version)),
            Some(_) | None => Err("a node type is given as id@version".into()),
        }
    }
}

/// What is known about the coordinator under test.
#[derive(Clone, Debug)]
pub struct Setup {
    pub url: String,
    pub token: Option<String>,
    /// Whose nodes are executed and succeed.
    pub atomic_type: Option<TypeName>,
    /// Whose nodes go to the suite's executors.
    pub composite_type: Option<TypeName>,
    pub denied_type: Option<TypeName>,
    pub denied_tenant: Option<String>,
    /// How long something that must happen may take.
    pub patience: Duration,
}

pub struct Bench {
    pub setup: Setup,
    pub http: Http,
    executors: Option<Executors>,
    /// Tells the ids of this process from those of others.
    nonce: String,
    count: AtomicUsize,
    started: Mutex<Vec<String>>,
}

/// A run that a check has started.
#[derive(Clone, Debug)]
pub struct Run {
    pub id: String,
    pub root: String,
    /// As it was answered.
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

    pub fn has(&self, need: Need) -> bool {
        match need {
            Need::Atomic => self.executors.is_some() || self.setup.atomic_type.is_some(),
            Need::Executors => self.executors.is_some(),
            Need::Token => self.setup.token.is_some(),
            Need::DeniedType => self.setup.denied_type.is_some(),
            Need::DeniedTenant => self.setup.denied_tenant.is_some(),
        }
    }

    /// Those of the suite.
    pub fn executors(&self) -> Verdict<&Executors> {
        self.executors.as_ref().ok_or_else(|| Stop::Skipped("there are no executors".into()))
    }

    /// Something that was never said before.
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

    /// The same, to the letter.
    pub fn start_text(&self, request: &str) -> Verdict<Answer> {
        let answer = self.http.send("POST", "/v1/runs", As::Caller, Some("application/json"), request)?;
        if let Some(id) = answer.json().ok().as_ref().and_then(|run| run["run_id"].as_str()) {
            self.started.lock().unwrap_or_else(PoisonError::into_inner).push(id.to_owned());
        }
        Ok(answer)
    }

    /// A request to start an atomic run, with further members.
    pub fn atomic_request(&self, behaviour: Behaviour, more: Value) -> Value {
        with(json!({"root_node_type_ref": self.atomic_type(), "input": behaviour.inputs()}), more)
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

    /// A run of a composite that is with the executors, under these
    /// constraints.
    pub fn composite(&self, constraints: Value) -> Verdict<Run> {
        self.composite_with(only("constraints", constraints))
    }

    pub fn composite_with(&self, more: Value) -> Verdict<Run> {
        let run = self.started(&self.composite_request(more))?;
        self.work(&run.root)?;
        self.node_in(&run.root, "running")?;
        Ok(run)
    }

    /// Waits until a node has come to the executors.
    pub fn work(&self, node: &str) -> Verdict<Call> {
        let what = format!("work of {node}");
        self.executors()?.called(&what, self.setup.patience, |call| call.is_work_of(node))
    }

    /// Waits until the executors have been told to stop a node.
    pub fn cancel_call(&self, node: &str) -> Verdict<Call> {
        let what = format!("the cancel of {node}");
        self.executors()?.called(&what, self.setup.patience, |call| call.is_cancel_of(node))
    }

    pub fn atomic_spec(&self, behaviour: Behaviour, more: Value) -> Value {
        with(json!({"node_type_ref": self.atomic_type(), "inputs": behaviour.inputs()}), more)
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

    /// Waits until a node is over, in whatever way.
    pub fn node_ended(&self, id: &str) -> Verdict<Value> {
        self.until(&node_path(id), "is over", is_over)
    }

    pub fn run_ended(&self, run: &Run) -> Verdict<Value> {
        self.until(&run.path(), "is over", is_over)
    }

    /// Asks again and again, until what is there is as it must become.
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

    /// The events of a run so far. In whatever way they are written: that they
    /// are NDJSON has a check of its own.
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

    /// Many callers at the same time.
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

    /// Ends what the check before has left: whether that works is no concern of
    /// anybody's.
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

/// An object with one member.
pub fn only(name: &str, value: Value) -> Value {
    Value::Object([(name.to_owned(), value)].into_iter().collect())
}

/// An object with further members, which win.
pub fn with(mut object: Value, more: Value) -> Value {
    if let (Some(members), Value::Object(more)) = (object.as_object_mut(), more) {
        members.extend(more);
    }
    object
}

fn run_of(body: Value) -> Verdict<Run> {
    Ok(Run { id: text(&body, "run_id")?, root: text(&body, "root_node_run_id")?, body })
}

/// What a create answers: at least one node.
pub fn nodes_of(answer: &Answer) -> Verdict<Vec<Value>> {
    match answer.ok()?["node_runs"].as_array() {
        Some(nodes) if !nodes.is_empty() => Ok(nodes.clone()),
        Some(_) | None => answer.wrong("has no node_runs"),
    }
}

/// A member that must be a string.
pub fn text(object: &Value, name: &str) -> Verdict<String> {
    match object[name].as_str() {
        Some(text) => Ok(text.to_owned()),
        None => fail(format!("{name} is no string in {object}")),
    }
}

pub fn id_of(node: &Value) -> Verdict<String> {
    text(node, "node_run_id")
}

pub fn ids_of(nodes: &[Value]) -> Verdict<Vec<String>> {
    nodes.iter().map(id_of).collect()
}

pub fn is_over(object: &Value) -> bool {
    ["succeeded", "failed", "canceled"].iter().any(|state| object["state"] == *state)
}

/// One of the coordinator's own extensions (§12), in either spelling (D-01).
pub fn own<'v>(object: &'v Value, key: &str) -> &'v Value {
    let extensions = &object["extensions"];
    if extensions[key].is_null() { &extensions[format!("jarvis.{key}").as_str()] } else { &extensions[key] }
}

/// The types of events, in order.
pub fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap_or_default()).collect()
}

pub fn count(events: &[Value], wanted: &str) -> usize {
    types(events).iter().filter(|name| **name == wanted).count()
}

/// That a value is what it must be, to the last member.
pub fn equal(what: &str, seen: &Value, wanted: &Value) -> Verdict {
    ensure(seen == wanted, || format!("{what}: {seen}, not {wanted}"))
}

/// That two lists have the same in the same order.
pub fn same_list<T: PartialEq + fmt::Debug>(what: &str, seen: &[T], wanted: &[T]) -> Verdict {
    ensure(seen == wanted, || format!("{what}: {seen:?}, not {wanted:?}"))
}

/// The same, but for nulls, which count as absent: that they are not written
/// has a check of its own.
pub fn equal_but_nulls(what: &str, seen: &Value, wanted: &Value) -> Verdict {
    equal(what, &without_nulls(seen), wanted)
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name.clone(), without_nulls(value))).collect())
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
