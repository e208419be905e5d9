//! What the journal of a process does wrong on purpose.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use jarvis_run_coordinator::{
    journal::{Heartbeats, OutboxId, Recipient},
    record::{NodeHead, NodeRecord},
    time::{Clock, Timestamp},
    types::{NodeRunId, RunId, WorkerId},
};

use super::SimJournal;
use crate::{
    scenario::Sabotage,
    world::{World, lock},
};

/// When a worker counts as dead.
const STILL: Duration = Duration::from_secs(8);

/// What sabotages remember.
pub(super) struct Kept {
    /// The records that were read, for a stale cache.
    pub(super) old: Mutex<BTreeMap<NodeRunId, NodeRecord>>,
    /// The live nodes of runs as they were before the run was read.
    pub(super) live: Mutex<BTreeMap<RunId, Vec<NodeHead>>>,
    /// The heartbeats of others, and since when they stand still.
    seen: Mutex<BTreeMap<WorkerId, (u64, Duration)>>,
    /// The highest entries of the outbox that were read.
    read_to: Mutex<BTreeMap<&'static str, OutboxId>>,
    /// By how many milliseconds the clock of this process is wrong.
    skew: i64,
}

impl Kept {
    pub(super) fn of(world: &World) -> Self {
        let is_skewed = world.is_sabotaged(Sabotage::ExpiresByItsClock);
        Self {
            old: Mutex::default(),
            live: Mutex::default(),
            seen: Mutex::default(),
            read_to: Mutex::default(),
            skew: if is_skewed { world.wrong_clock().0 } else { 0 },
        }
    }
}

impl Kept {
    /// The highest entry that was read for a recipient, which is now at least this one.
    pub(super) fn read_to(&self, recipient: Recipient, id: OutboxId) -> OutboxId {
        let mut read_to = lock(&self.read_to);
        let name = match recipient {
            Recipient::RunStore => "runs",
            Recipient::EventStream => "events",
        };
        let highest = read_to.entry(name).or_default();
        *highest = id.max(*highest);
        *highest
    }
}

impl SimJournal {
    /// The old record of a node, under the sabotage of a stale cache.
    pub(super) fn old(&self, node: &NodeRunId) -> Option<NodeRecord> {
        lock(&self.kept.old).get(node).cloned()
    }

    /// The workers that a sabotage declares dead.
    pub(super) fn dead_by_sabotage(&self, found: &[Heartbeats]) -> Vec<Heartbeats> {
        let (world, me) = (&self.world, self.worker.get());
        let (mut seen, mut dead) = (lock(&self.kept.seen), Vec::new());
        for beats in found.iter().filter(|beats| Some(&beats.worker) != me) {
            let now = world.clock.elapsed();
            let known = seen.get(&beats.worker).filter(|(count, _)| *count == beats.count);
            let since = known.map_or(now, |(_, since)| *since);
            seen.insert(beats.worker.clone(), (beats.count, since));
            let is_still = now - since >= STILL && world.is_sabotaged(Sabotage::ExpiresAfterAnOutage);
            let is_past = world.is_sabotaged(Sabotage::ExpiresByItsClock)
                && world.beaten_at(&beats.worker).is_some_and(|at| self.now().since(at) >= STILL);
            if is_still || is_past {
                dead.push(beats.clone());
            }
        }
        dead
    }

    /// The time by the clock of this process, which is wrong.
    pub(super) fn now(&self) -> Timestamp {
        let (now, wrong) = (self.world.clock.now(), Duration::from_millis(self.kept.skew.unsigned_abs()));
        if self.kept.skew < 0 { now - wrong } else { now + wrong }
    }
}
