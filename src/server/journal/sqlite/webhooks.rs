//! Subscriptions of webhooks, and [`WebhookJournal`] for [`SqliteJournal`].

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::{
    SqliteJournal, audit, deliveries,
    encoding::{from_json, integer, to_json},
    notices,
    rows::AuditRow,
};
use crate::{
    journal::{
        Delivery, DeliveryId, DeliveryOutcome, DeliveryUpkeep, DueDeliveries, ExecutorReport, FanOut,
        JournalError, NewDelivery, Settled, StoredNotice, StoredWebhook, WebhookJournal, WebhookStatus,
    },
    record::{AuditRecord, Webhook, WebhookId},
    time::Timestamp,
};

/// Whether notices are wanted: there is a subscription that is not disabled. Known
/// without asking the database, because every commit asks.
#[derive(Clone)]
pub(super) struct Wanted(Arc<Flags>);

struct Flags {
    /// Webhooks are not switched off.
    on: AtomicBool,
    any: AtomicBool,
}

impl Wanted {
    pub(super) fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let flags = Flags { on: AtomicBool::new(true), any: AtomicBool::new(any(connection)?) };
        Ok(Self(Arc::new(flags)))
    }

    pub(super) fn switch_off(&self) {
        self.0.on.store(false, Ordering::Relaxed);
    }

    pub(super) fn is(&self) -> bool {
        self.0.any.load(Ordering::Relaxed) && self.0.on.load(Ordering::Relaxed)
    }

    /// Looks again, within the transaction of a change. One that is undone leaves it
    /// as if it were done, until the next.
    fn look(&self, connection: &Connection) -> Result<(), JournalError> {
        self.0.any.store(any(connection)?, Ordering::Relaxed);
        Ok(())
    }
}

fn any(connection: &Connection) -> rusqlite::Result<bool> {
    let mut statement =
        connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM webhooks WHERE disabled_at IS NULL)")?;
    statement.query_one([], |row| row.get(0))
}

fn status(row: &Row<'_>) -> rusqlite::Result<WebhookStatus> {
    let time = |column: usize| -> rusqlite::Result<Option<Timestamp>> {
        Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_micros))
    };
    Ok(WebhookStatus {
        last_success_at: time(2)?,
        failing_since: time(3)?,
        failures: row.get(4)?,
        last_error: row.get(5)?,
        paused_until: time(6)?,
        disabled_at: time(7)?,
        dropped: row.get::<_, i64>(8)?.unsigned_abs(),
        ..WebhookStatus::default()
    })
}

fn list(connection: &Connection) -> Result<Vec<StoredWebhook>, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT webhook_id, body, last_success_at, failing_since, failures, last_error, paused_until,
                disabled_at, dropped
         FROM webhooks ORDER BY created_at, webhook_id",
    )?;
    let mut rows = statement.query([])?;
    let mut webhooks = Vec::new();
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        let body = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        let webhook: Webhook = from_json(&format!("webhook {id}"), body)?;
        let (backlog, oldest) = deliveries::waiting(connection, &id)?;
        let given_up = deliveries::given_up(connection, &id)?;
        let status = WebhookStatus { backlog, oldest, given_up, ..status(row)? };
        webhooks.push(StoredWebhook { webhook, status });
    }
    Ok(webhooks)
}

/// Runs in the writer thread.
fn create(
    connection: &Connection,
    (id, created_at, body): (&WebhookId, Timestamp, &str),
    max: u32,
    audit: &[AuditRow],
) -> Result<bool, JournalError> {
    let created = connection
        .prepare_cached(
            "INSERT INTO webhooks (webhook_id, created_at, body) SELECT ?1, ?2, ?3
             WHERE (SELECT count(*) FROM webhooks) < ?4",
        )?
        .execute(params![id.as_str(), created_at.as_micros(), body, max])?;
    if created == 1 {
        audit::append(connection, audit)?;
    }
    Ok(created == 1)
}

