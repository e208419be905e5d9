//! The journal of one process: the SQLite journal on a database in memory, with delays
//! and faults. It dies with its process; the database stays.
//!
//! ```text
//!   call ─ lag ─┬─▶ queue ─▶ BEGIN · pieces ─┬─▶ COMMIT ─┬─▶ answer ─ lag ─▶ caller
//!               ├ CrashBefore                ├ CrashInside └ CrashAfter
//!               ├ FailBefore                 └ FailInside    FailAfter
//!               └ Slow, Outage, Full           (all of the group is undone)
//! ```

mod fail_points;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jarvis_run_coordinator::{
    journal::{
        Counts, EventPage, Journal, JournalError, OpenError, OutboxId, OutboxPage, OwnedWake, PageLimit,
        Parked, Recipient, Want, sqlite::SqliteJournal,
    },
    record::{AttemptRecord, ChangeSet, Job, NodeHead, NodePath, NodeRecord, RunRecord},
    time::{Clock, Timestamp},
    types::{NodeRunId, RunId, WorkerId},
};

use self::fail_points::Commits;
use crate::{
    process::Life,
    scenario::{Sabotage, WriteFault},
    world::{World, lock},
};

pub struct SimJournal {
    world: Arc<World>,
    life: Arc<Life>,
    inner: SqliteJournal,
    /// The fault of the next commit.
    next_commit: Arc<Mutex<Option<WriteFault>>>,
    /// The records that were read, for the sabotage of a stale cache.
    old: Mutex<BTreeMap<NodeRunId, NodeRecord>>,
}

fn injected(what: &str) -> JournalError {
    JournalError::Failed(format!("injected: {what}"))
}

impl SimJournal {
    pub fn open(world: &Arc<World>, life: &Arc<Life>) -> Result<Self, OpenError> {
        let next_commit = Arc::<Mutex<Option<WriteFault>>>::default();
        let (world, life) = (Arc::clone(world), Arc::clone(life));
        let commits =
            Commits { world: Arc::clone(&world), life: Arc::clone(&life), next: Arc::clone(&next_commit) };
        let log = world.story.logger(&world.clock, "journal");
        let inner = world.journal.open(false, commits, &log)?;
        Ok(Self { world, life, inner, next_commit, old: Mutex::default() })
    }

    async fn read<T>(&self, work: impl Future<Output = Result<T, JournalError>>) -> Result<T, JournalError> {
        self.life.gate().await;
        if self.world.one_in(4) {
            self.world.lag().await;
        }
        self.life.gate().await;
        if self.world.read_fails() {
            self.world.trace("a read fails");
            self.world.count("read failed");
            return Err(injected("the read failed"));
        }
        work.await
    }

    /// Makes a write, with the fault that the scenario has for it.
    async fn write<T, F: Future<Output = Result<T, JournalError>>>(
        &self,
        what: &str,
        work: impl Fn() -> F,
    ) -> Result<T, JournalError> {
        let world = &self.world;
        self.life.gate().await;
        world.lag().await;
        self.life.gate().await;
        let fault = world.write_fault();
        if let Some(fault) = fault {
            world.trace(format_args!("{fault:?} at {what}"));
        }
        match fault {
            Some(WriteFault::CrashBefore) => {
                world.count("crash before a write");
                self.life.end();
                self.life.gate().await;
            }
            Some(WriteFault::FailBefore) => {
                world.count("write failed before");
                return Err(injected("nothing was written"));
            }
            Some(WriteFault::Slow(time)) => {
                world.count("slow write");
                world.clock.sleep(time).await;
                self.life.gate().await;
            }
            Some(WriteFault::Outage(time)) => {
                world.count("journal down");
                world.journal_down(time);
            }
            Some(WriteFault::Full(time)) => {
                world.count("journal full");
                world.journal_full(time);
            }
            Some(
                WriteFault::CrashInside
                | WriteFault::FailInside
                | WriteFault::CrashAfter
                | WriteFault::FailAfter,
            ) => *lock(&self.next_commit) = fault,
            Some(WriteFault::Twice) | None => {}
        }
        if world.is_journal_down() {
            return Err(injected("the journal is down"));
        }
        let done = work().await;
        if fault == Some(WriteFault::Twice) {
            world.count("write repeated");
            let _again = work().await;
        }
        if matches!(done, Err(JournalError::Full(_))) {
            world.count("did not fit");
        }
        self.life.gate().await;
        world.lag().await;
        self.life.gate().await;
        done
    }

