//! The executors, the Node Registry and the token service, in this process, so
//! that they outlive the coordinator's. Each executor can be restarted: it is
//! gone for a while, has forgotten everything, and comes back on the same port.
//! Tokens are valid for one second, and some take longer than that to get: calls
//! wait for them, and their nodes may be over by then.
//!
//! Chance decides how a node's executor behaves; the ledger keeps what happened.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::Result;
use scripted_executor::{
    Answer, Behaviour, Chance, Reply, Work,
    arrivals::Arrivals,
    refusal,
    server::{Request, Server},
};
use serde_json::{Value, json};

use super::{
    ledger::{Ended, Ledger},
    node_types::{Kind, NodeType},
    plans::Planner,
    ports::Ports,
    signal::Signals,
};

/// Longer than the time limit of any node.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// The percentage of token requests that take a while.
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

/// What the threads of an executor share.
struct Shared {
    ledger: Arc<Ledger>,
    planner: Arc<Planner>,
    chance: Mutex<Chance>,
}

impl Executors {
    pub(super) fn start(
        ports: &mut Ports,
        seed: u64,
        ledger: &Arc<Ledger>,
        planner: &Arc<Planner>,
        usual_wall_time_ms: Option<u64>,
    ) -> Result<Self> {
        let arrivals = Arc::<Arrivals>::default();
        let executor = |kind: Kind, name: &str, ports: &mut Ports| {
            let chance = Mutex::new(Chance::of_party(seed, name));
            let shared = Shared { ledger: Arc::clone(ledger), planner: Arc::clone(planner), chance };
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
            registry: Server::start(ports.free()?, move |request: &Request| {
                registered(&request.path, usual_wall_time_ms)
            })?,
            tokens: tokens(ports, seed)?,
            arrivals,
        })
    }

    /// The arrivals of the calls that executors get.
    pub(super) fn arrivals(&self) -> Arc<Arrivals> {
        Arc::clone(&self.arrivals)
    }

    /// The addresses for the coordinator's process of this number.
    pub(super) fn variables(&self, process: usize) -> [(&'static str, String); 6] {
        [
            ("JARVIS_ATOMIC_EXECUTOR_URL", format!("http://{}/{process}", self.atomic.address)),
            ("JARVIS_COMPOSITE_EXECUTOR_URL", format!("http://{}/{process}", self.composite.address)),
            ("JARVIS_NODE_REGISTRY_URL", self.registry.url()),
            ("ARP_AUTH_TOKEN_ENDPOINT", self.tokens.url()),
            ("ARP_AUTH_CLIENT_ID", "chaos".into()),
            ("ARP_AUTH_CLIENT_SECRET", "not a secret".into()),
        ]
    }

    /// Stops an executor, and starts it again after a while.
    pub(super) fn restart(&self, kind: Kind, gone: Duration, signals: &Signals) -> Result<()> {
        let executor = match kind {
            Kind::Atomic => &self.atomic,
            Kind::Composite => &self.composite,
        };
        executor.stop();
        executor.shared.ledger.restarted(kind);
        signals.over.raised_within(gone);
        executor.serve()
    }
}

impl Executor {
    fn serve(&self) -> Result<()> {
        let (kind, shared) = (self.kind, Arc::clone(&self.shared));
        let life = shared.ledger.life(kind);
        let answer = move |request: &Request| shared.answer(kind, life, request);
        let server = Server::start_among(&self.arrivals, self.address, answer)?;
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
        Ok(())
    }

    fn stop(&self) {
        self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Shared {
    fn answer(&self, kind: Kind, life: u64, request: &Request) -> Option<Reply> {
        let path = request.path.as_str();
        if let Some(node) = path.strip_suffix(":cancel") {
            self.ledger.canceled(node.rsplit('/').next().unwrap_or_default());
            return Some(Reply::json(204, ""));
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let by = path.split('/').nth(1).and_then(|number| number.parse().ok()).unwrap_or_default();
        let node_type = body["node_type_ref"]["node_type_id"].as_str().and_then(NodeType::find);
        let Some(node_type) = node_type.filter(|node_type| node_type.kind == kind) else {
            return Some(refusal(400, "unknown_node_type", "not a node type of this executor"));
        };
        let (least, most) = node_type.takes();
        let (behaviour, time) = {
            let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
            (chance.pick_weighted(node_type.behaviours), chance.millis(least, most))
        };
        let entry = self.ledger.asked(kind, by, &body, behaviour, request.arrived);
        let (reply, ended) = match kind {
            Kind::Atomic => self.execute(entry, life, behaviour, time, &body),
            Kind::Composite => (self.begin(entry, life, behaviour, &body), Ended::ByItself),
        };
        self.ledger.ended(entry, ended);
        reply
    }

    /// The call lasts as long as the work does.
    fn execute(
        &self,
        entry: usize,
        life: u64,
        behaviour: Behaviour,
        time: Duration,
        body: &Value,
    ) -> (Option<Reply>, Ended) {
        let course = behaviour.course(true);
        let wait = match course.work {
            Work::UntilCanceledOrReleased | Work::UntilReleased => LONG,
            Work::DoneAfterAWhile | Work::DoneOnceArrived => time,
            Work::NotStarted | Work::Done | Work::Fails => Duration::ZERO,
        };
        let node = body["node_run_id"].as_str().unwrap_or_default();
        match self.ledger.stops(Kind::Atomic, life, node, wait) {
            Some(Ended::Canceled) => return (Answer::Result.reply(body, "canceled"), Ended::Canceled),
            Some(ended @ (Ended::Forgotten | Ended::ByItself)) => return (None, ended),
            None => {}
        }
        if course.work != Work::NotStarted {
            self.ledger.worked(entry);
        }
        let state = if course.work == Work::Fails { "failed" } else { "succeeded" };
        (course.answer.reply(body, state), Ended::ByItself)
    }

    /// Accepts a composite, whose plan is played from then on. A composite that
    /// is being played already is not started again.
    fn begin(&self, entry: usize, life: u64, behaviour: Behaviour, body: &Value) -> Option<Reply> {
        let course = behaviour.course(true);
        match course.work {
            Work::NotStarted => return course.answer.reply(body, ""),
            Work::UntilCanceledOrReleased | Work::UntilReleased => {
                self.ledger.worked(entry);
                return Answer::Accepted.reply(body, "");
            }
            Work::Done | Work::DoneAfterAWhile | Work::DoneOnceArrived | Work::Fails => {}
        }
        self.planner.begin(life, body);
        self.ledger.worked(entry);
        course.answer.reply(body, "")
    }
}

/// The token service: each request gets a token, some after a while.
fn tokens(ports: &mut Ports, seed: u64) -> Result<Server> {
    let chance = Mutex::new(Chance::of_party(seed, "token service"));
    let server = Server::start(ports.free()?, move |_: &Request| {
        let wait = {
            let mut chance = chance.lock().unwrap_or_else(PoisonError::into_inner);
            if chance.percent(SLOW_TOKENS) { chance.millis(100, 1_500) } else { Duration::ZERO }
        };
        thread::park_timeout(wait);
        Reply::json(200, json!({"access_token": "chaos", "expires_in": 1}).to_string())
    })?;
    Ok(server)
}

/// The answer of the Node Registry to this path.
fn registered(path: &str, usual_wall_time_ms: Option<u64>) -> Reply {
    let id = path.split('?').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    match NodeType::find(id) {
        Some(node_type) => Reply::json(200, node_type.registered(usual_wall_time_ms).to_string()),
        None => refusal(404, "node_type_not_found", "no such node type"),
    }
}
