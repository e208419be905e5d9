//! Which nodes of a run to explain: a run moves when its leaves do.

use std::collections::BTreeMap;

use crate::{
    record::{Job, NodeHead},
    types::NodeRunState,
};

/// How many live nodes of a run wait for what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveCounts {
    pub live: u64,
    pub by_state: BTreeMap<NodeRunState, u64>,
}

impl LiveCounts {
    pub fn of(live: &[NodeHead]) -> Self {
        let mut counts = Self::default();
        for head in live.iter().filter(|head| !head.is_terminal()) {
            counts.live += 1;
            *counts.by_state.entry(head.state).or_default() += 1;
        }
        counts
    }
}

/// The live nodes that hold a run up, at most `limit`: those with no live node
/// below them, and of these first what waits for its dispatch, then what has been
/// at its executor for the longest time.
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
    leaves.sort_by_key(|head| {
        (head.job() != Some(Job::Dispatch), head.wake.as_ref().map(|wake| wake.at), head.started_at)
    });
    leaves.truncate(limit);
    leaves
}
