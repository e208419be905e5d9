//! Telling an executor that a node is over (contract §17.1, G03).

use std::time::Duration;

use slog::{info, warn};

use super::Dispatcher;
use crate::{
    clients::{CallError, call_within},
    coordinator::{CoordinatorError, Task, Telling},
    record::NodeHead,
    time::{backoff, within},
    types::NodeKind,
};

/// Waits between tries.
const BASE: Duration = Duration::from_millis(500);
const CAP: Duration = Duration::from_secs(60);
/// After so many tries in vain (about ten minutes) the executor is given up: its
/// answer, should one come, is fenced off anyway.
const TRIES: u32 = 15;
/// When an executor is told once more if the cancel may have overtaken the call
/// to execute the node: it would have shrugged at the cancel, and then begun the
/// work. The call was dropped when the node ended, so that it was not sent after
/// that; this is about what was on the wire by then.
const ONCE_MORE: Duration = Duration::from_millis(500);

/// So long the executor of a composite is told only after those of nodes that
/// ended before it, which are below it: longer it would suffer for an executor
/// that does not answer.
const DESCENDANTS_FIRST: Duration = Duration::from_secs(1);

impl Dispatcher {
    pub(super) async fn cancel_executor(&self, task: &Task) -> Result<(), CoordinatorError> {
        let coordinator = &self.parts.coordinator;
        let Some(node) = coordinator.node_to_cancel(&task.node).await? else { return Ok(()) };
        let log = &self.parts.log;
        let heard = match self.call_cancel(&node).await {
            // It does not know the node (yet, or any more).
            Err(error) if error.status() == Some(404) => Ok(()),
            heard => heard,
        };
        let told = match heard {
            Ok(()) if task.may_overtake => Telling::Again { after: ONCE_MORE },
            Ok(()) => {
                info!(log, "executor told to stop"; "run_id" => %task.run, "node_run_id" => %task.node);
                Telling::Acknowledged
            }
            Err(error) => {
                let tries = node.wake.as_ref().map_or(0, |wake| wake.tries);
                let wait = backoff(tries, BASE, CAP, task.node.as_str());
                let wait = wait.max(error.retry_after().unwrap_or_default().min(CAP));
                let given_up = tries >= TRIES;
                warn!(log, "executor not told to stop"; "run_id" => %task.run, "node_run_id" => %task.node,
                    "error" => %error, "tries" => tries, "given_up" => given_up);
                if given_up { Telling::GivenUp } else { Telling::Again { after: wait } }
            }
        };
        coordinator.executor_told(&task.run, &task.node, told).await
    }

    /// Sends the cancel call.
    async fn call_cancel(&self, node: &NodeHead) -> Result<(), CallError> {
        let executors = &self.parts.executors;
        let (clock, timeout, node_id) = (&*self.parts.clock, executors.call_timeout, &node.node_run_id);
        match node.kind {
            Some(NodeKind::Composite) => {
                let Some(executor) = &executors.composite else { return Ok(()) };
                if let Some(atomic) = &executors.atomic {
                    within(clock, DESCENDANTS_FIRST, atomic.gate.cancel_permit()).await;
                }
                let _permit = executor.gate.cancel_permit().await;
                call_within(clock, timeout, executor.gate.service, executor.role.cancel(node_id)).await
            }
            Some(NodeKind::Atomic) | None => {
                let Some(executor) = &executors.atomic else { return Ok(()) };
                let _permit = executor.gate.cancel_permit().await;
                call_within(clock, timeout, executor.gate.service, executor.role.cancel(node_id)).await
            }
        }
    }
}
