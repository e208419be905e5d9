//! Decide, commit, announce: the one way in which anything changes.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use slog::{error, warn};

use super::{Coordinator, CoordinatorError};
use crate::{
    engine::Decision,
    ids::{NodeRunId, RunId},
    record::{Job, NodeRecord, RunRecord, Wake},
    store::{OutboxId, StoreError},
    time::Timestamp,
};

/// A command is decided again so often when other replicas keep changing what
/// it reads. Within one process the run's lock prevents that.
const CONFLICTS: u32 = 16;

/// The embedded journal has one process at a time: its owner lives until the
/// next process opens the journal.
pub(crate) const OWNED_FOREVER: Timestamp = Timestamp::from_micros(i64::MAX);

/// How long a journal that failed is left alone.
const PROBE_AFTER: Duration = Duration::from_secs(1);

/// Whoever claims looks at the journal at least so often. What is due before
/// that has to be told.
pub(crate) const CLAIM_WITHIN: Duration = Duration::from_secs(1);

/// How long health speaks of a record that could not be read, since somebody
/// last came upon it.
const REMEMBER: Duration = Duration::from_secs(600);

/// How many such records health remembers, at most.
const UNREADABLE_MAX: usize = 1_000;

const UNWRITABLE: &str = "The journal cannot be written";

/// What the last commit said about the journal.
#[derive(Default)]
pub struct StoreHealth {
    /// What, and since when.
    trouble: Mutex<Option<(&'static str, Timestamp)>>,
    /// Records that could not be read, and when that was noticed last. They are
    /// no trouble of the journal as a whole.
    unreadable: Mutex<BTreeMap<String, Timestamp>>,
    /// A commit was reported as failed that may be durable all the same: who
    /// follows its run has not been told.
    in_doubt: AtomicBool,
    /// The nodes that such commits end.
    ends_in_doubt: Mutex<Vec<NodeRunId>>,
}

impl StoreHealth {
    /// What is wrong with the journal, if anything.
    pub fn trouble(&self) -> Option<&'static str> {
        self.trouble_since().map(|(trouble, _)| trouble)
    }

