//! The faults that a scenario injects, and for how long each lasts.

use std::{collections::BTreeSet, time::Duration};

use jarvis_run_coordinator::{time::Clock, types::NodeRunId};

use super::{World, lock};
use crate::scenario::{CALM_AT, Sabotage, ServiceFault, WriteFault};

/// The faults that last for some time.
#[derive(Default)]
pub(super) struct Troubles {
    journal_down_until: Duration,
    journal_full_until: Option<Duration>,
    executors_down_until: Duration,
    pdp_down_until: Duration,
    /// The nodes whose records were or are unreadable.
    damaged: BTreeSet<NodeRunId>,
}

/// The indexes by which the scenario names writes, reads, calls and requests.
#[derive(Default)]
pub(super) struct Counters {
    writes: u32,
    reads: u32,
    pub(super) calls: u32,
    questions: u32,
}

impl World {
    /// Whether faults have stopped.
    pub fn is_calm(&self) -> bool {
        self.clock.elapsed() >= CALM_AT
    }

    pub fn write_fault(&self) -> Option<WriteFault> {
        let nth = bump(&mut lock(&self.counters).writes);
        let planned = self.scenario.writes.iter().find(|(at, _)| *at == nth);
        planned.map(|(_, fault)| *fault).filter(|_| !self.is_calm())
    }

    pub fn read_fails(&self) -> bool {
        let nth = bump(&mut lock(&self.counters).reads);
        self.scenario.reads.contains(&nth) && !self.is_calm()
    }

    /// Makes every write fail for this time.
    pub fn journal_down(&self, time: Duration) {
        lock(&self.troubles).journal_down_until = self.clock.elapsed() + time;
    }

    pub fn is_journal_down(&self) -> bool {
        self.clock.elapsed() < lock(&self.troubles).journal_down_until && !self.is_calm()
    }

    /// Keeps the journal from growing for this time.
    pub fn journal_full(&self, time: Duration) {
        self.journal.fill(true).expect("memory does not fail");
        lock(&self.troubles).journal_full_until = Some(self.clock.elapsed() + time);
    }

    /// Makes the executors unreachable for this time.
    pub fn executors_down(&self, time: Duration) {
        lock(&self.troubles).executors_down_until = self.clock.elapsed() + time;
    }

    pub fn are_executors_down(&self) -> bool {
        self.clock.elapsed() < lock(&self.troubles).executors_down_until && !self.is_calm()
    }

    /// Whether this member of a pool is down: each of them is at some time.
    pub fn is_member_down(&self, member: usize) -> bool {
        let turn = (self.clock.elapsed().as_secs() / 4) % 5;
        self.scenario.members() > 1 && turn == member as u64 && !self.is_calm()
    }

    /// Makes the PDP unreachable for this time.
    pub fn pdp_down(&self, time: Duration) {
        lock(&self.troubles).pdp_down_until = self.clock.elapsed() + time;
    }

    pub fn is_pdp_down(&self) -> bool {
        self.clock.elapsed() < lock(&self.troubles).pdp_down_until && !self.is_calm()
    }

    /// What the PDP says about a node that needs an approval: after a while, it comes
    /// to a decision of its own about some nodes.
    pub fn policy_of(&self, node: Option<&NodeRunId>) -> &'static str {
        let salt: u32 = node.map_or(0, |node| node.as_str().bytes().map(u32::from).sum());
        match salt % 3 {
            _ if self.clock.elapsed() < Duration::from_secs(20) => "require_approval",
            0 => "allow",
            1 => "deny",
            _ => "require_approval",
        }
    }

    /// Makes the record of a node unreadable.
    pub fn damage(&self, node: &NodeRunId) {
        self.journal.damage(node).expect("memory does not fail");
        lock(&self.troubles).damaged.insert(node.clone());
    }

    /// Ends the faults whose time is over, and all of them in the calm.
    pub fn end_faults(&self) {
        let over = |until: &mut Duration| *until <= self.clock.elapsed() || self.is_calm();
        if lock(&self.troubles).journal_full_until.take_if(over).is_some() {
            self.journal.fill(false).expect("memory does not fail");
        }
        if self.is_calm() {
            self.journal.repair().expect("memory does not fail");
        }
    }

    /// Whether the record of a node was ever unreadable.
    pub fn was_damaged(&self, node: &NodeRunId) -> bool {
        lock(&self.troubles).damaged.contains(node)
    }

    pub fn service_fault(&self) -> Option<ServiceFault> {
        let nth = bump(&mut lock(&self.counters).questions);
        let planned = self.scenario.questions.iter().find(|(at, _)| *at == nth);
        planned.map(|(_, fault)| *fault).filter(|_| !self.is_calm())
    }

    pub fn is_sabotaged(&self, sabotage: Sabotage) -> bool {
        self.scenario.sabotage == Some(sabotage)
    }

    pub fn one_in(&self, many: u64) -> bool {
        lock(&self.chance).one_in(many)
    }

    /// Waits for a random time, as a journal does, so that other tasks run in between.
    pub async fn lag(&self) {
        if !self.scenario.laggy {
            return;
        }
        let (yields, sleep) = {
            let mut chance = lock(&self.chance);
            match chance.below(6) {
                0 => (1 + chance.below(6), None),
                1 | 2 => (0, Some(Duration::from_micros(100 + chance.below(60_000)))),
                _ => (0, None),
            }
        };
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
        if let Some(time) = sleep {
            self.clock.sleep(time).await;
        }
    }
}

pub(super) fn bump(counter: &mut u32) -> u32 {
    *counter += 1;
    *counter
}
