//! The dispatch of one node: choose its executor, wait for a slot, begin the
//! attempt, call, and record the result (contract §9.2 to §9.4).

use std::time::Duration;

use slog::{info, warn};

use super::{Dispatcher, gate::Gate, outcome, slots::Slot, target::Target};
use crate::{
    auth::Subtree,
    clients::{
        Permit, atomic_executor::types::AtomicExecuteRequest, call_within,
        composite_executor::types::CompositeBeginRequest,
    },
    coordinator::{Assignment, Choice, ClaimedJob, CoordinatorError},
    engine::{Attempt, AttemptResult},
    journal::JournalError,
    time::{backoff, within},
    types::Uri,
};

/// Exponential backoff between tries to commit a result.
const COMMIT_BASE: Duration = Duration::from_millis(50);
const COMMIT_CAP: Duration = Duration::from_secs(5);

/// How the wait for a slot at an executor ended.
enum SlotWait {
    Granted(Slot),
    /// The server stops: the next process goes on.
    Stopping,
    /// The node's deadline has passed.
    Expired,
    /// The node has ended.
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
        let target = match self.parts.executors.choose(resolved.kind) {
            Ok(target) => target,
            // The node fails for want of an executor.
            Err(error) => {
                let choice = Choice { resolved, binding: Err(error) };
                return attempts.begin(job, &choice).await.map(drop);
            }
        };
        let gate = target.gate();
        // The slot first: until then a new node is queued, and its wall time does
        // not run.
        let slot = match self.slot(gate, job).await {
            SlotWait::Granted(slot) => slot,
            SlotWait::Stopping | SlotWait::Ended => return Ok(()),
            SlotWait::Expired => return attempts.expire(job).await,
        };
        let now = self.parts.clock.now();
        if let Err(until) = gate.admit(now) {
            return attempts.defer(job, gate.service.name(), until.since(now)).await;
        }
        let choice = Choice { resolved, binding: Ok(target.binding().clone()) };
        let Some(assignment) = attempts.begin(job, &choice).await? else { return Ok(()) };
        let attempt = assignment.attempt;
        let node_type = assignment.node.node_type_ref.clone();
        job.attempt_started(attempt.started_at);
        let permit = Permit::until(job.ended().clone()).on_behalf_of(assignment.subject.clone());
        // A caller who ends the node does not wait for this; the permit sees to it
        // that nothing is sent any more.
        let outcome = tokio::select! {
            biased;
            () = job.ended().cancelled() => None,
            outcome = self.call(target, assignment, &permit) => Some(outcome),
        };
        drop(slot);
        match outcome {
            Some(CallOutcome::Result(result)) => {
                let result = attempts.result_judge(&node_type, result).await;
                self.finish(job, attempt, result).await
            }
            // The attempt stays claimed by this worker until there are children.
            Some(CallOutcome::Accepted) => Ok(()),
            Some(CallOutcome::Expired) => attempts.deadline_due(job, attempt.number).await,
            None => {
                gate.dropped(self.parts.clock.now());
                info!(self.parts.log, "call dropped: node has ended"; "node_run_id" => %job.node,
                    "attempt" => attempt.number);
                Ok(())
            }
        }
    }

    async fn slot(&self, gate: &Gate, job: &ClaimedJob) -> SlotWait {
        let clock = &self.parts.clock;
        let expired = async {
            match job.deadline {
                Some(deadline) => clock.sleep(deadline.since(clock.now())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            slot = gate.slots.acquire(&job.run) => SlotWait::Granted(slot),
            () = self.parts.tasks.stopping().cancelled() => SlotWait::Stopping,
            () = job.ended().cancelled() => SlotWait::Ended,
            () = expired => SlotWait::Expired,
        }
    }

    async fn call(&self, target: Target<'_>, assignment: Assignment, permit: &Permit) -> CallOutcome {
        let clock = &*self.parts.clock;
        match target {
            Target::Atomic(executor) => {
                let deadline = assignment.deadline;
                let request = atomic_request(assignment);
                let call = executor.role.execute(&request, permit);
                let Some(answer) = within(clock, deadline.since(clock.now()), call).await else {
                    return CallOutcome::Expired;
                };
                executor.gate.report(&answer, clock.now());
                CallOutcome::Result(outcome::executed(&request.node_run_id, answer))
            }
            Target::Composite { executor, coordinator_url, call_timeout } => {
                let time = assignment.deadline.since(clock.now()).min(call_timeout);
                let request = self.composite_request(assignment, coordinator_url).await;
                let call = executor.role.begin(&request, permit);
                let answer = call_within(clock, time, executor.gate.service, call).await;
                executor.gate.report(&answer, clock.now());
                outcome::accepted(answer).map_or(CallOutcome::Accepted, CallOutcome::Result)
            }
        }
    }

    async fn composite_request(
        &self,
        assignment: Assignment,
        coordinator_url: &Uri,
    ) -> CompositeBeginRequest {
        let Assignment { node, path, run_context, constraints, attempt, deadline, subject: _ } = assignment;
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
