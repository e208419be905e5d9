//! Runs by state.
//!
//! ```text
//!   by owner and state alone ──▶ run_counts: a row for each owner and state ──▶ all at once
//!   anything else ────────────▶ the list, at most SCAN_MAX rows a page ───────▶ pages that add up
//! ```
//!
//! Owners are many fewer than runs, but there may be many: their rows are read in one
//! statement, some 100 ns each.

use std::collections::HashMap;

use rusqlite::{Connection, Row};

use super::{
    attention,
    encoding::{from_json, natural},
    rows::{Bounds, summary},
    run_list,
};
use crate::{
    journal::{JournalError, RunCounts, RunPlace, RunsFilter},
    record::Identity,
};

/// The maximum of rows examined for one page, however few pass: some 100 ms.
const SCAN_MAX: u32 = 100_000;

/// The owners whose answer is remembered during a scan.
const OWNERS_MAX: usize = 10_000;

pub(super) const COUNTS: &str = "SELECT owner, state, runs FROM run_counts";

pub(super) fn count(
    connection: &Connection,
    after: Option<&RunPlace>,
    filter: &RunsFilter,
) -> Result<RunCounts, JournalError> {
    if filter.select.attention {
        return attention::count(connection, &Bounds::of(filter, after), filter);
    }
    match after {
        None if filter.select.is_by_owner_and_state() => counted(connection, filter),
        // The rest of a count that began with another filter.
        None | Some(_) => scanned(connection, after, filter),
    }
}

/// Whether runs of an owner are selected, by its text in a row.
struct Owners<'f> {
    filter: &'f RunsFilter,
    known: HashMap<Option<String>, bool>,
}

impl Owners<'_> {
    fn select(&mut self, text: Option<&str>) -> Result<bool, JournalError> {
        let text = text.filter(|text| !text.is_empty());
        let key = text.map(str::to_owned);
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let owner: Option<Identity> = text.map(|text| from_json("owner of a run", text)).transpose()?;
        let selected = self.filter.selects_owner(owner.as_ref());
        if self.known.len() < OWNERS_MAX {
            self.known.insert(key, selected);
        }
        Ok(selected)
    }
}

/// The texts that columns must have, as they are stored.
struct Columns<'f> {
    state: Option<String>,
    node_type: Option<&'f str>,
    error_code: Option<&'f str>,
}

impl<'f> Columns<'f> {
    fn of(filter: &'f RunsFilter) -> Self {
        Self {
            state: filter.select.state.map(|state| state.to_string()),
            node_type: filter.select.node_type.as_deref(),
            error_code: filter.select.error_code.as_deref(),
        }
    }

    /// Whether the columns of a row of the list have them.
    fn select(&self, row: &Row<'_>) -> Result<bool, JournalError> {
        for (column, wanted) in [(2, self.state.as_deref()), (4, self.node_type), (7, self.error_code)] {
            if let Some(wanted) = wanted
                && row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from)? != Some(wanted)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// From the counters.
fn counted(connection: &Connection, filter: &RunsFilter) -> Result<RunCounts, JournalError> {
    let mut owners = Owners { filter, known: HashMap::new() };
    let state = filter.select.state.map(|state| state.to_string());
    let mut counts = RunCounts { at_end: true, ..RunCounts::default() };
    let mut statement = connection.prepare_cached(COUNTS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let of: String = row.get(1)?;
        let owner = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        if state.as_ref().is_none_or(|state| *state == of) && owners.select(Some(owner))? {
            *counts.by_state.entry(of).or_default() += natural(row.get(2)?)?;
        }
    }
    Ok(counts)
}

/// From the list.
fn scanned(
    connection: &Connection,
    after: Option<&RunPlace>,
    filter: &RunsFilter,
) -> Result<RunCounts, JournalError> {
    let bounds = Bounds::of(filter, after);
    let mut counts = RunCounts { scanned_to: after.cloned(), ..RunCounts::default() };
    let (mut owners, columns) = (Owners { filter, known: HashMap::new() }, Columns::of(filter));
    run_list::scan(connection, &bounds, filter, SCAN_MAX, |mut rows| {
        let mut examined = 0;
        while let Some(row) = rows.next()? {
            examined += 1;
            let owner = row.get_ref(6)?.as_str_or_null().map_err(rusqlite::Error::from)?;
            let is_whole = examined < SCAN_MAX;
            // Mostly these decide, and the rest need not be decoded.
            if is_whole && !(columns.select(row)? && owners.select(owner)?) {
                continue;
            }
            let run = summary(row)?;
            if filter.selects(&run) {
                *counts.by_state.entry(run.state.to_string()).or_default() += 1;
            }
            // Only the last row of a page is a place to go on from.
            if !is_whole {
                counts.scanned_to = Some(run.place);
            }
        }
        counts.at_end = examined < SCAN_MAX;
        Ok(counts)
    })
}
