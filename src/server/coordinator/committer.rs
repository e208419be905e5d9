//! Decide, commit, announce: the only way in which anything changes.
//!
//! ```text
//!   command ──▶ lock the run ──▶ read, decide (engine) ──▶ commit ──▶ announce ──▶ answer
//!                                 ▲                          │         ├─ followers (events)
//!                                 └──── again, on conflict ──┘         ├─ outbox pump
//!                                                                      └─ work queue
//! ```
//!
//! If the journal keeps records that may be old, a command is first decided on those. Only
//! a commit that succeeds proves it right: whatever else comes of it, it is decided again
//! on the latest.
//!
//! **Architecture invariants.** Commands on one run are decided one after the
//! other; other runs do not wait. Nothing is announced, queued or answered before
//! its commit is durable.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use slog::{Logger, debug, info};

use super::{
    audit_trail::AuditTrail,
    error::CoordinatorError,
    liveness::{Ended, Liveness},
    pauses::Pauses,
    queue::WorkQueue,
    run_log::{RunLines, RunLog},
};
use crate::{
    engine::{Cause, Cx, Decision, Rules},
    events::{Events, Newest},
    health::JournalStatus,
    journal::{Journal, JournalError, News, OutboxId, Room},
    metrics::{Metrics, Tally},
    outbox::Outbox,
    record::{Approval, AuditRecord, ChangeSet, Job, NodeHead, NodeRecord, Wake},
    redact::Redactor,
    resilience::KeyedLocks,
    time::{Clock, Timestamp, backoff},
    traces::{RequestScope, Traces},
    types::{NodeRunId, RunId},
    webhooks::Webhooks,
};

/// How often a command is decided again at once: within one process, the run's lock keeps
/// all but the claims of wake-ups from changing what it reads.
const CONFLICTS: u32 = 16;
/// For how long it is decided again because other processes keep changing that.
const CONFLICTS_WITHIN: Duration = Duration::from_secs(5);
/// Backoff between these decisions.
const CONFLICT_BASE: Duration = Duration::from_millis(4);
const CONFLICT_CAP: Duration = Duration::from_millis(250);

/// Upper bound on the claim loop's polling interval. The loop must be notified
/// of what is due sooner.
pub(crate) const CLAIM_WITHIN: Duration = Duration::from_secs(1);

/// Commits decisions and announces them.
pub(crate) struct Committer {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) queue: Arc<WorkQueue>,
    /// `None`: embedded, the journal is the only record.
    pub(super) outbox: Option<Arc<Outbox>>,
    pub(super) events: Events,
    pub(super) audit: Arc<AuditTrail>,
    pub(super) rules: Rules,
    pub(super) liveness: Liveness,
    pub(super) health: JournalStatus,
    pub(super) locks: KeyedLocks<RunId>,
    pub(super) pauses: Pauses,
    /// For what executors say, before it becomes a record.
    pub(super) redactor: Redactor,
    pub(super) metrics: Metrics,
    pub(super) run_log: RunLog,
    pub(super) traces: Traces,
    /// `None`: they are off.
    pub(super) webhooks: Option<Arc<Webhooks>>,
    pub(super) log: Logger,
}

impl Committer {
    /// Runs a command: `decide` reads and decides while the run is locked. Its
    /// decision is durable when this returns. New wake-ups are claimed without
    /// bound, unless `decide` uses another claim.
    pub(super) async fn command<'s, T, F>(
        &'s self,
        run: &RunId,
        decide: impl Fn(Cx<'s>) -> F + Send,
    ) -> Result<T, CoordinatorError>
    where
        T: Send,
        F: Future<Output = Result<Decision<T>, CoordinatorError>> + Send,
    {
        self.command_of(Cause::Rule, run, decide).await
    }

    /// Runs a command like [`Self::command`] for another cause.
    pub(super) async fn command_of<'s, T, F>(
        &'s self,
        cause: Cause<'s>,
        run: &RunId,
        decide: impl Fn(Cx<'s>) -> F + Send,
    ) -> Result<T, CoordinatorError>
    where
        T: Send,
        F: Future<Output = Result<Decision<T>, CoordinatorError>> + Send,
    {
        Ok(Box::pin(self.decide_and_commit(cause, run, decide)).await.map_err(Undecided::error)?.0)
    }

