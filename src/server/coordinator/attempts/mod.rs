//! What dispatch needs of the coordinator: the life of an attempt to execute a
//! node (contract §9). Not for callers.
//!
//! ```text
//!   kind_resolve ──▶ begin ──▶ (executor) ──▶ finish
//!        │             │                        │
//!        │             ├─ hold (no PDP)         └─ late: attempt log only
//!        │             └─ expire, defer         deadline_due: expired, lost or silent
//!        └─ postpone (no registry)              approval_due: expired, or asked again
//!                                               set_aside_due: expired
//!                                               cancel_target ──▶ cancel_notified
//! ```
//!
//! - `begin`: from the wake-up to the executor.
//! - `at_once`: the same for new nodes, in the commit that creates them.
//! - `approval`: what happens to a node that waits for an approval.
//! - here: what happens to an attempt that is under way, or over.

mod approval;
mod at_once;
mod begin;
mod trace;

use std::sync::{Arc, OnceLock, Weak};

use slog::{debug, error, info, warn};

pub(crate) use self::{
    at_once::{Begun, Place, Places},
    begin::{Assignment, Choice, DeferReason, Deferral},
};
use super::{
    admission::Admission, committer::Committer, error::CoordinatorError, offload::Outputs, pauses::Pauses,
    queue::ClaimedJob, schemas::OutputsJudged,
};
use crate::{
    engine::{
        self, Applied, Attempt, AttemptResult, CancelNotification, Cause, Contact, Cx, Decision, DueReason,
        NodeView, SilenceOutcome, WaitsFor,
    },
    journal::JournalError,
    record::{Actor, Job, NodeHead, NodeRecord},
    redact::Redactor,
    types::{ExecutorBinding, NodeRunId, NodeRunState, NodeTypeRef, RunId},
};

/// The attempts of all nodes.
pub struct Attempts {
    committer: Arc<Committer>,
    admission: Arc<Admission>,
    outputs: Arc<Outputs>,
    /// Where new nodes begin at once, from when on executors may be called.
    places: OnceLock<Weak<dyn Places>>,
}

impl Attempts {
    pub(super) fn new(committer: Arc<Committer>, admission: Arc<Admission>, outputs: Arc<Outputs>) -> Self {
        Self { committer, admission, outputs, places: OnceLock::new() }
    }

    /// For the sweep: what it does about the journal itself.
    pub(crate) fn committer(&self) -> &Committer {
        &self.committer
    }

    /// The pauses of dispatch.
    pub(crate) fn pauses(&self) -> &Pauses {
        &self.committer.pauses
    }

    /// A result as its outputs deserve: see [`Admission::outputs_judge`].
    pub(crate) async fn result_judge(&self, node_type: &NodeTypeRef, result: AttemptResult) -> AttemptResult {
        let AttemptResult::Answered { state, outputs, output_artifacts, error, usage, .. } = result else {
            return result;
        };
        let (mut state, mut error, mut violations) = (state, error, None);
        if state == NodeRunState::Succeeded {
            match self.admission.outputs_judge(node_type, outputs.as_ref()).await {
                OutputsJudged::Accepted => {}
                OutputsJudged::Noted(noted) => violations = Some(noted),
                OutputsJudged::Failed(violated) => (state, error) = (NodeRunState::Failed, Some(violated)),
            }
        }
        AttemptResult::Answered { state, outputs, output_artifacts, error, usage, violations }
    }

    /// Moves the large outputs of a result to the artifact store, if one is
    /// configured.
    pub(crate) async fn result_offload(
        &self,
        node: &NodeRunId,
        attempt: Attempt,
        result: AttemptResult,
    ) -> AttemptResult {
        self.outputs.result_offload(node, attempt, result).await
    }

    /// Applies what an executor answered, or records that it came too late.
    pub(crate) async fn finish(
        &self,
        job: &ClaimedJob,
        attempt: Attempt,
        result: &AttemptResult,
    ) -> Result<(), CoordinatorError> {
        let committer = &*self.committer;
        let result = &redacted(&committer.redactor, result);
        let executor = &Actor::Executor { node_run_id: job.node.clone() };
        let applied = committer
            .command_of(Cause::Answer { executor }, &job.run, |cx| async move {
                let view = committer.with_payers(committer.bare_view(&job.node).await?).await?;
                Ok(engine::attempt_finish(view, attempt, result.clone(), cx))
            })
            .await?;
        match applied {
            Applied::Yes => {}
            Applied::Late => {
                info!(committer.log, "late result recorded, not applied"; "run_id" => %job.run,
                    "node_run_id" => %job.node, "attempt" => attempt.number);
            }
        }
        Ok(())
    }

