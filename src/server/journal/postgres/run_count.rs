//! How many runs there are.
//!
//! ```text
//!   by owner and state only ─▶ finished: counters, in slots; live: their rows
//!   any other filter ────────▶ a scan of the list, by pages
//! ```

use std::{collections::HashMap, sync::Arc};

use super::{attention, link::Live, run_list::Scan};
use crate::{
    journal::{
        JournalError, RunCounts, RunPlace, RunsFilter,
        rows::{Bounds, from_json, natural, summary},
    },
    record::Identity,
};

/// The maximum of rows examined for one page, however few pass.
const SCAN_MAX: usize = 100_000;

/// The owners whose answer is remembered during a scan.
const OWNERS_MAX: usize = 10_000;

/// As of one moment: a run that ends meanwhile is counted once.
const COUNTS: &str = "
    SELECT owner, state, sum(runs)::bigint FROM (
        SELECT owner, state, runs FROM run_counts
        UNION ALL
        SELECT coalesce(owner, ''), state, count(*) FROM runs WHERE NOT terminal GROUP BY 1, 2) AS counted
    GROUP BY owner, state HAVING sum(runs) > 0";

pub(super) async fn count(
    live: Arc<Live>,
    after: Option<&RunPlace>,
    filter: &RunsFilter,
) -> Result<RunCounts, JournalError> {
    if filter.select.attention {
        return attention::count(live, &Bounds::of(filter, after), filter).await;
    }
    match after {
        None if filter.select.is_by_owner_and_state() => counted(&live, filter).await,
        // The rest of a count that began with another filter.
        None | Some(_) => scanned(live, after, filter).await,
    }
}

/// Whether runs of an owner are selected, by its text in a row.
struct Owners<'f> {
    filter: &'f RunsFilter,
    known: HashMap<Option<String>, bool>,
}

impl Owners<'_> {
    fn select(&mut self, text: Option<&str>) -> Result<bool, JournalError> {
        let key = text.filter(|text| !text.is_empty()).map(str::to_owned);
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let owner: Option<Identity> =
            key.as_deref().map(|text| from_json("owner of a run", text)).transpose()?;
        let selected = self.filter.selects_owner(owner.as_ref());
        if self.known.len() < OWNERS_MAX {
            self.known.insert(key, selected);
        }
        Ok(selected)
    }
}

/// From the counters.
async fn counted(live: &Live, filter: &RunsFilter) -> Result<RunCounts, JournalError> {
    let mut owners = Owners { filter, known: HashMap::new() };
    let wanted = filter.select.state.map(|state| state.to_string());
    let mut counts = RunCounts { at_end: true, ..RunCounts::default() };
    for row in live.query(COUNTS, &[]).await? {
        let state: String = row.try_get(1)?;
        if wanted.as_ref().is_none_or(|wanted| *wanted == state) && owners.select(Some(row.try_get(0)?))? {
            *counts.by_state.entry(state).or_default() += natural(row.try_get(2)?)?;
        }
    }
    Ok(counts)
}

/// From the list.
async fn scanned(
    live: Arc<Live>,
    after: Option<&RunPlace>,
    filter: &RunsFilter,
) -> Result<RunCounts, JournalError> {
    let mut counts = RunCounts { scanned_to: after.cloned(), ..RunCounts::default() };
    let mut owners = Owners { filter, known: HashMap::new() };
    let mut scan = Scan::new(live, Bounds::of(filter, after), filter, SCAN_MAX);
    loop {
        let rows = scan.next().await?;
        let Some(last) = rows.last() else {
            counts.at_end = scan.is_at_end();
            return Ok(counts);
        };
        for row in &rows {
            // Mostly the owner decides, and the rest need not be decoded.
            if owners.select(row.try_get(6)?)? {
                let run = summary(row)?;
                if filter.selects(&run) {
                    *counts.by_state.entry(run.state.to_string()).or_default() += 1;
                }
            }
        }
        counts.scanned_to = Some(summary(last)?.place);
    }
}
