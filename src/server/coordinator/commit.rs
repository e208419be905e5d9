//! Decide, commit, announce: the one way in which anything changes.

use std::time::Duration;

use slog::{debug, error, warn};

use super::{Coordinator, CoordinatorError, heard::Ended};
use crate::{
    engine::Decision,
    health::WriteFailure,
    journal::{JournalError, OutboxId, Room},
    record::{ChangeSet, Job, NodeHead, NodeRecord, RunRecord, Wake},
    time::Timestamp,
    types::{NodeRunId, RunId},
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
            let (ours, unclaimed) = self.to_begin(&changes, now);
            let topmost = Ended::by(&changes);
            let ended: Vec<NodeRunId> = changes.ended().cloned().collect();
            match self.parts.journal.commit(changes).await {
                Ok(owed) => {
                    self.journal_status.written();
                    self.heard.ended(run, &topmost, now);
                    if let Some(outbox) = &self.parts.outbox {
                        outbox.entries_added();
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
                Err(JournalError::Conflict) if conflicts < CONFLICTS => {
                    conflicts += 1;
                    warn!(self.parts.log, "decided on stale records, deciding again"; "run_id" => %run, "conflicts" => conflicts);
                }
                Err(failure) => return Err(self.store_failed(failure, ended)),
            }
        }
    }

    /// Of changed nodes: those whose job is ours and begins now; and whether
    /// there is something that whoever claims should know of.
    fn to_begin(&self, changes: &ChangeSet, now: Timestamp) -> (Vec<NodeHead>, bool) {
        let (mut ours, mut unclaimed) = (Vec::new(), false);
        let mut is_ours = |wake: &Option<Wake>| match wake {
            Some(Wake { at, claimed_by: None, .. }) => {
                unclaimed |= *at < now + CLAIM_WITHIN;
                false
            }
            Some(wake) => wake.claimed_by.as_ref() == Some(self.parts.queue.owner()) && is_due(wake, now),
            None => false,
        };
        ours.extend(changes.nodes.iter().filter(|node| is_ours(&node.wake)).map(NodeRecord::head));
        ours.extend(changes.heads.iter().filter(|head| is_ours(&head.wake)).cloned());
        (ours, unclaimed)
    }

    /// Refuses what would make new work while the journal keeps its room for
    /// what is under way: before anything is spent on it.
    pub(super) fn room_for_new_work(&self) -> Result<(), CoordinatorError> {
        match self.parts.journal.room() {
            Room::Enough => Ok(()),
            Room::Reserve => Err(JournalError::Reserved.into()),
        }
    }

    /// Whether a journal that could not be written, or read, can be again. Asked
    /// from time to time, because while health says that it cannot, nobody may
    /// come to find out. (A full one is known to have room only when something
    /// that needs room is written.)
    pub(crate) async fn journal_probe(&self) {
        let (health, journal) = (&self.journal_status, &self.parts.journal);
        let is_over = |since| self.parts.clock.now().since(since) >= PROBE_AFTER;
        if health.unwritable_since().is_some_and(is_over)
            && journal.renew_worker(self.parts.queue.owner(), OWNED_FOREVER).await.is_ok()
        {
            health.written();
        }
        if health.unreadable_since().is_some_and(is_over)
            && journal.wake_next(self.parts.clock.now()).await.is_ok()
        {
            health.read();
        }
    }

    /// Notes that something was written, if not by a command.
    pub(crate) fn journal_writes(&self) {
        self.journal_status.written();
    }

    /// Notes what a failed commit, which would have ended these nodes, says
    /// about the journal's health.
    pub(super) fn store_failed(&self, failure: JournalError, ended: Vec<NodeRunId>) -> CoordinatorError {
        let now = self.parts.clock.now();
        let (is_news, doubt) = match &failure {
            // Whoever refuses it has said so.
            JournalError::Conflict | JournalError::Reserved => (false, false),
            // Nothing was written, and the trouble is that record's alone.
            JournalError::TooBig(_) => (true, false),
            JournalError::Full(_) => (self.journal_status.not_written(WriteFailure::Full, now), true),
            JournalError::Failed(_) => {
                self.journal_status.not_written(WriteFailure::Failed, now);
                (true, true)
            }
            JournalError::Damaged(_) => {
                self.journal_status.damaged(now);
                (true, true)
            }
        };
        if is_news {
            error!(self.parts.log, "the journal failed"; "error" => %failure);
        } else {
            debug!(self.parts.log, "the journal refused a change"; "error" => %failure);
        }
        if doubt {
            self.journal_status.doubt(ended);
        }
        failure.into()
    }

    /// Notes what a failed read says about the journal's health.
    pub(crate) fn read_failed(&self, failure: JournalError) -> CoordinatorError {
        let now = self.parts.clock.now();
        error!(self.parts.log, "the journal could not be read"; "error" => %failure);
        match &failure {
            JournalError::Damaged(_) => self.journal_status.damaged(now),
            JournalError::Failed(_) => self.journal_status.not_read(now),
            // No reading ends like this.
            JournalError::Conflict
            | JournalError::Full(_)
            | JournalError::Reserved
            | JournalError::TooBig(_) => {}
        }
        failure.into()
    }

    /// Tells followers and the outbox what the journal says, if a commit since
    /// the last time was in doubt: it may have been the last of its run. And
    /// drops the calls of those nodes that it has ended.
    pub(crate) async fn announce_again(&self) -> Result<(), JournalError> {
        let Some(ended) = self.journal_status.take_doubt() else { return Ok(()) };
        if let Some(outbox) = &self.parts.outbox {
            outbox.entries_added();
        }
        for (at, node) in ended.iter().enumerate() {
            match self.parts.journal.head_fetch(node).await {
                Ok(Some(found)) if found.is_terminal() => self.parts.queue.node_over(node),
                Ok(_) | Err(JournalError::Damaged(_)) => {}
                Err(failure) => {
                    self.journal_status.doubt(ended[at..].to_vec());
                    return Err(failure);
                }
            }
        }
        let events = &self.parts.events;
        for run in events.hub.followed_runs() {
            match self.parts.journal.run_fetch(&run).await {
                Ok(found) => events.hub.publish(&run, found.map_or(0, |run| run.last_seq)),
                Err(failure) => {
                    self.journal_status.doubt(Vec::new());
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
        self.parts.journal.run_fetch(run).await.map_err(|failure| self.read_failed(failure))
    }

    pub(super) async fn node_fetch(&self, node: &NodeRunId) -> Result<NodeRecord, CoordinatorError> {
        self.node_find(node).await?.ok_or_else(|| CoordinatorError::NodeRunNotFound(node.clone()))
    }

    /// A node to decide something about that its inputs and outputs do not
    /// matter to.
    pub(super) async fn node_fetch_bare(&self, node: &NodeRunId) -> Result<NodeRecord, CoordinatorError> {
        let found = self.parts.journal.node_fetch_bare(node).await;
        let found = found.map_err(|failure| self.read_failed(failure))?;
        found.ok_or_else(|| CoordinatorError::NodeRunNotFound(node.clone()))
    }

    pub(super) async fn head_find(&self, node: &NodeRunId) -> Result<Option<NodeHead>, CoordinatorError> {
        self.parts.journal.head_fetch(node).await.map_err(|failure| self.read_failed(failure))
    }

    pub(super) async fn node_find(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, CoordinatorError> {
        self.parts.journal.node_fetch(node).await.map_err(|failure| self.read_failed(failure))
    }
}

/// A job that begins now. A deadline does not: it begins when it is passed.
fn is_due(wake: &Wake, now: Timestamp) -> bool {
    match wake.job {
        Job::Dispatch | Job::CancelExecutor => wake.at <= now,
        Job::Deadline => false,
    }
}
