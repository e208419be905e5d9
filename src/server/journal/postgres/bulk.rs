//! Bulk jobs and their results.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_postgres::Row;

use super::{
    PostgresJournal, audit,
    batch::{Failure, clean},
    link::Live,
};
use crate::{
    journal::{
        BulkJournal, BulkPlace, JournalError,
        rows::{AuditRow, from_json, integer, natural, to_json},
    },
    record::{BulkChange, BulkJob, BulkOutcome, BulkResult},
    time::Timestamp,
    types::{BulkId, RunId},
};

const INSERT: &str = "
    INSERT INTO bulk_jobs (bulk_id, version, created_at, ended_at, wake_at, body)
    VALUES ($1, $2::bigint + 1, $3, $4, $5, $6) ON CONFLICT DO NOTHING";

const UPDATE: &str = "
    UPDATE bulk_jobs SET version = $2::bigint + 1, ended_at = $4, wake_at = $5, body = $6
    WHERE bulk_id = $1 AND version = $2 AND created_at = $3";

const RESULTS_PUT: &str = "
    INSERT INTO bulk_results (bulk_id, number, run_id, outcome, detail)
    SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[])
    ON CONFLICT (bulk_id, number) DO UPDATE SET outcome = excluded.outcome, detail = excluded.detail";

const FETCH: &str = "SELECT bulk_id, version, body FROM bulk_jobs WHERE bulk_id = $1";

const LIVE: &str =
    "SELECT bulk_id, version, body FROM bulk_jobs WHERE wake_at IS NOT NULL ORDER BY wake_at LIMIT $1";

/// Newest first, behind a place.
const PAGE: &str = "SELECT bulk_id, version, body FROM bulk_jobs WHERE (created_at, bulk_id) < ($1, $2)
    ORDER BY created_at DESC, bulk_id DESC LIMIT $3";

const RESULTS: &str = "SELECT number, run_id, outcome, detail FROM bulk_results
    WHERE bulk_id = $1 AND number > $2 ORDER BY number LIMIT $3";

const RESULTS_WITH: &str = "SELECT number, run_id, outcome, detail FROM bulk_results
    WHERE bulk_id = $1 AND number > $2 AND outcome = $4 ORDER BY number LIMIT $3";

const ANY_ENDED: &str = "SELECT EXISTS (SELECT 1 FROM bulk_jobs WHERE ended_at < $1)";

const PRUNE_RESULTS: &str = "DELETE FROM bulk_results WHERE (bulk_id, number) IN (
    SELECT bulk_results.bulk_id, number FROM bulk_jobs JOIN bulk_results USING (bulk_id)
    WHERE ended_at < $1 LIMIT $2)";

const PRUNE_JOBS: &str = "DELETE FROM bulk_jobs WHERE ended_at < $1
    AND NOT EXISTS (SELECT 1 FROM bulk_results WHERE bulk_results.bulk_id = bulk_jobs.bulk_id)";

/// A change ready to be written.
struct BulkRows {
    job: BulkJob,
    body: String,
    version: i64,
    results: Vec<(i64, BulkResult)>,
    audit: Vec<AuditRow>,
}

