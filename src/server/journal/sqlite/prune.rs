//! Deletion of finished runs.
//!
//! ```text
//!   reader: prunable ──▶ candidates ──▶ writer: run_prune, one operation each ──▶ deleted
//!                                          └ not finished or owed by now ──▶ kept
//! ```
//!
//! A run that is being repeated stays until that has ended: what repeats it may take
//! outputs from it.
//!
//! A reader finds the candidates, so that the search delays no commit. The writer
//! checks each again before it deletes it, and deletes each in an operation of its
//! own, so that commits take turns with it.

use rusqlite::{Connection, OptionalExtension, params};

use super::{SqliteJournal, outbox, run_list};
use crate::{
    journal::JournalError,
    time::Timestamp,
    types::{NodeRunId, RunId},
};

/// Deleted rows after which a call ends. (The last run may exceed it.)
const ROWS_MAX: usize = 20_000;

/// Deletes finished runs, each in a transaction of its own.
pub(super) async fn runs(
    journal: &SqliteJournal,
    finished_before: Timestamp,
    limit: u32,
) -> Result<u64, JournalError> {
    let find = move |connection: &_| prunable(connection, finished_before, limit);
    let Prunable { runs, outbox_seen } = journal.reads.aside(find).await?;
    let outbox_seen = if journal.is_shared { 0 } else { outbox_seen };
    let (mut deleted, mut rows) = (0, 0);
    for run in runs {
        let id = run.clone();
        let delete = move |connection: &_| run_prune(connection, &id, finished_before, outbox_seen);
        let pruned = journal.writes.run(delete).await.inspect_err(|_| journal.cache.drop_all_nodes());
        journal.cache.drop_run(&run);
        journal.cache.drop_events(&run);
        let Some(pruned) = pruned? else { continue };
        pruned.nodes.iter().for_each(|node| journal.cache.drop_node(node));
        deleted += 1;
        rows += pruned.rows;
        if rows >= ROWS_MAX {
            break;
        }
    }
    Ok(deleted)
}

/// The candidates for deletion.
pub(super) struct Prunable {
    pub(super) runs: Vec<RunId>,
    /// The highest outbox id when the candidates were found.
    pub(super) outbox_seen: i64,
}

/// Finds candidates. The outbox has no index by run: it is read once, and is mostly
/// short. Where one process writes, entries that are added later have higher ids, so the
/// writer only checks those. (Where several do, it checks all.)
pub(super) fn prunable(
    connection: &Connection,
    finished_before: Timestamp,
    limit: u32,
) -> Result<Prunable, JournalError> {
    // Read first: later entries are either seen below or have a higher id.
    let outbox_seen = outbox::newest_id(connection)?;
    let runs = connection
        .prepare_cached(
            "SELECT run_id FROM runs
             WHERE terminal = 1 AND changed_at > 0 AND changed_at < ?
               AND run_id NOT IN (SELECT run_id FROM outbox)
               AND NOT EXISTS (SELECT 1 FROM node_runs
                               WHERE node_runs.run_id = runs.run_id AND wake_at IS NOT NULL)
               AND NOT EXISTS (SELECT 1 FROM run_list
                               WHERE rerun_of = runs.run_id AND rerun_of IS NOT NULL AND ended_at IS NULL)
             ORDER BY changed_at LIMIT ?",
        )?
        .query_map(params![finished_before.as_micros(), limit], |row| row.get::<_, String>(0))?
        .map(|id| id.map(RunId::new))
        .collect::<Result<_, _>>()?;
    Ok(Prunable { runs, outbox_seen })
}

/// The deleted rows of a run.
pub(super) struct Pruned {
    pub(super) nodes: Vec<NodeRunId>,
    pub(super) rows: usize,
}

/// Runs in the writer thread. `None` if the run must stay, or is gone already.
pub(super) fn run_prune(
    connection: &Connection,
    run: &RunId,
    finished_before: Timestamp,
    outbox_seen: i64,
) -> Result<Option<Pruned>, JournalError> {
    let run = run.as_str();
    let may_be_deleted = connection
        .prepare_cached(
            "SELECT 1 FROM runs
             WHERE run_id = ?1 AND terminal = 1 AND changed_at < ?2
               AND NOT EXISTS (SELECT 1 FROM node_runs WHERE run_id = ?1 AND wake_at IS NOT NULL)
               AND NOT EXISTS (SELECT 1 FROM outbox WHERE id > ?3 AND run_id = ?1)
               AND NOT EXISTS (SELECT 1 FROM run_list
                               WHERE rerun_of = ?1 AND rerun_of IS NOT NULL AND ended_at IS NULL)",
        )?
        .query_row(params![run, finished_before.as_micros(), outbox_seen], |_| Ok(()))
        .optional()?;
    if may_be_deleted.is_none() {
        return Ok(None);
    }
    let mut rows = 0;
    // The rows of nodes first: only the nodes say which run they belong to.
    for sql in [
        "DELETE FROM node_payloads WHERE node_run_id IN (SELECT node_run_id FROM node_runs WHERE run_id = ?)",
        "DELETE FROM attempts WHERE node_run_id IN (SELECT node_run_id FROM node_runs WHERE run_id = ?)",
        "DELETE FROM events WHERE run_id = ?",
        "DELETE FROM parked WHERE run_id = ?",
        run_list::UNLIST,
        "DELETE FROM runs WHERE run_id = ?",
    ] {
        rows += connection.prepare_cached(sql)?.execute([run])?;
    }
    let nodes = connection
        .prepare_cached("DELETE FROM node_runs WHERE run_id = ? RETURNING node_run_id")?
        .query_map([run], |row| row.get::<_, String>(0))?
        .map(|id| id.map(NodeRunId::new))
        .collect::<Result<Vec<_>, _>>()?;
    rows += nodes.len();
    Ok(Some(Pruned { nodes, rows }))
}