/// Runs in the writer thread.
fn delete(connection: &Connection, id: &WebhookId, audit: &[AuditRow]) -> Result<bool, JournalError> {
    let deleted =
        connection.prepare_cached("DELETE FROM webhooks WHERE webhook_id = ?")?.execute([id.as_str()])?;
    if deleted == 1 {
        deliveries::delete_all(connection, id.as_str())?;
        audit::append(connection, audit)?;
    }
    Ok(deleted == 1)
}

/// Runs in the writer thread.
fn fan_out_all(
    connection: &Connection,
    (ids, new): (&[i64], &[NewDelivery]),
    now: Timestamp,
    backlog_max: u64,
) -> Result<(), JournalError> {
    // How many more a subscription may have; `None`: it is gone or disabled.
    let mut room: BTreeMap<&str, Option<u64>> = BTreeMap::new();
    let mut dropped: BTreeMap<&str, i64> = BTreeMap::new();
    let mut enabled = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM webhooks WHERE webhook_id = ? AND disabled_at IS NULL)",
    )?;
    for delivery in new {
        let webhook = delivery.webhook_id.as_str();
        let left = match room.get(webhook) {
            Some(known) => *known,
            None => match enabled.query_one([webhook], |row| row.get(0))? {
                true => Some(backlog_max.saturating_sub(deliveries::waiting(connection, webhook)?.0)),
                false => None,
            },
        };
        room.insert(webhook, left.map(|left| left.saturating_sub(1)));
        match left {
            None => {}
            Some(0) => *dropped.entry(webhook).or_default() += 1,
            Some(_) => deliveries::add(connection, delivery, now)?,
        }
    }
    let mut count =
        connection.prepare_cached("UPDATE webhooks SET dropped = dropped + ?2 WHERE webhook_id = ?1")?;
    for (webhook, number) in dropped {
        count.execute(params![webhook, number])?;
    }
    notices::delete(connection, ids)
}

/// Runs in the writer thread.
fn settle(connection: &Connection, settled: &Settled) -> Result<(), JournalError> {
    let Settled { webhook_id, id, at, outcome } = settled;
    let (webhook, now) = (webhook_id.as_str(), at.as_micros());
    let failed = |error: &str, pause_until: Option<Timestamp>, disabled_at: Option<i64>| {
        connection
            .prepare_cached(
                "UPDATE webhooks SET failing_since = coalesce(failing_since, ?2), failures = failures + 1,
                        last_error = ?3, paused_until = ?4, disabled_at = coalesce(disabled_at, ?5)
                 WHERE webhook_id = ?1",
            )?
            .execute(params![webhook, now, error, pause_until.map(Timestamp::as_micros), disabled_at])
            .map_err(JournalError::from)
    };
    match outcome {
        DeliveryOutcome::Accepted => {
            deliveries::delete(connection, webhook, *id)?;
            let failed_before: i64 = connection
                .prepare_cached(
                    "SELECT count(*) FROM webhooks WHERE webhook_id = ? AND paused_until IS NOT NULL",
                )?
                .query_one([webhook], |row| row.get(0))?;
            if failed_before > 0 {
                deliveries::all_due(connection, webhook, *at)?;
            }
            connection
                .prepare_cached(
                    "UPDATE webhooks SET last_success_at = ?2, failing_since = NULL, failures = 0,
                            paused_until = NULL
                     WHERE webhook_id = ?1",
                )?
                .execute(params![webhook, now])?;
        }
        DeliveryOutcome::Refused { error, next_at, pause_until } => {
            if deliveries::refused(connection, webhook, *id, (error, *next_at))? {
                failed(error, *pause_until, None)?;
            }
        }
        DeliveryOutcome::Gone { error } => {
            if deliveries::refused(connection, webhook, *id, (error, None))? {
                failed(error, None, Some(now))?;
            }
        }
    }
    Ok(())
}

