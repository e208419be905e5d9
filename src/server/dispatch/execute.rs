//! The dispatch of one node: choose its executors, wait for a slot of one, begin
//! the attempt, call, and record the result (contract §9.2 to §9.4).

use std::time::Duration;

use slog::{info, warn};
use tokio::sync::watch;

use super::{
    Dispatcher,
    gate::Gate,
    outcome,
    slots::{Refusal, Slot, Wish},
    target::Target,
};
use crate::{
    auth::Subtree,
    clients::{
        Permit, atomic_executor::types::AtomicExecuteRequest, call_within,
        composite_executor::types::CompositeBeginRequest,
    },
    coordinator::{Assignment, Choice, ClaimedJob, CoordinatorError, DeferReason, Deferral},
    engine::{Attempt, AttemptResult, WaitsFor, Work},
    journal::JournalError,
    time::{Timestamp, backoff, within},
    traces::current,
    types::{Error, NodeKind, NodeRunState, Uri},
};

/// Exponential backoff between tries to commit a result.
const COMMIT_BASE: Duration = Duration::from_millis(50);
const COMMIT_CAP: Duration = Duration::from_secs(5);

/// How the wait for a slot at an executor ended.
enum SlotWait {
    Granted(Slot),
    /// No executor may be called for now.
    Refused(Refusal),
    /// A pause of dispatch began or ended.
    PausesChanged,
    /// The server stops: the next process goes on.
    Stopping,
    /// The node's deadline has passed.
    Expired,
    /// The node has ended, or was set aside.
    Ended,
}

/// What came of a call to an executor.
enum CallOutcome {
    Result(AttemptResult),
    /// A composite executor has accepted the node, and will report.
    Accepted,
    /// The node's deadline has passed.
    Expired,
}

impl Dispatcher {
    pub(super) async fn dispatch(&self, job: &ClaimedJob) -> Result<(), CoordinatorError> {
        let attempts = &self.parts.attempts;
        let Some(resolved) = attempts.kind_resolve(job).await? else { return Ok(()) };
        let (target, wish) = match self.target(job, resolved.kind).await? {
            Ok(found) => found,
            // The node fails for want of an executor.
            Err(error) => {
                let choice = Choice { resolved, binding: Err(error), member: None };
                return attempts.begin(job, &choice).await.map(drop);
            }
        };
        let gate = target.gate();
        // The slot first: until then a new node is queued, and its wall time does
        // not run.
        let slot = loop {
            let changes = attempts.pauses().changes();
            gate.suspend(attempts.pauses());
            if attempts.set_aside_if_paused(job, resolved.kind, false).await? {
                return Ok(());
            }
            match self.slot(gate, wish, job, changes).await {
                SlotWait::Granted(slot) => break slot,
                SlotWait::Refused(Refusal::Suspended) => {
                    if attempts.set_aside_if_paused(job, resolved.kind, true).await? {
                        return Ok(());
                    }
                }
                SlotWait::Refused(Refusal::BreakerOpen { until }) => {
                    return self.defer(job, gate, until, DeferReason::BreakerOpen).await;
                }
                SlotWait::Refused(Refusal::Crowded { until }) => {
                    return self.defer(job, gate, until, DeferReason::Crowded).await;
                }
                SlotWait::PausesChanged => {}
                SlotWait::Stopping | SlotWait::Ended => return Ok(()),
                SlotWait::Expired => return attempts.expire(job, WaitsFor::Slot).await,
            }
        };
        self.may_begin()?;
        let binding = Ok(gate.binding(slot.member()).clone());
        let choice = Choice { resolved, binding, member: gate.name_of(slot.member()) };
        let Some(assignment) = attempts.begin(job, &choice).await? else { return Ok(()) };
        self.see_through(job, target, slot, Box::new(assignment)).await
    }

