//! The audit trail: rows that are only appended, read and pruned.
//!
//! ```text
//!   commit ─┐
//!           ├─▶ append ──▶ audit_trail ──▶ page (by id; of a run; since a time)
//!   refusal ┘                    └──────▶ prune, from the oldest on
//! ```
//!
//! Ids are in the order of commits, and so, nearly, are times: no index by time is
//! needed, a start time is found by bisection. A run's records have an index.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    contents::View,
    encoding::{from_json, integer, natural},
    migrations::AUDIT_TRAIL_SINCE,
    rows::AuditRow,
};
use crate::{
    journal::{AuditEntry, AuditFilter, AuditId, AuditPage, AuditSelect, JournalError, OpenError},
    record::AuditRecord,
    time::Timestamp,
    types::RunId,
};

/// The maximum of records examined for one page, however few belong on it.
const SCAN_MAX: u32 = 4096;

/// How much later than the record after it a record may be, in microseconds: it
/// waited for the writer. Generous, because it only makes a search a little longer.
const SLACK: i64 = 600 * 1_000_000;

/// The audit trail of a journal that a server may be using.
pub struct AuditReader(View);

impl AuditReader {
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let view = View::open(path)?;
        if view.schema < AUDIT_TRAIL_SINCE {
            return Err(view.at().io(std::io::Error::other(format!(
                "the journal has schema {}, and there is an audit trail from schema {AUDIT_TRAIL_SINCE} on: start \
                 the server on it",
                view.schema
            ))));
        }
        Ok(Self(view))
    }

    /// Like [`Journal::audit_page`](crate::journal::Journal::audit_page).
    pub fn page(&self, after: AuditId, filter: &AuditFilter, limit: u32) -> Result<AuditPage, OpenError> {
        let read = page(&self.0.connection, after, filter, limit);
        read.map_err(|failure| self.0.at().io(std::io::Error::other(failure)))
    }
}

/// Appends records. Runs in the writer thread.
pub(super) fn append(connection: &Connection, rows: &[AuditRow]) -> Result<(), JournalError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut insert =
        connection.prepare_cached("INSERT INTO audit_trail (at, run_id, body) VALUES (?, ?, ?)")?;
    for AuditRow { at, run_id, body } in rows {
        insert.execute(params![at, run_id.as_ref().map(RunId::as_str), body])?;
    }
    Ok(())
}

pub(super) fn page(
    connection: &Connection,
    after: AuditId,
    filter: &AuditFilter,
    limit: u32,
) -> Result<AuditPage, JournalError> {
    let since = filter.since.map_or(i64::MIN, Timestamp::as_micros);
    let begin = match filter.since {
        Some(_) => before_time(connection, since.saturating_sub(SLACK))?.max(integer(after.0)?),
        None => integer(after.0)?,
    };
    let sql = match filter.run_id {
        None => {
            "SELECT id, body FROM audit_trail
             WHERE id > ?1 AND at >= ?2 AND ?3 IS NULL ORDER BY id LIMIT ?4"
        }
        Some(_) => {
            "SELECT id, body FROM audit_trail
             WHERE run_id = ?3 AND id > ?1 AND at >= ?2 ORDER BY id LIMIT ?4"
        }
    };
    let mut statement = connection.prepare_cached(sql)?;
    let run = filter.run_id.as_ref().map(RunId::as_str);
    let mut rows = statement.query(params![begin, since, run, SCAN_MAX])?;
    let mut page = AuditPage { scanned_to: after, ..AuditPage::default() };
    let mut scanned = 0;
    while let Some(row) = rows.next()? {
        if page.entries.len() as u64 >= u64::from(limit.max(1)) {
            return Ok(page);
        }
        scanned += 1;
        let id = AuditId(natural(row.get(0)?)?);
        page.scanned_to = id;
        match decode(id, row) {
            Ok(record) if filter.admits(&record) => page.entries.push(AuditEntry { id, record }),
            Ok(_) => {}
            Err(_) => page.damaged.push(id),
        }
    }
    page.at_end = scanned < SCAN_MAX;
    Ok(page)
}

