//! The calls that processes make, and the check that each attempt which has begun is called.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};

use jarvis_run_coordinator::{
    record::{Job, NodeRecord},
    types::NodeRunId,
};

use crate::world::{World, lock};

/// The time within which an attempt is called that has begun, while the journal answers:
/// less than the time of a node, with which it would end in any case.
const CALLED_WITHIN: Duration = Duration::from_secs(8);

/// An attempt of a node.
type Attempt = (NodeRunId, u32);

/// The attempts that were called, and those that were not yet, since when.
#[derive(Default)]
pub struct Called {
    called: Mutex<BTreeSet<Attempt>>,
    awaited: Mutex<BTreeMap<Attempt, Duration>>,
}

impl World {
    /// Notes that a process calls an executor for what a node has begun.
    pub fn calls(&self, node: &NodeRecord) {
        lock(&self.called.called).insert((node.id().clone(), node.attempt));
    }

    /// Checks that no living process has begun an attempt that it does not call: its node
    /// would wait for its deadline.
    pub fn check_begun_are_called(&self) {
        let now = self.clock.elapsed();
        let (called, up) = (lock(&self.called.called), self.processes());
        let mut awaited = lock(&self.called.awaited);
        let (mut before, mut still) = (std::mem::take(&mut *awaited), BTreeMap::new());
        if self.is_journal_down() || self.journal_out_for().is_some() {
            // Nothing could say that it has begun.
            return;
        }
        let journal = self.committed();
        for node in journal.runs().filter(|whole| !whole.run.is_terminal()).flat_map(|whole| &whole.nodes) {
            let wake = node.wake.as_ref().filter(|wake| wake.job == Job::Deadline);
            let Some(owner) = wake.and_then(|wake| wake.claimed_by.as_ref()) else { continue };
            let Some(owner) = up.iter().find(|process| process.queue.worker() == owner) else { continue };
            let attempt = (node.id().clone(), node.attempt);
            if node.is_terminal() || owner.life.was_frozen() || called.contains(&attempt) {
                continue;
            }
            let since = before.remove(&attempt).unwrap_or(now);
            if now - since > CALLED_WITHIN {
                self.violated("what has begun is called", format!("{} attempt {}", node.id(), node.attempt));
            }
            still.insert(attempt, since);
        }
        *awaited = still;
    }
}
