//! Atomic and composite executors on one address, which keep what they are
//! asked. A function of the world chooses the behaviour for each call.
//!
//! ```text
//!   POST …:execute, …:begin ──▶ choose ──▶ Behaviour ──▶ the work ──▶ the answer
//!   POST …/<node>:cancel ─────▶ 204: a node that hangs ends canceled
//!   release(node or run) ─────▶ a node that hangs ends succeeded
//! ```

use std::{
    collections::HashSet,
    io,
    net::SocketAddr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    Answer, Behaviour, Course, Reply, Work, refusal,
    server::{Request, Server},
};

/// How long work takes that takes a while.
const WHILE: Duration = Duration::from_millis(100);

/// A request of the coordinator.
#[derive(Clone, Debug)]
pub struct Call {
    /// `/v1/atomic-node-runs:execute`, …
    pub path: String,
    pub body: Value,
    pub authorization: Option<String>,
    pub traceparent: Option<String>,
    pub tracestate: Option<String>,
}

impl Call {
    /// Whether it is to execute or begin this node.
    pub fn is_work_of(&self, node: &str) -> bool {
        self.body["node_run_id"] == node
    }

    pub fn is_cancel_of(&self, node: &str) -> bool {
        self.path.ends_with(&format!("/{node}:cancel"))
    }
}

/// Chooses what becomes of a call; `None`: the node's type is unknown.
type Choose = dyn Fn(&Call) -> Option<Behaviour> + Send + Sync;
type Observe = dyn Fn(&Call) + Send + Sync;

pub struct Executors {
    url: String,
    shared: Arc<Shared>,
    _server: Server,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    choose: Box<Choose>,
    observe: Box<Observe>,
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    /// Nodes and runs.
    released: HashSet<String>,
    canceled: HashSet<String>,
    /// Cancels are refused with 503.
    refuses_cancels: bool,
    /// Calls to execute or begin are refused with 503.
    overloaded: bool,
    over: bool,
}

impl Executors {
    pub fn listen(
        address: SocketAddr,
        choose: impl Fn(&Call) -> Option<Behaviour> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::listen_observed(address, choose, |_| {})
    }

    /// The same; `observe` sees each call before it is carried out.
    pub fn listen_observed(
        address: SocketAddr,
        choose: impl Fn(&Call) -> Option<Behaviour> + Send + Sync + 'static,
        observe: impl Fn(&Call) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            choose: Box::new(choose),
            observe: Box::new(observe),
        });
        let serving = Arc::clone(&shared);
        let server = Server::start(address, move |request| serving.answer(request))?;
        Ok(Self { url: server.url(), shared, _server: server })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets a node, or all nodes of a run, end.
    pub fn release(&self, id: &str) {
        self.shared.change(|state| _ = state.released.insert(id.to_owned()));
    }

    /// From now on cancels are refused with 503, or no longer.
    pub fn refuse_cancels(&self, refuse: bool) {
        self.shared.change(|state| state.refuses_cancels = refuse);
    }

    /// From now on all nodes are refused with 503, or no longer.
    pub fn overload(&self, overloaded: bool) {
        self.shared.change(|state| state.overloaded = overloaded);
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.state().calls.clone()
    }

    /// How often a node was sent here.
    pub fn executions(&self, node: &str) -> usize {
        self.shared.state().calls.iter().filter(|call| call.is_work_of(node)).count()
    }

    /// Waits for a call; one that has come already counts.
    pub fn called(&self, within: Duration, wanted: impl Fn(&Call) -> bool) -> Option<Call> {
        let missing = |state: &mut State| !state.calls.iter().any(&wanted);
        let waited = self.shared.changed.wait_timeout_while(self.shared.state(), within, missing);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.calls.iter().find(|call| wanted(call)).cloned()
    }
}

impl Drop for Executors {
    fn drop(&mut self) {
        self.shared.change(|state| state.over = true);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    fn answer(&self, request: &Request) -> Option<Reply> {
        let call = Call {
            path: request.path.clone(),
            // A cancel has no body.
            body: serde_json::from_slice(&request.body).unwrap_or_default(),
            authorization: request.header("authorization").map(str::to_owned),
            traceparent: request.header("traceparent").map(str::to_owned),
            tracestate: request.header("tracestate").map(str::to_owned),
        };
        (self.observe)(&call);
        let node = call.body["node_run_id"].as_str().unwrap_or_default();
        let mut is_first = true;
        self.change(|state| {
            is_first = !state.calls.iter().any(|earlier| earlier.is_work_of(node));
            state.calls.push(call.clone());
        });
        let busy = || Behaviour::Busy.course(true).answer.reply(&Value::Null, "");
        if let Some(node) = call.path.strip_suffix(":cancel") {
            if self.state().refuses_cancels {
                return busy();
            }
            let node = node.rsplit('/').next().unwrap_or_default();
            self.change(|state| _ = state.canceled.insert(node.to_owned()));
            return Some(Reply::json(204, ""));
        }
        if self.state().overloaded {
            return busy();
        }
        match (self.choose)(&call) {
            Some(behaviour) => self.carry_out(behaviour.course(is_first), &call),
            None => {
                let node_type = call.body["node_type_ref"]["node_type_id"].as_str().unwrap_or_default();
                Some(refusal(404, "unknown_node_type", node_type))
            }
        }
    }

    fn carry_out(&self, course: Course, call: &Call) -> Option<Reply> {
        // A composite executor accepts at once, whatever becomes of the work.
        let works = !call.path.ends_with(":begin");
        let accepts = !works && course.answer == Answer::Result;
        let answer = if accepts { Answer::Accepted } else { course.answer };
        let state = match course.work {
            Work::NotStarted | Work::Done => "succeeded",
            Work::Fails => "failed",
            Work::DoneAfterAWhile | Work::DoneOnceArrived => {
                thread::park_timeout(WHILE);
                "succeeded"
            }
            Work::UntilCanceledOrReleased if works => self.wait(&call.body, true),
            Work::UntilReleased if works => self.wait(&call.body, false),
            Work::UntilCanceledOrReleased | Work::UntilReleased => "succeeded",
        };
        answer.reply(&call.body, state)
    }

    /// Waits until a node is released, or canceled if that concerns it: its
    /// state.
    fn wait(&self, body: &Value, cancelable: bool) -> &'static str {
        let [node, run] = ["node_run_id", "run_id"].map(|name| body[name].as_str().unwrap_or_default());
        let released =
            |state: &State| state.over || state.released.contains(node) || state.released.contains(run);
        let waits = |state: &mut State| !(released(state) || cancelable && state.canceled.contains(node));
        let state = self.changed.wait_while(self.state(), waits).unwrap_or_else(PoisonError::into_inner);
        if released(&state) { "succeeded" } else { "canceled" }
    }
}
