//! What is known about a node type (contract §9.1): from the Node Registry if
//! one is configured, else from the prefix of its id.
//!
//! A version of a node type never changes, so an answer is remembered. With a
//! registry configured but not answering, nobody guesses (D-16): a guess could
//! drop constraints that the type is published with.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;

use crate::{
    clients::{CallError, Service, node_registry},
    engine::NodeTypeFacts,
    model::{NodeKind, NodeTypeRef, SideEffectClass},
    time::{Clock, within},
};

/// So many types are remembered; beyond that the memory starts afresh.
const REMEMBERED: usize = 10_000;

/// The Node Registry is configured and does not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RegistryUnavailable(pub String);

/// Looks node types up.
pub struct NodeTypes {
    registry: Option<Registry>,
}

struct Registry {
    client: node_registry::Client,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<(String, String), Arc<NodeTypeFacts>>>,
}

impl NodeTypes {
    /// Without a registry: prefixes only.
    pub fn by_prefix() -> Self {
        Self { registry: None }
    }

    pub fn from_registry(client: node_registry::Client, timeout: Duration, clock: Arc<dyn Clock>) -> Self {
        Self { registry: Some(Registry { client, timeout, clock, known: Mutex::default() }) }
    }

    /// The answer needs no other service.
    pub fn is_local(&self) -> bool {
        self.registry.is_none()
    }

    pub async fn facts(&self, node_type: &NodeTypeRef) -> Result<NodeTypeFacts, RegistryUnavailable> {
        match &self.registry {
            None => Ok(by_prefix(node_type)),
            Some(registry) => registry.facts(node_type).await,
        }
    }
}

impl Registry {
    async fn facts(&self, node_type: &NodeTypeRef) -> Result<NodeTypeFacts, RegistryUnavailable> {
        let key = (node_type.node_type_id.clone(), node_type.version.clone());
        if let Some(facts) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(NodeTypeFacts::clone(facts));
        }
        let call = self
            .client
            .get_node_type(&key.0, Some(&key.1).filter(|version| !version.is_empty()).map(|v| &**v));
        let answer = match within(&*self.clock, self.timeout, call).await {
            Some(answer) => answer.map_err(|error| CallError::new(Service::NodeRegistry, error)),
            None => Err(CallError::unavailable(Service::NodeRegistry, "no answer in time")),
        };
        match answer {
            Ok(answer) => {
                let facts = from_registry(answer.into_inner());
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                if known.len() >= REMEMBERED {
                    known.clear();
                }
                known.insert(key, Arc::new(facts.clone()));
                Ok(facts)
            }
            // The registry has spoken: it does not know the type.
            Err(error) if error.status == Some(404) => Ok(by_prefix(node_type)),
            Err(error) => {
                let reason = error.details.get("error").and_then(Value::as_str).unwrap_or(&error.message);
                Err(RegistryUnavailable(format!("{}: {reason}", error.code)))
            }
        }
    }
}

fn from_registry(node_type: node_registry::types::NodeType) -> NodeTypeFacts {
    let says = |key: &str| node_type.extensions.as_ref().and_then(|extensions| extensions.get(key));
    NodeTypeFacts {
        kind: Some(node_type.kind),
        side_effect: says("jarvis.side_effect")
            .and_then(Value::as_str)
            .and_then(|class| class.parse::<SideEffectClass>().ok()),
        idempotent: says("jarvis.idempotent") == Some(&Value::Bool(true)),
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
