//! The list of runs: a narrow table beside `runs`, in the order of their start.
//!
//! ```text
//!   a run starts ──▶ a row                         a page ──▶ rows behind a place, newest first
//!   it ends ───────▶ its state, end, error code              └▶ at most SCAN_MAX, filtered here
//!   it is pruned ──▶ no row
//! ```
//!
//! Other commits of a run do not touch it. So it costs two pages for a run, and a
//! page of the list costs the same with a million runs as with a thousand.

use rusqlite::{Connection, Row, params};

use super::encoding::{from_json, to_json};
use crate::{
    journal::{JournalError, RunCounts, RunPlace, RunSummary, RunsFilter, RunsPage},
    record::{ChangeSet, Identity, NodeRecord, RunRecord},
    time::Timestamp,
    types::{RunId, RunState},
};

/// The maximum of rows examined for one page, however few pass: some 10 ms.
const SCAN_MAX: u32 = 10_000;

/// The same for a page of counts, which decodes less.
const COUNT_MAX: u32 = 100_000;

/// Removes a run, whose body says when it started. Before the run itself.
pub(super) const UNLIST: &str = "DELETE FROM run_list WHERE run_id = ?1 AND started_at = (
    SELECT CASE WHEN json_valid(body) AND body ->> '$.run.started_at' IS NOT NULL
        THEN CAST(strftime('%s', body ->> '$.run.started_at') AS INTEGER) * 1000000
           + CAST(substr(body ->> '$.run.started_at', 21, 6) AS INTEGER)
        ELSE 0 END
    FROM runs WHERE run_id = ?1)";

/// Behind a place, newest first.
pub(super) const BEHIND: &str =
    "SELECT started_at, run_id, state, ended_at, node_type, node_version, owner, error_code, rerun_of
    FROM run_list WHERE (started_at, run_id) < (?1, ?2) AND started_at >= ?3
    ORDER BY started_at DESC, run_id DESC LIMIT ?4";

/// What a change says about the list.
pub(super) enum ListRow {
    Starts {
        started_at: i64,
        now: Now,
        node_type: Option<(String, String)>,
        owner: Option<String>,
        rerun_of: Option<String>,
    },
    Ends {
        started_at: i64,
        now: Now,
    },
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
            let rerun_of = record.rerun.as_ref().map(|rerun| rerun.run_id.to_string());
            return Ok(Some(Self::Starts {
                started_at: started_at(record),
                now,
                node_type,
                owner,
                rerun_of,
            }));
        }
        Ok(record.is_terminal().then(|| Self::Ends { started_at: started_at(record), now }))
    }
}

fn started_at(record: &RunRecord) -> i64 {
    record.run.started_at.map_or(0, Timestamp::as_micros)
}

/// Writes what a change says.
pub(super) fn put(connection: &Connection, run: &RunId, row: &ListRow) -> Result<(), JournalError> {
    match row {
        ListRow::Starts { started_at, now, node_type, owner, rerun_of } => {
            let Now { state, ended_at, error_code } = now;
            let (id, version) = node_type.as_ref().map(|(id, version)| (id, version)).unzip();
            connection
                .prepare_cached(
                    "INSERT INTO run_list (started_at, run_id, state, ended_at, node_type, node_version, owner,
                                           error_code, rerun_of)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
                    rerun_of
                ])?;
        }
        ListRow::Ends { started_at, now: Now { state, ended_at, error_code } } => {
            connection
                .prepare_cached(
                    "UPDATE run_list SET state = ?3, ended_at = ?4, error_code = ?5
                     WHERE started_at = ?1 AND run_id = ?2 AND ended_at IS NULL",
                )?
                .execute(params![started_at, run.as_str(), state, ended_at, error_code])?;
        }
    }
    Ok(())
}

/// A scan of the list: where it begins and ends.
fn bounds(filter: &RunsFilter, after: Option<&RunPlace>) -> (i64, String, i64) {
    let before = filter.select.started_before.map(Timestamp::as_micros);
    let (at, run) = match (after, before) {
        (Some(after), Some(before)) if after.started_at.as_micros() >= before => (before, ""),
        (Some(after), _) => (after.started_at.as_micros(), after.run_id.as_str()),
        (None, Some(before)) => (before, ""),
        // No id is behind it.
        (None, None) => (i64::MAX, ""),
    };
    (at, run.to_owned(), filter.select.started_after.map_or(i64::MIN, Timestamp::as_micros))
}

/// Calls `visit` with each row in order, at most `max`, as long as it wants more.
/// Returns the place of the last one, and whether there are no others.
fn scan(
    connection: &Connection,
    after: Option<&RunPlace>,
    filter: &RunsFilter,
    max: u32,
    mut visit: impl FnMut(RunSummary) -> bool,
) -> Result<(Option<RunPlace>, bool), JournalError> {
    let (at, run, since) = bounds(filter, after);
    let mut statement = connection.prepare_cached(BEHIND)?;
    let mut rows = statement.query(params![at, run, since, max])?;
    let (mut scanned_to, mut scanned) = (after.cloned(), 0);
    while let Some(row) = rows.next()? {
        let run = read(row)?;
        let place = run.place.clone();
        if filter.selects(&run) && !visit(run) {
            return Ok((scanned_to, false));
        }
        scanned_to = Some(place);
        scanned += 1;
    }
    Ok((scanned_to, scanned < max))
}

pub(super) fn page(
    connection: &Connection,
    after: Option<&RunPlace>,
    filter: &RunsFilter,
    limit: u32,
) -> Result<RunsPage, JournalError> {
    let mut runs = Vec::new();
    let (scanned_to, at_end) = scan(connection, after, filter, SCAN_MAX, |run| {
        let has_room = runs.len() < limit.max(1) as usize;
        if has_room {
            runs.push(run);
        }
        has_room
    })?;
    Ok(RunsPage { runs, scanned_to, at_end })
}

pub(super) fn count(
    connection: &Connection,
    after: Option<&RunPlace>,
    filter: &RunsFilter,
) -> Result<RunCounts, JournalError> {
    let mut counts = RunCounts::default();
    let (scanned_to, at_end) = scan(connection, after, filter, COUNT_MAX, |run| {
        *counts.by_state.entry(run.state.to_string()).or_default() += 1;
        true
    })?;
    Ok(RunCounts { scanned_to, at_end, ..counts })
}

fn read(row: &Row<'_>) -> Result<RunSummary, JournalError> {
    let run_id = RunId::new(row.get::<_, String>(1)?);
    let damaged = |what: &str| JournalError::Damaged(format!("{run_id}: invalid {what} in the list of runs"));
    let state: RunState = row.get::<_, String>(2)?.parse().map_err(|_| damaged("state"))?;
    let owner: Option<String> = row.get(6)?;
    let owner: Option<Identity> = owner.map(|owner| from_json(run_id.as_str(), &owner)).transpose()?;
    let node_type: Option<String> = row.get(4)?;
    let version: Option<String> = row.get(5)?;
    Ok(RunSummary {
        state,
        ended_at: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_micros),
        node_type: node_type.zip(version),
        owner,
        error_code: row.get(7)?,
        rerun_of: row.get::<_, Option<String>>(8)?.map(RunId::new),
        place: RunPlace { started_at: Timestamp::from_micros(row.get(0)?), run_id },
    })
}
