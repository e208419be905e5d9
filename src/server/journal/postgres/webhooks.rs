//! Subscriptions of webhooks, and [`WebhookJournal`] for [`PostgresJournal`].

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use tokio_postgres::Row;

use super::{
    PostgresJournal, audit,
    batch::{Failure, clean},
    deliveries,
    link::Live,
    notices,
};
use crate::{
    journal::{
        Delivery, DeliveryId, DeliveryOutcome, DeliveryUpkeep, DueDeliveries, ExecutorReport, FanOut,
        JournalError, NewDelivery, Settled, StoredNotice, StoredWebhook, WebhookJournal, WebhookStatus,
        rows::{AuditRow, from_json, integer, natural, to_json},
    },
    record::{AuditRecord, Webhook, WebhookId},
    time::Timestamp,
};

const ANY: &str = "SELECT EXISTS (SELECT 1 FROM webhooks WHERE disabled_at IS NULL)";

const LIST: &str = "
    SELECT webhook_id, body, last_success_at, failing_since, failures, last_error, paused_until, disabled_at, dropped,
           (SELECT count(*) FROM webhook_deliveries AS d WHERE d.webhook_id = w.webhook_id AND next_at IS NOT NULL),
           (SELECT min(d.created_at) FROM webhook_deliveries AS d
            WHERE d.webhook_id = w.webhook_id AND next_at IS NOT NULL),
           (SELECT count(*) FROM webhook_deliveries AS d WHERE d.webhook_id = w.webhook_id AND next_at IS NULL)
    FROM webhooks AS w ORDER BY created_at, webhook_id";

/// Two that are created at the same moment wait for one another: neither exceeds the
/// maximum. (Subscriptions are rare, and no commit of a run touches their table.)
const LOCK: &str = "LOCK TABLE webhooks IN SHARE ROW EXCLUSIVE MODE";

const CREATE: &str = "INSERT INTO webhooks (webhook_id, created_at, body)
    SELECT $1, $2, $3 WHERE (SELECT count(*) FROM webhooks) < $4";

const DELETE: &str = "DELETE FROM webhooks WHERE webhook_id = $1";

/// Locks the notices of a fan-out, so that only one process does it.
const TAKE_NOTICES: &str = "DELETE FROM notices WHERE id = ANY ($1)";

const IS_ENABLED: &str =
    "SELECT EXISTS (SELECT 1 FROM webhooks WHERE webhook_id = $1 AND disabled_at IS NULL)";

const DROPPED: &str = "UPDATE webhooks SET dropped = dropped + $2 WHERE webhook_id = $1";

const FAILED: &str = "
    UPDATE webhooks SET failing_since = coalesce(failing_since, $2), failures = failures + 1, last_error = $3,
                        paused_until = $4, disabled_at = coalesce(disabled_at, $5)
    WHERE webhook_id = $1";

const HAS_FAILED: &str =
    "SELECT EXISTS (SELECT 1 FROM webhooks WHERE webhook_id = $1 AND paused_until IS NOT NULL)";

const SUCCEEDED: &str = "
    UPDATE webhooks SET last_success_at = $2, failing_since = NULL, failures = 0, paused_until = NULL
    WHERE webhook_id = $1";

/// Whether notices are wanted: there is a subscription that is not disabled. Known
/// without asking the database, because every commit asks; looked at after each change,
/// and with every heartbeat, since others make changes too.
#[derive(Default)]
pub(super) struct Wanted {
    off: AtomicBool,
    any: AtomicBool,
}

impl Wanted {
    pub(super) fn is(&self) -> bool {
        self.any.load(Ordering::Relaxed) && !self.off.load(Ordering::Relaxed)
    }

    pub(super) fn switch_off(&self) {
        self.off.store(true, Ordering::Relaxed);
    }

    pub(super) async fn look(&self, live: &Live) -> Result<(), Failure> {
        self.any.store(live.query_one(ANY, &[]).await?.try_get(0)?, Ordering::Relaxed);
        Ok(())
    }
}

