//! The NodeRuns that wait for an approval, from an index that has nothing else.

use std::sync::Arc;

use super::link::Live;
use crate::{
    journal::{JournalError, Waiting, WaitingPage, WaitingPlace},
    time::Timestamp,
    types::{NodeRunId, RunId},
};

/// The maximum of NodeRuns examined for one page, however few belong on it.
const SCAN_MAX: i64 = 1024;

/// Those behind a place, in order.
const BEHIND: &str = "SELECT waits_since, node_run_id, run_id FROM node_runs
    WHERE wake_job = 'approval' AND (waits_since, node_run_id) > ($1, $2)
    ORDER BY waits_since, node_run_id LIMIT $3";

pub(super) async fn page(
    live: Arc<Live>,
    after: Option<&WaitingPlace>,
    run: Option<&RunId>,
    limit: u32,
) -> Result<WaitingPage, JournalError> {
    let since = after.map_or(i64::MIN, |place| place.since.as_micros());
    let node = after.map_or("", |place| place.node_run_id.as_str());
    let rows = live.query(BEHIND, &[&since, &node, &SCAN_MAX]).await?;
    let mut page = WaitingPage { scanned_to: after.cloned(), ..WaitingPage::default() };
    for row in &rows {
        if page.waiting.len() as u64 >= u64::from(limit.max(1)) {
            return Ok(page);
        }
        let node_run_id = NodeRunId::new(row.try_get::<_, String>(1)?);
        let place = WaitingPlace { since: Timestamp::from_micros(row.try_get(0)?), node_run_id };
        page.scanned_to = Some(place.clone());
        let run_id = RunId::new(row.try_get::<_, String>(2)?);
        if run.is_none_or(|run| *run == run_id) {
            page.waiting.push(Waiting { place, run_id });
        }
    }
    page.at_end = (rows.len() as u64) < SCAN_MAX.unsigned_abs();
    Ok(page)
}
