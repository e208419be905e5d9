//! Telling an executor that a node is over (contract §17.1, G03).

use std::time::Duration;

use slog::{info, warn};

use super::Dispatcher;
use crate::{
    clients::{CallError, Service},
    coordinator::{ClaimedJob, CoordinatorError},
    engine::CancelNotification,
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
    pub(super) async fn cancel_executor(&self, job: &ClaimedJob) -> Result<(), CoordinatorError> {
        let attempts = &self.parts.attempts;
        let Some(node) = attempts.cancel_target(&job.node).await? else { return Ok(()) };
        let log = &self.parts.log;
        let heard = match self.call_cancel(&node).await {
            // It does not know the node (yet, or any more).
            Err(error) if error.status == Some(404) => Ok(()),
            heard => heard,
        };
        let retry_after = |wait| CancelNotification::RetryAt(self.parts.clock.now() + wait);
        let notification = match heard {
            Ok(()) if job.may_overtake => retry_after(ONCE_MORE),
            Ok(()) => {
                info!(log, "executor told to stop"; "run_id" => %job.run, "node_run_id" => %job.node);
                CancelNotification::Acknowledged
            }
            Err(error) => {
                let tries = node.wake.as_ref().map_or(0, |wake| wake.tries);
                let wait = backoff(tries, BASE, CAP, job.node.as_str());
                let wait = wait.max(error.retry_after.unwrap_or_default().min(CAP));
                let given_up = tries >= TRIES;
                warn!(log, "executor not told to stop"; "run_id" => %job.run, "node_run_id" => %job.node,
                    "code" => error.code, "tries" => tries, "given_up" => given_up);
                if given_up { CancelNotification::Abandoned } else { retry_after(wait) }
            }
        };
        attempts.cancel_notified(job, notification).await
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
