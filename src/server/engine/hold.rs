//! Nodes that are held while the policy decision point (PDP) is unavailable.
//!
//! ```text
//!   queued | assigned | running, waits for a retry
//!        │ PDP is asked ──▶ a decision: started, or denied (`attempt_begin`)
//!        │   ▲        └───▶ no decision: held ─┐
//!        │   └──── backoff ◀───────────────────┘
//!        └─ deadline passed ──▶ failed, `deadline_exceeded`, with the time since when it was held
//! ```
//!
//! Being held costs no retries. The first time is an event and a recovery
//! action; later times are in the log and in the health only.

use serde_json::json;

use super::{
    bookkeeping::{node_only, put_back},
    command::{Cx, Decision},
    draft::Draft,
    guard::NodeBefore,
    recovery,
};
use crate::{
    record::{NodeRecord, RunRecord},
    time::Timestamp,
    types::{JsonObject, RecoveryAction, RecoveryActionType, RunEventType},
};

/// The reason code of a node that is held.
pub(super) const PDP_UNAVAILABLE: &str = "pdp_unavailable";

/// Puts a node back to ask the PDP about it again at `at`. Answers whether the
/// node was not held before.
pub fn attempt_hold(run: RunRecord, mut node: NodeRecord, at: Timestamp, cx: Cx<'_>) -> Decision<bool> {
    let before = NodeBefore::of(&node);
    let Some(at) = put_back(&mut node, at) else { return Decision::unchanged(false) };
    if node.waits.held_since.is_some() {
        return Decision::commit(node_only(&run, &before, node, cx), false);
    }
    let cx = cx.not_before(&run);
    let mut draft = Draft::of(run, &node, cx);
    node.waits.held_since = Some(cx.now);
    let facts = [
        ("jarvis.attempt", json!(node.attempt + 1)),
        ("jarvis.code", json!(PDP_UNAVAILABLE)),
        ("jarvis.held_since", json!(cx.now)),
        ("jarvis.retry_at", json!(at)),
    ];
    let action = RecoveryAction {
        type_: RecoveryActionType::Retry,
        target_node_run_id: Some(node.id().clone()),
        target_node_type_ref: None,
        message: Some("The policy decision point is unavailable: the node is held until it decides".into()),
        extensions: Some(facts.into()),
    };
    let action = recovery::marked(action, true);
    draft.event(RunEventType::RecoveryApplied, Some(&node), JsonObject::of(&action));
    recovery::add(&mut node, action);
    draft.put(node);
    Decision::commit(draft.into_changes(), true)
}

/// The error details of a node whose deadline has passed while it was held.
pub(super) fn details(node: &NodeRecord) -> Option<JsonObject> {
    let since = node.waits.held_since?;
    let facts = [
        ("code", json!(PDP_UNAVAILABLE)),
        ("held_since", json!(since)),
        ("reason", json!("the policy decision point was unavailable")),
    ];
    Some(facts.into())
}
