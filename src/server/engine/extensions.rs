//! The extension keys that belong to the coordinator (contract §12).
//!
//! Callers see them on Runs and NodeRuns. They are never taken from a caller
//! (G13): values that a request has under these names are dropped.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::command::Rules;
use crate::{
    record::{Account, Actor, Hold, Identity, METADATA, REASON_BYTES},
    types::{Extensions, JsonObject, Metadata, json::canonical},
};

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

/// The principal that a run belongs to, on the Run and its root. A key of our own,
/// under this name only.
pub(super) const OWNER: &str = "jarvis.owner";

/// Who or what caused an event, on events.
const ACTOR: &str = "jarvis.actor";

/// The number of older recovery actions that a NodeRun no longer has. A key of our
/// own as well, but under this name only.
pub(super) const RECOVERY_ACTIONS_DROPPED: &str = "jarvis.recovery_actions_dropped";

/// The newest evaluations of a NodeRun, and how many older ones there were. The
/// same.
pub(super) const EVALUATIONS: &str = "jarvis.evaluations";
pub(super) const EVALUATIONS_DROPPED: &str = "jarvis.evaluations_dropped";

/// How inputs and outputs violate the schemas of their type. The same.
pub(super) const INPUT_VIOLATIONS: &str = "jarvis.input_schema_violations";
pub(super) const OUTPUT_VIOLATIONS: &str = "jarvis.output_schema_violations";

/// The account of a run's or node's budgets; a key of our own, under this name
/// only.
pub(super) const BUDGET: &str = "jarvis.budget";

/// What an executor reported about the use of budgets. The same.
pub(super) const USAGE: &str = "jarvis.usage";

/// The run that a run repeats, on the Run; and the NodeRun whose outputs a NodeRun has,
/// on the NodeRun and its events. The same.
pub(super) const RERUN_OF: &str = "jarvis.rerun_of";
pub(super) const REUSED_FROM: &str = "jarvis.reused_from";

/// The newest approval that a NodeRun had to wait for. The same.
pub(super) const APPROVAL: &str = "jarvis.approval";

/// That a run is held, on the Run. The same.
pub(super) const HELD: &str = "jarvis.held";

/// Who has canceled a run, and why, on the Run. The same.
pub const CANCELED: &str = "jarvis.canceled";

/// What a run has failed with, on the Run and on the events of the failure. The same.
pub(super) const ERROR: &str = "jarvis.error";

pub(super) const REQUESTED_EXECUTOR: &str = "jarvis.requested_executor_instance_id";
const DOTTED: &str = "jarvis.";

/// Builds the extensions of a record: the caller's, then our own on top.
#[derive(Clone)]
pub(super) struct Writer<'r> {
    rules: &'r Rules,
    base: Extensions,
    drops_own: bool,
    /// Name and canonical text.
    set: BTreeMap<String, String>,
    dropped: BTreeSet<String>,
}

impl<'r> Writer<'r> {
    /// Starts from what the caller sent, without our own keys.
    pub(super) fn from_caller(rules: &'r Rules, given: Option<Extensions>) -> Self {
        Self::on(rules, given, true)
    }

    /// Starts from what is stored.
    pub(super) fn update(rules: &'r Rules, stored: Option<Extensions>) -> Self {
        Self::on(rules, stored, false)
    }

    fn on(rules: &'r Rules, base: Option<Extensions>, drops_own: bool) -> Self {
        let base = base.unwrap_or_default();
        Self { rules, base, drops_own, set: BTreeMap::new(), dropped: BTreeSet::new() }
    }

    pub(super) fn own<T: Serialize>(self, key: &'static str, value: Option<&T>) -> Self {
        self.own_text(key, value.and_then(canonical::text_of))
    }

    /// The same with canonical text.
    pub(super) fn own_text(mut self, key: &'static str, text: Option<String>) -> Self {
        if let Some(text) = text {
            let dotted = format!("{DOTTED}{key}");
            let (name, other) =
                if self.rules.dotted_keys { (dotted, key.to_owned()) } else { (key.to_owned(), dotted) };
            // The other spelling is from before the setting was changed.
            self.dropped.insert(other);
            self.set.insert(name, text);
        }
        self
    }