    async fn write_change(&self, change: &ChangeSet) -> Result<Option<OutboxId>, JournalError> {
        let world = &self.world;
        if world.is_sabotaged(Sabotage::AnswersWithoutCommit) && world.one_in(20) {
            return Ok(None);
        }
        let mut change = change.clone();
        if world.is_sabotaged(Sabotage::LosesEvents) && world.one_in(20) {
            change.events.pop();
        }
        if world.is_sabotaged(Sabotage::DelaysWakeUps) && world.one_in(10) {
            let whole = change.nodes.iter_mut().filter_map(|node| node.wake.as_mut());
            let wakes = whole.chain(change.heads.iter_mut().filter_map(|head| head.wake.as_mut()));
            wakes.for_each(|wake| wake.at = wake.at + Duration::from_secs(86_400));
        }
        if world.is_sabotaged(Sabotage::SplitsCommits) && world.one_in(20) && !change.nodes.is_empty() {
            let (run, events) = (change.run.take(), std::mem::take(&mut change.events));
            self.inner.commit(change.clone()).await?;
            (change.run, change.events, change.nodes) = (run, events, Vec::new());
        }
        let description = describe(&change);
        let written = change.clone();
        let done = self.inner.commit(change).await;
        world.trace(format_args!("commit {description}: {}", if done.is_ok() { "done" } else { "refused" }));
        if done == Err(JournalError::Conflict) {
            world.count("conflict");
        }
        if done.is_ok() {
            written.events.iter().for_each(|record| world.count_waiting(&record.event));
            written.nodes.iter().for_each(|node| world.count_held_to_the_end(node));
        }
        done
    }

    /// The old record of a node, under the sabotage of a stale cache.
    fn old(&self, node: &NodeRunId) -> Option<NodeRecord> {
        lock(&self.old).get(node).cloned()
    }

    /// Reads a node, from the stale cache if that sabotage is on.
    async fn read_node(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
        if let Some(old) = self.old(node) {
            return Ok(Some(old));
        }
        let found = self.inner.node_fetch(node).await?;
        if self.world.is_sabotaged(Sabotage::StaleCache)
            && let Some(found) = &found
        {
            lock(&self.old).insert(node.clone(), found.clone());
        }
        Ok(found)
    }
}

/// Describes a change in one line.
fn describe(change: &ChangeSet) -> String {
    use std::fmt::Write;
    let mut line = format!("of {}", change.run_id);
    let whole = change.nodes.iter().map(NodeRecord::head);
    for head in whole.chain(change.heads.iter().cloned()) {
        let wake = head.job().map_or("-", Job::as_str);
        let _ = write!(line, ", {} {} attempt {} wake {wake}", head.path, head.state, head.attempt);
    }
    if let Some(run) = &change.run {
        let _ = write!(line, ", run {}", run.run.state);
    }
    for event in &change.events {
        let _ = write!(line, ", {}:{}", event.event.seq, event.event.type_);
    }
    for attempt in &change.attempts {
        let _ = write!(line, ", attempt {}: {:?}", attempt.attempt, attempt.outcome);
    }
    line
}

#[async_trait]
impl Journal for SimJournal {
    async fn commit(&self, change: ChangeSet) -> Result<Option<OutboxId>, JournalError> {
        let what = describe(&change);
        self.write(&what, || self.write_change(&change)).await
    }

    async fn run_fetch(&self, run: &RunId) -> Result<Option<RunRecord>, JournalError> {
        self.read(self.inner.run_fetch(run)).await
    }

    async fn node_fetch(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
        self.read(self.read_node(node)).await
    }

    async fn node_fetch_bare(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
        self.read(async {
            match self.old(node) {
                Some(old) => Ok(Some(old)),
                None => self.inner.node_fetch_bare(node).await,
            }
        })
        .await
    }

    async fn head_fetch(&self, node: &NodeRunId) -> Result<Option<NodeHead>, JournalError> {
        self.read(async {
            match self.old(node) {
                Some(old) => Ok(Some(old.head())),
                None => self.inner.head_fetch(node).await,
            }
        })
        .await
    }