fn stored(row: &Row) -> Result<StoredWebhook, JournalError> {
    let time = |column: usize| -> Result<Option<Timestamp>, JournalError> {
        Ok(row.try_get::<_, Option<i64>>(column)?.map(Timestamp::from_micros))
    };
    let id: &str = row.try_get(0)?;
    let webhook: Webhook = from_json(&format!("webhook {id}"), row.try_get(1)?)?;
    let status = WebhookStatus {
        last_success_at: time(2)?,
        failing_since: time(3)?,
        failures: u32::try_from(row.try_get::<_, i64>(4)?).unwrap_or(u32::MAX),
        last_error: row.try_get(5)?,
        paused_until: time(6)?,
        disabled_at: time(7)?,
        dropped: natural(row.try_get(8)?)?,
        backlog: natural(row.try_get(9)?)?,
        oldest: time(10)?,
        given_up: natural(row.try_get(11)?)?,
    };
    Ok(StoredWebhook { webhook, status })
}

/// If another process has taken one of the notices, nothing happens: it has made their
/// deliveries.
async fn fan_out(
    live: &Live,
    (ids, new): (&[i64], &[NewDelivery]),
    now: Timestamp,
    backlog_max: u64,
) -> Result<(), Failure> {
    let taken = live.execute(TAKE_NOTICES, &[&ids]).await?;
    if taken != ids.len() as u64 {
        return Err(JournalError::Conflict.into());
    }
    // How many more a subscription may have; `None`: it is gone or disabled.
    let mut room: BTreeMap<&str, Option<u64>> = BTreeMap::new();
    let mut dropped: BTreeMap<&str, i64> = BTreeMap::new();
    for delivery in new {
        let webhook = delivery.webhook_id.as_str();
        let left = match room.get(webhook) {
            Some(known) => *known,
            None if live.query_one(IS_ENABLED, &[&webhook]).await?.try_get(0)? => {
                Some(backlog_max.saturating_sub(deliveries::waiting(live, webhook).await?))
            }
            None => None,
        };
        room.insert(webhook, left.map(|left| left.saturating_sub(1)));
        match left {
            None => {}
            Some(0) => *dropped.entry(webhook).or_default() += 1,
            Some(_) => deliveries::add(live, delivery, now).await?,
        }
    }
    for (webhook, number) in dropped {
        live.execute(DROPPED, &[&webhook, &number]).await?;
    }
    Ok(())
}

async fn settle(live: &Live, settled: &Settled) -> Result<(), Failure> {
    let Settled { webhook_id, id, at, outcome } = settled;
    let (webhook, now) = (webhook_id.as_str(), at.as_micros());
    let (error, next_at, pause_until, disabled_at) = match outcome {
        DeliveryOutcome::Accepted => {
            deliveries::delete(live, webhook, *id).await?;
            if live.query_one(HAS_FAILED, &[&webhook]).await?.try_get(0)? {
                deliveries::all_due(live, webhook, *at).await?;
            }
            live.execute(SUCCEEDED, &[&webhook, &now]).await?;
            return Ok(());
        }
        DeliveryOutcome::Refused { error, next_at, pause_until } => (error, *next_at, *pause_until, None),
        DeliveryOutcome::Gone { error } => (error, None, None, Some(now)),
    };
    if deliveries::refused(live, webhook, *id, (error, next_at)).await? {
        let pause_until = pause_until.map(Timestamp::as_micros);
        live.execute(FAILED, &[&webhook, &now, &clean(error), &pause_until, &disabled_at]).await?;
    }
    Ok(())
}

#[async_trait]
impl WebhookJournal for PostgresJournal {
    fn wants_notices(&self) -> bool {
        self.wanted.is()
    }

    async fn notices_first(&self, limit: u32) -> Result<Vec<StoredNotice>, JournalError> {
        self.readers.read(|live| notices::first(live, limit)).await
    }

    async fn notices_fan_out(&self, all: FanOut) -> Result<(), JournalError> {
        let FanOut { of, deliveries, now, backlog_max } = all;
        let ids = of.iter().map(|id| integer(id.0)).collect::<Result<Vec<_>, _>>()?;
        let all = Arc::new((ids, deliveries));
        self.writers
            .own(move |live| {
                let all = Arc::clone(&all);
                async move { fan_out(&live, (&all.0, &all.1), now, backlog_max).await }
            })
            .await
    }

    async fn executors_reported(&self) -> Result<Vec<ExecutorReport>, JournalError> {
        self.readers.read(notices::reported).await
    }

    async fn executor_report(&self, report: ExecutorReport) -> Result<(), JournalError> {
        self.writers
            .own(move |live| {
                let report = report.clone();
                async move { notices::report(&live, &report).await }
            })
            .await
    }