/// The same from the newest on.
pub(super) fn newest(
    connection: &Connection,
    before: Option<AuditId>,
    select: &AuditSelect,
    limit: u32,
) -> Result<AuditPage, JournalError> {
    let filter = &select.filter;
    let since = filter.since.map_or(i64::MIN, Timestamp::as_micros);
    let until = filter.until.map_or(i64::MAX, Timestamp::as_micros);
    let from = match filter.since {
        Some(_) => before_time(connection, since.saturating_sub(SLACK))?,
        None => 0,
    };
    // A place that was made up may be behind all of them.
    let before = before.map_or(i64::MAX, |before| i64::try_from(before.0).unwrap_or(i64::MAX));
    let to = match filter.until {
        Some(_) => before.min(before_time(connection, until.saturating_add(SLACK))?.saturating_add(1)),
        None => before,
    };
    let sql = match filter.run_id {
        None => NEWEST,
        Some(_) => NEWEST_OF_RUN,
    };
    let mut statement = connection.prepare_cached(sql)?;
    let run = filter.run_id.as_ref().map(RunId::as_str);
    let mut rows = statement.query(params![to, from, since, until, run, SCAN_MAX])?;
    let mut page = AuditPage { scanned_to: AuditId(natural(before)?), ..AuditPage::default() };
    let mut scanned = 0;
    while let Some(row) = rows.next()? {
        if page.entries.len() as u64 >= u64::from(limit.max(1)) {
            return Ok(page);
        }
        scanned += 1;
        let id = AuditId(natural(row.get(0)?)?);
        page.scanned_to = id;
        match decode(id, row) {
            Ok(record) if select.admits(&record) => page.entries.push(AuditEntry { id, record }),
            Ok(_) => {}
            Err(_) => page.damaged.push(id),
        }
    }
    page.at_end = scanned < SCAN_MAX;
    Ok(page)
}

/// Records before one, the newest first.
pub(super) const NEWEST: &str = "SELECT id, body FROM audit_trail
    WHERE id < ?1 AND id > ?2 AND at >= ?3 AND at < ?4 AND ?5 IS NULL ORDER BY id DESC LIMIT ?6";

/// The same of a run.
pub(super) const NEWEST_OF_RUN: &str = "SELECT id, body FROM audit_trail
    WHERE run_id = ?5 AND id < ?1 AND id > ?2 AND at >= ?3 AND at < ?4 ORDER BY id DESC LIMIT ?6";

fn decode(id: AuditId, row: &rusqlite::Row<'_>) -> Result<AuditRecord, JournalError> {
    from_json(&format!("audit record {}", id.0), row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)
}

/// An id before which all records are older than `time`, which no page needs to
/// look at.
fn before_time(connection: &Connection, time: i64) -> Result<i64, JournalError> {
    let mut at_or_after =
        connection.prepare_cached("SELECT id, at FROM audit_trail WHERE id > ? ORDER BY id LIMIT 1")?;
    let mut next = |id: i64| at_or_after.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional();
    let newest = connection.prepare_cached("SELECT max(id) FROM audit_trail")?;
    let newest: Option<i64> = { newest }.query_one([], |row| row.get(0))?;
    // The record after `low` may be wanted or not; all after `high` are wanted.
    let (mut low, mut high) = (0, newest.unwrap_or(0));
    while low < high {
        let middle = low + (high - low) / 2;
        let found: Option<(i64, i64)> = next(middle)?;
        match found {
            Some((id, at)) if at < time => low = id,
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}

/// Deletes the oldest records, at most `limit`. Runs in the writer thread.
pub(super) fn prune(connection: &Connection, before: Timestamp, limit: u32) -> Result<u64, JournalError> {
    let deleted = connection
        .prepare_cached(
            "DELETE FROM audit_trail WHERE id IN (
                 SELECT id FROM (SELECT id, at FROM audit_trail ORDER BY id LIMIT ?2) WHERE at < ?1)",
        )?
        .execute(params![before.as_micros(), limit])?;
    Ok(deleted as u64)
}

/// Whether there is any record to prune, as a reader sees it.
pub(super) fn any_before(connection: &Connection, before: Timestamp) -> Result<bool, JournalError> {
    let oldest: Option<i64> = connection
        .prepare_cached("SELECT at FROM audit_trail ORDER BY id LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(oldest.is_some_and(|oldest| oldest < before.as_micros()))
}

/// The records of a run after one of them, for checks.
#[cfg(any(test, feature = "test-util"))]
pub(super) fn of_run(
    connection: &Connection,
    run: &RunId,
    after: AuditId,
) -> Result<Vec<AuditEntry>, JournalError> {
    let mut statement = connection
        .prepare_cached("SELECT id, body FROM audit_trail WHERE run_id = ? AND id > ? ORDER BY id")?;
    let mut rows = statement.query(params![run.as_str(), integer(after.0)?])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let id = AuditId(natural(row.get(0)?)?);
        entries.push(AuditEntry { id, record: decode(id, row)? });
    }
    Ok(entries)
}
