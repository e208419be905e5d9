//! The executors, the Node Registry and the token service, in this process: so
//! they outlive the coordinator's. Each executor can be restarted: it is gone for
//! a while, has forgotten everything, and comes back on the same port. Tokens are
//! good for a second, and some take longer than that: so calls wait for them, and
//! their nodes may be over by then.
//!
//! What becomes of a NodeRun the dice say; what happened the ledger keeps.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    acts::{Act, Kind, NodeType},
    bell::Bells,
    dice::Dice,
    ledger::{Ended, Ledger},
    plans::Planner,
    ports::Ports,
};
use crate::conformance::{
    arrivals::Arrivals,
    server::{Asked, Reply, Server},
};

/// Longer than any node has.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// How many token requests of a hundred take their time.
const SLOW_TOKENS: u64 = 40;

/// Both executors, the registry and the token service.
pub(super) struct Executors {
    arrivals: Arc<Arrivals>,
    atomic: Executor,
    composite: Executor,
    registry: Server,
    tokens: Server,
}

struct Executor {
    arrivals: Arc<Arrivals>,
    kind: Kind,
    address: SocketAddr,
    server: Mutex<Option<Server>>,
    shared: Arc<Shared>,
}

/// What the threads of an executor need.
struct Shared {
    ledger: Arc<Ledger>,
    planner: Arc<Planner>,
    dice: Mutex<Dice>,
}

impl Executors {
    pub(super) fn start(
        ports: &mut Ports,
        seed: u64,
        ledger: &Arc<Ledger>,
        planner: &Arc<Planner>,
    ) -> Result<Self> {
        let arrivals = Arc::<Arrivals>::default();
        let executor = |kind: Kind, name: &str, ports: &mut Ports| {
            let dice = Mutex::new(Dice::new(seed, name));
            let shared = Shared { ledger: Arc::clone(ledger), planner: Arc::clone(planner), dice };
            let executor = Executor {
                arrivals: Arc::clone(&arrivals),
                kind,
                address: ports.free()?,
                server: Mutex::default(),
                shared: Arc::new(shared),
            };
            executor.serve().map(|()| executor)
        };
        Ok(Self {
            atomic: executor(Kind::Atomic, "atomic executor", ports)?,
            composite: executor(Kind::Composite, "composite executor", ports)?,
            registry: Server::start(ports.free()?, |path, _| registered(path))?,
            tokens: tokens(ports, seed)?,
            arrivals,
        })
    }

    /// Of the calls that they get.
    pub(super) fn arrivals(&self) -> Arc<Arrivals> {
        Arc::clone(&self.arrivals)
    }

    /// Where the coordinator's process of this number finds everything.
    pub(super) fn variables(&self, process: usize) -> [(&'static str, String); 6] {
        [
            ("JARVIS_ATOMIC_EXECUTOR_URL", format!("http://{}/{process}", self.atomic.address)),
            ("JARVIS_COMPOSITE_EXECUTOR_URL", format!("http://{}/{process}", self.composite.address)),
            ("JARVIS_NODE_REGISTRY_URL", self.registry.url()),
            ("ARP_AUTH_TOKEN_ENDPOINT", self.tokens.url()),
            ("ARP_AUTH_CLIENT_ID", "chaos".into()),
            ("ARP_AUTH_CLIENT_SECRET", "known to all".into()),
        ]
    }

    /// An executor dies, and comes back after a while.
    pub(super) fn restart(&self, kind: Kind, gone: Duration, bells: &Bells) -> Result<()> {
        let executor = match kind {
            Kind::Atomic => &self.atomic,
            Kind::Composite => &self.composite,
        };
        executor.stop();
        executor.shared.ledger.restarted(kind);
        bells.over.rings_within(gone);
        executor.serve()
    }
}

impl Executor {
    fn serve(&self) -> Result<()> {
        let (kind, shared) = (self.kind, Arc::clone(&self.shared));
        let life = shared.ledger.life(kind);
        let answer = move |Asked { path, body, arrived }: Asked<'_>| {
            // A cancel has no body.
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            shared.answer(kind, life, path, &body, arrived)
        };
        let server = Server::start_among(&self.arrivals, self.address, answer)?;
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
        Ok(())
    }

