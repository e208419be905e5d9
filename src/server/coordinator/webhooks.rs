//! Webhooks as operators manage them (contract §26).
//!
//! ```text
//!   create ─▶ authorize ─▶ target in the list? ─▶ commit: subscription, audit record ─▶ answer with the secret
//!   test ───▶ authorize ─▶ audit record ─▶ one request, now ─▶ what came of it
//! ```
//!
//! **Invariants.** A caller sees and makes only webhooks of its reach, and a webhook
//! reports only what its maker could read. The secret is answered once.

use slog::info;

use super::{
    Coordinator,
    access::WebhookReach,
    audit_trail::Refusal,
    error::{CoordinatorError, FieldError, Step},
};
use crate::{
    auth::{NAME_BYTES, Principal},
    journal::{Delivery, DeliveryId, StoredWebhook},
    record::{
        AuditObject, AuditRecord, AuditedOperation, NoticeKind, Operation, REASON_BYTES, Webhook, WebhookId,
    },
    webhooks::{SigningSecret, TestOutcome, Webhooks},
};

/// The maximum of webhooks.
pub const WEBHOOKS_MAX: u32 = 100;

/// The maximum that callers of one tenant can make.
const OF_TENANT_MAX: u32 = 20;

/// The maximum of deliveries on a page.
const DELIVERIES_MAX: u32 = 200;

/// A subscription that a caller asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewWebhook {
    pub url: String,
    pub events: Vec<NoticeKind>,
    pub node_type: Option<String>,
    pub tenant: Option<String>,
    pub description: Option<String>,
    /// `None`: one is made.
    pub secret: Option<String>,
}

impl Coordinator {
    /// Makes a webhook. Returns it with its secret.
    pub async fn webhook_create(
        &self,
        caller: &Principal,
        new: NewWebhook,
    ) -> Result<(StoredWebhook, String), CoordinatorError> {
        let operation = Operation::CreateWebhook;
        let reach = self.webhooks_authorize(caller, operation).await?;
        let webhooks = self.webhooks()?;
        let tenant = self.webhook_tenant(caller, &reach, new.tenant.as_deref()).await?;
        check_texts(&new)?;
        if reach != WebhookReach::All && self.webhooks_of(&reach).await?.len() >= OF_TENANT_MAX as usize {
            return Err(CoordinatorError::TooManyWebhooks(OF_TENANT_MAX));
        }
        if let Err(why) = webhooks.admits(&new.url) {
            let object = AuditObject::default();
            let refusal = Refusal { operation, object, reason: "webhook_target", detail: None };
            self.audit_trail().refused(caller, refusal).await;
            return Err(invalid(&["url"], "value_error", why.to_string()));
        }
        let secret = match &new.secret {
            Some(text) => SigningSecret::parse(text)
                .map_err(|bad| invalid(&["secret"], "value_error", bad.to_string()))?,
            None => SigningSecret::generate().ok_or(CoordinatorError::ShuttingDown)?,
        };
        let webhook_id = WebhookId::new(format!("wh_{}", self.ids.fresh()));
        let NewWebhook { url, mut events, node_type, tenant: _, description, secret: _ } = new;
        events.sort_unstable();
        events.dedup();
        let kept = webhooks.keep(&webhook_id, &secret).ok_or(CoordinatorError::ShuttingDown)?;
        let webhook = Webhook {
            webhook_id,
            url,
            events,
            node_type,
            tenant,
            description,
            secret: kept,
            created_at: self.committer.clock.now(),
            created_by: caller.actor().clone(),
        };
        let audit = self.webhook_audit(caller, operation, &webhook.webhook_id, None);
        let created =
            self.committer.journal.webhook_create(webhook.clone(), WEBHOOKS_MAX, audit.clone()).await;
        if !created.map_err(|failure| self.committer.commit_failed(failure, Vec::new()))? {
            return Err(CoordinatorError::TooManyWebhooks(WEBHOOKS_MAX));
        }
        self.audit_trail().committed(&[audit]);
        webhooks.changed();
        info!(self.committer.log, "webhook created"; "webhook_id" => %webhook.webhook_id);
        let stored = StoredWebhook { webhook, status: crate::journal::WebhookStatus::default() };
        Ok((stored, secret.expose()))
    }

