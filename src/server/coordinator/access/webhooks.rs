//! Who may manage webhooks (contract §26): who may operate. A caller who is not
//! unlimited manages those of its own tenant, and they report that tenant's runs only.
//!
//! A webhook of another tenant does not exist for a caller.

use super::{
    super::{Coordinator, error::CoordinatorError},
    WebhookReach,
    rules::executor_may,
};
use crate::{
    auth::Principal,
    record::{AuditObject, Operation, Webhook},
};

impl Coordinator {
    /// Authorizes an operation on webhooks.
    pub(in crate::server::coordinator) async fn webhooks_authorize(
        &self,
        caller: &Principal,
        operation: Operation,
    ) -> Result<WebhookReach, CoordinatorError> {
        let object = AuditObject::default();
        self.assignment_check(caller, operation, object.clone()).await?;
        self.identified(caller)?;
        let judged = match executor_may(caller, operation, None) {
            Some(Err(refused)) => Err(refused),
            Some(Ok(_)) | None => self.authority.judge_webhooks(caller),
        };
        match judged {
            Ok(reach) => Ok(reach),
            Err(refused) => {
                let not_found = || CoordinatorError::Unauthenticated;
                Err(self.refused(caller, operation, object, refused).await.error(not_found))
            }
        }
    }
}

impl WebhookReach {
    /// Whether the caller may manage this webhook.
    pub(in crate::server::coordinator) fn has(&self, webhook: &Webhook) -> bool {
        match self {
            Self::All => true,
            Self::Tenant(own) => webhook.tenant.as_ref() == Some(own),
        }
    }
}
