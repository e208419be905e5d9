//! The outbox: entries that the JARVIS stores have yet to accept.

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    encoding::{integer, natural, to_json},
    rows::ChangeRows,
};
use crate::{
    journal::{JournalError, OutboxEntry, OutboxId, OutboxItem, Recipient},
    types::{NodeRunId, RunId},
};

/// Adds the outbox entries of a change, and returns the id of the last one. Runs
/// in the writer thread.
pub(super) fn put(connection: &Connection, change: &ChangeRows) -> Result<Option<i64>, JournalError> {
    if change.outbox.is_empty() {
        return Ok(None);
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO outbox (decided_at, run_id, node_run_id, new, first_seq, last_seq)
         VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
    )?;
    let mut last = None;
    for item in &change.outbox {
        let (node, new, first, newest) = match item {
            OutboxItem::Run { new } => (None, Some(*new), None, None),
            OutboxItem::NodeRun { node_run_id, new } => (Some(node_run_id.as_str()), Some(*new), None, None),
            OutboxItem::Events { first, last } => (None, None, Some(integer(*first)?), Some(integer(*last)?)),
        };
        let entry = params![change.at, change.run_id.as_str(), node, new, first, newest];
        last = insert.query_one(entry, |row| row.get(0))?;
    }
    Ok(last)
}

/// The highest id that an entry ever had.
pub(super) fn newest_id(connection: &Connection) -> Result<i64, JournalError> {
    let newest = connection
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(newest.unwrap_or(0))
}

/// The entries that are owed to a recipient.
pub(super) fn owed(
    connection: &Connection,
    recipient: Recipient,
    after: OutboxId,
    in_hand: &[OutboxId],
    limit: u32,
) -> Result<Vec<OutboxEntry>, JournalError> {
    let whose = match recipient {
        Recipient::RunStore => "new IS NOT NULL",
        Recipient::EventStream => "first_seq IS NOT NULL",
    };
    let ids = in_hand.iter().map(|id| id.0).collect::<Vec<_>>();
    // Mostly there are none, and then nothing is to be compared.
    let except =
        if ids.is_empty() { "?3 IS NOT NULL" } else { "id NOT IN (SELECT value FROM json_each(?3))" };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT id, run_id, node_run_id, new, first_seq, last_seq FROM outbox
         WHERE id > ?1 AND {whose} AND {except} ORDER BY id LIMIT ?2"
    ))?;
    let rows = statement.query_map(params![integer(after.0)?, limit, to_json(&ids)?], |row| {
        let item: (Option<String>, Option<bool>, Option<i64>, Option<i64>) =
            (row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?);
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, item))
    })?;
    rows.map(|row| {
        let (id, run_id, item) = row?;
        let item = match item {
            (None, Some(new), ..) => OutboxItem::Run { new },
            (Some(node), Some(new), ..) => OutboxItem::NodeRun { node_run_id: NodeRunId::new(node), new },
            (_, None, Some(first), Some(last)) => {
                OutboxItem::Events { first: natural(first)?, last: natural(last)? }
            }
            (_, None, ..) => return Err(JournalError::Damaged(format!("outbox entry {id}"))),
        };
        Ok(OutboxEntry { id: OutboxId(natural(id)?), run_id: RunId::new(run_id), item })
    })
    .collect()
}

/// Whether a run has no entry up to one.
pub(super) fn settled(connection: &Connection, run: &RunId, upto: OutboxId) -> Result<bool, JournalError> {
    Ok(connection
        .prepare_cached("SELECT NOT EXISTS (SELECT 1 FROM outbox WHERE id <= ? AND run_id = ?)")?
        .query_one(params![integer(upto.0)?, run.as_str()], |row| row.get(0))?)
}

/// Deletes accepted entries. Runs in the writer thread.
pub(super) fn acknowledge(connection: &Connection, ids: &[i64]) -> Result<(), JournalError> {
    let mut delete = connection.prepare_cached("DELETE FROM outbox WHERE id = ?")?;
    for id in ids {
        delete.execute([id])?;
    }
    Ok(())
}
