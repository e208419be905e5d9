//! Nodes that wait for an approval: their wake-up is due because it has expired, or
//! because policy is to be asked again.
//!
//! ```text
//!   due ─┬─ expired ──────────────────▶ node failed
//!        ├─ demanded by a gate ───────▶ waits on
//!        └─ demanded by policy ─ ask ─┬─ allows, denies ─▶ dispatched, failed
//!                                     └─ else ───────────▶ waits on, asked again later
//! ```

use slog::{debug, info, warn};

use super::{Attempts, waits_for};
use crate::{
    coordinator::{error::CoordinatorError, queue::ClaimedJob},
    engine::{self, ApprovalAnswer, Decision, NodeView},
    record::{Approval, ApprovalOutcome, Demand, Job},
    services::policy::PdpUnavailable,
};

impl Attempts {
    /// Decides about a node that waits for an approval and whose wake-up is due.
    pub(crate) async fn approval_due(&self, job: &ClaimedJob) -> Result<(), CoordinatorError> {
        let committer = &*self.committer;
        let view = committer.node_view(&job.node).await?;
        let waits = waits_for(&view.node, Job::Approval);
        let Some(approval) = view.node.waits.approval.clone().filter(|_| waits) else { return Ok(()) };
        let answer = if approval.expires_at <= committer.clock.now() {
            ApprovalAnswer::Nothing
        } else {
            self.ask_again(&view, &approval).await
        };
        let (number, answer) = (approval.approval_id.number, &answer);
        let outcome = committer
            .command(&job.run, |cx| async move {
                let view = committer.with_payers(committer.bare_view(&job.node).await?).await?;
                if !waits_for(&view.node, Job::Approval) {
                    return Ok(Decision::unchanged(None));
                }
                let claim = committer.queue.claim(&job.run, [view.node.node.kind]);
                Ok(engine::approval_asked_again(view, number, answer.clone(), cx.with_claim(claim)))
            })
            .await?;
        match outcome {
            None => {}
            Some(ApprovalOutcome::Expired) => {
                warn!(committer.log, "approval expired: node failed"; "run_id" => %job.run,
                    "node_run_id" => %job.node, "approval_id" => %approval.approval_id);
            }
            Some(
                outcome @ (ApprovalOutcome::Approved | ApprovalOutcome::Denied | ApprovalOutcome::Lifted),
            ) => {
                info!(committer.log, "policy has decided about a node that waits for an approval";
                    "run_id" => %job.run, "node_run_id" => %job.node,
                    "approval_id" => %approval.approval_id, "outcome" => outcome.as_str());
            }
        }
        Ok(())
    }

    /// Asks the policy that demanded the approval once more.
    async fn ask_again(&self, view: &NodeView, approval: &Approval) -> ApprovalAnswer {
        let action = match &approval.demand {
            Demand::Gate => return ApprovalAnswer::Nothing,
            Demand::Policy { action, .. } => action,
        };
        let asked = self.admission.ask_again(&view.run, &view.node, action).await;
        match asked {
            Ok(Some(verdict)) => ApprovalAnswer::Decided(verdict),
            Ok(None) => ApprovalAnswer::Nothing,
            Err(PdpUnavailable(reason)) => {
                debug!(self.committer.log, "node still waits for an approval: PDP unavailable";
                    "node_run_id" => %view.node.id(), "error" => reason);
                ApprovalAnswer::Nothing
            }
        }
    }
}
