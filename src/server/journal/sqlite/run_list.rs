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

use rusqlite::{Connection, Row, Statement, params};

use super::{
    attention,
    encoding::{from_json, to_json},
};
use crate::{
    journal::{JournalError, RunPlace, RunSummary, RunsFilter, RunsPage},
    record::{ChangeSet, Identity, Labels, NodeRecord, RunRecord},
    time::Timestamp,
    types::{RunId, RunState},
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

/// What a change says about the list.
pub(super) enum ListRow {
    Starts { started_at: i64, now: Now, first: First },
    Holds { started_at: i64, held: bool },
    Ends { started_at: i64, now: Now },
}

/// What never changes of a run.
pub(super) struct First {
    node_type: Option<(String, String)>,
    owner: Option<String>,
    labels: Option<String>,
    held: bool,
    rerun_of: Option<String>,
}

/// What may change of a run.
pub(super) struct Now {
    state: String,
    ended_at: Option<i64>,
    error_code: Option<String>,
}

impl ListRow {
    /// `None`: the list stays as it is.
    pub(super) fn of(change: &ChangeSet) -> Result<Option<Self>, JournalError> {
        let Some(record) = &change.run else { return Ok(None) };
        let root = change.nodes.iter().find(|node| *node.id() == record.run.root_node_run_id);
        let now = Now {
            state: record.run.state.to_string(),
            ended_at: record.run.ended_at.map(Timestamp::as_micros),
            error_code: root.filter(|_| record.is_terminal()).and_then(NodeRecord::error_code),
        };
        if record.version == 0 {
            let node_type = root.map(|root| {
                let node_type = &root.node.node_type_ref;
                (node_type.node_type_id.clone(), node_type.version.clone())
            });
            let owner = record.owner.as_ref().map(to_json).transpose()?;
            let labels = Labels::of(record.run.extensions.as_ref());
            let labels = Some(labels).filter(|labels| !labels.is_empty());
            let labels = labels.as_ref().map(to_json).transpose()?;
            let rerun_of = record.rerun.as_ref().map(|rerun| rerun.run_id.to_string());
            let first = First { node_type, owner, labels, held: record.hold.is_some(), rerun_of };
            return Ok(Some(Self::Starts { started_at: start_of(record), now, first }));
        }
        let started_at = start_of(record);
        if record.is_terminal() {
            return Ok(Some(Self::Ends { started_at, now }));
        }
        Ok(change.held.map(|held| Self::Holds { started_at, held }))
    }
}

fn start_of(record: &RunRecord) -> i64 {
    record.run.started_at.map_or(0, Timestamp::as_micros)
}

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

/// A scan of the list: where it begins and ends.
pub(super) struct Bounds {
    at: i64,
    run: String,
    since: i64,
}

impl Bounds {
    pub(super) fn of(filter: &RunsFilter, after: Option<&RunPlace>) -> Self {
        let before = filter.select.started_before.map(Timestamp::as_micros);
        let (at, run) = match (after, before) {
            (Some(after), Some(before)) if after.started_at.as_micros() >= before => (before, ""),
            (Some(after), _) => (after.started_at.as_micros(), after.run_id.as_str()),
            (None, Some(before)) => (before, ""),
            // No id is behind it.
            (None, None) => (i64::MAX, ""),
        };
        let since = filter.select.started_after.map_or(i64::MIN, Timestamp::as_micros);
        Self { at, run: run.to_owned(), since }
    }

    /// Whether a place is within them.
    pub(super) fn have(&self, place: &RunPlace) -> bool {
        let at = place.started_at.as_micros();
        (at, place.run_id.as_str()) < (self.at, self.run.as_str()) && at >= self.since
    }
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
            let run = read(row)?;
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

pub(super) fn read(row: &Row<'_>) -> Result<RunSummary, JournalError> {
    let run_id = RunId::new(row.get::<_, String>(1)?);
    let damaged = |what: &str| JournalError::Damaged(format!("{run_id}: invalid {what} in the list of runs"));
    let state: RunState = row.get::<_, String>(2)?.parse().map_err(|_| damaged("state"))?;
    let owner: Option<String> = row.get(6)?;
    let owner: Option<Identity> = owner.map(|owner| from_json(run_id.as_str(), &owner)).transpose()?;
    let node_type: Option<String> = row.get(4)?;
    let version: Option<String> = row.get(5)?;
    let labels: Option<String> = row.get(8)?;
    let labels: Option<Labels> = labels.map(|labels| from_json(run_id.as_str(), &labels)).transpose()?;
    Ok(RunSummary {
        state,
        ended_at: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_micros),
        node_type: node_type.zip(version),
        owner,
        error_code: row.get(7)?,
        rerun_of: row.get::<_, Option<String>>(10)?.map(RunId::new),
        labels: labels.unwrap_or_default(),
        attention: None,
        held: row.get(9)?,
        place: RunPlace { started_at: Timestamp::from_micros(row.get(0)?), run_id },
    })
}
