//! Bulk jobs and their results.
//!
//! ```text
//!   bulk_jobs     one row a job: by id, newest first, live ones by when they go on
//!   bulk_results  one row a run of a job: by number, and by outcome
//! ```

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    SqliteJournal, audit,
    encoding::{from_json, integer, natural, to_json},
    rows::AuditRow,
};
use crate::{
    journal::{BulkJournal, BulkPlace, JournalError},
    record::{BulkChange, BulkJob, BulkOutcome, BulkResult},
    time::Timestamp,
    types::{BulkId, RunId},
};

#[async_trait]
impl BulkJournal for SqliteJournal {
    async fn bulk_commit(&self, change: BulkChange) -> Result<(), JournalError> {
        let rows = BulkRows::encode(change)?;
        self.writes.run(move |connection| commit(connection, &rows)).await
    }

    async fn bulk_fetch(&self, bulk: &BulkId) -> Result<Option<BulkJob>, JournalError> {
        self.reads.here(|connection| fetch(connection, bulk))
    }

    async fn bulk_live(&self, limit: u32) -> Result<Vec<BulkJob>, JournalError> {
        self.reads.here(|connection| live(connection, limit))
    }

    async fn bulk_page(&self, after: Option<&BulkPlace>, limit: u32) -> Result<Vec<BulkJob>, JournalError> {
        let after = after.cloned();
        self.reads.aside(move |connection| page(connection, after.as_ref(), limit)).await
    }

    async fn bulk_results(
        &self,
        bulk: &BulkId,
        after: u64,
        outcome: Option<BulkOutcome>,
        limit: u32,
    ) -> Result<Vec<BulkResult>, JournalError> {
        let bulk = bulk.clone();
        self.reads.aside(move |connection| results(connection, &bulk, after, outcome, limit)).await
    }

    async fn bulk_prune(&self, ended_before: Timestamp, limit: u32) -> Result<u64, JournalError> {
        // Mostly nothing is old enough, and then the writer need not be asked.
        if !self.reads.here(|connection| any_ended_before(connection, ended_before))? {
            return Ok(0);
        }
        self.writes.run(move |connection| prune(connection, ended_before, limit)).await
    }
}

/// A change ready to be written.
pub(super) struct BulkRows {
    job: BulkJob,
    body: String,
    version: i64,
    results: Vec<(i64, BulkResult)>,
    audit: Vec<AuditRow>,
}

impl BulkRows {
    pub(super) fn encode(change: BulkChange) -> Result<Self, JournalError> {
        let BulkChange { job, results, audit } = change;
        let results = results.into_iter().map(|result| Ok((integer(result.number)?, result)));
        Ok(Self {
            body: to_json(&job)?,
            version: integer(job.version)?,
            job,
            results: results.collect::<Result<_, JournalError>>()?,
            audit: audit.iter().map(AuditRow::encode).collect::<Result<_, _>>()?,
        })
    }
}

/// Writes a change. Runs in the writer thread.
pub(super) fn commit(connection: &Connection, rows: &BulkRows) -> Result<(), JournalError> {
    let BulkRows { job, body, version, results, audit } = rows;
    let sql = if *version == 0 {
        "INSERT INTO bulk_jobs (bulk_id, version, created_at, ended_at, wake_at, body)
         VALUES (?1, ?2 + 1, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING"
    } else {
        "UPDATE bulk_jobs SET version = ?2 + 1, ended_at = ?4, wake_at = ?5, body = ?6
         WHERE bulk_id = ?1 AND version = ?2 AND created_at = ?3"
    };
    let changed = connection.prepare_cached(sql)?.execute(params![
        job.bulk_id.as_str(),
        version,
        job.created_at.as_micros(),
        job.ended_at.map(Timestamp::as_micros),
        job.wake_at.map(Timestamp::as_micros),
        body
    ])?;
    if changed != 1 {
        return Err(JournalError::Conflict);
    }
    let mut put = connection.prepare_cached(
        "INSERT INTO bulk_results (bulk_id, number, run_id, outcome, detail) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (bulk_id, number) DO UPDATE SET outcome = excluded.outcome, detail = excluded.detail",
    )?;
    for (number, result) in results {
        put.execute(params![
            job.bulk_id.as_str(),
            number,
            result.run_id.as_str(),
            result.outcome.as_str(),
            result.detail
        ])?;
    }
    audit::append(connection, audit)
}

fn job(row: &Row<'_>) -> Result<BulkJob, JournalError> {
    let (id, body): (String, String) = (row.get(0)?, row.get(2)?);
    Ok(BulkJob { version: natural(row.get(1)?)?, ..from_json(&id, &body)? })
}

pub(super) fn fetch(connection: &Connection, id: &BulkId) -> Result<Option<BulkJob>, JournalError> {
    let mut statement =
        connection.prepare_cached("SELECT bulk_id, version, body FROM bulk_jobs WHERE bulk_id = ?")?;
    statement.query_row([id.as_str()], |row| Ok(job(row))).optional()?.transpose()
}

pub(super) fn live(connection: &Connection, limit: u32) -> Result<Vec<BulkJob>, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT bulk_id, version, body FROM bulk_jobs WHERE wake_at IS NOT NULL ORDER BY wake_at LIMIT ?",
    )?;
    let rows = statement.query_map([limit], |row| Ok(job(row)))?;
    rows.map(|row| row?).collect()
}