    /// Whether this worker has begun an attempt that has not ended. `None`: there is no such
    /// node, perhaps because the commit that creates it is still under way. (Another process
    /// may have created the node for the same idempotency key, and begun it.)
    pub(crate) async fn has_begun(
        &self,
        job: &ClaimedJob,
        attempt: u32,
    ) -> Result<Option<bool>, CoordinatorError> {
        let node = self.committer.node_find_bare(&job.node).await?;
        let me = Some(self.committer.queue.worker());
        let is_claimed = |node: &NodeRecord| {
            let by = node.wake.as_ref().and_then(|wake| wake.claimed_by.as_ref());
            waits_for(node, Job::Deadline) && by == me
        };
        Ok(node.map(|node| node.attempt == attempt && is_claimed(&node)))
    }

    /// Decides about a node whose call was given up without a recorded end. If this worker
    /// has begun the attempt, its answer is lost; another worker's attempt is none of its
    /// business.
    pub(crate) async fn call_given_up(&self, job: &ClaimedJob) -> Result<(), CoordinatorError> {
        let attempt = job.attempt + 1;
        match self.has_begun(job, attempt).await? {
            Some(true) => self.deadline_due(job, attempt).await,
            Some(false) | None => Ok(()),
        }
    }

    /// Decides about a node at its executor whose wake-up is due: its deadline has
    /// passed, its executor may be silent, or its worker is gone. The record tells
    /// which. Does nothing if the record is about another attempt.
    pub(crate) async fn deadline_due(&self, job: &ClaimedJob, attempt: u32) -> Result<(), CoordinatorError> {
        let committer = &*self.committer;
        let (log, run, node) = (&committer.log, &job.run, &job.node);
        let outcome = committer
            .command(run, |cx| async move {
                let found = committer.node_find_bare(node).await?;
                let is_about_it =
                    |record: &NodeRecord| record.attempt == attempt && waits_for(record, Job::Deadline);
                let Some(record) = found.filter(is_about_it) else {
                    return Ok(Decision::unchanged(SilenceOutcome::Superseded));
                };
                let decision = match engine::due_reason(&record, cx.now) {
                    DueReason::Silence => return self.silence_check(record, cx).await,
                    DueReason::Deadline => {
                        warn!(log, "node run exceeded its deadline"; "run_id" => %run, "node_run_id" => %node);
                        engine::node_expire(committer.view_of(record).await?, WaitsFor::Turn, cx)
                    }
                    DueReason::Lost => {
                        warn!(log, "attempt lost: its worker is gone"; "run_id" => %run,
                            "node_run_id" => %node, "attempt" => attempt);
                        let claim = committer.queue.claim(run, [record.node.kind]);
                        let view = committer.with_payers(committer.view_of(record).await?).await?;
                        engine::attempt_lost(view, cx.with_claim(claim))
                    }
                };
                Ok(decision.answering(SilenceOutcome::Superseded))
            })
            .await?;
        match outcome {
            SilenceOutcome::Superseded => {}
            SilenceOutcome::Postponed => {
                debug!(log, "composite executor has time left"; "run_id" => %run, "node_run_id" => %node);
            }
            SilenceOutcome::Restarted => {
                warn!(log, "composite executor silent: node dispatched again"; "run_id" => %run,
                    "node_run_id" => %node, "attempt" => attempt);
            }
            SilenceOutcome::Failed => {
                warn!(log, "composite executor silent: node failed"; "run_id" => %run,
                    "node_run_id" => %node, "attempt" => attempt);
            }
        }
        Ok(())
    }

    /// Checks whether the executor of a composite shows signs of life.
    async fn silence_check(
        &self,
        node: NodeRecord,
        cx: Cx<'_>,
    ) -> Result<Decision<SilenceOutcome>, CoordinatorError> {
        let committer = &*self.committer;
        let run = committer.run_of(&node).await?;
        let live_below =
            node.children > 0 && committer.journal.node_has_live_below(run.id(), &node.path).await?;
        let mut last = committer.liveness.last_contact(run.id(), &node.path);
        if committer.journal.is_shared() {
            let heard = committer.journal.last_heard(run.id(), &node.path).await?;
            last = committer.liveness.last_contact_of_all(last, heard, cx.now);
        }
        let contact = Contact { last, live_below };
        let view = NodeView { run, node, live_below: Vec::new(), payers: Vec::new() };
        Ok(engine::silence_check(view, contact, cx))
    }

