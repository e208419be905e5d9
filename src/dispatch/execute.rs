//! One node at its executor (contract §9.3, §9.4).

use std::time::Duration;

use slog::{info, warn};

use super::Dispatcher;
use crate::{
    auth::Subtree,
    clients::{CallError, Service, atomic_executor, composite_executor},
    coordinator::{Assignment, CoordinatorError, Task},
    engine::AttemptResult,
    model::{Error, NodeKind, Uri},
    time::{backoff, within},
};

/// Waits between tries to commit a result that is in hand.
const COMMIT_BASE: Duration = Duration::from_millis(50);
const COMMIT_CAP: Duration = Duration::from_secs(5);

impl Dispatcher {
    pub(super) async fn dispatch(&self, task: &Task) -> Result<(), CoordinatorError> {
        let executors = &self.parts.executors;
        // The turn first: until then the node is queued and its time does not
        // run.
        let _turn = match executors.slots(task.kind) {
            Some(slots) => match self.turn(slots).await {
                Some(turn) => Some(turn),
                None => return Ok(()),
            },
            None => None,
        };
        let begun = self.parts.coordinator.attempt_begin(task, &|kind| executors.binding(kind)).await?;
        let Some(assignment) = begun else { return Ok(()) };
        match assignment.kind {
            NodeKind::Atomic => self.execute_atomic(task, assignment).await,
            NodeKind::Composite => self.begin_composite(task, assignment).await,
        }
    }

    /// A slot at an executor; `None` if the server stops before there is one.
    async fn turn(
        &self,
        slots: &std::sync::Arc<tokio::sync::Semaphore>,
    ) -> Option<tokio::sync::OwnedSemaphorePermit> {
        let waiting = std::sync::Arc::clone(slots).acquire_owned();
        tokio::select! {
            turn = waiting => turn.ok(),
            () = self.parts.tasks.stopping().cancelled() => None,
        }
    }

    async fn execute_atomic(&self, task: &Task, assignment: Assignment) -> Result<(), CoordinatorError> {
        let Some(executor) = &self.parts.executors.atomic else { return Ok(()) };
        let Assignment { node, run_context, constraints, attempt, deadline, .. } = assignment;
        let node_run_id = node.node_run_id.clone();
        let request = atomic_executor::types::AtomicExecuteRequest {
            node_run_id: node.node_run_id,
            run_id: node.run_id,
            node_type_ref: node.node_type_ref,
            inputs: node.inputs.unwrap_or_default(),
            run_context,
            constraints,
            extensions: node.extensions,
        };
        let clock = &self.parts.clock;
        let call = executor.role.execute(&request);
        let Some(answer) = within(&**clock, deadline.since(clock.now()), call).await else {
            return self.parts.coordinator.node_deadline(&task.run, &task.node, attempt.number).await;
        };
        let result = match answer {
            Ok(answer) => {
                if answer.node_run_id != node_run_id {
                    invalid("Atomic Executor answered for another NodeRun")
                } else if !answer.state.is_terminal() {
                    invalid("Atomic Executor answered with a state that is not an end")
                } else {
                    AttemptResult::Answered {
                        state: answer.state,
                        outputs: answer.outputs,
                        output_artifacts: answer.output_artifacts,
                        error: answer.error,
                    }
                }
            }
            Err(error) => failed(error),
        };
        self.finish(task, attempt, result).await
    }

    async fn begin_composite(&self, task: &Task, assignment: Assignment) -> Result<(), CoordinatorError> {
        let executors = &self.parts.executors;
        let (Some(executor), Some(coordinator_url)) = (&executors.composite, &executors.coordinator_url)
        else {
            return Ok(());
        };
        let Assignment { node, path, run_context, constraints, attempt, deadline, .. } = assignment;
        let clock = &self.parts.clock;
        let assignment_token = self.parts.assignment_tokens.as_ref().map(|tokens| {
            let subtree = Subtree { node: node.node_run_id.clone(), run: node.run_id.clone(), path };
            tokens.issue(subtree, attempt.number, deadline, clock.now())
        });
        let request = composite_executor::types::CompositeBeginRequest {
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
        let call = executor.role.begin(&request);
        let result = match within(&**clock, time, call).await {
            Some(Ok(answer)) => {
                if answer.accepted {
                    // The attempt stays ours until there are children.
                    return Ok(());
                }
                let message = answer.message.unwrap_or_else(|| "Composite assignment rejected".into());
                AttemptResult::Failed {
                    error: Error::new("composite_rejected", message),
                    tell_executor: false,
                }
            }
            Some(Err(error)) => failed(error),
            None => failed(CallError::unavailable(Service::CompositeExecutor, "no answer in time")),
        };
        self.finish(task, attempt, result).await
    }

    /// Commits a result, however often that takes: it exists nowhere else.
    async fn finish(
        &self,
        task: &Task,
        attempt: crate::engine::Attempt,
        result: AttemptResult,
    ) -> Result<(), CoordinatorError> {
        let coordinator = &self.parts.coordinator;
        let result = coordinator.result_offload(&task.node, attempt, result).await;
        let mut tries = 0;
        loop {
            let finished = coordinator.attempt_finish(&task.run, &task.node, attempt, &result).await;
            match finished {
                Ok(_) => return Ok(()),
                Err(CoordinatorError::Store(failure)) => {
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

fn invalid(message: &str) -> AttemptResult {
    AttemptResult::Failed {
        error: Error::new("atomic_executor_invalid_result", message),
        tell_executor: false,
    }
}

fn failed(error: CallError) -> AttemptResult {
    // Without an answer of its own, the executor may be at work. 502 and 504
    // are the words of something in between.
    let unanswered = matches!(error.status, None | Some(502 | 504));
    let tell_executor = unanswered && !error.never_sent;
    AttemptResult::Failed { error: error.into_error(), tell_executor }
}
