//! What is known about a node type (contract §9.1): from the Node Registry if
//! one is configured, else from the prefix of its id.
//!
//! ```text
//!   remembered ──▶ the answer            the registry: 200 ──▶ remember, the answer
//!   not ──▶ ask ───────────────────────────────▶       404 ──▶ by prefix (not remembered:
//!                                                              it may be published any time)
//!                                  401, 403, 407 ──▶ what is remembered, else an error:
//!                                                    the configuration is wrong, here or there
//!                                      other 4xx ──▶ an error: it refuses this type
//!                                      no answer ──▶ what is remembered, else
//!                                                    closed: an error (D-16)
//!                                                    open:   by prefix
//! ```
//!
//! No answer is whatever comes from a registry that is out: a 5xx, 408, 425, 429,
//! nonsense, nothing at all. A registry that refuses has answered: to guess then
//! would drop what a type was published with because of a mistake.
//!
//! A version of a node type never changes, so an answer is remembered. Without
//! a version the registry answers for the highest, which may be another one
//! tomorrow: such an answer counts only while the registry does not answer.
//!
//! A guess could drop constraints that the type is published with. So nobody
//! guesses unless the configuration says so.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use slog::{Logger, warn};

use crate::{
    clients::{
        CallError, Service,
        node_registry::{self, types::NodeType},
        path::fits_into_a_path,
    },
    engine::NodeTypeFacts,
    time::{Clock, Timestamp, within},
    types::{NodeKind, NodeTypeRef},
};

/// So many types are remembered; beyond that the memory starts afresh.
const REMEMBERED: usize = 10_000;

/// Where a guess will do, a registry that does not answer is left alone for so
/// long: a caller should not wait for it once a node.
const LEFT_ALONE: Duration = Duration::from_secs(5);

/// Why nothing can be said about a type. The texts are for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFacts {
    /// The Node Registry is configured and does not answer. It may later.
    #[error("the node registry does not answer: {0}")]
    Unavailable(String),
    /// It does not let the coordinator ask. Somebody has to set that right.
    #[error("the node registry refuses the coordinator's credentials: {0}")]
    Forbidden(String),
    /// It has looked at the question, and refuses to answer it.
    #[error("the node registry refuses the node type: {0}")]
    Refused(String),
}

/// What a registry that does not answer leads to (D-16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// What needs it is not done.
    Closed,
    /// The prefix tells the kind, and there are no constraints.
    Open,
}

/// Looks node types up.
pub struct NodeTypes {
    registry: Option<Registry>,
}

/// A registry, as we ask it.
#[async_trait]
pub trait NodeRegistry: Send + Sync + 'static {
    /// What it says about a type; without a version, about the highest.
    async fn node_type(&self, id: &str, version: Option<&str>) -> Result<NodeType, CallError>;
}

#[async_trait]
impl NodeRegistry for node_registry::Client {
    async fn node_type(&self, id: &str, version: Option<&str>) -> Result<NodeType, CallError> {
        if !fits_into_a_path(id) {
            // It cannot be asked for, so it cannot be there.
            let unknown = CallError::unavailable(Service::NodeRegistry, "no path can carry this id");
            return Err(CallError { status: Some(404), never_sent: true, retryable: false, ..unknown });
        }
        let answer = self.get_node_type(id, version).await;
        answer
            .map(progenitor_client::ResponseValue::into_inner)
            .map_err(|error| CallError::new(Service::NodeRegistry, error))
    }
}

/// How a registry is asked.
pub struct RegistryOptions {
    pub registry: Arc<dyn NodeRegistry>,
    pub timeout: Duration,
    pub outage: Outage,
}

struct Registry {
    options: RegistryOptions,
    clock: Arc<dyn Clock>,
    log: Logger,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By id and version; the version is empty if none was asked for.
    known: HashMap<(String, String), Arc<NodeTypeFacts>>,
    /// When it last did not answer, unless it has answered since.
    failed_at: Option<Timestamp>,
}

impl NodeTypes {
    /// Without a registry: prefixes only.
    pub fn by_prefix() -> Self {
        Self { registry: None }
    }

    pub fn from_registry(options: RegistryOptions, clock: Arc<dyn Clock>, log: Logger) -> Self {
        Self { registry: Some(Registry { options, clock, log, state: Mutex::default() }) }
    }

    /// The answer needs no other service.
    pub fn is_local(&self) -> bool {
        self.registry.is_none()
    }

    pub async fn facts(&self, node_type: &NodeTypeRef) -> Result<NodeTypeFacts, NoFacts> {
        match &self.registry {
            None => Ok(by_prefix(node_type)),
            Some(registry) => registry.facts(node_type).await,
        }
    }
}

