//! Telling an executor that a node is over (contract §17.1, G03).

use std::time::Duration;

use slog::{info, warn};

use super::Dispatcher;
use crate::{
    clients::{CallError, Service},
    coordinator::{CoordinatorError, Task},
    model::NodeKind,
    record::NodeRecord,
    time::{backoff, within},
};

/// Waits between tries.
const BASE: Duration = Duration::from_millis(500);
const CAP: Duration = Duration::from_secs(60);
/// After so many tries in vain (about ten minutes) the executor is given up: its
/// answer, should one come, is fenced off anyway.
const TRIES: u32 = 15;

impl Dispatcher {
    pub(super) async fn cancel_executor(&self, task: &Task) -> Result<(), CoordinatorError> {
        let coordinator = &self.parts.coordinator;
        let Some(node) = coordinator.node_to_cancel(&task.node).await? else { return Ok(()) };
        let log = &self.parts.log;
        let again_in = match self.call_cancel(&node).await {
            Ok(()) => {
                info!(log, "executor told to stop"; "run_id" => %task.run, "node_run_id" => %task.node);
                None
            }
            // It does not know the node (any more): there is nothing to stop.
            Err(error) if error.status == Some(404) => None,
            Err(error) => {
                let tries = node.wake.as_ref().map_or(0, |wake| wake.tries);
                let wait = (tries < TRIES).then(|| backoff(tries, BASE, CAP, task.node.as_str()));
                warn!(log, "executor not told to stop"; "run_id" => %task.run, "node_run_id" => %task.node,
                    "code" => error.code, "tries" => tries, "given_up" => wait.is_none());
                wait
            }
        };
        coordinator.executor_told(&task.run, &task.node, again_in).await
    }

    async fn call_cancel(&self, node: &NodeRecord) -> Result<(), CallError> {
        let executors = &self.parts.executors;
        let (clock, timeout) = (&*self.parts.clock, executors.call_timeout);
        let (service, answer) = match node.node.kind {
            Some(NodeKind::Composite) => {
                let Some(executor) = &executors.composite else { return Ok(()) };
                let call = executor.client.cancel_composite_node_run(node.id());
                (Service::CompositeExecutor, within(clock, timeout, call).await)
            }
            Some(NodeKind::Atomic) | None => {
                let Some(executor) = &executors.atomic else { return Ok(()) };
                let call = executor.client.cancel_atomic_node_run(node.id());
                (Service::AtomicExecutor, within(clock, timeout, call).await)
            }
        };
        match answer {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(CallError::new(service, error)),
            None => Err(CallError::unavailable(service, "no answer in time")),
        }
    }
}
