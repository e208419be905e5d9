//! The work in the journal, for operators. Each part is of one moment; the parts are of
//! moments that are milliseconds apart.

use std::sync::Arc;

use super::{claims::with_lanes, link::Live, parking, read};
use crate::{
    journal::{BACKLOG_MAX, Backlog, DueWork, JournalError, Work, WorkerClaims, rows::natural},
    record::Recipient,
    time::Timestamp,
    types::WorkerId,
};

/// The most workers that are listed.
const WORKERS_MAX: i64 = 100;

const APPROVAL_FIRST: &str = "SELECT waits_since FROM node_runs
    WHERE wake_job = 'approval' AND waits_since IS NOT NULL ORDER BY waits_since LIMIT 1";

/// The lanes with the number of unclaimed wake-ups that are due at `$1`, and when the
/// first of them was.
const DUE_BY_LANE: &str = with_lanes!(
    "SELECT wake_job, kind, count(*), min(wake_at) FROM node_runs
     WHERE wake_owner IS NULL AND wake_at IS NOT NULL AND wake_at <= $1
       AND wake_job IN (SELECT name FROM job)
     GROUP BY wake_job, kind ORDER BY wake_job, kind NULLS FIRST"
);

const BACKLOGS: &str = "
    SELECT count(*), count(*) FILTER (WHERE new IS NOT NULL), min(decided_at) FILTER (WHERE new IS NOT NULL),
           count(*) FILTER (WHERE new IS NULL), min(decided_at) FILTER (WHERE new IS NULL)
    FROM (SELECT new, decided_at FROM outbox ORDER BY id LIMIT $1) AS first";

const WORKERS: &str = "SELECT owner_id, (SELECT count(*) FROM node_runs WHERE wake_owner = owner_id)
    FROM owners ORDER BY owner_id LIMIT $1";

pub(super) async fn work(live: Arc<Live>, now: Timestamp, parked: u32) -> Result<Work, JournalError> {
    let approval = live.query_opt(APPROVAL_FIRST, &[]).await?;
    Ok(Work {
        counts: read::counts(Arc::clone(&live), now).await?,
        due: due(&live, now).await?,
        parked: parking::list(&live, parked).await?,
        approvals_oldest: approval.map(|row| row.try_get(0)).transpose()?.map(Timestamp::from_micros),
        backlogs: backlogs(&live).await?,
        workers: workers(&live).await?,
    })
}

async fn due(live: &Live, now: Timestamp) -> Result<Vec<DueWork>, JournalError> {
    let rows = live.query(DUE_BY_LANE, &[&now.as_micros()]).await?;
    rows.iter()
        .map(|row| {
            Ok(DueWork {
                job: row.try_get(0)?,
                kind: row.try_get::<_, Option<&str>>(1)?.and_then(|kind| kind.parse().ok()),
                count: natural(row.try_get(2)?)?,
                oldest: Timestamp::from_micros(row.try_get(3)?),
            })
        })
        .collect()
}

async fn backlogs(live: &Live) -> Result<Vec<Backlog>, JournalError> {
    let row = live.query_one(BACKLOGS, &[&i64::from(BACKLOG_MAX)]).await?;
    let more = row.try_get::<_, i64>(0)? >= i64::from(BACKLOG_MAX);
    Recipient::ALL
        .into_iter()
        .map(|recipient| {
            let column = match recipient {
                Recipient::RunStore => 1,
                Recipient::EventStream => 3,
            };
            let oldest: Option<i64> = row.try_get(column + 1)?;
            let (entries, oldest) = (natural(row.try_get(column)?)?, oldest.map(Timestamp::from_micros));
            Ok(Backlog { recipient, entries, oldest, more })
        })
        .collect()
}

async fn workers(live: &Live) -> Result<Vec<WorkerClaims>, JournalError> {
    let rows = live.query(WORKERS, &[&WORKERS_MAX]).await?;
    rows.iter()
        .map(|row| {
            let worker = WorkerId::new(row.try_get::<_, String>(0)?);
            Ok(WorkerClaims { worker, claims: natural(row.try_get(1)?)? })
        })
        .collect()
}