    /// The webhooks that the caller may manage, in the order of their creation.
    pub async fn webhooks_list(&self, caller: &Principal) -> Result<Vec<StoredWebhook>, CoordinatorError> {
        let reach = self.webhooks_authorize(caller, Operation::ListWebhooks).await?;
        self.webhooks_of(&reach).await
    }

    pub async fn webhook_get(
        &self,
        caller: &Principal,
        id: &WebhookId,
    ) -> Result<StoredWebhook, CoordinatorError> {
        self.webhook_authorize(caller, Operation::GetWebhook, id).await
    }

    /// Deletes a webhook with everything that its target has yet to accept.
    pub async fn webhook_delete(
        &self,
        caller: &Principal,
        id: &WebhookId,
        reason: Option<&str>,
    ) -> Result<(), CoordinatorError> {
        let operation = Operation::DeleteWebhook;
        self.webhook_authorize(caller, operation, id).await?;
        let audit = self.webhook_audit(caller, operation, id, reason);
        let deleted = self.committer.journal.webhook_delete(id, audit.clone()).await;
        if !deleted.map_err(|failure| self.committer.commit_failed(failure, Vec::new()))? {
            return Err(CoordinatorError::WebhookNotFound(id.clone()));
        }
        self.audit_trail().committed(&[audit]);
        if let Some(webhooks) = &self.committer.webhooks {
            webhooks.changed();
        }
        info!(self.committer.log, "webhook deleted"; "webhook_id" => %id);
        Ok(())
    }

    /// Sends a test to the target of a webhook, once and now.
    pub async fn webhook_test(
        &self,
        caller: &Principal,
        id: &WebhookId,
    ) -> Result<TestOutcome, CoordinatorError> {
        let operation = Operation::TestWebhook;
        let stored = self.webhook_authorize(caller, operation, id).await?;
        let webhooks = self.webhooks()?;
        let audit = self.webhook_audit(caller, operation, id, None);
        let appended = self.committer.journal.audit_append(vec![audit.clone()]).await;
        appended.map_err(|failure| self.committer.commit_failed(failure, Vec::new()))?;
        self.audit_trail().committed(&[audit]);
        Ok(webhooks.test(&stored.webhook, &self.ids.fresh()).await)
    }

