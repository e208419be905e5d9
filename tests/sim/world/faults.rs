//! The faults that a scenario injects, and for how long each lasts.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jarvis_run_coordinator::{
    time::{Clock, Timestamp},
    types::{NodeRunId, WorkerId},
};

use super::{World, lock};
use crate::scenario::{CALM_AT, Sabotage, ServiceFault, WriteFault};

/// What becomes of news on their way to other processes.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    Lost,
    Doubled,
    Arrives,
}

/// The faults that last for some time.
#[derive(Default)]
pub(super) struct Troubles {
    journal_down_until: Duration,
    /// The database is out, for all processes, for reads too.
    journal_out_until: Duration,
    journal_full_until: Option<Duration>,
    executors_down_until: Duration,
    pdp_down_until: Duration,
    /// The nodes whose records were or are unreadable.
    damaged: BTreeSet<NodeRunId>,
    /// When a process last went, stood still or was cut off.
    last: Duration,
    /// When the executors of composites were last heard.
    heard: BTreeMap<NodeRunId, Duration>,
    /// The heartbeats of workers by their own clocks.
    beaten: BTreeMap<WorkerId, Timestamp>,
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

    /// Makes every read and write of all processes fail for this time.
    pub fn journal_out(&self, time: Duration) {
        lock(&self.troubles).journal_out_until = self.clock.elapsed() + time;
    }

    /// For how long the database is still out, if it is.
    pub fn journal_out_for(&self) -> Option<Duration> {
        let until = lock(&self.troubles).journal_out_until;
        until.checked_sub(self.clock.elapsed()).filter(|rest| !rest.is_zero() && !self.is_calm())
    }

    /// Notes that a process went, stood still or was cut off: what it had heard is lost.
    pub fn trouble(&self) {
        lock(&self.troubles).last = self.clock.elapsed();
    }

    /// Notes that the executor of a composite was heard by a process.
    pub fn heard(&self, node: &NodeRunId) {
        lock(&self.troubles).heard.insert(node.clone(), self.clock.elapsed());
    }

    /// Whether a composite is begun again, or given up, although all processes live that
    /// have heard its executor within this time.
    pub fn was_heard_within(&self, node: &NodeRunId, time: Duration) -> bool {
        let (now, troubles) = (self.clock.elapsed(), lock(&self.troubles));
        let is_heard = troubles.heard.get(node).is_some_and(|heard| now - *heard < time);
        is_heard && now - troubles.last > time * 3
    }

    /// Notes the time of a worker's heartbeat, by its own clock.
    pub fn has_beaten(&self, worker: &WorkerId, at: Timestamp) {
        lock(&self.troubles).beaten.insert(worker.clone(), at);
    }

    pub fn beaten_at(&self, worker: &WorkerId) -> Option<Timestamp> {
        lock(&self.troubles).beaten.get(worker).copied()
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
        self.scenario.members() > 1 && turn == member as u64 && !self.is_calm() && !self.scenario.patient
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

    /// How wrong the clocks of a process are: by how many milliseconds, and how many
    /// thousandths of the time pass on them.
    pub fn wrong_clock(&self) -> (i64, u32) {
        let mut chance = lock(&self.chance);
        (chance.below(60_000) as i64 - 30_000, 950 + chance.below(101) as u32)
    }

    pub fn below(&self, most: u64) -> u64 {
        lock(&self.chance).below(most)
    }

    pub fn one_in(&self, many: u64) -> bool {
        lock(&self.chance).one_in(many)
    }

    /// What becomes of news on their way to other processes.
    pub fn fate_of_news(&self) -> Fate {
        match lock(&self.chance).below(6) {
            0 | 1 => Fate::Lost,
            2 => Fate::Doubled,
            _ => Fate::Arrives,
        }
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
