//! The list of runs: a narrow table beside `runs`, in the order of their start.
//!
//! ```text
//!   a run starts ──▶ a row                         a page ──▶ rows behind a place, newest first
//!   it ends ───────▶ its state, end, error code              └▶ at most SCAN_MAX, filtered here
//!   it is held, released ▶ held
//!   it is pruned ──▶ no row
//!        │ triggers
//!        ├─▶ run_labels: the runs of a label, in the same order
//!        └─▶ run_counts: how many runs an owner has in each state
//! ```
//!
//! Other commits of a run do not touch it. So it costs three pages for a run, and a
//! page of the list costs the same with a million runs as with a thousand.

use rusqlite::{Connection, Statement, params};

use super::{
    attention,
    rows::{Bounds, First, ListRow, Now, summary},
};
use crate::{
    journal::{JournalError, RunPlace, RunsFilter, RunsPage},
    types::RunId,
};

/// The maximum of rows examined for one page, however few pass: some 10 ms.
const SCAN_MAX: u32 = 10_000;

/// When a run started, from its body: a list is in that order.
macro_rules! started_at {
    () => {
        "CASE WHEN json_valid(body) AND body ->> '$.run.started_at' IS NOT NULL
              THEN CAST(strftime('%s', body ->> '$.run.started_at') AS INTEGER) * 1000000
                 + CAST(substr(body ->> '$.run.started_at', 21, 6) AS INTEGER)
              ELSE 0 END"
    };
}
pub(super) use started_at;

/// Removes a run, whose body says when it started. Before the run itself.
pub(super) const UNLIST: &str = concat!(
    "DELETE FROM run_list WHERE run_id = ?1 AND started_at = (SELECT ",
    started_at!(),
    " FROM runs WHERE run_id = ?1)"
);

/// The columns of a summary.
macro_rules! columns {
    () => {
        "run_list.started_at, run_list.run_id, state, ended_at, node_type, node_version, owner, error_code, labels, \
         held, rerun_of"
    };
}
pub(super) use columns;

/// Behind a place, newest first.
pub(super) const BEHIND: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM run_list WHERE (started_at, run_id) < (?1, ?2) AND started_at >= ?3
    ORDER BY started_at DESC, run_id DESC LIMIT ?4"
);

/// The same of those with a label. The list is not joined in another order.
pub(super) const LABELED: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM run_labels CROSS JOIN run_list USING (started_at, run_id)
    WHERE name = ?5 AND value = ?6
      AND (run_labels.started_at, run_labels.run_id) < (?1, ?2) AND run_labels.started_at >= ?3
    ORDER BY run_labels.started_at DESC, run_labels.run_id DESC LIMIT ?4"
);

/// Writes what a change says.
pub(super) fn put(connection: &Connection, run: &RunId, row: &ListRow) -> Result<(), JournalError> {
    match row {
        ListRow::Starts { started_at, now: Now { state, ended_at, error_code }, first } => {
            let First { node_type, owner, labels, held, rerun_of } = first;
            let (id, version) = node_type.as_ref().map(|(id, version)| (id, version)).unzip();
            connection
                .prepare_cached(
                    "INSERT INTO run_list (started_at, run_id, state, ended_at, node_type, node_version, owner,
                                           error_code, labels, held, rerun_of)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )?
                .execute(params![
                    started_at,
                    run.as_str(),
                    state,
                    ended_at,
                    id,
                    version,
                    owner,
                    error_code,
                    labels,
                    held,
                    rerun_of
                ])?;
        }
        ListRow::Holds { started_at, held } => {
            connection
                .prepare_cached("UPDATE run_list SET held = ?3 WHERE started_at = ?1 AND run_id = ?2")?
                .execute(params![started_at, run.as_str(), held])?;
        }
        ListRow::Ends { started_at, now: Now { state, ended_at, error_code } } => {
            connection
                .prepare_cached(
                    "UPDATE run_list SET state = ?3, ended_at = ?4, error_code = ?5, held = 0
                     WHERE started_at = ?1 AND run_id = ?2 AND ended_at IS NULL",
                )?
                .execute(params![started_at, run.as_str(), state, ended_at, error_code])?;
        }
    }
    Ok(())
}

/// Calls `visit` with the rows of a scan. A run is looked for by one of its labels, if
/// any is asked for.
pub(super) fn scan<T>(
    connection: &Connection,
    bounds: &Bounds,
    filter: &RunsFilter,
    max: u32,
    visit: impl FnOnce(rusqlite::Rows<'_>) -> Result<T, JournalError>,
) -> Result<T, JournalError> {
    let Bounds { at, run, since } = bounds;
    let by_label = filter.select.labels.first_key_value();
    let mut statement = connection.prepare_cached(if by_label.is_some() { LABELED } else { BEHIND })?;
    let statement: &mut Statement<'_> = &mut statement;
    visit(match by_label {
        Some((name, value)) => statement.query(params![at, run, since, max, name, value])?,
        None => statement.query(params![at, run, since, max])?,
    })
}

pub(super) fn page(
    connection: &Connection,
    after: Option<&RunPlace>,
    filter: &RunsFilter,
    limit: u32,
) -> Result<RunsPage, JournalError> {
    let (bounds, limit) = (Bounds::of(filter, after), limit.max(1) as usize);
    if filter.select.attention {
        return attention::page(connection, &bounds, filter, limit);
    }
    let mut page = RunsPage { scanned_to: after.cloned(), ..RunsPage::default() };
    scan(connection, &bounds, filter, SCAN_MAX, |mut rows| {
        let mut scanned = 0;
        while let Some(row) = rows.next()? {
            let run = summary(row)?;
            let place = run.place.clone();
            if filter.selects(&run) {
                if page.runs.len() == limit {
                    return Ok(page);
                }
                page.runs.push(run);
            }
            page.scanned_to = Some(place);
            scanned += 1;
        }
        page.at_end = scanned < SCAN_MAX;
        Ok(page)
    })
}
