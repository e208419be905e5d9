//! Nodes that are held because the policy point cannot be asked.
//!
//! ```text
//!   queued | assigned | to be handed over again
//!        │ policy is asked ──▶ a decision: begun, or denied (`attempt_begin`)
//!        │   ▲           └───▶ no decision: held ─┐
//!        │   └──── a while later ◀────────────────┘
//!        └─ its time is up ──▶ failed, `deadline_exceeded`, with since when it was held
//! ```
//!
//! Being held costs no retries. The first time is an event and a recovery
//! action; that it goes on is in the log and in health.

use serde_json::json;

use super::{Decision, attempt::node_only, draft::Draft, guard::NodeBefore, recovery};
use crate::{
    record::{Job, NodeRecord, RunRecord, Wake},
    time::Timestamp,
    types::{JsonObject, RecoveryAction, RecoveryActionType, RunEventType},
};

/// Why it is held, wherever that is said.
pub(super) const PDP_UNAVAILABLE: &str = "pdp_unavailable";

/// Puts a node back to ask the policy point about it again at `at`. The answer:
/// it was not held before.
pub fn attempt_hold(run: RunRecord, mut node: NodeRecord, at: Timestamp, now: Timestamp) -> Decision<bool> {
    // One that has been begun in between must not be begun again.
    let Some(Wake { job: Job::Dispatch, tries, .. }) = node.wake else {
        return Decision::unchanged(false);
    };
    let before = NodeBefore::of(&node);
    let at = node.deadline.map_or(at, |deadline| deadline.min(at));
    node.wake = Some(Wake { job: Job::Dispatch, at, claimed_by: None, tries: tries.saturating_add(1) });
    if node.waits.held_since.is_some() {
        return Decision { changes: Some(node_only(&run, &before, node, now)), answer: false };
    }
    let mut draft = Draft::new(run, now);
    draft.loaded(&node);
    node.waits.held_since = Some(now);
    let facts = [
        ("jarvis.attempt", json!(node.attempt + 1)),
        ("jarvis.code", json!(PDP_UNAVAILABLE)),
        ("jarvis.held_since", json!(now)),
        ("jarvis.retry_at", json!(at)),
    ];
    let action = RecoveryAction {
        type_: RecoveryActionType::Retry,
        target_node_run_id: Some(node.id().clone()),
        target_node_type_ref: None,
        message: Some("The policy decision point cannot be asked: the node is held until it can".into()),
        extensions: Some(facts.into()),
    };
    draft.event(RunEventType::RecoveryApplied, Some(&node), JsonObject::of(&action));
    recovery::add(&mut node, action);
    draft.put(node);
    Decision { changes: Some(draft.into_changes()), answer: true }
}

/// What the error of a node says whose time is up while it is held.
pub(super) fn details(node: &NodeRecord) -> Option<JsonObject> {
    let since = node.waits.held_since?;
    let facts = [
        ("code", json!(PDP_UNAVAILABLE)),
        ("held_since", json!(since)),
        ("reason", json!("the policy decision point could not be asked")),
    ];
    Some(facts.into())
}
