//! Deliveries of webhooks: what waits, in the order in which it is due, and what was
//! given up.
//!
//! ```text
//!   add ──▶ next_at set: waits ──accepted──▶ deleted
//!                 │    ▲ retry
//!                 ▼    │
//!           next_at NULL: given up ──upkeep──▶ deleted
//! ```

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::encoding::{integer, natural};
use crate::{
    journal::{Delivery, DeliveryId, DeliveryUpkeep, DueDeliveries, JournalError, NewDelivery},
    record::WebhookId,
    time::Timestamp,
};

/// Deliveries that one upkeep gives up or deletes.
const UPKEEP_MAX: u32 = 1000;

const COLUMNS: &str = "id, event_id, kind, body, created_at, tries, next_at, last_error";

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let kind: String = row.get(2)?;
    Ok(Delivery {
        id: DeliveryId(row.get::<_, i64>(0)?.unsigned_abs()),
        event_id: row.get(1)?,
        kind: kind.parse().ok(),
        body: row.get(3)?,
        created_at: Timestamp::from_micros(row.get(4)?),
        tries: row.get(5)?,
        next_at: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_micros),
        last_error: row.get(7)?,
    })
}

/// The number of deliveries that wait, and when the oldest was made.
pub(super) fn waiting(
    connection: &Connection,
    webhook: &str,
) -> Result<(u64, Option<Timestamp>), JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT count(*), min(created_at) FROM webhook_deliveries
         WHERE webhook_id = ? AND next_at IS NOT NULL",
    )?;
    let (count, oldest): (i64, Option<i64>) =
        statement.query_one([webhook], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((natural(count)?, oldest.map(Timestamp::from_micros)))
}

/// The number of deliveries that were given up and are still there.
pub(super) fn given_up(connection: &Connection, webhook: &str) -> Result<u64, JournalError> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM webhook_deliveries WHERE webhook_id = ? AND next_at IS NULL")?
        .query_one([webhook], |row| row.get(0))?;
    natural(count)
}

/// Runs in the writer thread.
pub(super) fn add(connection: &Connection, new: &NewDelivery, now: Timestamp) -> Result<(), JournalError> {
    connection
        .prepare_cached(
            "INSERT INTO webhook_deliveries (webhook_id, event_id, kind, body, created_at, tries, next_at)
             VALUES (?1, ?2, ?3, ?4, ?5, 0, ?5)",
        )?
        .execute(params![
            new.webhook_id.as_str(),
            new.event_id,
            new.kind.as_str(),
            new.body,
            now.as_micros()
        ])?;
    Ok(())
}

pub(super) fn due(
    connection: &Connection,
    webhook: &WebhookId,
    now: Timestamp,
    limit: u32,
) -> Result<DueDeliveries, JournalError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM webhook_deliveries WHERE webhook_id = ? AND next_at <= ?
         ORDER BY next_at, id LIMIT ?"
    ))?;
    let rows = statement.query_map(params![webhook.as_str(), now.as_micros(), limit], delivery)?;
    let due = rows.collect::<Result<Vec<_>, _>>()?;
    let next_at: Option<i64> = connection
        .prepare_cached(
            "SELECT next_at FROM webhook_deliveries WHERE webhook_id = ? AND next_at > ?
             ORDER BY next_at LIMIT 1",
        )?
        .query_row(params![webhook.as_str(), now.as_micros()], |row| row.get(0))
        .optional()?;
    Ok(DueDeliveries { due, next_at: next_at.map(Timestamp::from_micros) })
}

/// Deletes a delivery that was accepted. Returns whether there was one. Runs in the
/// writer thread.
pub(super) fn delete(connection: &Connection, webhook: &str, id: DeliveryId) -> Result<bool, JournalError> {
    let deleted = connection
        .prepare_cached("DELETE FROM webhook_deliveries WHERE id = ? AND webhook_id = ?")?
        .execute(params![integer(id.0)?, webhook])?;
    Ok(deleted == 1)
}

