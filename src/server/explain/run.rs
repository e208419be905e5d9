//! Which nodes of a run to explain: a run moves when its leaves do.

use std::collections::BTreeMap;

use super::node::Below;
use crate::{
    record::{Job, NodeHead},
    types::NodeRunState,
};

/// How many of these nodes are live, by state.
pub fn by_state(live: &[NodeHead]) -> BTreeMap<NodeRunState, u64> {
    let mut counts = BTreeMap::new();
    for head in live.iter().filter(|head| !head.is_terminal()) {
        *counts.entry(head.state).or_default() += 1;
    }
    counts
}

/// What is known of the live nodes below a composite. `more`: there may be others.
pub fn below(live: &[NodeHead], more: bool) -> Below {
    let is_live = |head: &&NodeHead| !head.is_terminal();
    // The shortest paths are those of its children.
    let oldest = live.iter().filter(is_live).min_by_key(|head| (head.path.depth(), head.started_at));
    Below {
        live: live.iter().filter(is_live).count() as u64,
        more,
        oldest: oldest.map(|head| head.node_run_id.clone()),
    }
}

/// The live nodes that hold a run up, at most `limit`: those with no live node
/// below them, and of these first what waits for a person, then what is set aside,
/// then what waits for its dispatch, then what is at its executor and due first.
pub fn stuck_first(live: &[NodeHead], limit: usize) -> Vec<&NodeHead> {
    let mut by_path: Vec<&NodeHead> = live.iter().filter(|head| !head.is_terminal()).collect();
    by_path.sort_by(|a, b| a.path.as_str().cmp(b.path.as_str()));
    // What is below a node follows it directly in the order of paths.
    let followers = by_path.iter().skip(1).map(Some).chain([None]);
    let leaves = by_path
        .iter()
        .zip(followers)
        .filter(|(head, next)| next.is_none_or(|next| !head.path.contains(&next.path)));
    let mut leaves: Vec<&NodeHead> = leaves.map(|(head, _)| *head).collect();
    let rank = |head: &NodeHead| match head.job() {
        Some(Job::Approval) => 0,
        Some(Job::SetAside) => 1,
        Some(Job::Dispatch) => 2,
        Some(Job::Deadline | Job::CancelExecutor) | None => 3,
    };
    leaves.sort_by_key(|head| (rank(head), head.wake.as_ref().map(|wake| wake.at), head.started_at));
    leaves.truncate(limit);
    leaves
}
