//! What live node runs are about: how many wait for their dispatch, how many are at
//! executors, and which of them are the oldest. It costs by what is live.

use super::link::Live;
use crate::{
    journal::{JournalError, Load, rows::natural},
    record::Job,
    time::Timestamp,
    types::NodeRunId,
};

/// The number of node runs that are looked at for the oldest.
const FIRST: i64 = 16;

const COUNT: &str = "
    SELECT (SELECT count(*) FROM node_runs
            WHERE wake_owner IS NULL AND wake_at IS NOT NULL AND wake_job = $1)
         + (SELECT count(*) FROM node_runs WHERE wake_owner IS NOT NULL AND wake_job = $1)";

/// The first that were created.
const OLDEST: &str = "
    SELECT node_run_id, started_at FROM (
        (SELECT node_run_id, started_at, number FROM node_runs
         WHERE wake_owner IS NULL AND wake_at IS NOT NULL AND wake_job = $1 ORDER BY number LIMIT $2)
        UNION ALL
        (SELECT node_run_id, started_at, number FROM node_runs
         WHERE wake_owner IS NOT NULL AND wake_job = $1 ORDER BY number LIMIT $2)) AS first
    ORDER BY number LIMIT $2";

pub(super) async fn load(live: &Live) -> Result<Load, JournalError> {
    let (waiting, executing) = (count(live, Job::Dispatch).await?, count(live, Job::Deadline).await?);
    let waiting_first = if waiting == 0 { Vec::new() } else { oldest(live, Job::Dispatch).await? };
    let executing_first = if executing == 0 { Vec::new() } else { oldest(live, Job::Deadline).await? };
    Ok(Load {
        waiting,
        waiting_first: waiting_first.into_iter().map(|(node, _)| node).collect(),
        executing,
        executing_since: executing_first.into_iter().filter_map(|(_, since)| since).min(),
    })
}

async fn count(live: &Live, job: Job) -> Result<u64, JournalError> {
    natural(live.query_one(COUNT, &[&job.as_str()]).await?.try_get(0)?)
}

async fn oldest(live: &Live, job: Job) -> Result<Vec<(NodeRunId, Option<Timestamp>)>, JournalError> {
    let rows = live.query(OLDEST, &[&job.as_str(), &FIRST]).await?;
    rows.iter()
        .map(|row| {
            let started_at: Option<i64> = row.try_get(1)?;
            Ok((NodeRunId::new(row.try_get::<_, String>(0)?), started_at.map(Timestamp::from_micros)))
        })
        .collect()
}
