//! The node types, and what their executors may do when they are asked.

use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Atomic = 0,
    Composite = 1,
}

/// A node type as the registry has it.
#[derive(Debug)]
pub(super) struct NodeType {
    pub(super) id: &'static str,
    pub(super) kind: Kind,
    side_effect: Option<&'static str>,
    idempotent: bool,
    /// Its time, where it is less than usual.
    wall_time_ms: Option<u64>,
    /// What executors do with it, each with its share.
    pub(super) acts: &'static [(u64, Act)],
}

/// What an executor does with a NodeRun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Act {
    /// Works and answers at once. A composite's plan is begun.
    Work,
    /// Takes its time.
    Slow,
    /// Works, and says that it failed. A composite is not accepted.
    Fail,
    /// Waits until it is told to stop. A composite is accepted, and that is all.
    Hang,
    /// 503, come again in a second.
    Busy,
    /// 429, come again in a second.
    Throttled,
    /// Works, but something in between answers 503 for it, in its own words.
    Mesh,
    /// Works, and answers with something that is no JSON.
    Garbage,
    /// Breaks the connection off before any work.
    BreakBefore,
    /// Works, and breaks the connection off.
    BreakAfter,
}

impl Act {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Slow => "slow",
            Self::Fail => "fail",
            Self::Hang => "hang",
            Self::Busy => "503",
            Self::Throttled => "429",
            Self::Mesh => "bare 503 after the work",
            Self::Garbage => "garbage",
            Self::BreakBefore => "broken off before the work",
            Self::BreakAfter => "broken off after the work",
        }
    }

    /// Not what one hopes for.
    pub(super) fn is_fault(self) -> bool {
        !matches!(self, Self::Work | Self::Slow)
    }
}

const USUAL: &[(u64, Act)] = &[
    (42, Act::Work),
    (22, Act::Slow),
    (3, Act::Mesh),
    (5, Act::Fail),
    (7, Act::Busy),
    (4, Act::Throttled),
    (4, Act::Garbage),
    (5, Act::BreakBefore),
    (5, Act::BreakAfter),
    (3, Act::Hang),
];
const PLANS: &[(u64, Act)] = &[
    (73, Act::Work),
    (2, Act::Mesh),
    (5, Act::Busy),
    (3, Act::Throttled),
    (3, Act::Fail),
    (4, Act::Hang),
    (2, Act::Garbage),
    (4, Act::BreakBefore),
    (4, Act::BreakAfter),
];

pub(super) const READ: &str = "atomic.chaos.read";
pub(super) const WRITE: &str = "atomic.chaos.write";
/// Writes, and knows by a key what it has written already.
pub(super) const KEYED: &str = "atomic.chaos.keyed";
pub(super) const HANG: &str = "atomic.chaos.hang";
pub(super) const PLAN: &str = "composite.chaos.plan";
/// Of the measurement: its plan is whatever the caller does.
pub(super) const IDLE: &str = "composite.chaos.idle";
/// Of the measurement: hangs for as long as it takes.
pub(super) const DEAF: &str = "atomic.chaos.deaf";

pub(super) const TYPES: [NodeType; 7] = [
    NodeType::new(READ, Kind::Atomic, Some("read"), false, None, USUAL),
    NodeType::new(WRITE, Kind::Atomic, Some("write"), false, None, USUAL),
    NodeType::new(KEYED, Kind::Atomic, Some("write"), true, None, USUAL),
    NodeType::new(HANG, Kind::Atomic, Some("write"), false, Some(3_000), &[(1, Act::Hang)]),
    NodeType::new(PLAN, Kind::Composite, None, false, None, PLANS),
    NodeType::new(IDLE, Kind::Composite, None, false, None, &[(1, Act::Hang)]),
    NodeType::new(DEAF, Kind::Atomic, Some("write"), false, None, &[(1, Act::Hang)]),
];

impl NodeType {
    const fn new(
        id: &'static str,
        kind: Kind,
        side_effect: Option<&'static str>,
        idempotent: bool,
        wall_time_ms: Option<u64>,
        acts: &'static [(u64, Act)],
    ) -> Self {
        Self { id, kind, side_effect, idempotent, wall_time_ms, acts }
    }

    pub(super) fn find(id: &str) -> Option<&'static Self> {
        static ALL: [NodeType; 7] = TYPES;
        ALL.iter().find(|node_type| node_type.id == id)
    }

    /// Working twice would do harm.
    pub(super) fn is_once_only(&self) -> bool {
        self.kind == Kind::Atomic && self.side_effect != Some("read") && !self.idempotent
    }

    /// As the Node Registry has it.
    pub(super) fn registered(&self) -> Value {
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
        if let Some(millis) = self.wall_time_ms {
            registered["constraints"] = json!({"budgets": {"max_wall_time_ms": millis}});
        }
        registered
    }
}

/// A NodeTypeRef.
pub(super) fn type_ref(id: &str) -> Value {
    json!({"node_type_id": id, "version": "1.0.0"})
}