    async fn nodes_live(&self, run: &RunId, under: Option<&NodePath>) -> Result<Vec<NodeHead>, JournalError> {
        self.read(self.inner.nodes_live(run, under)).await
    }

    async fn node_has_live_below(&self, run: &RunId, node: &NodePath) -> Result<bool, JournalError> {
        self.read(self.inner.node_has_live_below(run, node)).await
    }

    async fn events_after(
        &self,
        run: &RunId,
        after: u64,
        within: Option<&NodePath>,
        limit: PageLimit,
    ) -> Result<EventPage, JournalError> {
        self.read(self.inner.events_after(run, after, within, limit)).await
    }

    async fn attempts_list(&self, node: &NodeRunId) -> Result<Vec<AttemptRecord>, JournalError> {
        self.read(self.inner.attempts_list(node)).await
    }

    async fn wakes_claim(
        &self,
        owner: &WorkerId,
        now: Timestamp,
        want: &Want,
    ) -> Result<Vec<NodeHead>, JournalError> {
        if self.inner.counts(now).await?.wakes_due == 0 {
            // As in the real journal: if nothing is due, nothing is written.
            return self.read(self.inner.wakes_claim(owner, now, want)).await;
        }
        let claim = || self.inner.wakes_claim(owner, now, want);
        let claimed = self.write("a claim", claim).await?;
        self.world.trace(format_args!("claimed {}", claimed.len()));
        Ok(claimed)
    }

    async fn wakes_owned(
        &self,
        owner: &WorkerId,
        jobs: &[Job],
        since: Timestamp,
    ) -> Result<Vec<OwnedWake>, JournalError> {
        self.read(self.inner.wakes_owned(owner, jobs, since)).await
    }

    async fn wake_next(&self, after: Timestamp) -> Result<Option<Timestamp>, JournalError> {
        self.read(self.inner.wake_next(after)).await
    }

    async fn runs_overdue(&self, now: Timestamp, limit: u32) -> Result<Vec<RunId>, JournalError> {
        self.read(self.inner.runs_overdue(now, limit)).await
    }

    async fn owner_renew(&self, owner: &WorkerId, until: Timestamp) -> Result<(), JournalError> {
        self.write("a renewal", || self.inner.owner_renew(owner, until)).await
    }

    async fn park(&self, item: Parked) -> Result<(), JournalError> {
        self.world.trace(format_args!("park {item:?}"));
        let item = &item;
        self.write("parking", || self.inner.park(item.clone())).await
    }

    async fn parked_list(&self, limit: u32) -> Result<Vec<Parked>, JournalError> {
        self.read(self.inner.parked_list(limit)).await
    }

    async fn owners_expire(&self, now: Timestamp) -> Result<u64, JournalError> {
        if self.world.is_sabotaged(Sabotage::KeepsClaimsOfDeadWorkers) {
            return Ok(0);
        }
        let expired = self.write("a reaping of dead workers", || self.inner.owners_expire(now)).await?;
        if expired > 0 {
            self.world.trace(format_args!("took {expired} wake-ups of dead workers"));
        }
        Ok(expired)
    }

    async fn owner_release(&self, owner: &WorkerId, now: Timestamp) -> Result<(), JournalError> {
        self.write("a release", || self.inner.owner_release(owner, now)).await
    }

    async fn time_newest(&self) -> Result<Option<Timestamp>, JournalError> {
        self.read(self.inner.time_newest()).await
    }

    async fn runs_prune(&self, finished_before: Timestamp, limit: u32) -> Result<u64, JournalError> {
        self.write("pruning", || self.inner.runs_prune(finished_before, limit)).await
    }

    async fn counts(&self, now: Timestamp) -> Result<Counts, JournalError> {
        self.read(self.inner.counts(now)).await
    }

    async fn secret(&self, name: &str, fresh: Vec<u8>) -> Result<Vec<u8>, JournalError> {
        self.write("a secret", || self.inner.secret(name, fresh.clone())).await
    }

    async fn outbox_after(
        &self,
        recipient: Recipient,
        after: OutboxId,
        limit: u32,
    ) -> Result<OutboxPage, JournalError> {
        self.read(self.inner.outbox_after(recipient, after, limit)).await
    }

    async fn outbox_ack(&self, ids: &[OutboxId]) -> Result<(), JournalError> {
        self.write("an acknowledgement", || self.inner.outbox_ack(ids)).await
    }
}
