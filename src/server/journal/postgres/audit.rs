//! The audit trail: rows that are only appended, read and pruned.
//!
//! ```text
//!   id = base + (number of the transaction << 16) + place in it
//!
//!   transactions   … 41 ✓   42 ✓   43 …   44 ✓ │ 45
//!   a page forward ────────────▶ ends here: 43 is not over, and its records may come
//!   a page back    ◀──────────────────────────── begins here
//! ```
//!
//! Ids have no order of commits on PostgreSQL. A reader that goes forward must not pass
//! by a record that is still to come: it ends before the first transaction that is not
//! over. So a transaction of another program that writes for minutes in the same cluster
//! delays it, and nothing else.
//!
//! Times are nearly in the order of ids: a start time is found by bisection. `base`
//! changes when the tables were moved to another cluster, whose transactions have other
//! numbers.

use std::sync::Arc;

use tokio_postgres::Row;

use super::{
    PostgresJournal,
    batch::{Failure, clean},
    link::Live,
    sql,
};
use crate::{
    journal::{
        AuditEntry, AuditFilter, AuditId, AuditPage, AuditSelect, JournalError,
        rows::{AuditRow, from_json, integer, natural},
    },
    record::AuditRecord,
    time::Timestamp,
};

/// The maximum of records examined for one page, however few belong on it.
const SCAN_MAX: i64 = 4096;

/// How much later than the record after it a record may be, in microseconds. Generous,
/// because it only makes a search a little longer.
const SLACK: i64 = 600 * 1_000_000;

/// The id before which every record is there.
const HORIZON: &str =
    "SELECT audit_base + (pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 16) FROM meta";

const FORWARD: &str = "SELECT id, body FROM audit_trail
    WHERE id > $1 AND id < $2 AND at >= $3 ORDER BY id LIMIT $4";

const FORWARD_OF_RUN: &str = "SELECT id, body FROM audit_trail
    WHERE run_id = $5 AND id > $1 AND id < $2 AND at >= $3 ORDER BY id LIMIT $4";

const NEWEST: &str = "SELECT id, body FROM audit_trail
    WHERE id < $1 AND id > $2 AND at >= $3 AND at < $4 ORDER BY id DESC LIMIT $5";

const NEWEST_OF_RUN: &str = "SELECT id, body FROM audit_trail
    WHERE run_id = $6 AND id < $1 AND id > $2 AND at >= $3 AND at < $4 ORDER BY id DESC LIMIT $5";

const NEXT: &str = "SELECT id, at FROM audit_trail WHERE id > $1 ORDER BY id LIMIT 1";

const LAST: &str = "SELECT coalesce(max(id), 0) FROM audit_trail";

const OLDEST: &str = "SELECT at FROM audit_trail ORDER BY id LIMIT 1";

const PRUNE: &str = "DELETE FROM audit_trail WHERE id IN (
    SELECT id FROM (SELECT id, at FROM audit_trail ORDER BY id LIMIT $2) AS oldest WHERE at < $1)";

/// Appends records within a transaction.
pub(super) async fn append(live: &Live, rows: &[AuditRow]) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    let at: Vec<i64> = rows.iter().map(|row| row.at).collect();
    // A refused request may name anything.
    let runs: Vec<_> = rows.iter().map(|row| row.run_id.as_ref().map(|run| clean(run.as_str()))).collect();
    let bodies: Vec<&str> = rows.iter().map(|row| row.body.as_str()).collect();
    live.execute(sql::AUDIT_INSERT, &[&at, &runs, &bodies]).await?;
    Ok(())
}

impl PostgresJournal {
    pub(super) async fn audit_put(&self, records: &[AuditRecord]) -> Result<(), JournalError> {
        let rows = records.iter().map(AuditRow::encode).collect::<Result<Vec<_>, _>>()?;
        let rows = Arc::new(rows);
        self.writers
            .own(move |live| {
                let rows = Arc::clone(&rows);
                async move { append(&live, &rows).await }
            })
            .await
    }

