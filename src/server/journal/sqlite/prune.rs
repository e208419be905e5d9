//! Forgets finished runs: which may go, and how they go.
//!
//! A reader looks for them, so that looking costs no commit anything. The
//! writer asks again before it deletes one, and deletes each in a piece of its
//! own, so that commits get their turn in between.

use rusqlite::{Connection, OptionalExtension, params};

use super::outbox;
use crate::{
    journal::JournalError,
    time::Timestamp,
    types::{NodeRunId, RunId},
};

/// Once so many rows were deleted, a call ends. (The last run may bring more.)
pub(super) const ROWS_MAX: usize = 20_000;

/// What a look at the journal found.
pub(super) struct Prunable {
    pub(super) runs: Vec<RunId>,
    /// The outbox was looked at up to here.
    pub(super) outbox_seen: i64,
}

/// The outbox is not indexed by run: it is read once, and is mostly short.
/// What is added to it later has higher numbers, so the writer need only look
/// at those.
pub(super) fn prunable(
    connection: &Connection,
    finished_before: Timestamp,
    limit: u32,
) -> Result<Prunable, JournalError> {
    // First: what is added from here on is either seen below or comes after.
    let outbox_seen = outbox::newest_id(connection)?;
    let runs = connection
        .prepare_cached(
            "SELECT run_id FROM runs
             WHERE terminal = 1 AND changed_at > 0 AND changed_at < ?
               AND run_id NOT IN (SELECT run_id FROM outbox)
               AND NOT EXISTS (SELECT 1 FROM node_runs
                               WHERE node_runs.run_id = runs.run_id AND wake_at IS NOT NULL)
             ORDER BY changed_at LIMIT ?",
        )?
        .query_map(params![finished_before.as_micros(), limit], |row| row.get::<_, String>(0))?
        .map(|id| id.map(RunId::new))
        .collect::<Result<_, _>>()?;
    Ok(Prunable { runs, outbox_seen })
}

/// What was deleted of a run.
pub(super) struct Pruned {
    pub(super) nodes: Vec<NodeRunId>,
    pub(super) rows: usize,
}

/// In the writer thread. `None` if the run may not go any more, or has gone.
pub(super) fn run_prune(
    connection: &Connection,
    run: &RunId,
    finished_before: Timestamp,
    outbox_seen: i64,
) -> Result<Option<Pruned>, JournalError> {
    let run = run.as_str();
    let may_go = connection
        .prepare_cached(
            "SELECT 1 FROM runs
             WHERE run_id = ?1 AND terminal = 1 AND changed_at < ?2
               AND NOT EXISTS (SELECT 1 FROM node_runs WHERE run_id = ?1 AND wake_at IS NOT NULL)
               AND NOT EXISTS (SELECT 1 FROM outbox WHERE id > ?3 AND run_id = ?1)",
        )?
        .query_row(params![run, finished_before.as_micros(), outbox_seen], |_| Ok(()))
        .optional()?;
    if may_go.is_none() {
        return Ok(None);
    }
    let mut rows = 0;
    // What belongs to nodes first: it is the nodes that say whose it is.
    for sql in [
        "DELETE FROM node_payloads WHERE node_run_id IN (SELECT node_run_id FROM node_runs WHERE run_id = ?)",
        "DELETE FROM attempts WHERE node_run_id IN (SELECT node_run_id FROM node_runs WHERE run_id = ?)",
        "DELETE FROM events WHERE run_id = ?",
        "DELETE FROM parked WHERE run_id = ?",
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
