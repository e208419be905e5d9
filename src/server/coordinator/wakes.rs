//! Trying now what waits for a time (contract §25).
//!
//! ```text
//!   wake ─▶ authorize ─▶ parked? ─▶ engine: due now ──▶ commit, audit record ──▶ claimed at once
//!                                     └─ waits for no time ──▶ 409, with the reason why it is where it is
//! ```

use slog::info;

use super::{Coordinator, approvals::check_reason, error::CoordinatorError, explanations::NodeExplanation};
use crate::{
    auth::Principal,
    engine::{self, Cause},
    record::Operation,
    types::NodeRunId,
};

impl Coordinator {
    /// Makes the wake-up of a node due now: of one that backs off before a retry, that
    /// its executor's circuit breaker keeps back, whose executor is to be notified
    /// again, or that is parked. Returns why it is where it is then.
    pub async fn node_run_wake(
        &self,
        caller: &Principal,
        id: &NodeRunId,
        reason: &str,
    ) -> Result<NodeExplanation, CoordinatorError> {
        let node = self.node_authorize(caller, Operation::WakeNodeRun, id).await?;
        check_reason(reason)?;
        let (committer, run) = (&*self.committer, &node.node.run_id);
        let reason = &*committer.redactor.message(reason).into_owned();
        let was_due = committer
            .request(Cause::asked(caller.actor(), Operation::WakeNodeRun), run, |cx| async move {
                let parked = committer.journal.parked_find(run, id).await?;
                let head = committer.head_fetch(id).await?;
                Ok(engine::node_wake(head, parked.is_some(), reason, cx))
            })
            .await?;
        let explained = self.node_explain(id).await?;
        if !was_due {
            let sentence = explained.reasons.into_iter().next().map(|reason| reason.sentence);
            return Err(CoordinatorError::NotWaiting(sentence.unwrap_or_default()));
        }
        info!(committer.log, "node is tried now"; "run_id" => %run, "node_run_id" => %id);
        Ok(explained)
    }
}
