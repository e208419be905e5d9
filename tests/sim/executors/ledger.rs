//! The ledger: the work that executors have really done.

use std::collections::{BTreeMap, BTreeSet};

use jarvis_run_coordinator::{journal::sqlite::memory::Snapshot, types::NodeRunId};
use tokio_util::sync::CancellationToken;

/// The calls to the executors, and the work that they have done.
#[derive(Default)]
pub struct Ledger {
    nodes: BTreeMap<NodeRunId, Entry>,
    numbered: u64,
}

#[derive(Default)]
struct Entry {
    /// The calls to execute or begin the node.
    calls: usize,
    /// The number of times that work on it has begun.
    begun: u32,
    /// The work that is under way, by the member of the pool that does it.
    open: BTreeMap<usize, (u64, CancellationToken)>,
    /// The answers that were given.
    answers: Vec<String>,
}

impl Ledger {
    /// Counts a call about this node; returns its index.
    pub(super) fn called(&mut self, node: &NodeRunId) -> usize {
        let entry = self.nodes.entry(node.clone()).or_default();
        entry.calls += 1;
        entry.calls - 1
    }

    /// Begins work on a node at a member. Earlier work on it there is stopped.
    pub(super) fn begin(&mut self, node: &NodeRunId, member: usize) -> (u64, CancellationToken, u32) {
        self.numbered += 1;
        let (number, stop) = (self.numbered, CancellationToken::new());
        let entry = self.nodes.entry(node.clone()).or_default();
        entry.begun += 1;
        if let Some((_, before)) = entry.open.insert(member, (number, stop.clone())) {
            before.cancel();
        }
        (number, stop, entry.begun)
    }

    pub(super) fn close(&mut self, node: &NodeRunId, number: u64) {
        if let Some(entry) = self.nodes.get_mut(node) {
            entry.open.retain(|_, (open, _)| *open != number);
        }
    }

    /// Records an answer that was given.
    pub(super) fn answered(&mut self, node: &NodeRunId, answer: &str) {
        if let Some(entry) = self.nodes.get_mut(node) {
            entry.answers.push(answer.to_owned());
        }
    }

    pub fn is_open(&self, node: &NodeRunId) -> bool {
        self.nodes.get(node).is_some_and(|entry| !entry.open.is_empty())
    }

    pub(super) fn is_open_at(&self, node: &NodeRunId, member: usize) -> bool {
        self.nodes.get(node).is_some_and(|entry| entry.open.contains_key(&member))
    }

    /// Stops the work on a node at a member; returns whether there was any.
    pub(super) fn stop(&mut self, node: &NodeRunId, member: usize) -> bool {
        let open = self.nodes.get_mut(node).and_then(|entry| entry.open.remove(&member));
        open.is_some_and(|(_, stop)| {
            stop.cancel();
            true
        })
    }

    /// Restarts the composite executor, which loses all its state.
    pub fn forget(&mut self, is_composite: impl Fn(&NodeRunId) -> bool) {
        for (_, entry) in self.nodes.iter_mut().filter(|(node, _)| is_composite(node)) {
            for (_, stop) in std::mem::take(&mut entry.open).into_values() {
                stop.cancel();
            }
        }
    }

    /// Compares the journal with the work that was really done, at the end.
    /// What was sent late is not known to be ended to its executor.
    pub fn settled(
        &self,
        journal: &Snapshot,
        sent_late: &BTreeSet<NodeRunId>,
    ) -> Vec<(&'static str, String)> {
        let mut broken = Vec::new();
        for (node, entry) in &self.nodes {
            let Some(record) = journal.node(node) else {
                broken.push(("what is executed is in the journal", node.to_string()));
                continue;
            };
            let said = record.node.outputs.as_ref().and_then(|outputs| outputs.text("execution"));
            if let Some(said) = said
                && !entry.answers.contains(&said)
            {
                broken.push(("outputs are those that its executor gave", format!("{node}: {said}")));
            }
            if !entry.open.is_empty() && !sent_late.contains(node) {
                broken.push(("executors receive the cancel of a node that is over", node.to_string()));
            }
        }
        broken
    }
}
