//! Telling an executor that a node is over (contract §17.1, G03).

use std::time::Duration;

use slog::{info, warn};

use super::{Dispatcher, Parts};
use crate::{
    clients::{CallError, Service},
    coordinator::{CoordinatorError, Task, Telling},
    model::NodeKind,
    record::{Job, NodeHead},
    time::{backoff, within},
};

/// Waits between tries.
const BASE: Duration = Duration::from_millis(500);
const CAP: Duration = Duration::from_secs(60);
/// After so many tries in vain (about ten minutes) the executor is given up: its
/// answer, should one come, is fenced off anyway.
const TRIES: u32 = 15;
/// So often an executor is told again while our call is pending: for longer
/// than a token request and a connection may take.
const TELLS: u32 = 6;

/// So long the executor of a composite is told only after those of nodes that
/// ended before it, which are below it: longer it would suffer for an executor
/// that does not answer.
const DESCENDANTS_FIRST: Duration = Duration::from_secs(1);

/// What came of telling an executor.
enum Heard {
    Yes,
    /// Not for sure, but the server stops.
    Stopping,
}

impl Dispatcher {
    pub(super) async fn cancel_executor(&self, task: &Task) -> Result<(), CoordinatorError> {
        let coordinator = &self.parts.coordinator;
        let Some(node) = coordinator.node_to_cancel(&task.node).await? else { return Ok(()) };
        let log = &self.parts.log;
        let told = match self.call_until_heard(&node).await {
            Ok(Heard::Yes) => {
                info!(log, "executor told to stop"; "run_id" => %task.run, "node_run_id" => %task.node);
                Telling::Acknowledged
            }
            // The wake-up stays: the next process tells it.
            Ok(Heard::Stopping) => return Ok(()),
            Err(error) => {
                let tries = node.wake.as_ref().map_or(0, |wake| wake.tries);
                let wait = backoff(tries, BASE, CAP, task.node.as_str());
                let wait = wait.max(error.retry_after.unwrap_or_default().min(CAP));
                let given_up = tries >= TRIES;
                warn!(log, "executor not told to stop"; "run_id" => %task.run, "node_run_id" => %task.node,
                    "code" => error.code, "tries" => tries, "given_up" => given_up);
                if given_up { Telling::GivenUp } else { Telling::Again { after: wait } }
            }
        };
        coordinator.executor_told(&task.run, &task.node, told).await
    }

    /// Tells the executor until it has surely had the chance to listen: our own
    /// call to execute the node may still be on its way to it, on a slow
    /// connection or behind a token request, and would begin the work after the
    /// executor has shrugged at the cancel. So as long as that call is pending,
    /// the executor is told again.
    async fn call_until_heard(&self, node: &NodeHead) -> Result<Heard, CallError> {
        let Parts { queue, clock, tasks, .. } = &self.parts;
        let mut told = 0;
        loop {
            match self.call_cancel(node).await {
                Ok(()) => {}
                // It does not know the node (yet, or any more).
                Err(error) if error.status == Some(404) => {}
                Err(error) => return Err(error),
            }
            if told == TELLS || !queue.has(&node.node_run_id, Job::Dispatch) {
                return Ok(Heard::Yes);
            }
            tokio::select! {
                biased;
                () = clock.sleep(backoff(told, BASE, CAP, node.node_run_id.as_str())) => {}
                () = tasks.stopping().cancelled() => return Ok(Heard::Stopping),
            }
            if !queue.has(&node.node_run_id, Job::Dispatch) {
                return Ok(Heard::Yes);
            }
            told += 1;
        }
    }

    async fn call_cancel(&self, node: &NodeHead) -> Result<(), CallError> {
        let executors = &self.parts.executors;
        let (clock, timeout) = (&*self.parts.clock, executors.call_timeout);
        let (service, answer) = match node.kind {
            Some(NodeKind::Composite) => {
                let Some(executor) = &executors.composite else { return Ok(()) };
                if let Some(atomic) = &executors.atomic {
                    within(clock, DESCENDANTS_FIRST, atomic.gate.telling()).await;
                }
                let _turn = executor.gate.telling().await;
                (
                    Service::CompositeExecutor,
                    within(clock, timeout, executor.role.cancel(&node.node_run_id)).await,
                )
            }
            Some(NodeKind::Atomic) | None => {
                let Some(executor) = &executors.atomic else { return Ok(()) };
                let _turn = executor.gate.telling().await;
                (
                    Service::AtomicExecutor,
                    within(clock, timeout, executor.role.cancel(&node.node_run_id)).await,
                )
            }
        };
        answer.unwrap_or_else(|| Err(CallError::unavailable(service, "no answer in time")))
    }
}
