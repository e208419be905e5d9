//! Live runs that need attention, each with the first reason that holds. It costs by
//! what waits, and not by what is stored.

use std::{collections::BTreeMap, sync::Arc};

use super::{link::Live, run_list::columns};
use crate::journal::{
    ATTENTION_MAX, Attention, JournalError, RunCounts, RunSummary, RunsFilter, RunsPage,
    rows::{Bounds, summary},
};

/// Rows of each index that are looked at.
const LOOKED_AT: i64 = 10_000;

/// A node that has been due for this time waits for an executor, in microseconds.
const LONG: i64 = 60 * 1_000_000;

/// A node that was put back this many times is in trouble.
const PUT_BACK: i64 = 3;

const PARKED: &str = "SELECT run_id FROM parked LIMIT $1";

const APPROVAL: &str = "SELECT run_id FROM node_runs WHERE wake_job = 'approval'
    ORDER BY waits_since, node_run_id LIMIT $1";

const RETRYING: &str = "SELECT run_id FROM (
        SELECT run_id, wake_tries FROM node_runs
        WHERE wake_owner IS NULL AND wake_at IS NOT NULL AND wake_job = 'dispatch'
        ORDER BY wake_at LIMIT $1) AS waiting
    WHERE wake_tries >= $2";

const WAITING: &str = "SELECT run_id FROM node_runs
    WHERE wake_owner IS NULL AND wake_at IS NOT NULL AND wake_job = 'dispatch' AND wake_at <= $2
    ORDER BY wake_at LIMIT $1";

const IN_HAND: &str = "SELECT run_id FROM (
        SELECT run_id, wake_job, wake_at FROM node_runs WHERE wake_owner IS NOT NULL LIMIT $1) AS claimed
    WHERE wake_job = 'dispatch' AND wake_at <= $2";

const SUMMARIES: &str = concat!("SELECT ", columns!(), " FROM runs WHERE run_id = ANY ($1)");

pub(super) async fn page(
    live: Arc<Live>,
    bounds: &Bounds,
    filter: &RunsFilter,
    limit: usize,
) -> Result<RunsPage, JournalError> {
    let mut runs = selected(&live, bounds, filter).await?;
    let at_end = runs.len() <= limit;
    runs.truncate(limit);
    Ok(RunsPage { scanned_to: runs.last().map(|run| run.place.clone()), runs, at_end })
}

pub(super) async fn count(
    live: Arc<Live>,
    bounds: &Bounds,
    filter: &RunsFilter,
) -> Result<RunCounts, JournalError> {
    let mut counts = RunCounts { at_end: true, ..RunCounts::default() };
    for run in selected(&live, bounds, filter).await? {
        *counts.by_state.entry(run.state.to_string()).or_default() += 1;
    }
    Ok(counts)
}

/// Those that pass the filter, the newest first.
async fn selected(
    live: &Live,
    bounds: &Bounds,
    filter: &RunsFilter,
) -> Result<Vec<RunSummary>, JournalError> {
    let found = candidates(live, filter).await?;
    let ids: Vec<&str> = found.keys().map(String::as_str).collect();
    let mut runs = Vec::new();
    for row in live.query(SUMMARIES, &[&ids]).await? {
        let run = summary(&row)?;
        if bounds.have(&run.place) && filter.selects(&run) {
            let attention = found.get(run.place.run_id.as_str()).copied();
            runs.push(RunSummary { attention, ..run });
        }
    }
    runs.sort_by(|one, other| other.place.cmp(&one.place));
    Ok(runs)
}

/// The ids of runs, each with the first reason.
async fn candidates(live: &Live, filter: &RunsFilter) -> Result<BTreeMap<String, Attention>, JournalError> {
    let long = filter.now.as_micros().saturating_sub(LONG);
    let sources = [
        (Attention::Parked, live.query(PARKED, &[&LOOKED_AT]).await?),
        (Attention::Approval, live.query(APPROVAL, &[&LOOKED_AT]).await?),
        (Attention::Retrying, live.query(RETRYING, &[&LOOKED_AT, &PUT_BACK]).await?),
        (Attention::Waiting, live.query(WAITING, &[&LOOKED_AT, &long]).await?),
        (Attention::Waiting, live.query(IN_HAND, &[&LOOKED_AT, &long]).await?),
    ];
    let mut found = BTreeMap::new();
    for (attention, rows) in sources {
        for row in rows {
            if found.len() >= ATTENTION_MAX {
                return Ok(found);
            }
            found.entry(row.try_get(0)?).or_insert(attention);
        }
    }
    Ok(found)
}
