//! Cancels the work on a node that has ended, at its executor (contract §17.1,
//! G03).
//!
//! ```text
//!   node ended ──▶ cancel call ──▶ 2xx, 404 ──▶ once more, if it may have overtaken
//!                      ▲   │                    the call to execute; else done
//!                      │   └─ failed ─▶ backoff ─▶ given up after 15 tries
//!                      └────────────────────┘
//! ```

use std::time::Duration;

use slog::{info, warn};

use super::Dispatcher;
use crate::{
    clients::{CallError, call_within},
    coordinator::{ClaimedJob, CoordinatorError},
    engine::CancelNotification,
    record::NodeHead,
    time::{backoff, within},
    types::NodeKind,
};

/// Backoff between tries.
const BASE: Duration = Duration::from_millis(500);
const CAP: Duration = Duration::from_secs(60);
/// The tries before the cancel is given up, after about ten minutes. A late answer
/// of the executor is fenced off anyway.
const TRIES: u32 = 15;
/// When the cancel is repeated if it may have overtaken the call to execute the
/// node: the executor would have ignored the cancel, and then begun the work. The
/// call was dropped when the node ended, so nothing is sent after that; this is
/// about a request that was on the wire by then.
const ONCE_MORE: Duration = Duration::from_millis(500);

/// How long the cancel of a composite waits for the cancels of its descendants,
/// which ended before it. A longer wait would let it suffer for an executor that
/// does not answer.
const DESCENDANTS_FIRST: Duration = Duration::from_secs(1);

impl Dispatcher {
    pub(super) async fn cancel_executor(&self, job: &ClaimedJob) -> Result<(), CoordinatorError> {
        let attempts = &self.parts.attempts;
        let Some(node) = attempts.cancel_target(&job.node).await? else { return Ok(()) };
        let log = &self.parts.log;
        let answer = match self.call_cancel(&node).await {
            // It does not know the node (yet, or any more).
            Err(error) if error.status() == Some(404) => Ok(()),
            answer => answer,
        };
        let retry_after = |wait| CancelNotification::RetryAt(self.parts.clock.now() + wait);
        let notification = match answer {
            Ok(()) if job.may_overtake => retry_after(ONCE_MORE),
            Ok(()) => {
                info!(log, "executor notified of the end of a node"; "run_id" => %job.run, "node_run_id" => %job.node);
                CancelNotification::Acknowledged
            }
            Err(error) => {
                let tries = node.wake.as_ref().map_or(0, |wake| wake.tries);
                let wait = backoff(tries, BASE, CAP, job.node.as_str());
                let wait = wait.max(error.retry_after().unwrap_or_default().min(CAP));
                let given_up = tries >= TRIES;
                warn!(log, "could not notify executor of the end of a node"; "run_id" => %job.run, "node_run_id" => %job.node,
                    "error" => %error, "tries" => tries, "given_up" => given_up);
                if given_up { CancelNotification::Abandoned } else { retry_after(wait) }
            }
        };
        attempts.cancel_notified(job, notification).await
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
