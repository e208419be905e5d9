//! Who may see approvals and decide about them (contract §19).
//!
//! ```text
//!   list ────▶ a caller at all? ──▶ each entry: may the caller read its run?
//!   decide ──▶ a caller at all? ──▶ the node had this approval? ──▶ rules ──▶ record
//!                │ 401, 403           │ 404                         │ 403, 404
//! ```
//!
//! What the journal does not have is not looked up in the Run Store: an approval waits
//! here or nowhere.

use super::{
    super::{Coordinator, error::CoordinatorError},
    rule,
    rules::executor_may,
};
use crate::{
    auth::Principal,
    record::{ApprovalId, AuditObject, Identity, NodeRecord, Operation},
};

impl Coordinator {
    /// Authorizes a list as such. Each entry is judged by [`Self::may_see`].
    pub(in crate::server::coordinator) async fn list_authorize(
        &self,
        caller: &Principal,
        operation: Operation,
    ) -> Result<(), CoordinatorError> {
        let object = AuditObject::default();
        self.assignment_check(caller, operation, object.clone()).await?;
        self.identified(caller)?;
        match executor_may(caller, operation, None) {
            Some(Err(refused)) => {
                let not_found = || CoordinatorError::Unauthenticated;
                Err(self.refused(caller, operation, object, refused).await.error(not_found))
            }
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// Whether the caller may see the approvals of a run of `owner`.
    pub(in crate::server::coordinator) fn may_see(
        &self,
        caller: &Principal,
        owner: Option<&Identity>,
    ) -> bool {
        self.authority.may_read(caller, owner)
    }

    /// Whether the caller may read the runs of all owners.
    pub(in crate::server::coordinator) fn reads_all(&self, caller: &Principal) -> bool {
        self.authority.is_unlimited(caller)
    }

    /// Authorizes a decision about an approval, or a look at it. Returns its node.
    pub(in crate::server::coordinator) async fn approval_authorize(
        &self,
        caller: &Principal,
        operation: Operation,
        id: &ApprovalId,
    ) -> Result<NodeRecord, CoordinatorError> {
        let object = AuditObject { run_id: None, node_run_id: Some(id.node.clone()) };
        let not_found = || CoordinatorError::ApprovalNotFound(id.clone());
        self.assignment_check(caller, operation, object.clone()).await?;
        if let Some(Err(refused)) = executor_may(caller, operation, None) {
            return Err(self.refused(caller, operation, object, refused).await.error(not_found));
        }
        self.identified(caller)?;
        let found = self.committer.node_find_bare(&id.node).await?;
        let had = |node: &NodeRecord| {
            let newest = node.waits.approval.as_ref().map_or(0, |approval| approval.approval_id.number);
            (1..=newest).contains(&id.number)
        };
        let Some(node) = found.filter(had) else {
            self.unknown(caller, operation, object).await;
            return Err(not_found());
        };
        let run = &node.node.run_id;
        let owner = self.committer.run_find(run).await?.and_then(|run| run.owner);
        if let Err(refused) = self.authority.judge(caller, rule(operation).reach, owner.as_ref()) {
            let object = AuditObject::node(run, node.id());
            return Err(self.refused(caller, operation, object, refused).await.error(not_found));
        }
        Ok(node)
    }
}
