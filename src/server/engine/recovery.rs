//! The recovery actions of a NodeRun: the newest of them.
//!
//! Each evaluation may bring one, in any state of the node, and so does each
//! retry of our own. The events have all of them; the NodeRun, which is written
//! and read whole, keeps as many as a reader can use, and says in the extension
//! `jarvis.recovery_actions_dropped` how many it had before those.

use super::extensions::RECOVERY_ACTIONS_DROPPED;
use crate::{record::NodeRecord, types::RecoveryAction};

/// So many actions are kept.
const KEPT: usize = 100;

/// Of so many bytes of JSON together; the newest in any case.
const KEPT_BYTES: usize = 256 << 10;

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

/// How many of the newest fit.
fn fitting(actions: &[RecoveryAction]) -> usize {
    let mut bytes = 0;
    let fits = |action: &&RecoveryAction| {
        bytes += serde_json::to_vec(action).map_or(0, |json| json.len());
        bytes <= KEPT_BYTES
    };
    actions.iter().rev().take(KEPT).take_while(fits).count().max(1)
}
