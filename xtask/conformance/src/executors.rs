//! Executors that do as they are told: what becomes of a node, its inputs say,
//! in the member [`DO`]. Atomic and composite nodes come to one address, where
//! the coordinator under test must have been told to find its executors.
//!
//! | [`Behaviour`] | of an atomic node |
//! |---|---|
//! | `Succeed`, or none | its inputs come back as its outputs |
//! | `Fail` | ends failed, with an error of its own |
//! | `Hang` | waits until it is released or canceled |
//! | `Deaf` | waits until it is released, whatever happens |
//! | `Garbage` | 200 with something that is no JSON |
//! | `Other` | the result of another node |
//! | `Running` | a result that is no end |
//! | `Busy` | 503 with an envelope |
//! | `Html` | 502 with HTML |
//! | `Mesh` | 503 in words that are no envelope: whatever became of the work |
//! | `Unknown` | a sound result with members that nobody knows, and nulls |
//!
//! A composite is accepted, and left to the check; with `Fail` it is not
//! accepted, and `Busy`, `Html` and `Garbage` are as above.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    check::{Verdict, fail},
    server::{Reply, Server},
};

/// The member of a node's inputs that says what becomes of it.
pub const DO: &str = "conformance";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Succeed,
    Fail,
    Hang,
    Deaf,
    Garbage,
    Other,
    Running,
    Busy,
    Html,
    Mesh,
    Unknown,
}

impl Behaviour {
    const ALL: [Self; 11] = [
        Self::Succeed,
        Self::Fail,
        Self::Hang,
        Self::Deaf,
        Self::Garbage,
        Self::Other,
        Self::Running,
        Self::Busy,
        Self::Html,
        Self::Mesh,
        Self::Unknown,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Succeed => "succeed",
            Self::Fail => "fail",
            Self::Hang => "hang",
            Self::Deaf => "deaf",
            Self::Garbage => "garbage",
            Self::Other => "other",
            Self::Running => "running",
            Self::Busy => "busy",
            Self::Html => "html",
            Self::Mesh => "mesh",
            Self::Unknown => "unknown",
        }
    }

    /// Inputs that ask for it.
    pub fn inputs(self) -> Value {
        json!({ DO: self.word() })
    }

    fn of(inputs: &Value) -> Self {
        let asked = |behaviour: &Self| inputs[DO] == behaviour.word();
        Self::ALL.into_iter().find(asked).unwrap_or(Self::Succeed)
    }
}

/// A request of the coordinator.
#[derive(Clone, Debug)]
pub struct Call {
    pub path: String,
    pub body: Value,
}

impl Call {
    /// That a node be executed, or begun.
    pub fn is_work_of(&self, node: &str) -> bool {
        self.body["node_run_id"] == node
    }

    pub fn is_cancel_of(&self, node: &str) -> bool {
        self.path.ends_with(&format!("/{node}:cancel"))
    }
}

pub struct Executors {
    pub url: String,
    shared: Arc<Shared>,
    _server: Server,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    /// Nodes and runs.
    released: HashSet<String>,
    canceled: HashSet<String>,
    over: bool,
}

impl Executors {
    pub fn listen(address: SocketAddr) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        let server = Server::start(address, move |path, body| serving.answer(path, body))?;
        Ok(Self { url: server.url(), shared, _server: server })
    }

    /// Lets a node, or all nodes of a run, go on.
    pub fn release(&self, id: &str) {
        self.shared.state().released.insert(id.to_owned());
        self.shared.changed.notify_all();
    }

    pub fn calls(&self) -> Vec<Call> {
        self.shared.state().calls.clone()
    }

    /// How often a node was sent here.
    pub fn executions(&self, node: &str) -> usize {
        self.shared.state().calls.iter().filter(|call| call.is_work_of(node)).count()
    }

    /// Waits for a call.
    pub fn called(&self, what: &str, patience: Duration, wanted: impl Fn(&Call) -> bool) -> Verdict<Call> {
        let missing = |state: &mut State| !state.calls.iter().any(&wanted);
        let waited = self.shared.changed.wait_timeout_while(self.shared.state(), patience, missing);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match state.calls.iter().find(|call| wanted(call)) {
            Some(call) => Ok(call.clone()),
            None => fail(format!("{what}: the executors were not told within {patience:?}")),
        }
    }
}

