//! The forwarding of [`WebhookJournal`].

use async_trait::async_trait;

use super::{Answer, Intercepted, Interceptor};
use crate::{
    journal::{
        Delivery, DeliveryId, DeliveryUpkeep, DueDeliveries, ExecutorReport, FanOut, Settled, StoredNotice,
        StoredWebhook, WebhookJournal,
    },
    record::{AuditRecord, Webhook, WebhookId},
    time::Timestamp,
};

#[async_trait]
impl<I: Interceptor> WebhookJournal for Intercepted<I> {
    fn wants_notices(&self) -> bool {
        self.0.journal().wants_notices()
    }

    async fn notices_first(&self, limit: u32) -> Answer<Vec<StoredNotice>> {
        self.0.read("notices_first", self.0.journal().notices_first(limit)).await
    }

    async fn notices_fan_out(&self, fan_out: FanOut) -> Answer<()> {
        self.0.write("notices_fan_out", || self.0.journal().notices_fan_out(fan_out.clone())).await
    }

    async fn executors_reported(&self) -> Answer<Vec<ExecutorReport>> {
        self.0.read("executors_reported", self.0.journal().executors_reported()).await
    }

    async fn executor_report(&self, report: ExecutorReport) -> Answer<()> {
        self.0.write("executor_report", || self.0.journal().executor_report(report.clone())).await
    }

    async fn webhooks_list(&self) -> Answer<Vec<StoredWebhook>> {
        self.0.read("webhooks_list", self.0.journal().webhooks_list()).await
    }

    async fn webhook_create(&self, webhook: Webhook, max: u32, audit: AuditRecord) -> Answer<bool> {
        let create = || self.0.journal().webhook_create(webhook.clone(), max, audit.clone());
        self.0.write("webhook_create", create).await
    }

    async fn webhook_delete(&self, id: &WebhookId, audit: AuditRecord) -> Answer<bool> {
        self.0.write("webhook_delete", || self.0.journal().webhook_delete(id, audit.clone())).await
    }

    async fn deliveries_due(&self, id: &WebhookId, now: Timestamp, limit: u32) -> Answer<DueDeliveries> {
        self.0.read("deliveries_due", self.0.journal().deliveries_due(id, now, limit)).await
    }

    async fn delivery_settle(&self, settled: Settled) -> Answer<()> {
        self.0.write("delivery_settle", || self.0.journal().delivery_settle(settled.clone())).await
    }

    async fn deliveries_failed(
        &self,
        id: &WebhookId,
        before: Option<DeliveryId>,
        limit: u32,
    ) -> Answer<Vec<Delivery>> {
        self.0.read("deliveries_failed", self.0.journal().deliveries_failed(id, before, limit)).await
    }

    async fn delivery_retry(
        &self,
        webhook: &WebhookId,
        id: DeliveryId,
        now: Timestamp,
        audit: AuditRecord,
    ) -> Answer<bool> {
        let retry = || self.0.journal().delivery_retry(webhook, id, now, audit.clone());
        self.0.write("delivery_retry", retry).await
    }

    async fn deliveries_upkeep(&self, id: &WebhookId, upkeep: DeliveryUpkeep) -> Answer<u64> {
        self.0.write("deliveries_upkeep", || self.0.journal().deliveries_upkeep(id, upkeep)).await
    }
}