    /// Calls the executor of an attempt that has begun, and records what comes of it.
    pub(super) async fn see_through(
        &self,
        job: &ClaimedJob,
        target: Target<'_>,
        mut slot: Slot,
        assignment: Box<Assignment>,
    ) -> Result<(), CoordinatorError> {
        let attempts = &self.parts.attempts;
        // The commit may have taken long. Nothing was sent: the attempt is lost.
        self.may_begin()?;
        let attempt = assignment.attempt;
        let node_type = assignment.node.node_type_ref.clone();
        job.attempt_started(attempt.started_at);
        let current = assignment.current.clone();
        let permit = Permit::until(job.ended().clone()).on_behalf_of(assignment.subject.clone());
        // A caller who ends the node does not wait for this; the permit sees to it
        // that nothing is sent any more.
        let outcome = tokio::select! {
            biased;
            () = job.ended().cancelled() => None,
            outcome = current::scope(current, self.call(target, &mut slot, assignment, &permit)) => Some(outcome),
        };
        drop(slot);
        self.parts.metrics.attempt(target.kind(), outcome_name(outcome.as_ref()));
        match outcome {
            Some(CallOutcome::Result(result)) => {
                let result = attempts.result_judge(&node_type, result).await;
                self.finish(job, attempt, result).await
            }
            // The attempt stays claimed by this worker until there are children.
            Some(CallOutcome::Accepted) => Ok(()),
            Some(CallOutcome::Expired) => Box::pin(attempts.deadline_due(job, attempt.number)).await,
            None => {
                info!(self.parts.log, "call dropped: node has ended"; "node_run_id" => %job.node,
                    "attempt" => attempt.number);
                Ok(())
            }
        }
    }

    /// The executors of a node, and which of them it may go to, or the error of a
    /// node that has none.
    async fn target(
        &self,
        job: &ClaimedJob,
        kind: Option<NodeKind>,
    ) -> Result<Result<(Target<'_>, Wish), Error>, CoordinatorError> {
        let target = match self.parts.executors.choose(kind) {
            Ok(target) => target,
            Err(error) => return Ok(Err(error)),
        };
        let wish = if target.gate().is_pool() {
            target.gate().wish(&self.parts.attempts.placement(&job.node).await?)
        } else {
            Ok(Wish::default())
        };
        Ok(wish.map(|wish| (target, wish)))
    }

    /// Puts back a node that no executor takes for now.
    async fn defer(
        &self,
        job: &ClaimedJob,
        gate: &Gate,
        until: Timestamp,
        reason: DeferReason,
    ) -> Result<(), CoordinatorError> {
        let deferral = Deferral { executor: gate.service.name(), until, reason };
        self.parts.attempts.defer(job, &deferral).await
    }