    fn trouble_since(&self) -> Option<(&'static str, Timestamp)> {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many records could not be read lately.
    pub fn unreadable(&self, now: Timestamp) -> usize {
        let mut unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        unreadable.retain(|_, noticed| now.since(*noticed) < REMEMBER);
        unreadable.len()
    }

    fn is_unreadable(&self, record: &str, now: Timestamp) {
        let mut unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        if unreadable.len() < UNREADABLE_MAX || unreadable.contains_key(record) {
            unreadable.insert(record.to_owned(), now);
        }
    }

    fn is_readable(&self, record: &str) {
        let mut unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        if !unreadable.is_empty() {
            unreadable.remove(record);
        }
    }

    fn ends_in_doubt(&self) -> MutexGuard<'_, Vec<NodeRunId>> {
        self.ends_in_doubt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, trouble: Option<(&'static str, Timestamp)>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

impl Coordinator {
    /// Runs a caller's command: as [`Self::command`], and the JARVIS stores
    /// have had their time to accept what was decided.
    pub(super) async fn request<T, F>(
        &self,
        run: &RunId,
        decide: impl Fn(Timestamp) -> F + Send,
    ) -> Result<T, CoordinatorError>
    where
        T: Send,
        F: Future<Output = Result<Decision<T>, CoordinatorError>> + Send,
    {
        let (answer, owed) = self.decide_and_commit(run, decide).await?;
        if let (Some(outbox), Some(owed)) = (&self.parts.outbox, owed) {
            outbox.accepted(run, owed).await;
        }
        Ok(answer)
    }

    /// Runs a command: `decide` reads and decides while the run is locked. What
    /// it decides is durable when this returns.
    pub(super) async fn command<T, F>(
        &self,
        run: &RunId,
        decide: impl Fn(Timestamp) -> F + Send,
    ) -> Result<T, CoordinatorError>
    where
        T: Send,
        F: Future<Output = Result<Decision<T>, CoordinatorError>> + Send,
    {
        Ok(self.decide_and_commit(run, decide).await?.0)
    }

    /// Says also how far the outbox must be emptied until the JARVIS stores
    /// have it all.
    async fn decide_and_commit<T, F>(
        &self,
        run: &RunId,
        decide: impl Fn(Timestamp) -> F + Send,
    ) -> Result<(T, Option<OutboxId>), CoordinatorError>
    where
        T: Send,
        F: Future<Output = Result<Decision<T>, CoordinatorError>> + Send,
    {
        let _turn = self.locks.lock(run).await;
        let mut conflicts = 0;
        loop {
            let now = self.parts.clock.now();
            let Decision { changes, answer } = decide(now).await?;
            let Some(changes) = changes else { return Ok((answer, None)) };
            let newest = changes.events.last().map(|event| event.event.seq);
            let (ours, unclaimed) = self.to_begin(&changes.nodes, now);
            let ended = changes.nodes.iter().filter(|node| node.is_terminal()).map(|node| node.id().clone());
            let ended: Vec<NodeRunId> = ended.collect();
            match self.parts.store.commit(changes).await {
                Ok(owed) => {
                    self.store_health.set(None);
                    if let Some(outbox) = &self.parts.outbox {
                        outbox.news();
                    }
                    if let Some(seq) = newest {
                        self.parts.events.hub.publish(run, seq);
                    }
                    // Those to be told first, while their calls are known.
                    ours.iter().for_each(|node| self.parts.queue.push(node, now));
                    ended.iter().for_each(|node| self.parts.queue.node_over(node));
                    if unclaimed {
                        self.parts.queue.poke();
                    }
                    return Ok((answer, owed));
                }
                Err(StoreError::Conflict) if conflicts < CONFLICTS => {
                    conflicts += 1;
                    warn!(self.parts.log, "decided on stale records, deciding again"; "run_id" => %run, "conflicts" => conflicts);
                }
                Err(failure) => {
                    self.store_health.ends_in_doubt().extend(ended);
                    return Err(self.store_failed(failure, run.as_str()));
                }
            }
        }
    }

    /// Of changed nodes: those whose job is ours and begins now; and whether
    /// there is something that whoever claims should know of.
    fn to_begin(&self, nodes: &[NodeRecord], now: Timestamp) -> (Vec<NodeRecord>, bool) {
        let (mut ours, mut unclaimed) = (Vec::new(), false);
        for node in nodes {
            let Some(wake) = &node.wake else { continue };
            match &wake.owner {
                None => unclaimed |= wake.at < now + CLAIM_WITHIN,
                Some(owner) if owner == self.parts.queue.owner() && is_due(wake, now) => {
                    ours.push(node.clone());
                }
                Some(_) => {}
            }
        }
        (ours, unclaimed)
    }

    /// Whether a journal that could not be written can be written again. Asked
    /// from time to time, because while health says that it cannot, nobody may
    /// come to find out. (A full one is known to have room only when something
    /// that needs room is written.)
    pub(crate) async fn journal_probe(&self) {
        let Some((UNWRITABLE, since)) = self.store_health.trouble_since() else { return };
        if self.parts.clock.now().since(since) >= PROBE_AFTER
            && self.parts.store.owner_renew(self.parts.queue.owner(), OWNED_FOREVER).await.is_ok()
        {
            self.store_health.set(None);
        }
    }

    /// Notes what a store failure over a record says about the journal's
    /// health. A record that cannot be read, or does not fit, is its own trouble
    /// and nobody else's.
    pub(super) fn store_failed(&self, failure: StoreError, record: &str) -> CoordinatorError {
        let now = self.parts.clock.now();
        let trouble = match &failure {
            StoreError::Conflict => None,
            StoreError::Full(_) => Some("The journal is full: nothing can be accepted"),
            StoreError::Failed(_) => Some(UNWRITABLE),
            StoreError::Damaged(_) => {
                self.store_health.is_unreadable(record, now);
                None
            }
            StoreError::TooBig(_) => None,
        };
        match trouble {
            Some(trouble) => {
                error!(self.parts.log, "the journal failed"; "error" => %failure);
                self.store_health.set(Some((trouble, now)));
                self.store_health.in_doubt.store(true, Ordering::Release);
            }
            None => warn!(self.parts.log, "a record failed"; "record" => record, "error" => %failure),
        }
        failure.into()
    }

    /// Tells followers what the journal says, if a commit since the last time
    /// was in doubt: it may have been the last of its run. And drops the calls
    /// of those nodes that it has ended.
    pub(crate) async fn announce_again(&self) -> Result<(), StoreError> {
        if !self.store_health.in_doubt.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let ended = std::mem::take(&mut *self.store_health.ends_in_doubt());
        for node in ended {
            match self.parts.store.node_fetch(&node).await {
                Ok(Some(found)) if found.is_terminal() => self.parts.queue.node_over(&node),
                Ok(_) | Err(StoreError::Damaged(_)) => {}
                Err(failure) => {
                    self.store_health.ends_in_doubt().push(node);
                    self.store_health.in_doubt.store(true, Ordering::Release);
                    return Err(failure);
                }
            }
        }
        let events = &self.parts.events;
        for run in events.hub.followed_runs() {
            match self.parts.store.run_fetch(&run).await {
                Ok(found) => events.hub.publish(&run, found.map_or(0, |run| run.last_seq)),
                Err(failure) => {
                    self.store_health.in_doubt.store(true, Ordering::Release);
                    return Err(failure);
                }
            }
        }
        Ok(())
    }

    pub(super) async fn run_fetch(&self, run: &RunId) -> Result<RunRecord, CoordinatorError> {
        self.run_find(run).await?.ok_or_else(|| CoordinatorError::RunNotFound(run.clone()))
    }

    pub(super) async fn run_find(&self, run: &RunId) -> Result<Option<RunRecord>, CoordinatorError> {
        let found = self.parts.store.run_fetch(run).await;
        let found = found.map_err(|failure| self.store_failed(failure, run.as_str()))?;
        self.store_health.is_readable(run.as_str());
        Ok(found)
    }

    pub(super) async fn node_fetch(&self, node: &NodeRunId) -> Result<NodeRecord, CoordinatorError> {
        self.node_find(node).await?.ok_or_else(|| CoordinatorError::NodeRunNotFound(node.clone()))
    }

    pub(super) async fn node_find(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, CoordinatorError> {
        let found = self.parts.store.node_fetch(node).await;
        let found = found.map_err(|failure| self.store_failed(failure, node.as_str()))?;
        self.store_health.is_readable(node.as_str());
        Ok(found)
    }
}

/// A job that begins now. A deadline does not: it begins when it is passed.
fn is_due(wake: &Wake, now: Timestamp) -> bool {
    match wake.job {
        Job::Dispatch | Job::CancelExecutor => wake.at <= now,
        Job::Deadline => false,
    }
}