/// Makes everything due that waits for its next try. Runs in the writer thread.
pub(super) fn all_due(connection: &Connection, webhook: &str, now: Timestamp) -> Result<(), JournalError> {
    connection
        .prepare_cached("UPDATE webhook_deliveries SET next_at = ?2 WHERE webhook_id = ?1 AND next_at > ?2")?
        .execute(params![webhook, now.as_micros()])?;
    Ok(())
}

/// Counts a try that failed. Runs in the writer thread.
pub(super) fn refused(
    connection: &Connection,
    webhook: &str,
    id: DeliveryId,
    (error, next_at): (&str, Option<Timestamp>),
) -> Result<bool, JournalError> {
    let changed = connection
        .prepare_cached(
            "UPDATE webhook_deliveries SET tries = tries + 1, last_error = ?3, next_at = ?4
             WHERE id = ?1 AND webhook_id = ?2",
        )?
        .execute(params![integer(id.0)?, webhook, error, next_at.map(Timestamp::as_micros)])?;
    Ok(changed == 1)
}

/// Those that failed at least once, newest first.
pub(super) fn failed(
    connection: &Connection,
    webhook: &WebhookId,
    before: Option<DeliveryId>,
    limit: u32,
) -> Result<Vec<Delivery>, JournalError> {
    let before = before.map_or(Ok(i64::MAX), |before| integer(before.0))?;
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM webhook_deliveries
         WHERE webhook_id = ? AND id < ? AND (tries > 0 OR next_at IS NULL) ORDER BY id DESC LIMIT ?"
    ))?;
    let rows = statement.query_map(params![webhook.as_str(), before, limit], delivery)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Makes a delivery due, as if it were new. Runs in the writer thread.
pub(super) fn retry(
    connection: &Connection,
    webhook: &WebhookId,
    id: DeliveryId,
    now: Timestamp,
) -> Result<bool, JournalError> {
    let changed = connection
        .prepare_cached(
            "UPDATE webhook_deliveries SET next_at = ?3, created_at = ?3 WHERE id = ?1 AND webhook_id = ?2",
        )?
        .execute(params![integer(id.0)?, webhook.as_str(), now.as_micros()])?;
    Ok(changed == 1)
}

/// Gives up what waits for too long, and deletes what was given up and is too old or too
/// much. Runs in the writer thread.
pub(super) fn upkeep(
    connection: &Connection,
    webhook: &WebhookId,
    upkeep: &DeliveryUpkeep,
) -> Result<u64, JournalError> {
    let DeliveryUpkeep { expired_before, keep_since, keep_max } = *upkeep;
    let webhook = webhook.as_str();
    let expired = connection
        .prepare_cached(
            "UPDATE webhook_deliveries
             SET next_at = NULL, last_error = coalesce(last_error, 'it was not sent in time')
             WHERE id IN (SELECT id FROM webhook_deliveries
                          WHERE webhook_id = ?1 AND next_at IS NOT NULL AND created_at < ?2
                          ORDER BY id LIMIT ?3)",
        )?
        .execute(params![webhook, expired_before.as_micros(), UPKEEP_MAX])?;
    // From the newest on: what comes behind the maximum goes, and what is old.
    connection
        .prepare_cached(
            "DELETE FROM webhook_deliveries
             WHERE id IN (SELECT id FROM webhook_deliveries
                          WHERE webhook_id = ?1 AND next_at IS NULL ORDER BY id DESC LIMIT ?3 OFFSET ?2)
                OR id IN (SELECT id FROM webhook_deliveries
                          WHERE webhook_id = ?1 AND next_at IS NULL AND created_at < ?4
                          ORDER BY id LIMIT ?3)",
        )?
        .execute(params![webhook, keep_max, UPKEEP_MAX, keep_since.as_micros()])?;
    Ok(expired as u64)
}

/// Deletes all of them. Runs in the writer thread.
pub(super) fn delete_all(connection: &Connection, webhook: &str) -> Result<(), JournalError> {
    connection.prepare_cached("DELETE FROM webhook_deliveries WHERE webhook_id = ?")?.execute([webhook])?;
    Ok(())
}
