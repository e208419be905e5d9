//! Pauses: an operator keeps nodes from being dispatched, of all runs.
//!
//! ```text
//!   pause ──▶ paused ──▶ resume          one pause for each scope
//!     ▲ again  │
//!     └────────┘
//! ```
//!
//! **Invariant:** a pause is bounded: its reason has at most
//! [`REASON_BYTES`](super::REASON_BYTES), the name in its scope
//! [`PAUSE_NAME_BYTES`].

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Actor;
use crate::{time::Timestamp, types::NodeKind};

/// The maximum length of the name in a scope.
pub const PAUSE_NAME_BYTES: usize = 500;

/// The nodes whose dispatch is paused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PauseScope {
    All,
    /// Those that go to this executor: by the name of its service, or by its instance
    /// id if it is a named member of a pool.
    Executor {
        executor: String,
    },
    /// Those of this type, in whatever version.
    NodeType {
        node_type_id: String,
    },
    /// Those of the runs of this tenant.
    Tenant {
        tenant: String,
    },
}

/// A pause that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub scope: PauseScope,
    pub since: Timestamp,
    /// Who paused it, or changed the pause last.
    pub by: Actor,
    pub reason: String,
}

/// How often the pauses of a journal have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PausesVersion(pub u64);

/// What the scopes of pauses are compared with.
#[derive(Clone, Copy, Debug)]
pub struct PauseSubject<'s> {
    pub kind: Option<NodeKind>,
    /// The only member of a pool that the node may go to.
    pub member: Option<&'s str>,
    pub node_type_id: &'s str,
    pub tenant: Option<&'s str>,
}

/// The name of the service that executes nodes of this kind.
pub fn executor_name(kind: Option<NodeKind>) -> &'static str {
    match kind {
        Some(NodeKind::Composite) => "composite_executor",
        Some(NodeKind::Atomic) | None => "atomic_executor",
    }
}

impl PauseScope {
    /// Whether a node is in it.
    pub fn covers(&self, subject: &PauseSubject<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Executor { executor } => {
                executor == executor_name(subject.kind) || Some(executor.as_str()) == subject.member
            }
            Self::NodeType { node_type_id } => node_type_id == subject.node_type_id,
            Self::Tenant { tenant } => Some(tenant.as_str()) == subject.tenant,
        }
    }

    /// The name in it.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::Executor { executor } => Some(executor),
            Self::NodeType { node_type_id } => Some(node_type_id),
            Self::Tenant { tenant } => Some(tenant),
        }
    }

    /// The word for its kind, as it is stored.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Executor { .. } => "executor",
            Self::NodeType { .. } => "node_type",
            Self::Tenant { .. } => "tenant",
        }
    }
}

impl fmt::Display for PauseScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            None => f.write_str(self.kind()),
            Some(name) => write!(f, "{} {name}", self.kind()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scope_is_stored_by_kind_and_covers_what_it_names() {
        let subject = PauseSubject {
            kind: Some(NodeKind::Atomic),
            member: Some("a"),
            node_type_id: "t",
            tenant: Some("acme"),
        };
        let executor = |executor: &str| PauseScope::Executor { executor: executor.into() };
        let node_type = |id: &str| PauseScope::NodeType { node_type_id: id.into() };
        let tenant = |tenant: &str| PauseScope::Tenant { tenant: tenant.into() };
        for (scope, stored, covers) in [
            (PauseScope::All, json!({"kind": "all"}), true),
            (executor("atomic_executor"), json!({"kind": "executor", "executor": "atomic_executor"}), true),
            (executor("a"), json!({"kind": "executor", "executor": "a"}), true),
            (
                executor("composite_executor"),
                json!({"kind": "executor", "executor": "composite_executor"}),
                false,
            ),
            (node_type("t"), json!({"kind": "node_type", "node_type_id": "t"}), true),
            (node_type("u"), json!({"kind": "node_type", "node_type_id": "u"}), false),
            (tenant("acme"), json!({"kind": "tenant", "tenant": "acme"}), true),
            (tenant("beta"), json!({"kind": "tenant", "tenant": "beta"}), false),
        ] {
            assert_eq!(serde_json::to_value(&scope).expect("JSON"), stored);
            assert_eq!(serde_json::from_value::<PauseScope>(stored).expect("a scope"), scope);
            assert_eq!(scope.covers(&subject), covers, "{scope}");
        }
        let anonymous = PauseSubject { member: None, tenant: None, ..subject };
        assert!(!executor("a").covers(&anonymous) && !tenant("acme").covers(&anonymous));
    }
}
