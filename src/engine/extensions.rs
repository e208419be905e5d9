//! The extension keys that belong to the coordinator (contract §12).
//!
//! Callers see them on Runs and NodeRuns. They are never taken from a caller
//! (G13): what a request says under these names is dropped.

use serde::Serialize;
use serde_json::Value;

use super::Rules;
use crate::model::{Extensions, Metadata};

pub(super) const CONSTRAINTS: &str = "constraints";
pub(super) const DECOMPOSITION_ROUNDS: &str = "decomposition_rounds";
pub(super) const COMPLETION_ERROR: &str = "completion_error";
pub(super) const CANDIDATE_SET_ID: &str = "candidate_set_id";
pub(super) const BINDING_DECISION: &str = "binding_decision";
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency_key";

/// The keys that only the coordinator writes.
pub(super) const OWN_KEYS: [&str; 6] = [
    CONSTRAINTS,
    DECOMPOSITION_ROUNDS,
    COMPLETION_ERROR,
    CANDIDATE_SET_ID,
    BINDING_DECISION,
    IDEMPOTENCY_KEY,
];

/// How many recovery actions a NodeRun no longer has, being the older ones.
/// Ours as well, but under this name only: the contract knows no other.
pub(super) const RECOVERY_ACTIONS_DROPPED: &str = "jarvis.recovery_actions_dropped";

const METADATA: &str = "jarvis.metadata";
pub(super) const REQUESTED_EXECUTOR: &str = "jarvis.requested_executor_instance_id";
const DOTTED: &str = "jarvis.";

/// Builds the extensions of a record: the caller's, then our own on top.
pub(super) struct Writer<'r> {
    rules: &'r Rules,
    map: Extensions,
}

impl<'r> Writer<'r> {
    /// Starts from what the caller sent, without what is ours.
    pub(super) fn from_caller(rules: &'r Rules, given: Option<&Extensions>) -> Self {
        let mut map = given.cloned().unwrap_or_default();
        map.retain(|key, _| !is_own_key(key));
        Self { rules, map }
    }

    /// Goes on from what is stored.
    pub(super) fn update(rules: &'r Rules, stored: Option<Extensions>) -> Self {
        Self { rules, map: stored.unwrap_or_default() }
    }

    pub(super) fn own<T: Serialize>(mut self, key: &'static str, value: Option<&T>) -> Self {
        if let Some(value) = value {
            let (name, other) = match self.rules.dotted_keys {
                true => (format!("{DOTTED}{key}"), key.to_owned()),
                false => (key.to_owned(), format!("{DOTTED}{key}")),
            };
            // Written under the other spelling before the switch was turned.
            self.map.remove(&other);
            self.map.insert(name, to_value(value));
        }
        self
    }

    pub(super) fn metadata(mut self, metadata: Option<&Metadata>) -> Self {
        if let Some(metadata) = metadata {
            self.map.insert(METADATA.into(), to_value(metadata));
        }
        self
    }

    pub(super) fn requested_executor(mut self, instance: Option<&str>) -> Self {
        if let Some(instance) = instance {
            self.map.insert(REQUESTED_EXECUTOR.into(), instance.into());
        }
        self
    }

    pub(super) fn done(self) -> Option<Extensions> {
        (!self.map.is_empty()).then_some(self.map)
    }
}

/// A value of ours, under either spelling (D-01: read both).
pub(super) fn own<'m>(extensions: Option<&'m Extensions>, key: &str) -> Option<&'m Value> {
    let map = extensions?;
    map.get(key).or_else(|| map.get(&format!("{DOTTED}{key}")))
}

/// Which of the caller's keys are dropped: ours, under either spelling.
pub fn is_own_key(key: &str) -> bool {
    let bare = key.strip_prefix(DOTTED).unwrap_or(key);
    OWN_KEYS.contains(&bare) || key == RECOVERY_ACTIONS_DROPPED
}

/// Our wire types always serialize: they hold only strings, numbers and maps
/// with string keys.
pub(super) fn to_value<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}