impl Registry {
    async fn facts(&self, node_type: &NodeTypeRef) -> Result<NodeTypeFacts, NoFacts> {
        let key = (node_type.node_type_id.clone(), node_type.version.clone());
        let remembered = self.state().known.get(&key).cloned();
        if let Some(facts) = remembered.as_deref().filter(|_| !key.1.is_empty()) {
            return Ok(facts.clone());
        }
        let asked = match self.is_left_alone() {
            true => Err(NoFacts::Unavailable("no answer a moment ago".to_owned())),
            false => self.ask(&key).await,
        };
        match (asked, remembered, self.options.outage) {
            (Ok(Some(facts)), ..) => Ok(facts),
            // The registry has spoken: it does not know the type.
            (Ok(None), ..) => Ok(by_prefix(node_type)),
            (Err(refused @ NoFacts::Refused(_)), ..) => Err(refused),
            (Err(NoFacts::Unavailable(_) | NoFacts::Forbidden(_)), Some(facts), _) => {
                Ok(NodeTypeFacts::clone(&facts))
            }
            (Err(forbidden @ NoFacts::Forbidden(_)), None, _) => Err(forbidden),
            (Err(out @ NoFacts::Unavailable(_)), None, Outage::Closed) => Err(out),
            (Err(NoFacts::Unavailable(reason)), None, Outage::Open) => {
                warn!(self.log, "node type guessed: the node registry does not answer";
                    "node_type_id" => key.0, "reason" => reason);
                Ok(by_prefix(node_type))
            }
        }
    }

    /// What the registry says, which is remembered; `None` if it does not know
    /// the type.
    async fn ask(&self, key: &(String, String)) -> Result<Option<NodeTypeFacts>, NoFacts> {
        let RegistryOptions { registry, timeout, outage: _ } = &self.options;
        let (id, version) = key;
        let call = registry.node_type(id, (!version.is_empty()).then_some(&**version));
        let answer = within(&*self.clock, *timeout, call)
            .await
            .unwrap_or_else(|| Err(CallError::unavailable(Service::NodeRegistry, "no answer in time")));
        let mut state = self.state();
        let answered = match answer {
            // Its facts must not become those of the type that was asked for.
            Ok(answer) if answer.node_type_id != *id => {
                let reason = "node_registry_unavailable: it answered with another node type";
                Err(NoFacts::Unavailable(reason.to_owned()))
            }
            Ok(answer) => Ok(Some(from_registry(answer))),
            Err(error) if error.status == Some(404) => Ok(None),
            Err(error) => {
                let reason = error.details.text("error").unwrap_or(error.message);
                Err(no_facts(error.status, format!("{}: {reason}", error.code)))
            }
        };
        // One that refuses has answered: it is not left alone.
        let out = matches!(answered, Err(NoFacts::Unavailable(_)));
        state.failed_at = out.then(|| self.clock.now());
        if let Ok(Some(facts)) = &answered {
            if state.known.len() >= REMEMBERED {
                state.known.clear();
            }
            state.known.insert(key.clone(), Arc::new(facts.clone()));
        }
        answered
    }

    fn is_left_alone(&self) -> bool {
        match self.options.outage {
            Outage::Closed => false,
            Outage::Open => {
                let (failed_at, now) = (self.state().failed_at, self.clock.now());
                failed_at.is_some_and(|at| at <= now && now.since(at) < LEFT_ALONE)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a failure is, by its status: whose fault, and whether it will pass.
fn no_facts(status: Option<u16>, reason: String) -> NoFacts {
    match status {
        Some(401 | 403 | 407) => NoFacts::Forbidden(reason),
        Some(408 | 425 | 429) => NoFacts::Unavailable(reason),
        Some(400..=499) => NoFacts::Refused(reason),
        Some(_) | None => NoFacts::Unavailable(reason),
    }
}

fn from_registry(node_type: NodeType) -> NodeTypeFacts {
    let says = |key: &str| node_type.extensions.as_ref().and_then(|extensions| extensions.raw(key));
    NodeTypeFacts {
        kind: Some(node_type.kind),
        side_effect: says("jarvis.side_effect").and_then(|class| serde_json::from_str(class).ok()),
        idempotent: says("jarvis.idempotent") == Some("true"),
        constraints: node_type.constraints,
    }
}

fn by_prefix(node_type: &NodeTypeRef) -> NodeTypeFacts {
    let id = node_type.node_type_id.to_ascii_lowercase();
    let kind = if id.starts_with("atomic.") {
        Some(NodeKind::Atomic)
    } else if id.starts_with("composite.") {
        Some(NodeKind::Composite)
    } else {
        None
    };
    NodeTypeFacts { kind, ..NodeTypeFacts::default() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::types::SideEffectClass;

    #[test]
    fn prefixes_tell_the_kind_in_any_case() {
        for (id, kind) in [
            ("atomic.echo", Some(NodeKind::Atomic)),
            ("Composite.Plan", Some(NodeKind::Composite)),
            ("jarvis.core.echo", None),
            ("atomic", None),
        ] {
            let node_type =
                serde_json::from_value(json!({"node_type_id": id, "version": "1"})).expect("a reference");
            assert_eq!(by_prefix(&node_type).kind, kind, "{id}");
        }
    }

    #[test]
    fn the_registry_says_what_a_type_does_to_the_world() {
        let facts = from_registry(
            serde_json::from_value(json!({
                "node_type_id": "t", "version": "1", "kind": "atomic", "unknown member": 1, "description": null,
                "constraints": {"structural": {"max_depth": 2}},
                "extensions": {"jarvis.side_effect": "write", "jarvis.idempotent": true}
            }))
            .expect("a tolerant reader"),
        );
        assert_eq!((facts.kind, facts.side_effect), (Some(NodeKind::Atomic), Some(SideEffectClass::Write)));
        assert!(facts.idempotent && facts.constraints.is_some());
    }
}
