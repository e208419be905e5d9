//! Deliveries of webhooks: what waits, in the order in which it is due, and what was
//! given up. (The states are those of the built-in journal's.)

use std::sync::Arc;

use tokio_postgres::Row;

use super::{
    batch::{Failure, clean},
    link::Live,
};
use crate::{
    journal::{
        Delivery, DeliveryId, DeliveryUpkeep, DueDeliveries, JournalError, NewDelivery,
        rows::{integer, natural},
    },
    record::WebhookId,
    time::Timestamp,
};

/// Deliveries that one upkeep gives up or deletes.
const UPKEEP_MAX: i64 = 1000;

macro_rules! columns {
    () => {
        "id, event_id, kind, body, created_at, tries, next_at, last_error"
    };
}

const WAITING: &str = "SELECT count(*) FROM webhook_deliveries WHERE webhook_id = $1 AND next_at IS NOT NULL";

const ADD: &str =
    "INSERT INTO webhook_deliveries (webhook_id, event_id, kind, body, created_at, tries, next_at)
    VALUES ($1, $2, $3, $4, $5, 0, $5)";

const DUE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM webhook_deliveries WHERE webhook_id = $1 AND next_at <= $2 ORDER BY next_at, id LIMIT $3"
);

const NEXT: &str = "SELECT min(next_at) FROM webhook_deliveries WHERE webhook_id = $1 AND next_at > $2";

const DELETE: &str = "DELETE FROM webhook_deliveries WHERE id = $1 AND webhook_id = $2";

const ALL_DUE: &str = "UPDATE webhook_deliveries SET next_at = $2 WHERE webhook_id = $1 AND next_at > $2";

const REFUSED: &str = "UPDATE webhook_deliveries SET tries = tries + 1, last_error = $3, next_at = $4
    WHERE id = $1 AND webhook_id = $2";

const FAILED: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM webhook_deliveries WHERE webhook_id = $1 AND id < $2 AND (tries > 0 OR next_at IS NULL)
     ORDER BY id DESC LIMIT $3"
);

const RETRY: &str =
    "UPDATE webhook_deliveries SET next_at = $3, created_at = $3 WHERE id = $1 AND webhook_id = $2";

const GIVE_UP: &str = "
    UPDATE webhook_deliveries SET next_at = NULL, last_error = coalesce(last_error, 'it was not sent in time')
    WHERE id IN (SELECT id FROM webhook_deliveries
                 WHERE webhook_id = $1 AND next_at IS NOT NULL AND created_at < $2 ORDER BY id LIMIT $3)";

/// From the newest on: what comes behind the maximum goes, and what is old.
const FORGET: &str = "
    DELETE FROM webhook_deliveries
    WHERE id IN (SELECT id FROM webhook_deliveries
                 WHERE webhook_id = $1 AND next_at IS NULL ORDER BY id DESC LIMIT $3 OFFSET $2)
       OR id IN (SELECT id FROM webhook_deliveries
                 WHERE webhook_id = $1 AND next_at IS NULL AND created_at < $4 ORDER BY id LIMIT $3)";

pub(super) const DELETE_ALL: &str = "DELETE FROM webhook_deliveries WHERE webhook_id = $1";

fn delivery(row: &Row) -> Result<Delivery, JournalError> {
    Ok(Delivery {
        id: DeliveryId(natural(row.try_get(0)?)?),
        event_id: row.try_get(1)?,
        kind: row.try_get::<_, &str>(2)?.parse().ok(),
        body: row.try_get(3)?,
        created_at: Timestamp::from_micros(row.try_get(4)?),
        tries: u32::try_from(row.try_get::<_, i64>(5)?).unwrap_or(u32::MAX),
        next_at: row.try_get::<_, Option<i64>>(6)?.map(Timestamp::from_micros),
        last_error: row.try_get(7)?,
    })
}

/// The number of deliveries that wait.
pub(super) async fn waiting(live: &Live, webhook: &str) -> Result<u64, Failure> {
    Ok(natural(live.query_one(WAITING, &[&webhook]).await?.try_get(0)?)?)
}

pub(super) async fn add(live: &Live, new: &NewDelivery, now: Timestamp) -> Result<(), Failure> {
    let (id, kind) = (new.webhook_id.as_str(), new.kind.as_str());
    live.execute(ADD, &[&id, &new.event_id, &kind, &new.body, &now.as_micros()]).await?;
    Ok(())
}

pub(super) async fn due(
    live: Arc<Live>,
    webhook: &WebhookId,
    now: Timestamp,
    limit: u32,
) -> Result<DueDeliveries, JournalError> {
    let (webhook, now) = (webhook.as_str(), now.as_micros());
    let rows = live.query(DUE, &[&webhook, &now, &i64::from(limit)]).await?;
    let next_at: Option<i64> = live.query_one(NEXT, &[&webhook, &now]).await?.try_get(0)?;
    let due = rows.iter().map(delivery).collect::<Result<_, _>>()?;
    Ok(DueDeliveries { due, next_at: next_at.map(Timestamp::from_micros) })
}

/// Deletes a delivery that was accepted.
pub(super) async fn delete(live: &Live, webhook: &str, id: DeliveryId) -> Result<(), Failure> {
    live.execute(DELETE, &[&integer(id.0)?, &webhook]).await?;
    Ok(())
}

/// Makes everything due that waits for its next try.
pub(super) async fn all_due(live: &Live, webhook: &str, now: Timestamp) -> Result<(), Failure> {
    live.execute(ALL_DUE, &[&webhook, &now.as_micros()]).await?;
    Ok(())
}

/// Counts a try that failed. Returns whether the delivery is there.
pub(super) async fn refused(
    live: &Live,
    webhook: &str,
    id: DeliveryId,
    (error, next_at): (&str, Option<Timestamp>),
) -> Result<bool, Failure> {
    let next_at = next_at.map(Timestamp::as_micros);
    Ok(live.execute(REFUSED, &[&integer(id.0)?, &webhook, &clean(error), &next_at]).await? == 1)
}

/// Those that failed at least once, newest first.
pub(super) async fn failed(
    live: Arc<Live>,
    webhook: &WebhookId,
    before: Option<DeliveryId>,
    limit: u32,
) -> Result<Vec<Delivery>, JournalError> {
    let before = before.map_or(Ok(i64::MAX), |before| integer(before.0))?;
    live.query(FAILED, &[&webhook.as_str(), &before, &i64::from(limit)]).await?.iter().map(delivery).collect()
}

/// Makes a delivery due, as if it were new. Returns whether there is one.
pub(super) async fn retry(
    live: &Live,
    webhook: &WebhookId,
    id: DeliveryId,
    now: Timestamp,
) -> Result<bool, Failure> {
    Ok(live.execute(RETRY, &[&integer(id.0)?, &webhook.as_str(), &now.as_micros()]).await? == 1)
}

/// Gives up what waits for too long, and deletes what was given up and is too old or too
/// much. Returns how many were given up.
pub(super) async fn upkeep(live: &Live, webhook: &WebhookId, upkeep: DeliveryUpkeep) -> Result<u64, Failure> {
    let DeliveryUpkeep { expired_before, keep_since, keep_max } = upkeep;
    let webhook = webhook.as_str();
    let given_up = live.execute(GIVE_UP, &[&webhook, &expired_before.as_micros(), &UPKEEP_MAX]).await?;
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&webhook, &i64::from(keep_max), &UPKEEP_MAX, &keep_since.as_micros()];
    live.execute(FORGET, &parameters).await?;
    Ok(given_up)
}