    /// Also returns the last outbox entry of the decision, if it made any. (Callers box it:
    /// it is larger than all else that they do, and many of them have several.)
    pub(super) async fn decide_and_commit<'s, T, F>(
        &'s self,
        cause: Cause<'s>,
        run: &RunId,
        decide: impl Fn(Cx<'s>) -> F + Send,
    ) -> Result<(T, Option<OutboxId>), Undecided<T>>
    where
        T: Send,
        F: Future<Output = Result<Decision<T>, CoordinatorError>> + Send,
    {
        let _locked = self.locks.lock(run).await;
        let (mut conflicts, first) = (0, self.clock.now());
        // The commit finds out whether what it is decided on was old.
        let mut recent = self.journal.recent().filter(|recent| recent.run(run).is_some());
        loop {
            let now = self.clock.now();
            let cx = Cx { rules: &self.rules, cause, claim: self.queue.claim_unbounded(), now };
            let may_repeat = match self.journal.is_shared() {
                true => now.since(first) < CONFLICTS_WITHIN,
                false => conflicts < CONFLICTS,
            };
            let decided = match recent {
                Some(_) => MAY_BE_OLD.scope(run.clone(), decide(cx)).await,
                None => decide(cx).await,
            };
            let is_proven = |decided: &Decision<T>| decided.changes.as_deref().is_some_and(proves_its_reads);
            if let Some(old) = recent.take()
                && !decided.as_ref().is_ok_and(is_proven)
            {
                // Nothing would find it out: it is decided on the latest.
                old.forget(run);
                continue;
            }
            let Decision { changes, answer } = match decided {
                Err(CoordinatorError::Journal(JournalError::Conflict)) if may_repeat => {
                    self.conflict(run, &mut conflicts).await;
                    continue;
                }
                decided => decided?,
            };
            let Some(mut changes) = changes else { return Ok((answer, None)) };
            if self.journal.wants_notices() {
                changes.notices = changes.to_report();
            }
            let (announcement, pauses) = (self.announcement(&changes, now), changes.pauses);
            let (tally, began) = (Tally::of(&changes), Instant::now());
            let (ended, link) = (self.traces.ended_by(&changes), self.traces.link(&changes));
            let committed = self.journal.commit(*changes).await;
            self.metrics.commit(result_name(&committed), began.elapsed());
            match committed {
                Ok(owed) => {
                    self.metrics.committed(&tally);
                    self.traces.ended(ended);
                    link.into_iter().for_each(RequestScope::link);
                    self.announce(run, &announcement, now);
                    return Ok((answer, owed));
                }
                Err(JournalError::Conflict) if may_repeat => {
                    self.conflict(run, &mut conflicts).await;
                    if pauses.is_some() {
                        // Perhaps another process has changed them. (Who decides under them
                        // keeps this one from doing so.)
                        let loaded = self.pauses.load(&*self.journal).await;
                        loaded.map_err(|failure| self.read_failed(failure))?;
                    }
                }
                Err(failure) => {
                    let answer = failure.is_in_doubt().then_some(answer);
                    let error = self.commit_failed(failure, announcement.ended);
                    return Err(Undecided { error, answer });
                }
            }
        }
    }

    /// Waits before a command is decided again, if another process may have been faster.
    async fn conflict(&self, run: &RunId, conflicts: &mut u32) {
        if let Some(recent) = self.journal.recent() {
            recent.forget(run);
        }
        debug!(self.log, "decided on stale records, deciding again"; "run_id" => %run, "conflicts" => *conflicts);
        if self.journal.is_shared() {
            let salt = self.queue.worker().as_str();
            self.clock.sleep(backoff(*conflicts, CONFLICT_BASE, CONFLICT_CAP, salt)).await;
        }
        *conflicts += 1;
    }

    fn announcement(&self, changes: &ChangeSet, now: Timestamp) -> Announcement {
        let (mut claimed, mut unclaimed) = (Vec::new(), false);
        let mut is_ours = |wake: &Option<Wake>| match wake {
            Some(Wake { at, claimed_by: None, .. }) => {
                unclaimed |= *at < now + CLAIM_WITHIN;
                false
            }
            Some(wake) => wake.claimed_by.as_ref() == Some(self.queue.worker()) && begins_now(wake, now),
            None => false,
        };
        claimed.extend(changes.nodes.iter().filter(|node| is_ours(&node.wake)).map(NodeRecord::head));
        claimed.extend(changes.heads.iter().filter(|head| is_ours(&head.wake)).cloned());
        Announcement {
            newest: changes.run.as_ref().map(Newest::from),
            claimed,
            unclaimed,
            topmost: Ended::by(changes),
            ended: changes.ended().cloned().collect(),
            set_aside: set_aside(changes).cloned().collect(),
            lines: self.run_log.lines(changes, &self.log),
            audit: changes.audit.clone(),
            waiting: changes.nodes.iter().filter_map(|node| waits_since(node, now)).cloned().collect(),
            is_reported: !changes.notices.is_empty(),
        }
    }