    pub(super) fn metadata(mut self, metadata: Option<&Metadata>) -> Self {
        if let Some(text) = metadata.and_then(canonical::text_of) {
            self.set.insert(METADATA.into(), text);
        }
        self
    }

    pub(super) fn owner(self, owner: &Identity) -> Self {
        self.exactly(OWNER, owner)
    }

    pub(super) fn budget(self, account: Option<&Account>) -> Self {
        match account {
            Some(account) => self.exactly(BUDGET, &account.shown()),
            None => self,
        }
    }

    /// Sets a key that is written under this name only.
    pub(super) fn exactly(mut self, key: &'static str, value: &impl Serialize) -> Self {
        if let Some(text) = canonical::text_of(value) {
            self.set.insert(key.into(), text);
        }
        self
    }

    /// Sets a key that is written under this name only, or removes it.
    pub(super) fn exactly_or_not(mut self, key: &'static str, value: Option<&impl Serialize>) -> Self {
        if value.is_none() {
            self.dropped.insert(key.into());
        }
        self.noted(key, value)
    }

    /// Sets a key that is written under this name only, if there is a value.
    pub(super) fn noted(self, key: &'static str, value: Option<&impl Serialize>) -> Self {
        match value {
            Some(value) => self.exactly(key, value),
            None => self,
        }
    }

    pub(super) fn requested_executor(mut self, instance: Option<&str>) -> Self {
        if let Some(text) = instance.and_then(|instance| canonical::text_of(&instance)) {
            self.set.insert(REQUESTED_EXECUTOR.into(), text);
        }
        self
    }

    pub(super) fn done(self) -> Option<Extensions> {
        let Self { rules: _, base, drops_own, set, dropped } = self;
        let edited = base.edited(|key| dropped.contains(key) || (drops_own && is_own_key(key)), &set);
        (!edited.is_empty()).then_some(edited)
    }
}

/// The text of one of our own values, under either spelling (D-01: read both).
pub(super) fn own<'m>(extensions: Option<&'m Extensions>, key: &str) -> Option<&'m str> {
    let extensions = extensions?;
    extensions.raw(key).or_else(|| extensions.raw(&format!("{DOTTED}{key}")))
}

/// The extensions of an event: who or what caused it, and the attempt of the node
/// that it is about, if there was one.
pub(super) fn signature(actor: &Actor, attempt: u32) -> Extensions {
    let actor = JsonObject::of(actor);
    let actor = if attempt == 0 { actor } else { actor.with("attempt", &attempt) };
    Extensions::new().with(ACTOR, &actor)
}

/// The owner of a run that was stored elsewhere.
pub(super) fn stored_owner(extensions: Option<&Extensions>) -> Option<Identity> {
    extensions?.raw(OWNER).and_then(|text| serde_json::from_str(text).ok())
}

/// The hold of a run that was stored elsewhere, if it is one that can be kept.
pub(super) fn stored_hold(extensions: Option<&Extensions>) -> Option<Hold> {
    let hold: Hold = serde_json::from_str(extensions?.raw(HELD)?).ok()?;
    (hold.reason.len() <= REASON_BYTES).then_some(hold)
}

/// Whether a caller's key is dropped because it is ours, under either spelling.
pub fn is_own_key(key: &str) -> bool {
    let bare = key.strip_prefix(DOTTED).unwrap_or(key);
    let exactly = [
        RECOVERY_ACTIONS_DROPPED,
        EVALUATIONS,
        EVALUATIONS_DROPPED,
        INPUT_VIOLATIONS,
        OUTPUT_VIOLATIONS,
        OWNER,
        ACTOR,
        BUDGET,
        USAGE,
        APPROVAL,
        HELD,
        CANCELED,
        RERUN_OF,
        REUSED_FROM,
        ERROR,
    ];
    OWN_KEYS.contains(&bare) || exactly.contains(&key)
}
