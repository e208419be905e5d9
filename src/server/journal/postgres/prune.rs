//! Deletion of finished runs: one transaction each, so that commits take turns with it.
//!
//! A reader finds the candidates. The transaction checks each again, on its locked row.
//! A run that is being repeated stays until that has ended: what repeats it may take
//! outputs from it.

use std::sync::Arc;

use super::{PostgresJournal, batch::Failure, link::Live};
use crate::{journal::JournalError, time::Timestamp};

/// Deleted rows after which a call ends. (The last run may exceed it.)
const ROWS_MAX: u64 = 20_000;

/// What keeps a finished run: the outbox, a wake-up, a run that repeats it.
macro_rules! may_go {
    () => {
        "NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.run_id = runs.run_id)
         AND NOT EXISTS (SELECT 1 FROM node_runs WHERE node_runs.run_id = runs.run_id AND wake_at IS NOT NULL)
         AND NOT EXISTS (SELECT 1 FROM runs AS other WHERE other.rerun_of = runs.run_id AND NOT other.terminal)"
    };
}

const PRUNABLE: &str = concat!(
    "SELECT run_id FROM runs WHERE terminal AND over_at > 0 AND over_at < $1 AND ",
    may_go!(),
    " ORDER BY over_at LIMIT $2"
);

const LOCK: &str = concat!(
    "SELECT coalesce(owner, ''), state FROM runs WHERE run_id = $1 AND terminal AND over_at < $2 AND ",
    may_go!(),
    " FOR UPDATE"
);

/// The rows of nodes first: only the nodes say which run they belong to.
const DELETE: [&str; 6] = [
    "DELETE FROM attempts WHERE node_run_id IN (SELECT node_run_id FROM node_runs WHERE run_id = $1)",
    "DELETE FROM node_runs WHERE run_id = $1",
    "DELETE FROM events WHERE run_id = $1",
    "DELETE FROM parked WHERE run_id = $1",
    "DELETE FROM run_labels WHERE run_id = $1",
    "DELETE FROM runs WHERE run_id = $1",
];

/// In a slot that no writer counts in: see `schema`.
const DISCOUNT: &str = "
    INSERT INTO run_counts (owner, state, slot, runs) VALUES ($1, $2, -1, -1)
    ON CONFLICT (owner, state, slot) DO UPDATE SET runs = run_counts.runs - 1";

pub(super) async fn runs(
    journal: &PostgresJournal,
    finished_before: Timestamp,
    limit: u32,
) -> Result<u64, JournalError> {
    let before = finished_before.as_micros();
    let find = |live: Arc<Live>| async move {
        let rows = live.query(PRUNABLE, &[&before, &i64::from(limit)]).await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?)
    };
    let (mut deleted, mut rows) = (0, 0);
    for run in journal.readers.read(find).await? {
        let delete = move |live: Arc<Live>| {
            let run = run.clone();
            async move { prune(&live, &run, before).await }
        };
        let Some(pruned) = journal.writers.own(delete).await? else { continue };
        deleted += 1;
        rows += pruned;
        if rows >= ROWS_MAX {
            break;
        }
    }
    Ok(deleted)
}

/// Returns the number of deleted rows. `None`: the run must stay, or is gone already.
async fn prune(live: &Live, run: &str, before: i64) -> Result<Option<u64>, Failure> {
    let Some(row) = live.query_opt(LOCK, &[&run, &before]).await? else { return Ok(None) };
    let (owner, state): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    let mut rows = 0;
    for sql in DELETE {
        rows += live.execute(sql, &[&run]).await?;
    }
    live.execute(DISCOUNT, &[&owner, &state]).await?;
    Ok(Some(rows))
}