    fn announce(&self, run: &RunId, announcement: &Announcement, now: Timestamp) {
        let Announcement { newest, claimed, unclaimed, topmost, ended, audit, waiting, .. } = announcement;
        let Announcement { lines, is_reported, set_aside, .. } = announcement;
        self.health.written();
        lines.log(&self.log);
        if let Some(webhooks) = self.webhooks.as_ref().filter(|_| *is_reported) {
            webhooks.notices_added();
        }
        for approval in waiting {
            info!(self.log, "node waits for an approval"; "run_id" => %run,
                "node_run_id" => %approval.approval_id.node, "approval_id" => %approval.approval_id,
                "expires_at" => %approval.expires_at);
        }
        self.audit.committed(audit);
        self.liveness.ended(run, topmost, now);
        if let Some(outbox) = &self.outbox {
            outbox.entries_added();
        }
        if let Some(newest) = newest {
            self.events.hub.publish(run, *newest);
        }
        if !ended.is_empty() {
            self.events.hub.nodes_ended(run);
        }
        if self.journal.is_shared() {
            self.journal.announce(self.news(run, announcement));
        }
        // Cancels first, while the calls that they may overtake are known.
        claimed.iter().for_each(|node| self.queue.push(node, now));
        ended.iter().for_each(|node| self.queue.node_ended(node));
        set_aside.iter().for_each(|node| self.queue.node_set_aside(node));
        if *unclaimed {
            self.queue.notify_unclaimed();
        }
    }

    /// What of it concerns the other processes that share the journal.
    fn news(&self, run: &RunId, announcement: &Announcement) -> News {
        let Announcement { newest, unclaimed, ended, .. } = announcement;
        let is_followed = newest.is_some() || !ended.is_empty();
        let elsewhere = ended.iter().filter(|node| !self.queue.has(node, Job::Dispatch));
        News {
            runs: is_followed.then(|| run.clone()).into_iter().collect(),
            ended: elsewhere.cloned().collect(),
            unclaimed: *unclaimed,
            anything: false,
        }
    }

    /// Refuses new work while the journal keeps its last room for the work that
    /// is under way: before anything is spent on it.
    pub(super) fn room_for_new_work(&self) -> Result<(), CoordinatorError> {
        match self.journal.room() {
            Room::Enough => Ok(()),
            Room::Reserve => Err(JournalError::Reserved.into()),
        }
    }
}

/// A command that failed.
pub(super) struct Undecided<T> {
    pub(super) error: CoordinatorError,
    /// What would have been answered, if its commit is in doubt.
    pub(super) answer: Option<T>,
}

impl<T> Undecided<T> {
    pub(super) fn error(self) -> CoordinatorError {
        self.error
    }
}

impl<T> From<CoordinatorError> for Undecided<T> {
    fn from(error: CoordinatorError) -> Self {
        Self { error, answer: None }
    }
}

tokio::task_local! {
    /// Decides on records of this run that may be old ([`Recent`](crate::journal::Recent)).
    pub(super) static MAY_BE_OLD: RunId;
}

/// Whether a commit of these changes fails if what they were decided on was old.
fn proves_its_reads(changes: &ChangeSet) -> bool {
    changes.run.is_some() || !changes.nodes.is_empty() || !changes.heads.is_empty()
}

/// The name of a commit's outcome in metrics.
fn result_name<T>(committed: &Result<T, JournalError>) -> &'static str {
    match committed {
        Ok(_) => "ok",
        Err(JournalError::Conflict) => "conflict",
        Err(JournalError::Fenced) => "fenced",
        Err(JournalError::Full(_) | JournalError::Reserved) => "full",
        Err(JournalError::TooBig(_)) => "too_big",
        Err(JournalError::Failed(_) | JournalError::Damaged(_)) => "failed",
    }
}

/// What is to be announced once a change set is durable.
struct Announcement {
    /// For followers, if there are new events.
    newest: Option<Newest>,
    /// Nodes whose job this worker has claimed and begins now.
    claimed: Vec<NodeHead>,
    /// Whether the claim loop has to look before its next poll.
    unclaimed: bool,
    topmost: Ended,
    ended: Vec<NodeRunId>,
    /// Nodes whose dispatch is set aside.
    set_aside: Vec<NodeRunId>,
    /// For the log, as the others.
    lines: RunLines,
    audit: Vec<AuditRecord>,
    waiting: Vec<Approval>,
    /// Whether webhooks report any of it.
    is_reported: bool,
}

/// The nodes whose dispatch is set aside from now on, or still.
fn set_aside(changes: &ChangeSet) -> impl Iterator<Item = &NodeRunId> {
    let is_aside = |wake: &Option<Wake>| wake.as_ref().is_some_and(|wake| wake.job == Job::SetAside);
    let nodes = changes.nodes.iter().filter(move |node| is_aside(&node.wake)).map(NodeRecord::id);
    let heads = changes.heads.iter().filter(move |head| is_aside(&head.wake));
    nodes.chain(heads.map(|head| &head.node_run_id))
}

/// The approval that a node waits for since now.
fn waits_since(node: &NodeRecord, now: Timestamp) -> Option<&Approval> {
    let approval = node.waits.approval.as_deref()?;
    (approval.is_open() && approval.requested_at == now).then_some(approval)
}

/// Whether the job begins now. A deadline does not: it begins when it has passed.
fn begins_now(wake: &Wake, now: Timestamp) -> bool {
    match wake.job {
        Job::Dispatch | Job::CancelExecutor => wake.at <= now,
        Job::Deadline | Job::Approval | Job::SetAside => false,
    }
}