    /// A node that has ended and whose executor has yet to be notified.
    pub(crate) async fn cancel_target(&self, node: &NodeRunId) -> Result<Option<NodeHead>, CoordinatorError> {
        let node = self.committer.head_find(node).await?;
        Ok(node.filter(|node| node.job() == Some(Job::CancelExecutor)))
    }

    /// The executors at which attempts of a node may be under way. Empty: that is
    /// not known, because its record cannot be read or names none.
    pub(crate) async fn hosts(&self, node: &NodeRunId) -> Result<Vec<ExecutorBinding>, CoordinatorError> {
        let committer = &*self.committer;
        match committer.journal.node_fetch_bare(node).await {
            Ok(node) => Ok(node.as_ref().map(engine::hosts).unwrap_or_default()),
            Err(damage @ JournalError::Damaged(_)) => {
                // For the log and the health check: the cancel needs no more than ids.
                let _noted = committer.read_failed(damage);
                Ok(Vec::new())
            }
            Err(failure) => Err(committer.read_failed(failure)),
        }
    }

    /// Records what came of notifying the executor of a node that has ended.
    pub(crate) async fn cancel_notified(
        &self,
        job: &ClaimedJob,
        result: CancelNotification,
    ) -> Result<(), CoordinatorError> {
        let committer = &*self.committer;
        let result = &match result {
            CancelNotification::Abandoned(why) => {
                CancelNotification::Abandoned(committer.redactor.message(&why).into_owned())
            }
            other @ (CancelNotification::Acknowledged | CancelNotification::RetryAt(_)) => other,
        };
        committer
            .command(&job.run, |cx| async move {
                Ok(engine::cancel_notified(committer.head_fetch(&job.node).await?, result.clone(), cx))
            })
            .await
    }

    /// Ends a run whose deadline has passed, or releases one whose hold ends.
    pub(crate) async fn run_due(&self, run: &RunId) -> Result<(), CoordinatorError> {
        let committer = &*self.committer;
        let journal = &committer.journal;
        let released = committer
            .command(run, |cx| async move {
                let record = committer.run_fetch(run).await?;
                let live = journal.nodes_live(run, None).await?;
                if record.deadline.is_some_and(|deadline| deadline > cx.now) {
                    return Ok(engine::hold_elapsed(record, live, cx));
                }
                warn!(committer.log, "run exceeded its deadline"; "run_id" => %run);
                // A damaged record must not keep the run alive.
                let root = match journal.node_fetch_bare(&record.run.root_node_run_id).await {
                    Err(JournalError::Damaged(damage)) => {
                        error!(committer.log, "record of the root is damaged: the run ends without it";
                            "run_id" => %run, "error" => damage);
                        None
                    }
                    found => found?,
                };
                // With other processes, the root may be newer than what was read before.
                let is_newer = |root: &NodeRecord| {
                    live.iter().any(|head| head.node_run_id == *root.id() && head.version != root.version)
                };
                if root.as_ref().is_some_and(is_newer) {
                    return Err(JournalError::Conflict.into());
                }
                Ok(engine::run_expire(record, root, live, cx).answering(false))
            })
            .await?;
        if released {
            info!(committer.log, "run released: its hold has ended"; "run_id" => %run);
        }
        Ok(())
    }

    /// Ends a node that is set aside and whose deadline has passed.
    pub(crate) async fn set_aside_due(&self, job: &ClaimedJob) -> Result<(), CoordinatorError> {
        let committer = &*self.committer;
        committer
            .command(&job.run, |cx| async move {
                let view = committer.bare_view(&job.node).await?;
                if waits_for(&view.node, Job::SetAside) {
                    Ok(engine::node_expire(view, WaitsFor::Release, cx))
                } else {
                    Ok(Decision::unchanged(()))
                }
            })
            .await
    }
}

/// A result without the secrets that an executor may have put into its error.
fn redacted(redactor: &Redactor, result: &AttemptResult) -> AttemptResult {
    let mut result = result.clone();
    match &mut result {
        AttemptResult::Answered { error, .. } => *error = error.take().map(|error| redactor.error(error)),
        AttemptResult::Failed(failed) => failed.error = redactor.error(failed.error.clone()),
    }
    result
}

/// Whether the node's wake-up is for this job.
fn waits_for(node: &NodeRecord, job: Job) -> bool {
    node.wake.as_ref().is_some_and(|wake| wake.job == job)
}
