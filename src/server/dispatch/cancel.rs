//! Cancels the work on a node that has ended, at its executor (contract §17.1,
//! G03). In a pool, at each member where an attempt of it may be under way.
//!
//! ```text
//!   node ended ──▶ cancel calls ──▶ all 2xx, 404 ──▶ once more, if it may have overtaken
//!                      ▲   │                         the call to execute; else done
//!                      │   └─ one failed ─▶ backoff ─▶ given up after 15 tries
//!                      └────────────────────────┘
//! ```

use std::time::Duration;

use futures::future::join_all;
use slog::{info, warn};

use super::{
    Dispatcher,
    gate::{Gate, NodeHosts},
    slots::MemberNumber,
};
use crate::{
    clients::{CallError, call_within},
    coordinator::{ClaimedJob, CoordinatorError},
    engine::CancelNotification,
    record::NodeHead,
    time::{backoff, within},
    types::{NodeKind, NodeRunId},
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

/// What came of the calls.
struct Notified {
    answer: Result<(), CallError>,
    /// The number of executors that are not configured any more.
    gone: usize,
}

impl Dispatcher {
    pub(super) async fn cancel_executor(&self, job: &ClaimedJob) -> Result<(), CoordinatorError> {
        let attempts = &self.parts.attempts;
        let Some(node) = attempts.cancel_target(&job.node).await? else { return Ok(()) };
        let log = &self.parts.log;
        let retry_after = |wait| CancelNotification::RetryAt(self.parts.clock.now() + wait);
        let notification = match self.notify(&node).await? {
            Notified { answer: Ok(()), .. } if job.may_overtake => retry_after(ONCE_MORE),
            Notified { answer: Ok(()), gone: 0 } => {
                info!(log, "executor notified of the end of a node"; "run_id" => %job.run, "node_run_id" => %job.node);
                CancelNotification::Acknowledged
            }
            Notified { answer: Ok(()), gone } => {
                warn!(log, "cancel given up: the executor of the node is not configured"; "run_id" => %job.run,
                    "node_run_id" => %job.node, "executors" => gone);
                CancelNotification::Abandoned("the executor is not configured any more".into())
            }
            Notified { answer: Err(error), gone: _ } => {
                let tries = node.wake.as_ref().map_or(0, |wake| wake.tries);
                let wait = backoff(tries, BASE, CAP, job.node.as_str());
                let wait = wait.max(error.retry_after().unwrap_or_default().min(CAP));
                let given_up = tries >= TRIES;
                warn!(log, "could not notify executor of the end of a node"; "run_id" => %job.run, "node_run_id" => %job.node,
                    "error" => %error, "tries" => tries, "given_up" => given_up);
                if given_up { CancelNotification::Abandoned(error.to_string()) } else { retry_after(wait) }
            }
        };
        self.parts.metrics.cancel_sent(match &notification {
            CancelNotification::Acknowledged => "acknowledged",
            CancelNotification::RetryAt(_) => "again",
            CancelNotification::Abandoned(_) => "given_up",
        });
        attempts.cancel_notified(job, notification).await
    }

    /// Sends the cancel calls.
    async fn notify(&self, node: &NodeHead) -> Result<Notified, CoordinatorError> {
        let executors = &self.parts.executors;
        let (clock, node_id) = (&*self.parts.clock, &node.node_run_id);
        match node.kind {
            Some(NodeKind::Composite) => {
                let Some(pool) = &executors.composite else {
                    return Ok(Notified { answer: Ok(()), gone: 1 });
                };
                if let Some(atomic) = &executors.atomic {
                    within(clock, DESCENDANTS_FIRST, atomic.gate.cancels_sent()).await;
                }
                self.notify_each(&pool.gate, node_id, |member| pool.role(member).cancel(node_id)).await
            }
            Some(NodeKind::Atomic) | None => {
                let Some(pool) = &executors.atomic else { return Ok(Notified { answer: Ok(()), gone: 1 }) };
                self.notify_each(&pool.gate, node_id, |member| pool.role(member).cancel(node_id)).await
            }
        }
    }

    /// Sends the cancel call to each member where the node may be.
    async fn notify_each<C: Future<Output = Result<(), CallError>>>(
        &self,
        gate: &Gate,
        node: &NodeRunId,
        cancel: impl Fn(MemberNumber) -> C,
    ) -> Result<Notified, CoordinatorError> {
        let hosts = if gate.is_pool() { self.parts.attempts.hosts(node).await? } else { Vec::new() };
        let NodeHosts { members, gone } = gate.hosts(&hosts);
        let (clock, timeout) = (&*self.parts.clock, self.parts.executors.call_timeout);
        let calls = members.into_iter().map(|member| {
            let call = cancel(member);
            async move {
                let _permit = gate.cancel_permit(member).await;
                match call_within(clock, timeout, gate.service, call).await {
                    // It does not know the node (yet, or any more).
                    Err(error) if error.status() == Some(404) => Ok(()),
                    answer => answer,
                }
            }
        });
        Ok(Notified { answer: join_all(calls).await.into_iter().collect(), gone })
    }
}