    fn stop(&self) {
        self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Shared {
    fn answer(&self, kind: Kind, life: u64, path: &str, body: &Value, arrived: Instant) -> Option<Reply> {
        if let Some(node) = path.strip_suffix(":cancel") {
            self.ledger.told(node.rsplit('/').next().unwrap_or_default());
            return Some(Reply::json(204, ""));
        }
        let by = path.split('/').nth(1).and_then(|number| number.parse().ok()).unwrap_or_default();
        let node_type = body["node_type_ref"]["node_type_id"].as_str().and_then(NodeType::find);
        let Some(node_type) = node_type.filter(|node_type| node_type.kind == kind) else {
            return Some(refusal(400, "unknown_node_type", None));
        };
        let (act, time) = {
            let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
            (dice.pick(node_type.acts), dice.millis(10, 800))
        };
        let entry = self.ledger.asked(kind, by, body, act, arrived);
        let (reply, ended) = match kind {
            Kind::Atomic => self.execute(entry, life, act, time, body),
            Kind::Composite => (self.begin(entry, life, act, body), Ended::Itself),
        };
        self.ledger.ended(entry, ended);
        reply
    }

    /// The call lasts as long as the work does.
    fn execute(
        &self,
        entry: usize,
        life: u64,
        act: Act,
        time: Duration,
        body: &Value,
    ) -> (Option<Reply>, Ended) {
        let node = body["node_run_id"].as_str().unwrap_or_default();
        let wait = match act {
            Act::Hang => LONG,
            Act::Slow => time,
            Act::Work
            | Act::Fail
            | Act::Busy
            | Act::Throttled
            | Act::Mesh
            | Act::Garbage
            | Act::BreakBefore
            | Act::BreakAfter => Duration::ZERO,
        };
        match self.ledger.stops(Kind::Atomic, life, node, wait) {
            Some(Ended::Told) => return (Some(result(node, "canceled", body)), Ended::Told),
            Some(ended @ (Ended::Forgotten | Ended::Itself)) => return (None, ended),
            None => {}
        }
        let reply = match act {
            Act::Busy => return (Some(refusal(503, "busy", Some(1))), Ended::Itself),
            Act::Throttled => return (Some(refusal(429, "throttled", Some(1))), Ended::Itself),
            Act::BreakBefore => return (None, Ended::Itself),
            Act::Work | Act::Slow | Act::Hang => Some(result(node, "succeeded", body)),
            Act::Fail => Some(result(node, "failed", body)),
            Act::Mesh => Some(mesh()),
            Act::Garbage => Some(Reply::json(200, "not JSON")),
            Act::BreakAfter => None,
        };
        self.ledger.worked(entry);
        (reply, Ended::Itself)
    }

    /// Accepts a composite, whose plan is played from then on. One that is
    /// being played already is not begun again.
    fn begin(&self, entry: usize, life: u64, act: Act, body: &Value) -> Option<Reply> {
        let accepted = |yes: bool| Some(Reply::json(200, json!({ "accepted": yes }).to_string()));
        match act {
            Act::Busy => return Some(refusal(503, "busy", Some(1))),
            Act::Throttled => return Some(refusal(429, "throttled", Some(1))),
            Act::BreakBefore => return None,
            Act::Fail => return accepted(false),
            Act::Hang => {}
            Act::Work | Act::Slow | Act::Mesh | Act::Garbage | Act::BreakAfter => {
                self.planner.begin(life, body)
            }
        }
        self.ledger.worked(entry);
        match act {
            Act::BreakAfter => None,
            Act::Mesh => Some(mesh()),
            Act::Garbage => Some(Reply::json(200, "not JSON")),
            Act::Work | Act::Slow | Act::Hang | Act::Fail | Act::Busy | Act::Throttled | Act::BreakBefore => {
                accepted(true)
            }
        }
    }
}

fn result(node: &str, state: &str, body: &Value) -> Reply {
    let mut result = json!({"node_run_id": node, "state": state, "outputs": body["inputs"]});
    if state == "failed" {
        result["error"] = json!({"code": "handler_error", "message": "as the dice would have it"});
    }
    Reply::json(200, result.to_string())
}

fn refusal(status: u16, code: &str, retry_after: Option<u64>) -> Reply {
    let error =
        json!({"code": code, "message": "not by this executor, not now", "retryable": retry_after.is_some()});
    Reply { retry_after, ..Reply::json(status, json!({ "error": error }).to_string()) }
}

/// What a proxy says whose upstream has broken off.
fn mesh() -> Reply {
    let words = "upstream connect error or disconnect/reset before headers";
    Reply { content_type: "text/plain", ..Reply::json(503, words) }
}

/// The token service: whoever asks gets a token, now or later.
fn tokens(ports: &mut Ports, seed: u64) -> Result<Server> {
    let dice = Mutex::new(Dice::new(seed, "token service"));
    Server::start(ports.free()?, move |_, _| {
        let wait = {
            let mut dice = dice.lock().unwrap_or_else(PoisonError::into_inner);
            if dice.percent(SLOW_TOKENS) { dice.millis(100, 1_500) } else { Duration::ZERO }
        };
        thread::park_timeout(wait);
        Reply::json(200, json!({"access_token": "chaos", "expires_in": 1}).to_string())
    })
}

/// The answer of the Node Registry.
fn registered(path: &str) -> Reply {
    let id = path.split('?').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    match NodeType::find(id) {
        Some(node_type) => Reply::json(200, node_type.registered().to_string()),
        None => refusal(404, "node_type_not_found", None),
    }
}
