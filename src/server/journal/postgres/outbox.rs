//! The outbox: entries that the JARVIS stores have yet to accept.
//!
//! An id is given before its transaction commits: an entry may appear behind one with a
//! higher id. Only the entries of one run appear in the order of their ids.

use std::sync::Arc;

use tokio_postgres::Row;

use super::link::Live;
use crate::{
    journal::{
        JournalError, OutboxEntry, OutboxId, OutboxItem, Recipient,
        rows::{integer, natural},
    },
    types::{NodeRunId, RunId},
};

/// Entries for the Run Store behind an id that are not in hand.
const FOR_RUN_STORE: &str = "SELECT id, run_id, node_run_id, new, first_seq, last_seq FROM outbox
    WHERE id > $1 AND new IS NOT NULL AND id <> ALL ($3) ORDER BY id LIMIT $2";

/// The same for the Event Stream.
const FOR_EVENT_STREAM: &str = "SELECT id, run_id, node_run_id, new, first_seq, last_seq FROM outbox
    WHERE id > $1 AND first_seq IS NOT NULL AND id <> ALL ($3) ORDER BY id LIMIT $2";

const SETTLED: &str = "SELECT NOT EXISTS (SELECT 1 FROM outbox WHERE run_id = $1 AND id <= $2)";

pub(super) const ACKNOWLEDGE: &str = "DELETE FROM outbox WHERE id = ANY ($1)";

/// The entries that are owed to a recipient.
pub(super) async fn owed(
    live: Arc<Live>,
    recipient: Recipient,
    after: OutboxId,
    in_hand: &[OutboxId],
    limit: u32,
) -> Result<Vec<OutboxEntry>, JournalError> {
    let sql = match recipient {
        Recipient::RunStore => FOR_RUN_STORE,
        Recipient::EventStream => FOR_EVENT_STREAM,
    };
    let in_hand = in_hand.iter().map(|id| integer(id.0)).collect::<Result<Vec<_>, _>>()?;
    let rows = live.query(sql, &[&integer(after.0)?, &i64::from(limit), &in_hand]).await?;
    rows.iter().map(entry).collect()
}

/// Whether a run has no entry up to one.
pub(super) async fn settled(live: Arc<Live>, run: &RunId, upto: OutboxId) -> Result<bool, JournalError> {
    Ok(live.query_one(SETTLED, &[&run.as_str(), &integer(upto.0)?]).await?.try_get(0)?)
}

fn entry(row: &Row) -> Result<OutboxEntry, JournalError> {
    let id: i64 = row.try_get(0)?;
    let item: (Option<String>, Option<bool>, Option<i64>, Option<i64>) =
        (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?, row.try_get(5)?);
    let item = match item {
        (None, Some(new), ..) => OutboxItem::Run { new },
        (Some(node), Some(new), ..) => OutboxItem::NodeRun { node_run_id: NodeRunId::new(node), new },
        (_, None, Some(first), Some(last)) => {
            OutboxItem::Events { first: natural(first)?, last: natural(last)? }
        }
        (_, None, ..) => return Err(JournalError::Damaged(format!("outbox entry {id}"))),
    };
    Ok(OutboxEntry { id: OutboxId(natural(id)?), run_id: RunId::new(row.try_get::<_, String>(1)?), item })
}
