//! The list of runs: columns of the runs themselves, in the order of their start.
//!
//! A page examines a bounded number of rows behind a place, newest first, and filters
//! them here.

use std::sync::Arc;

use tokio_postgres::Row;

use super::{attention, link::Live};
use crate::journal::{
    JournalError, RunPlace, RunsFilter, RunsPage,
    rows::{Bounds, summary},
};

/// The maximum of rows examined for one page, however few pass.
const SCAN_MAX: usize = 10_000;

/// The rows that are fetched at once.
const FETCH: usize = 1000;

/// The columns of a summary.
macro_rules! columns {
    () => {
        "runs.started_at, runs.run_id, state, ended_at, node_type, node_version, owner, error_code, labels, held, \
         rerun_of"
    };
}
pub(super) use columns;

/// Behind a place, newest first.
const BEHIND: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM runs WHERE (started_at, run_id) < ($1, $2) AND started_at >= $3
     ORDER BY started_at DESC, run_id DESC LIMIT $4"
);

/// The same of those with a label.
const LABELED: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM run_labels AS label JOIN runs ON runs.run_id = label.run_id
     WHERE label.name = $5 AND label.value = $6 AND (label.started_at, label.run_id) < ($1, $2)
       AND label.started_at >= $3
     ORDER BY label.started_at DESC, label.run_id DESC LIMIT $4"
);

/// A scan of the list. A run is looked for by one of its labels, if any is asked for.
pub(super) struct Scan<'f> {
    live: Arc<Live>,
    bounds: Bounds,
    filter: &'f RunsFilter,
    /// Rows that may still be examined.
    left: usize,
    at_end: bool,
}

impl<'f> Scan<'f> {
    pub(super) fn new(live: Arc<Live>, bounds: Bounds, filter: &'f RunsFilter, max: usize) -> Self {
        Self { live, bounds, filter, left: max, at_end: false }
    }

    /// The next rows; none at the end, or when enough were examined.
    pub(super) async fn next(&mut self) -> Result<Vec<Row>, JournalError> {
        if self.at_end || self.left == 0 {
            return Ok(Vec::new());
        }
        let Bounds { at, run, since } = &self.bounds;
        let wanted = FETCH.min(self.left);
        let fetch = i64::try_from(wanted).unwrap_or(i64::MAX);
        let rows = match self.filter.select.labels.first_key_value() {
            None => self.live.query(BEHIND, &[at, run, since, &fetch]).await?,
            Some((name, value)) => self.live.query(LABELED, &[at, run, since, &fetch, name, value]).await?,
        };
        self.at_end = rows.len() < wanted;
        self.left -= rows.len();
        if let Some(last) = rows.last() {
            let (at, run) = (last.try_get(0)?, last.try_get(1)?);
            self.bounds = Bounds { at, run, since: self.bounds.since };
        }
        Ok(rows)
    }

    /// Whether nothing is behind the rows that were returned.
    pub(super) fn is_at_end(&self) -> bool {
        self.at_end
    }
}

pub(super) async fn page(
    live: Arc<Live>,
    after: Option<&RunPlace>,
    filter: &RunsFilter,
    limit: u32,
) -> Result<RunsPage, JournalError> {
    let (bounds, limit) = (Bounds::of(filter, after), limit.max(1) as usize);
    if filter.select.attention {
        return attention::page(live, &bounds, filter, limit).await;
    }
    let mut page = RunsPage { scanned_to: after.cloned(), ..RunsPage::default() };
    let mut scan = Scan::new(live, bounds, filter, SCAN_MAX);
    loop {
        let rows = scan.next().await?;
        for row in &rows {
            let run = summary(row)?;
            let place = run.place.clone();
            if filter.selects(&run) {
                if page.runs.len() == limit {
                    return Ok(page);
                }
                page.runs.push(run);
            }
            page.scanned_to = Some(place);
        }
        if rows.is_empty() {
            page.at_end = scan.is_at_end();
            return Ok(page);
        }
    }
}