impl Drop for Executors {
    fn drop(&mut self) {
        self.shared.state().over = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, path: &str, body: &[u8]) -> Reply {
        // A cancel has no body.
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        self.state().calls.push(Call { path: path.to_owned(), body: body.clone() });
        self.changed.notify_all();
        let (status, body) = if let Some(node) = path.strip_suffix(":cancel") {
            let node = node.rsplit('/').next().unwrap_or_default();
            self.state().canceled.insert(node.to_owned());
            self.changed.notify_all();
            (204, String::new())
        } else if path.ends_with(":begin") {
            began(Behaviour::of(&body["inputs"]))
        } else {
            self.executed(&body)
        };
        Reply::json(status, body)
    }

    fn executed(&self, body: &Value) -> (u16, String) {
        let node = &body["node_run_id"];
        let ended = |state: &str| json!({"node_run_id": node, "state": state, "outputs": body["inputs"]});
        let result = match Behaviour::of(&body["inputs"]) {
            Behaviour::Succeed => ended("succeeded"),
            Behaviour::Fail => json!({"node_run_id": node, "state": "failed", "error":
                {"code": "handler_error", "message": "it went wrong", "details": {"why": "on purpose"}}}),
            Behaviour::Hang => ended(self.wait(body, true)),
            Behaviour::Deaf => ended(self.wait(body, false)),
            Behaviour::Other => json!({"node_run_id": "somebody-else", "state": "succeeded"}),
            Behaviour::Running => ended("running"),
            Behaviour::Unknown => {
                json!({"node_run_id": node, "state": "succeeded", "outputs": {"kept": null},
                "error": null, "ended_at": null, "unheard-of": true})
            }
            Behaviour::Garbage => return garbage(),
            Behaviour::Busy => return busy(),
            Behaviour::Html => return html(),
            Behaviour::Mesh => return mesh(),
        };
        (200, result.to_string())
    }

    /// Waits until a node is released, or canceled if it minds: how it ends.
    fn wait(&self, body: &Value, minds: bool) -> &'static str {
        let [node, run] = ["node_run_id", "run_id"].map(|name| body[name].as_str().unwrap_or_default());
        let released =
            |state: &State| state.over || state.released.contains(node) || state.released.contains(run);
        let waits = |state: &mut State| !(released(state) || minds && state.canceled.contains(node));
        let state = self.changed.wait_while(self.state(), waits).unwrap_or_else(PoisonError::into_inner);
        if released(&state) { "succeeded" } else { "canceled" }
    }
}

fn began(behaviour: Behaviour) -> (u16, String) {
    match behaviour {
        Behaviour::Fail => (200, json!({"accepted": false, "message": "no room"}).to_string()),
        Behaviour::Garbage => garbage(),
        Behaviour::Busy => busy(),
        Behaviour::Html => html(),
        Behaviour::Mesh => mesh(),
        Behaviour::Succeed
        | Behaviour::Hang
        | Behaviour::Deaf
        | Behaviour::Other
        | Behaviour::Running
        | Behaviour::Unknown => (200, json!({"accepted": true, "message": null}).to_string()),
    }
}

fn garbage() -> (u16, String) {
    (200, "not JSON".into())
}

fn busy() -> (u16, String) {
    let error = json!({"code": "busy", "message": "come back later", "details": {"queue": 7}});
    (503, json!({ "error": error }).to_string())
}

fn html() -> (u16, String) {
    (502, "<html>bad gateway</html>".into())
}

fn mesh() -> (u16, String) {
    (503, "upstream connect error or disconnect/reset before headers".into())
}
