//! What a bulk job does to one run.
//!
//! | | |
//! |---|---|
//! | done | by this job, now or before a crash: the audit trail of the run says so |
//! | skipped | there was nothing to do, or the principal may not: not found, not allowed, over, live |
//! | failed | it could not be done |

use super::super::{Coordinator, error::CoordinatorError, reruns::RerunRequest};
use crate::{
    auth::Principal,
    engine::Cause,
    journal::{AuditFilter, AuditId},
    record::{AuditOutcome, BulkAction, BulkJob, BulkOutcome, BulkResult, Operation},
    types::RunId,
};

/// Records of a run's audit trail that are looked at.
const AUDIT_RECORDS: u32 = 1_000;

impl Coordinator {
    /// Acts on a run. An error is one of the journal: nothing is known, and it is to be
    /// done again.
    pub(super) async fn bulk_act(
        &self,
        principal: &Principal,
        job: &BulkJob,
        pending: &BulkResult,
    ) -> Result<BulkResult, CoordinatorError> {
        let run = &pending.run_id;
        let acted = match job.action {
            BulkAction::Cancel => self.bulk_cancel(principal, job, run).await,
            BulkAction::Rerun { from } => {
                let request = RerunRequest {
                    reason: job.reason.clone(),
                    from,
                    idempotency_key: Some(job.bulk_id.to_string()),
                };
                let note = format!("{}: rerun of {run} from {}: {}", job.bulk_id, from.as_str(), job.reason);
                match self.run_authorize(principal, Operation::RerunRun, run).await {
                    Ok(original) => {
                        let rerun = self.rerun_noted(principal, original, &request, &note).await;
                        rerun.map(|new| (BulkOutcome::Done, Some(new.run_id.to_string())))
                    }
                    Err(refused) => Err(refused),
                }
            }
        };
        let (outcome, detail) = match acted {
            Ok(acted) => acted,
            Err(failure @ (CoordinatorError::Journal(_) | CoordinatorError::ShuttingDown)) => {
                return Err(failure);
            }
            Err(failure) => {
                let facts = failure.facts();
                let outcome = match facts.status {
                    401 | 403 | 404 | 409 => BulkOutcome::Skipped,
                    _ => BulkOutcome::Failed,
                };
                (outcome, Some(facts.code.to_owned()))
            }
        };
        Ok(BulkResult { outcome, detail, ..pending.clone() })
    }

    async fn bulk_cancel(
        &self,
        principal: &Principal,
        job: &BulkJob,
        run: &RunId,
    ) -> Result<(BulkOutcome, Option<String>), CoordinatorError> {
        let record = self.run_authorize(principal, Operation::CancelRun, run).await?;
        if record.is_terminal() {
            let is_ours = self.bulk_has_acted(job, run).await?;
            let over = Some(format!("run_terminal: {}", record.run.state));
            return Ok(if is_ours { (BulkOutcome::Done, None) } else { (BulkOutcome::Skipped, over) });
        }
        let cause = Cause::noted(principal.actor(), Operation::CancelRun, job.bulk_id.as_str());
        self.run_cancel_for(cause, run, Some(&job.reason)).await?;
        // It may have ended by itself in between.
        let is_ours = self.bulk_has_acted(job, run).await?;
        let over = Some("run_terminal".to_owned());
        Ok(if is_ours { (BulkOutcome::Done, None) } else { (BulkOutcome::Skipped, over) })
    }

    /// Whether the job has changed this run: its audit trail says so.
    async fn bulk_has_acted(&self, job: &BulkJob, run: &RunId) -> Result<bool, CoordinatorError> {
        let filter = AuditFilter {
            run_id: Some(run.clone()),
            since: Some(job.created_at),
            outcome: Some(AuditOutcome::Applied),
            ..AuditFilter::default()
        };
        let mut after = AuditId(0);
        loop {
            let page = self.committer.journal.audit_page(after, &filter, AUDIT_RECORDS).await;
            let page = page.map_err(|failure| self.committer.read_failed(failure))?;
            let names = |detail: &str| detail.starts_with(job.bulk_id.as_str());
            if page.entries.iter().any(|entry| entry.record.detail().is_some_and(names)) {
                return Ok(true);
            }
            if page.at_end {
                return Ok(false);
            }
            after = page.scanned_to;
        }
    }
}
