//! Who may make, see and abort bulk jobs: they belong to the principal that made them,
//! as runs belong to theirs (contract §19).

use super::{
    super::{Coordinator, error::CoordinatorError},
    rule,
};
use crate::{
    auth::Principal,
    record::{AuditObject, BulkJob, Operation},
};

impl Coordinator {
    /// Authorizes an operation on a job; without one, that the caller makes one.
    pub(in crate::server::coordinator) async fn bulk_authorize(
        &self,
        caller: &Principal,
        operation: Operation,
        job: Option<&BulkJob>,
    ) -> Result<(), CoordinatorError> {
        self.list_authorize(caller, operation).await?;
        let owner = job.map_or(caller.identity(), |job| &job.by.identity);
        match self.authority.judge(caller, rule(operation).reach, Some(owner)) {
            Ok(()) => Ok(()),
            Err(refused) => {
                let not_found = || match job {
                    Some(job) => CoordinatorError::BulkNotFound(job.bulk_id.clone()),
                    None => CoordinatorError::Unauthenticated,
                };
                Err(self.refused(caller, operation, AuditObject::default(), refused).await.error(not_found))
            }
        }
    }
}
