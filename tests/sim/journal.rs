//! The journal of one process: the SQLite journal on a database in memory, with delays
//! and faults. It dies with its process; the database stays.
//!
//! ```text
//!   call ─ lag ─┬─▶ queue ─▶ BEGIN · op · op ─┬─▶ COMMIT ─┬─▶ answer ─ lag ─▶ caller
//!               ├ CrashBefore                 ├ CrashInside └ CrashAfter
//!               ├ FailBefore                  └ FailInside    FailAfter
//!               └ Slow, Outage, Full            (the whole group is undone)
//! ```
//!
//! It is an interceptor before the journal that the server uses; the forwarding of
//! the trait is `Intercepted`'s.

mod fail_points;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use jarvis_run_coordinator::{
    journal::{
        ClaimFilter, Heartbeats, Journal, JournalError, OpenError, OutboxId, Parked, Workers,
        intercept::{Intercepted, Interceptor},
        sqlite::SqliteJournal,
    },
    record::{ChangeSet, Job, NodeHead, NodeRecord},
    time::{Clock, Timestamp},
    types::{NodeRunId, WorkerId},
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
    /// The worker that this process has registered.
    worker: OnceLock<WorkerId>,
    /// The fault of the next commit.
    next_commit: Arc<Mutex<Option<WriteFault>>>,
    /// The records that were read, for the sabotage of a stale cache.
    old: Mutex<BTreeMap<NodeRunId, NodeRecord>>,
}

fn injected(what: &str) -> JournalError {
    JournalError::Failed(format!("injected: {what}"))
}

impl SimJournal {
    pub fn open(world: &Arc<World>, life: &Arc<Life>) -> Result<Intercepted<Self>, OpenError> {
        let next_commit = Arc::<Mutex<Option<WriteFault>>>::default();
        let (world, life) = (Arc::clone(world), Arc::clone(life));
        let commits =
            Commits { world: Arc::clone(&world), life: Arc::clone(&life), next: Arc::clone(&next_commit) };
        let log = world.story.logger(&world.clock, "journal");
        let inner = match world.scenario.replicas {
            1 => world.journal.open(false, commits, &log)?,
            _ => world.journal.open_shared(false, commits, &log)?,
        };
        Ok(Intercepted(Self {
            world,
            life,
            inner,
            worker: OnceLock::new(),
            next_commit,
            old: Mutex::default(),
        }))
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
        let was_dead = self.is_dead().await;
        let done = self.inner.commit(change).await;
        if was_dead && done.is_ok() {
            world.violated("a worker that was declared dead writes nothing", &description);
        }
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

    /// Whether the worker of this process was declared dead.
    async fn is_dead(&self) -> bool {
        let Some(worker) = self.worker.get() else { return false };
        let alive = self.inner.heartbeats().await.unwrap_or_default();
        !alive.iter().any(|beats| beats.worker == *worker)
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

impl Interceptor for SimJournal {
    type Inner = SqliteJournal;

    fn journal(&self) -> &SqliteJournal {
        &self.inner
    }

    async fn read<T: Send>(
        &self,
        _call: &str,
        work: impl Future<Output = Result<T, JournalError>> + Send,
    ) -> Result<T, JournalError> {
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

    async fn write<T: Send, F: Future<Output = Result<T, JournalError>> + Send>(
        &self,
        call: &str,
        work: impl Fn() -> F + Send + Sync,
    ) -> Result<T, JournalError> {
        let world = &self.world;
        self.life.gate().await;
        world.lag().await;
        self.life.gate().await;
        let fault = world.write_fault();
        if let Some(fault) = fault {
            world.trace(format_args!("{fault:?} at {call}"));
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

    async fn commit(&self, change: ChangeSet) -> Result<Option<OutboxId>, JournalError> {
        self.write(&describe(&change), || self.write_change(&change)).await
    }

    async fn node_fetch(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
        self.read("node_fetch", self.read_node(node)).await
    }

    async fn node_fetch_bare(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
        let read = async {
            match self.old(node) {
                Some(old) => Ok(Some(old)),
                None => self.inner.node_fetch_bare(node).await,
            }
        };
        self.read("node_fetch_bare", read).await
    }

    async fn head_fetch(&self, node: &NodeRunId) -> Result<Option<NodeHead>, JournalError> {
        let read = async {
            match self.old(node) {
                Some(old) => Ok(Some(old.head())),
                None => self.inner.head_fetch(node).await,
            }
        };
        self.read("head_fetch", read).await
    }

    async fn claim_due(
        &self,
        worker: &WorkerId,
        now: Timestamp,
        filter: &ClaimFilter,
    ) -> Result<Vec<NodeHead>, JournalError> {
        let claim = || self.inner.claim_due(worker, now, filter);
        if self.inner.counts(now).await?.wakes_due == 0 {
            // As in the real journal: if nothing is due, nothing is written.
            return self.read("claim_due", claim()).await;
        }
        let claimed = self.write("claim_due", claim).await?;
        self.world.trace(format_args!("claimed {}", claimed.len()));
        Ok(claimed)
    }

    async fn park(&self, item: Parked) -> Result<(), JournalError> {
        self.world.trace(format_args!("park {item:?}"));
        self.write("park", || self.inner.park(item.clone())).await
    }

    async fn register_worker(&self, worker: &WorkerId) -> Result<(), JournalError> {
        let _first = self.worker.set(worker.clone());
        if self.world.is_sabotaged(Sabotage::IgnoresItsFence) {
            // Through another handle: this one writes in no one's name.
            let log = self.world.story.logger(&self.world.clock, "journal");
            let other = self.world.journal.open_shared(false, (), &log).expect("memory does not fail");
            return other.register_worker(worker).await;
        }
        self.write("register_worker", || self.inner.register_worker(worker)).await
    }

    async fn beat(&self, worker: &WorkerId) -> Result<(), JournalError> {
        let beaten = self.write("beat", || self.inner.beat(worker)).await;
        let is_ignored = self.world.is_sabotaged(Sabotage::IgnoresItsFence);
        if is_ignored && beaten == Err(JournalError::Fenced) { Ok(()) } else { beaten }
    }

    async fn heartbeats(&self) -> Result<Vec<Heartbeats>, JournalError> {
        let mut found = self.read("heartbeats", self.inner.heartbeats()).await?;
        if self.world.is_sabotaged(Sabotage::DeclaresTheLivingDead) {
            // As a look would be that never gets anything new.
            found.iter_mut().for_each(|beats| beats.count = 0);
        }
        Ok(found)
    }

    async fn declare_dead(&self, seen: &Heartbeats) -> Result<bool, JournalError> {
        let mut seen = seen.clone();
        if self.world.is_sabotaged(Sabotage::DeclaresTheLivingDead)
            && let Some(now) =
                self.inner.heartbeats().await?.into_iter().find(|beats| beats.worker == seen.worker)
        {
            seen = now;
        }
        self.write("declare_dead", || self.inner.declare_dead(&seen)).await
    }

    async fn reap_dead_workers(&self, now: Timestamp) -> Result<u64, JournalError> {
        if self.world.is_sabotaged(Sabotage::KeepsClaimsOfDeadWorkers) {
            return Ok(0);
        }
        let reaped = self.write("reap_dead_workers", || self.inner.reap_dead_workers(now)).await?;
        if reaped > 0 {
            self.world.trace(format_args!("took {reaped} wake-ups of dead workers"));
        }
        Ok(reaped)
    }
}
