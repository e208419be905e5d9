//! Live runs that need attention, from the indexes of what waits.
//!
//! ```text
//!   parked ────────────────────────────┐
//!   index approvals ───────────────────┤  at most LOOKED_AT of each, the oldest first
//!   index wakes_free: due, put back ───┼──▶ at most ATTENTION_MAX runs, each with the first reason
//!   index wakes_owned: waits in hand ──┘                └──▶ their rows in the list, the newest first
//! ```
//!
//! What needs attention is little, or something is very wrong: then these runs stand for
//! the others.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};

use super::{
    rows::{Bounds, summary},
    run_list::{columns, started_at},
};
use crate::{
    journal::{ATTENTION_MAX, Attention, JournalError, RunCounts, RunSummary, RunsFilter, RunsPage},
    time::Timestamp,
};

/// Rows of each index that are looked at.
const LOOKED_AT: u32 = 10_000;

/// A node that has been due for this time waits for an executor, in microseconds.
const LONG: i64 = 60 * 1_000_000;

/// A node that was put back this many times is in trouble.
const PUT_BACK: u32 = 3;

/// Where each reason is looked for.
pub(super) const SOURCES: [(Attention, &str); 5] = [
    (Attention::Parked, "SELECT run_id FROM parked LIMIT :looked_at"),
    (
        Attention::Approval,
        "SELECT run_id FROM node_runs WHERE wake_job = 'approval'
         ORDER BY waits_since, node_run_id LIMIT :looked_at",
    ),
    (
        Attention::Retrying,
        "SELECT run_id FROM (SELECT run_id, wake_tries FROM node_runs
                             WHERE wake_owner IS NULL AND wake_at IS NOT NULL
                               AND wake_job = 'dispatch' AND kind IS :kind
                             ORDER BY wake_at LIMIT :looked_at)
         WHERE wake_tries >= :put_back",
    ),
    (
        Attention::Waiting,
        "SELECT run_id FROM node_runs
         WHERE wake_owner IS NULL AND wake_at IS NOT NULL
           AND wake_job = 'dispatch' AND kind IS :kind AND wake_at <= :long
         ORDER BY wake_at LIMIT :looked_at",
    ),
    (
        Attention::Waiting,
        "SELECT run_id FROM (SELECT run_id, wake_job, wake_at FROM node_runs INDEXED BY wakes_owned
                             WHERE wake_owner IS NOT NULL LIMIT :looked_at)
         WHERE wake_job = 'dispatch' AND wake_at <= :long",
    ),
];

/// The kinds of nodes, as the column has them.
const KINDS: [Option<&str>; 3] = [None, Some("atomic"), Some("composite")];

/// The row of a run, of which only the id is known.
const SUMMARY: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM run_list WHERE run_id = ?1 AND started_at = (SELECT ",
    started_at!(),
    " FROM runs WHERE run_id = ?1)"
);

pub(super) fn page(
    connection: &Connection,
    bounds: &Bounds,
    filter: &RunsFilter,
    limit: usize,
) -> Result<RunsPage, JournalError> {
    let mut runs = selected(connection, bounds, filter)?;
    let at_end = runs.len() <= limit;
    runs.truncate(limit);
    Ok(RunsPage { scanned_to: runs.last().map(|run| run.place.clone()), runs, at_end })
}

pub(super) fn count(
    connection: &Connection,
    bounds: &Bounds,
    filter: &RunsFilter,
) -> Result<RunCounts, JournalError> {
    let mut counts = RunCounts { at_end: true, ..RunCounts::default() };
    for run in selected(connection, bounds, filter)? {
        *counts.by_state.entry(run.state.to_string()).or_default() += 1;
    }
    Ok(counts)
}

/// Those that pass the filter, the newest first.
fn selected(
    connection: &Connection,
    bounds: &Bounds,
    filter: &RunsFilter,
) -> Result<Vec<RunSummary>, JournalError> {
    let mut runs = Vec::new();
    let mut statement = connection.prepare_cached(SUMMARY)?;
    for (run, attention) in candidates(connection, filter.now)? {
        let found = statement.query_row([run], |row| Ok(summary(row))).optional()?.transpose()?;
        let run = found.filter(|run| bounds.have(&run.place) && filter.selects(run));
        runs.extend(run.map(|run| RunSummary { attention: Some(attention), ..run }));
    }
    runs.sort_by(|one, other| other.place.cmp(&one.place));
    Ok(runs)
}

/// The ids of runs, each with the first reason.
fn candidates(connection: &Connection, now: Timestamp) -> Result<BTreeMap<String, Attention>, JournalError> {
    let mut found = BTreeMap::new();
    for (attention, sql) in SOURCES {
        let mut statement = connection.prepare_cached(sql)?;
        let of_kinds = statement.parameter_index(":kind")?;
        for kind in if of_kinds.is_some() { &KINDS[..] } else { &KINDS[..1] } {
            if let Some(index) = of_kinds {
                statement.raw_bind_parameter(index, kind)?;
            }
            for (name, value) in [
                (":looked_at", i64::from(LOOKED_AT)),
                (":put_back", i64::from(PUT_BACK)),
                (":long", now.as_micros().saturating_sub(LONG)),
            ] {
                if let Some(index) = statement.parameter_index(name)? {
                    statement.raw_bind_parameter(index, value)?;
                }
            }
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next()? {
                if found.len() >= ATTENTION_MAX {
                    return Ok(found);
                }
                found.entry(row.get(0)?).or_insert(attention);
            }
        }
    }
    Ok(found)
}