    pub(super) async fn audit_delete(&self, before: Timestamp, limit: u32) -> Result<u64, JournalError> {
        let oldest = |live: Arc<Live>| async move {
            let oldest = live.query_opt(OLDEST, &[]).await?;
            Ok(oldest.map(|row| row.try_get::<_, i64>(0)).transpose()?)
        };
        // Mostly nothing is old enough.
        if self.readers.read(oldest).await?.is_none_or(|oldest| oldest >= before.as_micros()) {
            return Ok(0);
        }
        let (before, limit) = (before.as_micros(), i64::from(limit));
        self.writers.own(move |live| async move { Ok(live.execute(PRUNE, &[&before, &limit]).await?) }).await
    }
}

pub(super) async fn page(
    live: Arc<Live>,
    after: AuditId,
    filter: &AuditFilter,
    limit: u32,
) -> Result<AuditPage, JournalError> {
    let horizon: i64 = live.query_one(HORIZON, &[]).await?.try_get(0)?;
    let since = filter.since.map_or(i64::MIN, Timestamp::as_micros);
    let begin = match filter.since {
        Some(_) => before_time(&live, since.saturating_sub(SLACK)).await?.max(integer(after.0)?),
        None => integer(after.0)?,
    };
    let rows = match &filter.run_id {
        None => live.query(FORWARD, &[&begin, &horizon, &since, &SCAN_MAX]).await?,
        Some(run) => {
            live.query(FORWARD_OF_RUN, &[&begin, &horizon, &since, &SCAN_MAX, &run.as_str()]).await?
        }
    };
    let page = AuditPage { scanned_to: after, ..AuditPage::default() };
    fill(page, &rows, limit, |record| filter.admits(record))
}

/// The same from the newest on.
pub(super) async fn newest(
    live: Arc<Live>,
    before: Option<AuditId>,
    select: &AuditSelect,
    limit: u32,
) -> Result<AuditPage, JournalError> {
    let filter = &select.filter;
    let since = filter.since.map_or(i64::MIN, Timestamp::as_micros);
    let until = filter.until.map_or(i64::MAX, Timestamp::as_micros);
    let from = match filter.since {
        Some(_) => before_time(&live, since.saturating_sub(SLACK)).await?,
        None => 0,
    };
    // A place that was made up may be behind all of them.
    let before = before.map_or(i64::MAX, |before| i64::try_from(before.0).unwrap_or(i64::MAX));
    let to = match filter.until {
        Some(_) => before.min(before_time(&live, until.saturating_add(SLACK)).await?.saturating_add(1)),
        None => before,
    };
    let rows = match &filter.run_id {
        None => live.query(NEWEST, &[&to, &from, &since, &until, &SCAN_MAX]).await?,
        Some(run) => {
            live.query(NEWEST_OF_RUN, &[&to, &from, &since, &until, &SCAN_MAX, &run.as_str()]).await?
        }
    };
    let page = AuditPage { scanned_to: AuditId(natural(before)?), ..AuditPage::default() };
    fill(page, &rows, limit, |record| select.admits(record))
}

fn fill(
    mut page: AuditPage,
    rows: &[Row],
    limit: u32,
    admits: impl Fn(&AuditRecord) -> bool,
) -> Result<AuditPage, JournalError> {
    for row in rows {
        if page.entries.len() as u64 >= u64::from(limit.max(1)) {
            return Ok(page);
        }
        let id = AuditId(natural(row.try_get(0)?)?);
        page.scanned_to = id;
        match decode(id, row) {
            Ok(record) if admits(&record) => page.entries.push(AuditEntry { id, record }),
            Ok(_) => {}
            Err(_) => page.damaged.push(id),
        }
    }
    page.at_end = (rows.len() as u64) < SCAN_MAX.unsigned_abs();
    Ok(page)
}

fn decode(id: AuditId, row: &Row) -> Result<AuditRecord, JournalError> {
    from_json(&format!("audit record {}", id.0), row.try_get(1)?)
}

/// An id before which all records are older than `time`, which no page needs to look at.
async fn before_time(live: &Live, time: i64) -> Result<i64, JournalError> {
    // The record after `low` may be wanted or not; all after `high` are wanted.
    let (mut low, mut high) = (0, live.query_one(LAST, &[]).await?.try_get::<_, i64>(0)?);
    while low < high {
        let middle = low + (high - low) / 2;
        match live.query_opt(NEXT, &[&middle]).await? {
            Some(row) if row.try_get::<_, i64>(1)? < time => low = row.try_get(0)?,
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}
