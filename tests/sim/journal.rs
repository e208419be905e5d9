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

mod commit;
mod fail_points;
mod sabotage;

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use jarvis_run_coordinator::{
    journal::{
        ClaimFilter, Duty, Heartbeats, Journal, JournalError, News, OpenError, OutboxEntry, OutboxId, Parked,
        Reached, Recipient, SignOfLife, Workers,
        intercept::{Intercepted, Interceptor},
        sqlite::SqliteJournal,
    },
    record::{ChangeSet, NodeHead, NodePath, NodeRecord, RunRecord},
    time::{Clock, Timestamp},
    types::{NodeRunId, RunId, WorkerId},
};

use self::{commit::describe, fail_points::Commits, sabotage::Kept};
use crate::{
    life::Life,
    scenario::{Sabotage, WriteFault},
    world::{Fate, World, lock},
};

pub struct SimJournal {
    world: Arc<World>,
    life: Arc<Life>,
    inner: SqliteJournal,
    /// The worker that this process has registered.
    worker: OnceLock<WorkerId>,
    /// The fault of the next commit.
    next_commit: Arc<Mutex<Option<WriteFault>>>,
    /// What sabotages remember.
    kept: Kept,
}

/// For how long a call waits for a database that is out.
const OUT_WITHIN: Duration = Duration::from_secs(2);

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
            _ => world.journal.open_shared(true, commits, &log)?,
        };
        let kept = Kept::of(&world);
        Ok(Intercepted(Self { world, life, inner, worker: OnceLock::new(), next_commit, kept }))
    }

    /// Fails if the journal cannot be reached: for this process, or for all.
    async fn reach(&self) -> Result<(), JournalError> {
        if self.life.was_cut_off().await {
            self.life.gate().await;
            return Err(injected("the connection broke"));
        }
        if let Some(rest) = self.world.journal_out_for() {
            self.world.count("journal out for all");
            self.world.clock.sleep(rest.min(OUT_WITHIN)).await;
            self.life.gate().await;
            return Err(injected("the database is out"));
        }
        Ok(())
    }

    /// Whether the worker of this process was declared dead.
    async fn is_dead(&self) -> bool {
        let Some(worker) = self.worker.get() else { return false };
        let alive = self.inner.heartbeats().await.unwrap_or_default();
        !alive.iter().any(|beats| beats.worker == *worker)
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
            lock(&self.kept.old).insert(node.clone(), found.clone());
        }
        Ok(found)
    }
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
        self.reach().await?;
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
        self.reach().await?;
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
        if world.scenario.replicas > 1 {
            // On its way to the database; others are faster.
            world.lag().await;
            self.life.gate().await;
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
        if self.life.was_cut_off().await {
            world.count("commit in doubt after a partition");
            return Err(injected("no answer: it may be done"));
        }
        done
    }

    async fn commit(&self, change: ChangeSet) -> Result<Option<OutboxId>, JournalError> {
        self.write(&describe(&change), || async {
            if !self.world.scenario.commits_take.is_zero() {
                self.world.clock.sleep(self.world.scenario.commits_take).await;
                self.life.gate().await;
            }
            self.write_change(&change).await
        })
        .await
    }

    async fn run_fetch(&self, run: &RunId) -> Result<Option<RunRecord>, JournalError> {
        if self.world.is_sabotaged(Sabotage::ReadsLiveBeforeRun) {
            let live = self.read("nodes_live", self.inner.nodes_live(run, None)).await?;
            lock(&self.kept.live).insert(run.clone(), live);
            self.world.lag().await;
        }
        if self.world.is_sabotaged(Sabotage::AnswersFromItsCache)
            && let Some(old) = self.inner.recent().and_then(|recent| recent.run(run))
        {
            return Ok(Some(old));
        }
        self.read("run_fetch", self.inner.run_fetch(run)).await
    }

    async fn nodes_live(&self, run: &RunId, under: Option<&NodePath>) -> Result<Vec<NodeHead>, JournalError> {
        if let Some(mut live) = lock(&self.kept.live).remove(run) {
            live.retain(|head| under.is_none_or(|under| under.contains(&head.path) && *under != head.path));
            return Ok(live);
        }
        self.read("nodes_live", self.inner.nodes_live(run, under)).await
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
        self.world.has_beaten(worker, self.now());
        let is_ignored = self.world.is_sabotaged(Sabotage::IgnoresItsFence);
        if is_ignored && beaten == Err(JournalError::Fenced) { Ok(()) } else { beaten }
    }

    async fn heartbeats(&self) -> Result<Vec<Heartbeats>, JournalError> {
        let mut found = self.read("heartbeats", self.inner.heartbeats()).await?;
        for beats in self.dead_by_sabotage(&found) {
            let _declared = self.inner.declare_dead(&beats).await;
        }
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

    fn announce(&self, news: News) {
        if self.world.is_sabotaged(Sabotage::TellsNoOthers) {
            return;
        }
        match self.world.fate_of_news() {
            Fate::Lost => self.world.count("news lost"),
            Fate::Doubled => {
                self.world.count("news doubled");
                self.inner.announce(news.clone());
                self.inner.announce(news);
            }
            Fate::Arrives => self.inner.announce(news),
        }
    }

    async fn announced(&self) -> News {
        let news = self.inner.announced().await;
        self.life.gate().await;
        self.world.lag().await;
        if self.life.was_cut_off().await {
            return News::anything();
        }
        self.world.count("news arrived");
        news
    }

    async fn runs_reached(&self, runs: &[RunId]) -> Result<Vec<Reached>, JournalError> {
        if self.world.is_sabotaged(Sabotage::TellsNoOthers) {
            return Ok(Vec::new());
        }
        self.read("runs_reached", self.inner.runs_reached(runs)).await
    }

    async fn hold_duty(&self, duty: Duty, worker: &WorkerId) -> Result<bool, JournalError> {
        let held = self.write("hold_duty", || self.inner.hold_duty(duty, worker)).await;
        if duty == Duty::Outbox
            && let Ok(held) = held
        {
            self.world.has_duty_to_send(worker, held);
            return Ok(held || self.world.sends_anyway());
        }
        held
    }

    async fn outbox_owed(
        &self,
        recipient: Recipient,
        after: OutboxId,
        in_hand: &[OutboxId],
        limit: u32,
    ) -> Result<Vec<OutboxEntry>, JournalError> {
        let highest = in_hand.iter().max().copied().unwrap_or_default();
        let skips = self.world.is_sabotaged(Sabotage::SkipsLateOutboxIds);
        let after = if skips { self.kept.read_to(recipient, highest) } else { after };
        let owed = self.inner.outbox_owed(recipient, after, in_hand, limit);
        let owed = self.read("outbox_owed", owed).await?;
        if let Some(last) = owed.last().filter(|_| skips) {
            self.kept.read_to(recipient, last.id);
        }
        Ok(owed)
    }

    async fn time(&self) -> Result<Option<Timestamp>, JournalError> {
        let shared = self.inner.is_shared().then(|| self.world.clock.now());
        self.read("time", async { Ok(shared) }).await
    }

    async fn note_signs(
        &self,
        worker: &WorkerId,
        signs: &[SignOfLife],
        known_to: Timestamp,
        forget_before: Timestamp,
    ) -> Result<(), JournalError> {
        let signs = if self.world.is_sabotaged(Sabotage::KeepsWhatItHears) { &[] } else { signs };
        let note = || self.inner.note_signs(worker, signs, known_to, forget_before);
        self.write("note_signs", note).await
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
