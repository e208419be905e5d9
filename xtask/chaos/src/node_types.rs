//! The node types, and how their executors may behave.

use scripted_executor::Behaviour;
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Atomic = 0,
    Composite = 1,
}

/// A node type as the registry knows it.
#[derive(Debug)]
pub(super) struct NodeType {
    pub(super) id: &'static str,
    pub(super) kind: Kind,
    side_effect: Option<&'static str>,
    idempotent: bool,
    /// The wall time limit, where it is less than usual.
    wall_time_ms: Option<u64>,
    /// How executors behave, each with its weight.
    pub(super) behaviours: &'static [(u64, Behaviour)],
}

const USUAL: &[(u64, Behaviour)] = &[
    (42, Behaviour::Echo),
    (22, Behaviour::Slow),
    (3, Behaviour::Mesh),
    (5, Behaviour::Fail),
    (7, Behaviour::Busy),
    (4, Behaviour::Throttled),
    (4, Behaviour::Garbage),
    (5, Behaviour::BreakBefore),
    (5, Behaviour::BreakAfter),
    (3, Behaviour::Hang),
];
/// A composite that hangs is accepted, and that is all.
const PLANS: &[(u64, Behaviour)] = &[
    (73, Behaviour::Accept),
    (2, Behaviour::Mesh),
    (5, Behaviour::Busy),
    (3, Behaviour::Throttled),
    (3, Behaviour::Silent),
    (4, Behaviour::Hang),
    (2, Behaviour::Garbage),
    (4, Behaviour::BreakBefore),
    (4, Behaviour::BreakAfter),
];

/// Whether it is something other than doing the work.
pub(super) fn is_fault(behaviour: Behaviour) -> bool {
    !matches!(behaviour, Behaviour::Echo | Behaviour::Slow | Behaviour::Accept)
}

pub(super) const READ: &str = "atomic.chaos.read";
pub(super) const WRITE: &str = "atomic.chaos.write";
/// Writes, and recognizes by a key what it has written already.
pub(super) const KEYED: &str = "atomic.chaos.keyed";
pub(super) const HANG: &str = "atomic.chaos.hang";
pub(super) const PLAN: &str = "composite.chaos.plan";
/// For the cancel benchmark: its plan is what the benchmark does.
pub(super) const IDLE: &str = "composite.chaos.idle";
/// For the cancel benchmark: hangs until it is canceled.
pub(super) const DEAF: &str = "atomic.chaos.deaf";

/// Takes long, and has the time for it: what is in hand during an outage.
pub(super) const STEADY: &str = "atomic.chaos.steady";

pub(super) const TYPES: [NodeType; 8] = [
    NodeType::new(READ, Kind::Atomic, Some("read"), false, None, USUAL),
    NodeType::new(WRITE, Kind::Atomic, Some("write"), false, None, USUAL),
    NodeType::new(KEYED, Kind::Atomic, Some("write"), true, None, USUAL),
    NodeType::new(HANG, Kind::Atomic, Some("write"), false, Some(3_000), &[(1, Behaviour::Hang)]),
    NodeType::new(PLAN, Kind::Composite, None, false, None, PLANS),
    NodeType::new(IDLE, Kind::Composite, None, false, None, &[(1, Behaviour::Hang)]),
    NodeType::new(DEAF, Kind::Atomic, Some("write"), false, None, &[(1, Behaviour::Hang)]),
    NodeType::new(STEADY, Kind::Atomic, Some("write"), false, None, &[(1, Behaviour::Slow)]),
];

impl NodeType {
    const fn new(
        id: &'static str,
        kind: Kind,
        side_effect: Option<&'static str>,
        idempotent: bool,
        wall_time_ms: Option<u64>,
        behaviours: &'static [(u64, Behaviour)],
    ) -> Self {
        Self { id, kind, side_effect, idempotent, wall_time_ms, behaviours }
    }

    pub(super) fn find(id: &str) -> Option<&'static Self> {
        static ALL: [NodeType; 8] = TYPES;
        ALL.iter().find(|node_type| node_type.id == id)
    }

    /// Whether executing a node twice would do harm.
    pub(super) fn is_once_only(&self) -> bool {
        self.kind == Kind::Atomic && self.side_effect != Some("read") && !self.idempotent
    }

    /// How long its work takes if it takes a while, in milliseconds.
    pub(super) fn takes(&self) -> (u64, u64) {
        if self.id == STEADY { (6_000, 25_000) } else { (10, 800) }
    }

    /// The node type as the Node Registry serves it, with the wall time limit of types
    /// that have none of their own.
    pub(super) fn registered(&self, usual_wall_time_ms: Option<u64>) -> Value {
        let mut extensions = json!({"jarvis.idempotent": self.idempotent});
        if let Some(side_effect) = self.side_effect {
            extensions["jarvis.side_effect"] = side_effect.into();
        }
        let kind = match self.kind {
            Kind::Atomic => "atomic",
            Kind::Composite => "composite",
        };
        let mut registered =
            json!({"node_type_id": self.id, "version": "1.0.0", "kind": kind, "extensions": extensions});
        let usual = usual_wall_time_ms.filter(|_| ![STEADY, DEAF, IDLE].contains(&self.id));
        if let Some(millis) = self.wall_time_ms.or(usual) {
            registered["constraints"] = json!({"budgets": {"max_wall_time_ms": millis}});
        }
        registered
    }
}

/// A NodeTypeRef.
pub(super) fn type_ref(id: &str) -> Value {
    json!({"node_type_id": id, "version": "1.0.0"})
}