impl BulkRows {
    fn encode(change: BulkChange) -> Result<Self, JournalError> {
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

async fn commit(live: &Live, rows: &BulkRows) -> Result<(), Failure> {
    let BulkRows { job, body, version, results, audit } = rows;
    let id = job.bulk_id.as_str();
    let (ended_at, wake_at) = (job.ended_at.map(Timestamp::as_micros), job.wake_at.map(Timestamp::as_micros));
    let sql = if *version == 0 { INSERT } else { UPDATE };
    let written =
        live.execute(sql, &[&id, version, &job.created_at.as_micros(), &ended_at, &wake_at, body]).await?;
    if written != 1 {
        return Err(JournalError::Conflict.into());
    }
    let numbers: Vec<i64> = results.iter().map(|(number, _)| *number).collect();
    let runs: Vec<&str> = results.iter().map(|(_, result)| result.run_id.as_str()).collect();
    let outcomes: Vec<&str> = results.iter().map(|(_, result)| result.outcome.as_str()).collect();
    let details: Vec<_> = results.iter().map(|(_, result)| result.detail.as_deref().map(clean)).collect();
    live.execute(RESULTS_PUT, &[&id, &numbers, &runs, &outcomes, &details]).await?;
    audit::append(live, audit).await
}

fn job(row: &Row) -> Result<BulkJob, JournalError> {
    let (id, body): (&str, &str) = (row.try_get(0)?, row.try_get(2)?);
    Ok(BulkJob { version: natural(row.try_get(1)?)?, ..from_json(id, body)? })
}

fn result(id: &BulkId, row: &Row) -> Result<BulkResult, JournalError> {
    let damaged = || JournalError::Damaged(format!("{id}: invalid outcome of a result"));
    Ok(BulkResult {
        number: natural(row.try_get(0)?)?,
        run_id: RunId::new(row.try_get::<_, String>(1)?),
        outcome: BulkOutcome::named(row.try_get(2)?).ok_or_else(damaged)?,
        detail: row.try_get(3)?,
    })
}

#[async_trait]
impl BulkJournal for PostgresJournal {
    async fn bulk_commit(&self, change: BulkChange) -> Result<(), JournalError> {
        let rows = Arc::new(BulkRows::encode(change)?);
        self.writers
            .own(move |live| {
                let rows = Arc::clone(&rows);
                async move { commit(&live, &rows).await }
            })
            .await
    }

    async fn bulk_fetch(&self, bulk: &BulkId) -> Result<Option<BulkJob>, JournalError> {
        let fetch = |live: Arc<Live>| async move {
            live.query_opt(FETCH, &[&bulk.as_str()]).await?.as_ref().map(job).transpose()
        };
        self.readers.read(fetch).await
    }

    async fn bulk_live(&self, limit: u32) -> Result<Vec<BulkJob>, JournalError> {
        let first = |live: Arc<Live>| async move {
            live.query(LIVE, &[&i64::from(limit)]).await?.iter().map(job).collect()
        };
        self.readers.read(first).await
    }

    async fn bulk_page(&self, after: Option<&BulkPlace>, limit: u32) -> Result<Vec<BulkJob>, JournalError> {
        let (at, id) =
            after.map_or((i64::MAX, ""), |place| (place.created_at.as_micros(), place.bulk_id.as_str()));
        let page = |live: Arc<Live>| async move {
            live.query(PAGE, &[&at, &id, &i64::from(limit)]).await?.iter().map(job).collect()
        };
        self.readers.read(page).await
    }

    async fn bulk_results(
        &self,
        bulk: &BulkId,
        after: u64,
        outcome: Option<BulkOutcome>,
        limit: u32,
    ) -> Result<Vec<BulkResult>, JournalError> {
        let (after, limit) = (integer(after)?, i64::from(limit));
        let page = |live: Arc<Live>| async move {
            let rows = match outcome {
                None => live.query(RESULTS, &[&bulk.as_str(), &after, &limit]).await?,
                Some(outcome) => {
                    live.query(RESULTS_WITH, &[&bulk.as_str(), &after, &limit, &outcome.as_str()]).await?
                }
            };
            rows.iter().map(|row| result(bulk, row)).collect()
        };
        self.readers.read(page).await
    }

    async fn bulk_prune(&self, ended_before: Timestamp, limit: u32) -> Result<u64, JournalError> {
        let (before, limit) = (ended_before.as_micros(), i64::from(limit));
        let any =
            |live: Arc<Live>| async move { Ok(live.query_one(ANY_ENDED, &[&before]).await?.try_get(0)?) };
        // Mostly nothing is old enough.
        if !self.readers.read::<bool, _>(any).await? {
            return Ok(0);
        }
        self.writers
            .own(move |live| async move {
                let results = live.execute(PRUNE_RESULTS, &[&before, &limit]).await?;
                Ok(results + live.execute(PRUNE_JOBS, &[&before]).await?)
            })
            .await
    }
}
