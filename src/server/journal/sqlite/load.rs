//! What live node runs are about: how many wait for their dispatch, how many are at
//! executors, and which of them are the oldest.
//!
//! A node run is stored when it is created, so the order of rows is that of their
//! creation. The indexes of wake-ups have all that is looked for, but for claimed
//! ones, of which a worker has a bounded number.

use rusqlite::{Connection, params};

use super::encoding::natural;
use crate::{
    journal::{JournalError, Load},
    record::Job,
    time::Timestamp,
    types::NodeRunId,
};

/// The number of node runs that are looked at for the oldest.
const FIRST: u32 = 16;

pub(super) const COUNT: &str = "
    SELECT (SELECT count(*) FROM node_runs
            WHERE wake_owner IS NULL AND wake_at IS NOT NULL AND wake_job = ?1)
         + (SELECT count(*) FROM node_runs INDEXED BY wakes_owned
            WHERE wake_owner IS NOT NULL AND wake_job = ?1)";

/// The first that were created.
pub(super) const OLDEST: &str = "
    WITH first AS (
        SELECT id FROM (SELECT rowid AS id FROM node_runs INDEXED BY wakes_free
                        WHERE wake_owner IS NULL AND wake_at IS NOT NULL AND wake_job = ?1
                        ORDER BY rowid LIMIT ?2)
        UNION ALL
        SELECT id FROM (SELECT rowid AS id FROM node_runs INDEXED BY wakes_owned
                        WHERE wake_owner IS NOT NULL AND wake_job = ?1
                        ORDER BY rowid LIMIT ?2))
    SELECT node_run_id, started_at FROM first JOIN node_runs ON node_runs.rowid = first.id
    ORDER BY first.id LIMIT ?2";

pub(super) fn load(connection: &Connection) -> Result<Load, JournalError> {
    let count = |job: Job| -> Result<u64, JournalError> {
        natural(connection.prepare_cached(COUNT)?.query_one([job.as_str()], |row| row.get(0))?)
    };
    let oldest = |job: Job| -> Result<Vec<(NodeRunId, Option<Timestamp>)>, JournalError> {
        let mut statement = connection.prepare_cached(OLDEST)?;
        let found = statement.query_map(params![job.as_str(), FIRST], |row| {
            let started_at: Option<i64> = row.get(1)?;
            Ok((NodeRunId::new(row.get::<_, String>(0)?), started_at.map(Timestamp::from_micros)))
        })?;
        Ok(found.collect::<Result<_, _>>()?)
    };
    let (waiting, executing) = (count(Job::Dispatch)?, count(Job::Deadline)?);
    let first = |count, job| if count == 0 { Ok(Vec::new()) } else { oldest(job) };
    let waiting_first = first(waiting, Job::Dispatch)?.into_iter().map(|(node, _)| node).collect();
    let executing_first = first(executing, Job::Deadline)?;
    Ok(Load {
        waiting,
        waiting_first,
        executing,
        executing_since: executing_first.into_iter().filter_map(|(_, since)| since).min(),
    })
}