impl SqliteJournal {
    /// Executes a change of subscriptions, after which notices may be wanted or not.
    async fn change_webhooks<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&Connection) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let wanted = self.wanted.clone();
        let changed = move |connection: &Connection| {
            let done = work(connection)?;
            wanted.look(connection)?;
            Ok(done)
        };
        self.writes.run(changed).await
    }
}

#[async_trait]
impl WebhookJournal for SqliteJournal {
    fn wants_notices(&self) -> bool {
        self.wanted.is()
    }

    async fn notices_first(&self, limit: u32) -> Result<Vec<StoredNotice>, JournalError> {
        self.reads.aside(move |connection| notices::first(connection, limit)).await
    }

    async fn notices_fan_out(&self, fan_out: FanOut) -> Result<(), JournalError> {
        let FanOut { of, deliveries, now, backlog_max } = fan_out;
        let ids = of.iter().map(|id| integer(id.0)).collect::<Result<Vec<_>, _>>()?;
        let work =
            move |connection: &Connection| fan_out_all(connection, (&ids, &deliveries), now, backlog_max);
        self.writes.run(work).await
    }

    async fn executors_reported(&self) -> Result<Vec<ExecutorReport>, JournalError> {
        self.reads.here(notices::executors)
    }

    async fn executor_report(&self, report: ExecutorReport) -> Result<(), JournalError> {
        self.writes.run(move |connection| notices::executor_report(connection, &report)).await
    }

    async fn webhooks_list(&self) -> Result<Vec<StoredWebhook>, JournalError> {
        self.reads.aside(list).await
    }

    async fn webhook_create(
        &self,
        webhook: Webhook,
        max: u32,
        audit: AuditRecord,
    ) -> Result<bool, JournalError> {
        let (body, audit) = (to_json(&webhook)?, [AuditRow::encode(&audit)?]);
        let Webhook { webhook_id: id, created_at, .. } = webhook;
        let new = move |connection: &_| create(connection, (&id, created_at, &body), max, &audit);
        self.change_webhooks(new).await
    }

    async fn webhook_delete(&self, id: &WebhookId, audit: AuditRecord) -> Result<bool, JournalError> {
        let (id, audit) = (id.clone(), [AuditRow::encode(&audit)?]);
        self.change_webhooks(move |connection| delete(connection, &id, &audit)).await
    }

    async fn deliveries_due(
        &self,
        id: &WebhookId,
        now: Timestamp,
        limit: u32,
    ) -> Result<DueDeliveries, JournalError> {
        let id = id.clone();
        self.reads.aside(move |connection| deliveries::due(connection, &id, now, limit)).await
    }

    async fn delivery_settle(&self, settled: Settled) -> Result<(), JournalError> {
        match settled.outcome {
            DeliveryOutcome::Accepted | DeliveryOutcome::Refused { .. } => {
                self.writes.run(move |connection| settle(connection, &settled)).await
            }
            DeliveryOutcome::Gone { .. } => {
                self.change_webhooks(move |connection| settle(connection, &settled)).await
            }
        }
    }

    async fn deliveries_failed(
        &self,
        id: &WebhookId,
        before: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<Delivery>, JournalError> {
        let id = id.clone();
        self.reads.aside(move |connection| deliveries::failed(connection, &id, before, limit)).await
    }

    async fn delivery_retry(
        &self,
        webhook: &WebhookId,
        id: DeliveryId,
        now: Timestamp,
        audit: AuditRecord,
    ) -> Result<bool, JournalError> {
        let (webhook, audit) = (webhook.clone(), [AuditRow::encode(&audit)?]);
        let retry = move |connection: &_| {
            let found = deliveries::retry(connection, &webhook, id, now)?;
            if found {
                audit::append(connection, &audit)?;
            }
            Ok(found)
        };
        self.writes.run(retry).await
    }

    async fn deliveries_upkeep(&self, id: &WebhookId, upkeep: DeliveryUpkeep) -> Result<u64, JournalError> {
        let id = id.clone();
        self.writes.run(move |connection| deliveries::upkeep(connection, &id, &upkeep)).await
    }
}
