//! The newest recovery actions of a NodeRun.
//!
//! An evaluation may bring one, in any state of the node, and so does each retry
//! by the coordinator. The events have all of them. The NodeRun, which is written
//! and read whole, keeps a bounded number, and its extension
//! `jarvis.recovery_actions_dropped` has the number of older ones.

use super::extensions::RECOVERY_ACTIONS_DROPPED;
use crate::{record::NodeRecord, types::RecoveryAction};

/// Maximum number of actions.
const KEPT: usize = 100;

/// Maximum size of their JSON in bytes; the newest is kept in any case.
const KEPT_BYTES: usize = 256 << 10;

/// Whether the coordinator has carried an action out, or only recorded it: the
/// type of its event says "applied" either way.
const APPLIED: &str = "jarvis.applied";

/// An action that says whether it was carried out.
pub(super) fn marked(mut action: RecoveryAction, applied: bool) -> RecoveryAction {
    action.extensions.get_or_insert_default().insert(APPLIED.into(), applied.into());
    action
}

/// Adds an action to the history of a node.
pub(super) fn add(node: &mut NodeRecord, action: RecoveryAction) {
    let actions = node.node.recovery_actions.get_or_insert_default();
    actions.push(action);
    let dropped = actions.len() - fitting(actions);
    if dropped == 0 {
        return;
    }
    actions.drain(..dropped);
    let extensions = node.node.extensions.get_or_insert_default();
    let before = extensions.raw(RECOVERY_ACTIONS_DROPPED).and_then(|text| text.parse::<u64>().ok());
    let total = before.unwrap_or_default().saturating_add(dropped as u64);
    extensions.insert(RECOVERY_ACTIONS_DROPPED.into(), total.into());
}

/// The number of newest actions that fit.
fn fitting(actions: &[RecoveryAction]) -> usize {
    let mut bytes = 0;
    let fits = |action: &&RecoveryAction| {
        bytes += serde_json::to_vec(action).map_or(0, |json| json.len());
        bytes <= KEPT_BYTES
    };
    actions.iter().rev().take(KEPT).take_while(fits).count().max(1)
}