    /// The deliveries of a webhook that failed at least once, newest first.
    pub async fn webhook_deliveries(
        &self,
        caller: &Principal,
        id: &WebhookId,
        before: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<Delivery>, CoordinatorError> {
        self.webhook_authorize(caller, Operation::ListWebhookDeliveries, id).await?;
        let limit = limit.clamp(1, DELIVERIES_MAX);
        let page = self.committer.journal.deliveries_failed(id, before, limit).await;
        page.map_err(|failure| self.committer.read_failed(failure))
    }

    /// Sends a delivery again, also one that was given up.
    pub async fn webhook_redeliver(
        &self,
        caller: &Principal,
        id: &WebhookId,
        delivery: DeliveryId,
    ) -> Result<(), CoordinatorError> {
        let operation = Operation::RedeliverWebhook;
        self.webhook_authorize(caller, operation, id).await?;
        let webhooks = self.webhooks()?;
        let audit = self.webhook_audit(caller, operation, id, Some(&format!("delivery {}", delivery.0)));
        let now = self.committer.clock.now();
        let found = self.committer.journal.delivery_retry(id, delivery, now, audit.clone()).await;
        if !found.map_err(|failure| self.committer.commit_failed(failure, Vec::new()))? {
            return Err(CoordinatorError::DeliveryNotFound(delivery.0));
        }
        self.audit_trail().committed(&[audit]);
        webhooks.changed();
        Ok(())
    }

    fn webhooks(&self) -> Result<&Webhooks, CoordinatorError> {
        self.committer.webhooks.as_deref().ok_or(CoordinatorError::WebhooksOff)
    }

    /// Authorizes an operation on one webhook. One out of reach does not exist.
    async fn webhook_authorize(
        &self,
        caller: &Principal,
        operation: Operation,
        id: &WebhookId,
    ) -> Result<StoredWebhook, CoordinatorError> {
        let reach = self.webhooks_authorize(caller, operation).await?;
        let found =
            self.webhooks_of(&reach).await?.into_iter().find(|stored| stored.webhook.webhook_id == *id);
        found.ok_or_else(|| CoordinatorError::WebhookNotFound(id.clone()))
    }

    async fn webhooks_of(&self, reach: &WebhookReach) -> Result<Vec<StoredWebhook>, CoordinatorError> {
        let stored = self.committer.journal.webhooks_list().await;
        let mut stored = stored.map_err(|failure| self.committer.read_failed(failure))?;
        stored.retain(|stored| reach.has(&stored.webhook));
        Ok(stored)
    }

    /// The tenant of a new webhook: a caller of one tenant gets its own.
    async fn webhook_tenant(
        &self,
        caller: &Principal,
        reach: &WebhookReach,
        asked: Option<&str>,
    ) -> Result<Option<String>, CoordinatorError> {
        match (reach, asked) {
            (WebhookReach::All, asked) => Ok(asked.map(str::to_owned)),
            (WebhookReach::Tenant(own), None) => Ok(Some(own.clone())),
            (WebhookReach::Tenant(own), Some(asked)) if own == asked => Ok(Some(own.clone())),
            (WebhookReach::Tenant(_), Some(_)) => {
                let (operation, object) = (Operation::CreateWebhook, AuditObject::default());
                let refusal = Refusal { operation, object, reason: "tenant_mismatch", detail: None };
                self.audit_trail().refused(caller, refusal).await;
                Err(CoordinatorError::WebhookTenant)
            }
        }
    }

    fn webhook_audit(
        &self,
        caller: &Principal,
        operation: Operation,
        id: &WebhookId,
        word: Option<&str>,
    ) -> AuditRecord {
        let (now, actor) = (self.committer.clock.now(), caller.actor().clone());
        let operation = AuditedOperation::Request(operation);
        let record = AuditRecord::applied(now, actor, operation, AuditObject::default());
        let detail = match word {
            None => id.to_string(),
            Some(word) => format!("{id}: {}", self.committer.redactor.message(word)),
        };
        record.with_detail(Some(detail))
    }
}

fn invalid(place: &[&str], kind: &'static str, message: String) -> CoordinatorError {
    let location = std::iter::once("body").chain(place.iter().copied()).map(Step::from).collect();
    CoordinatorError::Invalid(vec![FieldError { kind, location, message }])
}

/// Refuses what is missing or too long. The URL has a limit of its own.
fn check_texts(new: &NewWebhook) -> Result<(), CoordinatorError> {
    if new.events.is_empty() {
        return Err(invalid(&["events"], "too_short", "at least one event is required".into()));
    }
    let texts = [
        (&["filter", "node_type"][..], &new.node_type, NAME_BYTES),
        (&["filter", "tenant"], &new.tenant, NAME_BYTES),
        (&["description"], &new.description, REASON_BYTES),
    ];
    for (place, text, max) in texts {
        let length = text.as_ref().map(String::len);
        if length == Some(0) {
            return Err(invalid(place, "string_too_short", "it must not be empty".into()));
        }
        if length.is_some_and(|length| length > max) {
            return Err(invalid(place, "string_too_long", format!("at most {max} bytes")));
        }
    }
    Ok(())
}