    async fn webhooks_list(&self) -> Result<Vec<StoredWebhook>, JournalError> {
        let list = |live: Arc<Live>| async move { live.query(LIST, &[]).await?.iter().map(stored).collect() };
        self.readers.read(list).await
    }

    async fn webhook_create(
        &self,
        webhook: Webhook,
        max: u32,
        audit: AuditRecord,
    ) -> Result<bool, JournalError> {
        let (body, audit) = (to_json(&webhook)?, Arc::new([AuditRow::encode(&audit)?]));
        let (id, created_at) = (webhook.webhook_id.to_string(), webhook.created_at.as_micros());
        let wanted = Arc::clone(&self.wanted);
        self.writers
            .own(move |live| {
                let (id, body) = (id.clone(), body.clone());
                let (audit, wanted) = (Arc::clone(&audit), Arc::clone(&wanted));
                async move {
                    live.execute(LOCK, &[]).await?;
                    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
                        [&id, &created_at, &body, &i64::from(max)];
                    let created = live.execute(CREATE, &parameters).await? == 1;
                    if created {
                        audit::append(&live, &*audit).await?;
                    }
                    wanted.look(&live).await?;
                    Ok(created)
                }
            })
            .await
    }

    async fn webhook_delete(&self, id: &WebhookId, audit: AuditRecord) -> Result<bool, JournalError> {
        // No subscription has such an id, and the database would not take it.
        if id.as_str().contains('\0') {
            return Ok(false);
        }
        let (id, audit) = (id.to_string(), Arc::new([AuditRow::encode(&audit)?]));
        let wanted = Arc::clone(&self.wanted);
        self.writers
            .own(move |live| {
                let (id, audit, wanted) = (id.clone(), Arc::clone(&audit), Arc::clone(&wanted));
                async move {
                    let deleted = live.execute(DELETE, &[&id]).await? == 1;
                    if deleted {
                        live.execute(deliveries::DELETE_ALL, &[&id]).await?;
                        audit::append(&live, &*audit).await?;
                    }
                    wanted.look(&live).await?;
                    Ok(deleted)
                }
            })
            .await
    }

    async fn deliveries_due(
        &self,
        id: &WebhookId,
        now: Timestamp,
        limit: u32,
    ) -> Result<DueDeliveries, JournalError> {
        self.readers.read(|live| deliveries::due(live, id, now, limit)).await
    }

    async fn delivery_settle(&self, settled: Settled) -> Result<(), JournalError> {
        let wanted = Arc::clone(&self.wanted);
        self.writers
            .own(move |live| {
                let (settled, wanted) = (settled.clone(), Arc::clone(&wanted));
                async move {
                    settle(&live, &settled).await?;
                    match settled.outcome {
                        DeliveryOutcome::Accepted | DeliveryOutcome::Refused { .. } => Ok(()),
                        DeliveryOutcome::Gone { .. } => wanted.look(&live).await,
                    }
                }
            })
            .await
    }

    async fn deliveries_failed(
        &self,
        id: &WebhookId,
        before: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<Delivery>, JournalError> {
        self.readers.read(|live| deliveries::failed(live, id, before, limit)).await
    }

    async fn delivery_retry(
        &self,
        webhook: &WebhookId,
        id: DeliveryId,
        now: Timestamp,
        audit: AuditRecord,
    ) -> Result<bool, JournalError> {
        if webhook.as_str().contains('\0') {
            return Ok(false);
        }
        let (webhook, audit) = (webhook.clone(), Arc::new([AuditRow::encode(&audit)?]));
        self.writers
            .own(move |live| {
                let (webhook, audit) = (webhook.clone(), Arc::clone(&audit));
                async move {
                    let found = deliveries::retry(&live, &webhook, id, now).await?;
                    if found {
                        audit::append(&live, &*audit).await?;
                    }
                    Ok(found)
                }
            })
            .await
    }

    async fn deliveries_upkeep(&self, id: &WebhookId, upkeep: DeliveryUpkeep) -> Result<u64, JournalError> {
        let id = id.clone();
        self.writers
            .own(move |live| {
                let id = id.clone();
                async move { deliveries::upkeep(&live, &id, upkeep).await }
            })
            .await
    }
}
