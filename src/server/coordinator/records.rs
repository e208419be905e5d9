//! What is on record: the audit trail, and all of a run as evidence.
//!
//! ```text
//!   audit ──▶ a caller at all? ──▶ journal: records before one ─▶ may the caller see it? ─▶ page
//!   export ─▶ authorize the run ─▶ journal: the run as of one moment ──▶ pieces
//! ```
//!
//! A caller sees the records of what it did itself, and of what those did whose runs it
//! may read; of a run that it may read, all, by any actor.
//!
//! **Invariant:** a caller that may read all runs sees all records; no other sees who
//! acted on a run that it may not read, unless it may read the runs of who acted.

use std::sync::Arc;

use super::{Coordinator, LIST_PAGE_MAX, error::CoordinatorError};
use crate::{
    auth::Principal,
    journal::{AuditFilter, AuditId, AuditPage, AuditRule, AuditSelect, Pieces},
    record::{Operation, RunRecord},
    types::RunId,
};

impl Coordinator {
    /// Lists records of the audit trail, the newest first.
    pub async fn audit_list(
        &self,
        caller: &Principal,
        filter: AuditFilter,
        before: Option<AuditId>,
        limit: u32,
    ) -> Result<AuditPage, CoordinatorError> {
        self.list_authorize(caller, Operation::ListAudit).await?;
        let select = AuditSelect { visible: self.visible_records(caller, &filter).await?, filter };
        let page = self.committer.journal.audit_newest(before, &select, limit.clamp(1, LIST_PAGE_MAX)).await;
        page.map_err(|failure| self.committer.read_failed(failure))
    }

    async fn visible_records(
        &self,
        caller: &Principal,
        filter: &AuditFilter,
    ) -> Result<Arc<AuditRule>, CoordinatorError> {
        let may_read_run = match &filter.run_id {
            // One that was deleted has no owner any more.
            Some(run) => {
                let run = self.committer.run_find(run).await?;
                run.is_some_and(|run: RunRecord| self.may_see(caller, run.owner.as_ref()))
            }
            None => false,
        };
        if may_read_run || self.reads_all(caller) {
            return Ok(Arc::new(|_| true));
        }
        let (authority, caller) = (Arc::clone(&self.authority), caller.clone());
        Ok(Arc::new(move |record| {
            record.actor.identity().is_some_and(|actor| authority.may_read(&caller, Some(actor)))
        }))
    }

    /// Everything that is recorded about a run, as of one moment.
    pub async fn run_export(&self, caller: &Principal, run: &RunId) -> Result<Pieces, CoordinatorError> {
        self.run_authorize(caller, Operation::ExportRun, run).await?;
        let committer = &*self.committer;
        let exported = committer.journal.export(run, committer.clock.now()).await;
        let exported = exported.map_err(|failure| committer.read_failed(failure))?;
        // It may have been deleted meanwhile.
        exported.ok_or_else(|| CoordinatorError::RunNotFound(run.clone()))
    }
}