    async fn slot(
        &self,
        gate: &Gate,
        wish: Wish,
        job: &ClaimedJob,
        mut pauses: watch::Receiver<u64>,
    ) -> SlotWait {
        let clock = &self.parts.clock;
        let expired = async {
            match job.deadline {
                Some(deadline) => clock.sleep(deadline.since(clock.now())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            slot = gate.slot(&job.run, wish) => slot.map_or_else(SlotWait::Refused, SlotWait::Granted),
            () = self.parts.tasks.stopping().cancelled() => SlotWait::Stopping,
            () = job.ended().cancelled() => SlotWait::Ended,
            () = job.withdrawn().cancelled() => SlotWait::Ended,
            Ok(()) = pauses.changed() => SlotWait::PausesChanged,
            () = expired => SlotWait::Expired,
        }
    }

    async fn call(
        &self,
        target: Target<'_>,
        slot: &mut Slot,
        assignment: Box<Assignment>,
        permit: &Permit,
    ) -> CallOutcome {
        let clock = &*self.parts.clock;
        match target {
            Target::Atomic(pool) => {
                let deadline = assignment.deadline;
                let request = atomic_request(*assignment);
                let call = pool.role(slot.member()).execute(&request, permit);
                let Some(answer) = within(clock, deadline.since(clock.now()), call).await else {
                    return CallOutcome::Expired;
                };
                pool.gate.answered(slot, &answer);
                CallOutcome::Result(outcome::executed(&request.node_run_id, answer))
            }
            Target::Composite { pool, coordinator_url, call_timeout } => {
                let time = assignment.deadline.since(clock.now()).min(call_timeout);
                let request = self.composite_request(*assignment, coordinator_url).await;
                let call = pool.role(slot.member()).begin(&request, permit);
                let answer = call_within(clock, time, pool.gate.service, call).await;
                pool.gate.answered(slot, &answer);
                outcome::accepted(answer).map_or(CallOutcome::Accepted, CallOutcome::Result)
            }
        }
    }

    async fn composite_request(
        &self,
        assignment: Assignment,
        coordinator_url: &Uri,
    ) -> CompositeBeginRequest {
        let Assignment { node, path, run_context, constraints, attempt, deadline, subject: _, current: _ } =
            assignment;
        let assignment_token = match &self.parts.assignment_tokens {
            None => None,
            Some(tokens) => {
                let (run, created_at) = (node.run_id.clone(), node.created_at);
                let subtree = Subtree { node: node.node_run_id.clone(), run, path, created_at };
                Some(tokens.issue(subtree, attempt.number, deadline, self.parts.clock.now()).await)
            }
        };
        CompositeBeginRequest {
            node_run_id: node.node_run_id,
            run_id: node.run_id,
            node_type_ref: node.node_type_ref,
            inputs: node.inputs.unwrap_or_default(),
            run_context,
            constraints,
            coordinator_endpoint: Uri::clone(coordinator_url),
            assignment_token,
            extensions: node.extensions,
        }
    }

    /// Commits a result, however many tries that takes: it exists nowhere else.
    /// But if the record cannot be read or written, another try does not help: the
    /// job is parked, and the attempt counts as lost.
    async fn finish(
        &self,
        job: &ClaimedJob,
        attempt: Attempt,
        result: AttemptResult,
    ) -> Result<(), CoordinatorError> {
        let attempts = &self.parts.attempts;
        let result = attempts.result_offload(&job.node, attempt, result).await;
        let mut tries = 0;
        loop {
            match attempts.finish(job, attempt, &result).await {
                Ok(()) => return Ok(()),
                Err(CoordinatorError::Journal(
                    failure @ (JournalError::Conflict
                    | JournalError::Full(_)
                    | JournalError::Reserved
                    | JournalError::Failed(_)),
                )) => {
                    warn!(self.parts.log, "result not committed; will retry"; "node_run_id" => %job.node,
                        "tries" => tries, "error" => %failure);
                    let wait = backoff(tries, COMMIT_BASE, COMMIT_CAP, job.node.as_str());
                    tries += 1;
                    // A stop does not end this, as long as the process waits for it.
                    self.parts.clock.sleep(wait).await;
                }
                Err(other) => {
                    info!(self.parts.log, "result dropped"; "node_run_id" => %job.node, "error" => %other);
                    return Err(other);
                }
            }
        }
    }
}

/// The name of an outcome in metrics; none if the node has ended.
fn outcome_name(outcome: Option<&CallOutcome>) -> &'static str {
    match outcome {
        None => "dropped",
        Some(CallOutcome::Accepted) => "accepted",
        Some(CallOutcome::Expired) => "expired",
        Some(CallOutcome::Result(AttemptResult::Answered { state, .. })) => match state {
            NodeRunState::Succeeded => "succeeded",
            NodeRunState::Canceled => "canceled",
            NodeRunState::Queued | NodeRunState::Assigned | NodeRunState::Running | NodeRunState::Failed => {
                "failed"
            }
        },
        Some(CallOutcome::Result(AttemptResult::Failed(failed))) => match failed.work {
            Work::NotStarted => "not_started",
            Work::Unanswered => "unanswered",
            Work::Uncertain => "uncertain",
            Work::Rejected => "rejected",
        },
    }
}

fn atomic_request(assignment: Assignment) -> AtomicExecuteRequest {
    let Assignment { node, run_context, constraints, .. } = assignment;
    AtomicExecuteRequest {
        node_run_id: node.node_run_id,
        run_id: node.run_id,
        node_type_ref: node.node_type_ref,
        inputs: node.inputs.unwrap_or_default(),
        run_context,
        constraints,
        extensions: node.extensions,
    }
}