/// Newest first, behind a place.
pub(super) fn page(
    connection: &Connection,
    after: Option<&BulkPlace>,
    limit: u32,
) -> Result<Vec<BulkJob>, JournalError> {
    let (at, id) =
        after.map_or((i64::MAX, ""), |place| (place.created_at.as_micros(), place.bulk_id.as_str()));
    let mut statement = connection.prepare_cached(
        "SELECT bulk_id, version, body FROM bulk_jobs WHERE (created_at, bulk_id) < (?1, ?2)
         ORDER BY created_at DESC, bulk_id DESC LIMIT ?3",
    )?;
    let rows = statement.query_map(params![at, id, limit], |row| Ok(job(row)))?;
    rows.map(|row| row?).collect()
}

pub(super) fn results(
    connection: &Connection,
    id: &BulkId,
    after: u64,
    outcome: Option<BulkOutcome>,
    limit: u32,
) -> Result<Vec<BulkResult>, JournalError> {
    let sql = match outcome {
        None => {
            "SELECT number, run_id, outcome, detail FROM bulk_results
             WHERE bulk_id = ?1 AND number > ?2 AND ?3 IS NULL ORDER BY number LIMIT ?4"
        }
        Some(_) => {
            "SELECT number, run_id, outcome, detail FROM bulk_results
             WHERE bulk_id = ?1 AND number > ?2 AND outcome = ?3 ORDER BY number LIMIT ?4"
        }
    };
    let mut statement = connection.prepare_cached(sql)?;
    let outcome = outcome.map(BulkOutcome::as_str);
    let mut rows = statement.query(params![id.as_str(), integer(after)?, outcome, limit])?;
    let mut results = Vec::new();
    while let Some(row) = rows.next()? {
        let outcome: String = row.get(2)?;
        let damaged = || JournalError::Damaged(format!("{id}: invalid outcome of a result"));
        results.push(BulkResult {
            number: natural(row.get(0)?)?,
            run_id: RunId::new(row.get::<_, String>(1)?),
            outcome: BulkOutcome::named(&outcome).ok_or_else(damaged)?,
            detail: row.get(3)?,
        });
    }
    Ok(results)
}

/// Deletes results of jobs that ended before a time, then the jobs; at most `limit`
/// rows. Returns how many.
pub(super) fn prune(connection: &Connection, before: Timestamp, limit: u32) -> Result<u64, JournalError> {
    let before = before.as_micros();
    let results = connection
        .prepare_cached(
            "DELETE FROM bulk_results WHERE (bulk_id, number) IN (
                SELECT bulk_results.bulk_id, number FROM bulk_jobs JOIN bulk_results USING (bulk_id)
                WHERE ended_at < ?1 LIMIT ?2)",
        )?
        .execute(params![before, limit])?;
    let jobs = connection
        .prepare_cached(
            "DELETE FROM bulk_jobs WHERE ended_at < ?1
             AND NOT EXISTS (SELECT 1 FROM bulk_results WHERE bulk_results.bulk_id = bulk_jobs.bulk_id)",
        )?
        .execute([before])?;
    Ok((results + jobs) as u64)
}

pub(super) fn any_ended_before(connection: &Connection, before: Timestamp) -> Result<bool, JournalError> {
    let mut statement =
        connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM bulk_jobs WHERE ended_at < ?)")?;
    Ok(statement.query_one([before.as_micros()], |row| row.get(0))?)
}
