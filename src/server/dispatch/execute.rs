//! One node at its executor (contract §9.3, §9.4).

use std::time::Duration;

use slog::{info, warn};

use super::{Dispatcher, gate::Gate, outcome, slots::Turn};
use crate::{
    auth::Subtree,
    clients::{
        CallError, Permit, Service, atomic_executor::types::AtomicExecuteRequest,
        composite_executor::types::CompositeBeginRequest,
    },
    coordinator::{Assignment, CoordinatorError, Task},
    engine::{Attempt, AttemptResult},
    journal::JournalError,
    time::{backoff, within},
    types::{NodeKind, Uri},
};

/// Waits between tries to commit a result that is in hand.
const COMMIT_BASE: Duration = Duration::from_millis(50);
const COMMIT_CAP: Duration = Duration::from_secs(5);

/// What became of waiting for a slot at an executor.
enum Waited {
    Turn(Turn),
    /// The server stops: the next process goes on.
    Stopping,
    /// The node's time is up.
    Overdue,
    /// The node is over: there is nothing to do any more.
    Over,
}

impl Dispatcher {
    pub(super) async fn dispatch(&self, task: &Task) -> Result<(), CoordinatorError> {
        let executors = &self.parts.executors;
        let coordinator = &self.parts.coordinator;
        let mut turn = None;
        if let Some(gate) = executors.gate(task.kind) {
            // The turn first: until then a new node is queued and its time does
            // not run.
            turn = match self.turn(gate, task).await {
                Waited::Turn(turn) => Some(turn),
                Waited::Stopping | Waited::Over => return Ok(()),
                Waited::Overdue => return coordinator.attempt_overdue(task).await,
            };
            let now = self.parts.clock.now();
            if let Err(until) = gate.admit(now) {
                return coordinator.attempt_defer(task, gate.service.name(), until.since(now)).await;
            }
        }
        let begun = coordinator.attempt_begin(task, &|kind| executors.binding(kind)).await?;
        let Some(assignment) = begun else { return Ok(()) };
        let (kind, attempt) = (assignment.kind, assignment.attempt);
        task.begun(attempt.started_at);
        let permit = Permit::until(task.over().clone());
        let call = async {
            match kind {
                NodeKind::Atomic => self.execute_atomic(assignment, &permit).await,
                NodeKind::Composite => self.begin_composite(assignment, &permit).await,
            }
        };
        // Whoever has ended the node is answered without waiting for this; that
        // nothing is sent any more, the permit sees to.
        let result = tokio::select! {
            biased;
            () = task.over().cancelled() => None,
            result = call => Some(result),
        };
        drop(turn);
        let Some(result) = result else {
            if let Some(gate) = executors.gate(Some(kind)) {
                gate.dropped(self.parts.clock.now());
            }
            info!(self.parts.log, "call dropped: its node is over"; "node_run_id" => %task.node,
                "attempt" => attempt.number);
            return Ok(());
        };
        match result {
            Called::Result(result) => self.finish(task, attempt, result).await,
            // The attempt stays ours until there are children.
            Called::TakenOn => Ok(()),
            Called::OutOfTime => coordinator.node_deadline(&task.run, &task.node, attempt.number).await,
        }
    }

    async fn turn(&self, gate: &Gate, task: &Task) -> Waited {
        let clock = &self.parts.clock;
        let overdue = async {
            match task.deadline {
                Some(deadline) => clock.sleep(deadline.since(clock.now())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            turn = gate.slots.turn(&task.run) => Waited::Turn(turn),
            () = self.parts.tasks.stopping().cancelled() => Waited::Stopping,
            () = task.over().cancelled() => Waited::Over,
            () = overdue => Waited::Overdue,
        }
    }

    async fn execute_atomic(&self, assignment: Assignment, permit: &Permit) -> Called {
        let Some(executor) = &self.parts.executors.atomic else { return Called::TakenOn };
        let Assignment { node, run_context, constraints, deadline, .. } = assignment;
        let request = AtomicExecuteRequest {
            node_run_id: node.node_run_id,
            run_id: node.run_id,
            node_type_ref: node.node_type_ref,
            inputs: node.inputs.unwrap_or_default(),
            run_context,
            constraints,
            extensions: node.extensions,
        };
        let clock = &self.parts.clock;
        let call = executor.role.execute(&request, permit);
        let Some(answer) = within(&**clock, deadline.since(clock.now()), call).await else {
            return Called::OutOfTime;
        };
        executor.gate.report(&answer, clock.now());
        Called::Result(outcome::executed(&request.node_run_id, answer))
    }

    async fn begin_composite(&self, assignment: Assignment, permit: &Permit) -> Called {
        let executors = &self.parts.executors;
        let (Some(executor), Some(coordinator_url)) = (&executors.composite, &executors.coordinator_url)
        else {
            return Called::TakenOn;
        };
        let Assignment { node, path, run_context, constraints, attempt, deadline, .. } = assignment;
        let clock = &self.parts.clock;
        let assignment_token = self.parts.assignment_tokens.as_ref().map(|tokens| {
            let subtree = Subtree { node: node.node_run_id.clone(), run: node.run_id.clone(), path };
            tokens.issue(subtree, attempt.number, deadline, clock.now())
        });
        let request = CompositeBeginRequest {
            node_run_id: node.node_run_id,
            run_id: node.run_id,
            node_type_ref: node.node_type_ref,
            inputs: node.inputs.unwrap_or_default(),
            run_context,
            constraints,
            coordinator_endpoint: Uri::clone(coordinator_url),
            assignment_token,
            extensions: node.extensions,
        };
        let time = deadline.since(clock.now()).min(executors.call_timeout);
        let answer = within(&**clock, time, executor.role.begin(&request, permit)).await;
        let silent = || Err(CallError::no_response(Service::CompositeExecutor, "no answer in time"));
        let answer = answer.unwrap_or_else(silent);
        executor.gate.report(&answer, clock.now());
        outcome::begun(answer).map_or(Called::TakenOn, Called::Result)
    }

    /// Commits a result, however often that takes: it exists nowhere else. But
    /// if its record cannot be read or written, trying again does not help: that
    /// is for whoever parks it, and the attempt counts as lost.
    async fn finish(
        &self,
        task: &Task,
        attempt: Attempt,
        result: AttemptResult,
    ) -> Result<(), CoordinatorError> {
        let coordinator = &self.parts.coordinator;
        let result = coordinator.result_offload(&task.node, attempt, result).await;
        let mut tries = 0;
        loop {
            let finished = coordinator.attempt_finish(&task.run, &task.node, attempt, &result).await;
            match finished {
                Ok(_) => return Ok(()),
                Err(CoordinatorError::Journal(
                    failure @ (JournalError::Conflict
                    | JournalError::Full(_)
                    | JournalError::Reserved
                    | JournalError::Failed(_)),
                )) => {
                    warn!(self.parts.log, "result not committed yet"; "node_run_id" => %task.node,
                        "tries" => tries, "error" => %failure);
                    let wait = backoff(tries, COMMIT_BASE, COMMIT_CAP, task.node.as_str());
                    tries += 1;
                    // On through a stop as well, for as long as that waits.
                    self.parts.clock.sleep(wait).await;
                }
                Err(other) => {
                    info!(self.parts.log, "result dropped"; "node_run_id" => %task.node);
                    return Err(other);
                }
            }
        }
    }
}

/// What became of a call to an executor.
enum Called {
    Result(AttemptResult),
    /// A composite's executor has it, and will report by itself. (Or there is
    /// no executor, which the beginning of the attempt has found out.)
    TakenOn,
    /// The node's time is up.
    OutOfTime,
}
