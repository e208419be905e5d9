//! Parked items: wake-ups and runs whose decision fails repeatedly are set aside
//! for a while, and listed.
//!
//! ```text
//!   due ──claimed──▶ decided ────────────────▶ (not listed)
//!    ▲                 │ fails repeatedly           ▲
//!    └──── `until` ── parked ── a commit writes it ─┘
//! ```
//!
//! Only columns change, because the record itself may be what is damaged.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    notices,
    rows::{HeadRow, NoticeRow},
};
use crate::{
    journal::{JournalError, Parked},
    record::Notice,
    time::Timestamp,
    types::{NodeRunId, RunId},
};

/// The node run id in the row of a run as a whole.
const WHOLE_RUN: &str = "";

/// Parks an item; `reports`: with a notice if it is not on the list yet. Runs in the
/// writer thread.
pub(super) fn park(connection: &Connection, item: &Parked, reports: bool) -> Result<(), JournalError> {
    let (run, until) = (item.run_id.as_str(), item.until.as_micros());
    let moved = match &item.node_run_id {
        Some(node) => connection
            .prepare_cached(
                "UPDATE node_runs SET wake_at = ?3, wake_owner = NULL, wake_tries = wake_tries + 1,
                                      version = version + 1
                 WHERE node_run_id = ?1 AND run_id = ?2
                   AND (wake_job = 'cancel_executor') = (?4 = 'cancel_executor')",
            )?
            .execute(params![node.as_str(), run, until, item.job])?,
        // The record keeps the real deadline, which the next commit of it writes
        // to the column again.
        None => connection
            .prepare_cached(
                "UPDATE runs SET deadline = ?2, version = version + 1 WHERE run_id = ?1 AND terminal = 0",
            )?
            .execute(params![run, until])?,
    };
    if moved == 0 {
        return Ok(());
    }
    let times: u32 = connection
        .prepare_cached(
            "INSERT INTO parked (run_id, node_run_id, job, error, since, until, times)
             VALUES (?, ?, ?, ?, ?, ?, 1)
             ON CONFLICT DO UPDATE SET job = excluded.job, error = excluded.error, until = excluded.until,
                                       times = times + 1
             RETURNING times",
        )?
        .query_one(
            params![
                run,
                item.node_run_id.as_ref().map_or(WHOLE_RUN, NodeRunId::as_str),
                item.job,
                item.error,
                item.since.as_micros(),
                until,
            ],
            |row| row.get(0),
        )?;
    if reports && times == 1 {
        let Parked { run_id, node_run_id, job, since, .. } = item.clone();
        let notice = NoticeRow::encode(&Notice::WorkParked { run_id, node_run_id, job })?;
        notices::append(connection, since.as_micros(), &[notice])?;
    }
    Ok(())
}

/// Removes an item that was decided, unless its wake-up is still the one of the
/// parking (`waits_until`). Runs in the writer thread.
pub(super) fn remove(
    connection: &Connection,
    run: &RunId,
    node: Option<&NodeRunId>,
    waits_until: Option<i64>,
) -> Result<(), JournalError> {
    connection
        .prepare_cached("DELETE FROM parked WHERE run_id = ? AND node_run_id = ? AND until IS NOT ?")?
        .execute(params![run.as_str(), node.map_or(WHOLE_RUN, NodeRunId::as_str), waits_until])?;
    Ok(())
}

/// The parked items, and how often in a row each was parked.
pub(super) fn list(connection: &Connection, limit: u32) -> Result<Vec<(Parked, u32)>, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT run_id, node_run_id, job, error, since, until, times FROM parked
         ORDER BY since, run_id, node_run_id LIMIT ?",
    )?;
    let items = statement.query_map([limit], |row| Ok((item(row)?, row.get(6)?)))?;
    Ok(items.collect::<Result<_, _>>()?)
}

/// The item of a node.
pub(super) fn find(
    connection: &Connection,
    run: &RunId,
    node: &NodeRunId,
) -> Result<Option<Parked>, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT run_id, node_run_id, job, error, since, until FROM parked WHERE run_id = ? AND node_run_id = ?",
    )?;
    Ok(statement.query_row([run.as_str(), node.as_str()], item).optional()?)
}

fn item(row: &Row<'_>) -> rusqlite::Result<Parked> {
    let node: String = row.get(1)?;
    Ok(Parked {
        run_id: RunId::new(row.get::<_, String>(0)?),
        node_run_id: (node != WHOLE_RUN).then(|| NodeRunId::new(node)),
        job: row.get(2)?,
        error: row.get(3)?,
        since: Timestamp::from_micros(row.get(4)?),
        until: Timestamp::from_micros(row.get(5)?),
    })
}

/// The item for a wake-up whose head cannot be read.
pub(super) fn unreadable(row: &HeadRow, error: &JournalError, since: Timestamp, until: Timestamp) -> Parked {
    Parked {
        run_id: row.run_id.clone(),
        node_run_id: Some(row.node_run_id.clone()),
        job: row.wake.as_ref().map_or_else(String::new, |wake| wake.job.clone()),
        error: error.to_string(),
        since,
        until,
    }
}
