//! Who causes a change, as records, events and the audit trail name it.
//!
//! ```text
//!   Identity   issuer + subject, client, tenant: from the verified token
//!      ├─ Owner of a Run     Run.extensions["jarvis.owner"]
//!      └─ Actor::Caller ┐
//!         Actor::Executor ├─ RunEvent.extensions["jarvis.actor"], audit records
//!         Actor::Coordinator │
//!         Actor::CommandLine ┘
//! ```

use serde::{Deserialize, Serialize};

use crate::types::NodeRunId;

/// A caller as its verified token names it. Two callers are the same principal
/// exactly if issuer and subject are the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// `iss`; `None` for a subject that the configuration names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// `sub`, or `client:` and the client where a token has none.
    pub subject: String,
    /// The client that the token was issued to (`azp`, `client_id`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The tenant of the subject, from the token's tenant claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

impl Identity {
    /// A subject without a token.
    pub fn bare(subject: impl Into<String>) -> Self {
        Self { issuer: None, subject: subject.into(), client: None, tenant: None }
    }

    /// Whether both are the same principal, whatever client either used.
    pub fn is_same_principal(&self, other: &Self) -> bool {
        (&self.issuer, &self.subject) == (&other.issuer, &other.subject)
    }
}

/// What causes a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// A user or a service with its token.
    Caller(Identity),
    /// The executor of a NodeRun: with its assignment token, or by its answer to
    /// a dispatch.
    Executor { node_run_id: NodeRunId },
    /// The coordinator, by a rule of its own: a dispatch, a deadline, a cascade.
    Coordinator,
    /// The operator of the machine, with a command on the journal.
    CommandLine,
}

impl Actor {
    /// The identity of a caller.
    pub fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Caller(identity) => Some(identity),
            Self::Executor { .. } | Self::Coordinator | Self::CommandLine => None,
        }
    }

    /// The subject of a caller, the NodeRun of an executor, else the kind.
    pub fn name(&self) -> &str {
        match self {
            Self::Caller(identity) => &identity.subject,
            Self::Executor { node_run_id } => node_run_id.as_str(),
            Self::Coordinator => "coordinator",
            Self::CommandLine => "command_line",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn actors_are_stored_by_kind() {
        let alice = Identity {
            issuer: Some("https://sts".into()),
            subject: "alice".into(),
            client: None,
            tenant: Some("acme".into()),
        };
        for (actor, stored) in [
            (
                Actor::Caller(alice),
                json!({"kind": "caller", "issuer": "https://sts", "subject": "alice", "tenant": "acme"}),
            ),
            (Actor::Executor { node_run_id: "n".into() }, json!({"kind": "executor", "node_run_id": "n"})),
            (Actor::Coordinator, json!({"kind": "coordinator"})),
            (Actor::CommandLine, json!({"kind": "command_line"})),
        ] {
            assert_eq!(serde_json::to_value(&actor).expect("JSON"), stored);
            assert_eq!(serde_json::from_value::<Actor>(stored).expect("an actor"), actor);
        }
    }

    #[test]
    fn same_subject_of_another_issuer_is_another_principal() {
        let of =
            |issuer: Option<&str>| Identity { issuer: issuer.map(Into::into), ..Identity::bare("alice") };
        assert!(of(Some("a")).is_same_principal(&of(Some("a"))));
        assert!(!of(Some("a")).is_same_principal(&of(Some("b"))));
        assert!(!of(Some("a")).is_same_principal(&of(None)));
    }
}
