//! The statements that read records, events and counts.

use std::cmp::Reverse;

use rusqlite::{Connection, OptionalExtension, Params, Statement, params};

use super::{
    claims::WAKES_DUE,
    encoding::natural,
    load::load,
    rows::{HeadRow, NodeRow, RunRow},
};
use crate::{
    journal::{Counts, EventPage, JournalError, PageLimit, Reached},
    record::{NodeHead, NodePath, NodeRecord, RunRecord},
    time::Timestamp,
    types::{NodeRunId, RunId},
};

/// The maximum of events examined for one page, however few belong on it: a page
/// about a quiet subtree of a big run stays cheap.
const SCAN_MAX: u32 = 4096;

pub(super) fn run(connection: &Connection, run: &RunId) -> Result<Option<RunRecord>, JournalError> {
    connection
        .prepare_cached(&format!("SELECT {} FROM runs WHERE run_id = ?", RunRow::COLUMNS))?
        .query_row([run.as_str()], |row| RunRow::read(row))
        .optional()?
        .map(RunRow::decode)
        .transpose()
}

/// How far these runs have come. The newest event of a run has the number that its record
/// has as the last.
pub(super) fn reached(connection: &Connection, runs: &[RunId]) -> Result<Vec<Reached>, JournalError> {
    let mut find = connection.prepare_cached(
        "SELECT terminal, coalesce((SELECT max(seq) FROM events WHERE events.run_id = runs.run_id), 0)
         FROM runs WHERE run_id = ?",
    )?;
    let mut found = Vec::with_capacity(runs.len());
    for run in runs {
        let row = find.query_row([run.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        if let Some((ended, last_seq)) = row {
            found.push(Reached { run_id: run.clone(), last_seq: natural(last_seq)?, ended });
        }
    }
    Ok(found)
}

pub(super) fn node(connection: &Connection, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
    node_row(connection, node)?.map(|row| row.decode()).transpose()
}

pub(super) fn node_row(connection: &Connection, node: &NodeRunId) -> Result<Option<NodeRow>, JournalError> {
    let (head, content) = (HeadRow::COLUMNS, NodeRow::CONTENT);
    Ok(connection
        .prepare_cached(&format!("SELECT {head}, {content} FROM node_runs WHERE node_run_id = ?"))?
        .query_row([node.as_str()], |row| NodeRow::read(row))
        .optional()?)
}

pub(super) fn node_bare(
    connection: &Connection,
    node: &NodeRunId,
) -> Result<Option<NodeRecord>, JournalError> {
    let (head, content) = (HeadRow::COLUMNS, NodeRow::BARE);
    connection
        .prepare_cached(&format!("SELECT {head}, {content} FROM node_runs WHERE node_run_id = ?"))?
        .query_row([node.as_str()], |row| NodeRow::read_bare(row))
        .optional()?
        .map(|row| row.decode())
        .transpose()
}

pub(super) fn head(connection: &Connection, node: &NodeRunId) -> Result<Option<NodeHead>, JournalError> {
    connection
        .prepare_cached(&format!("SELECT {} FROM node_runs WHERE node_run_id = ?", HeadRow::COLUMNS))?
        .query_row([node.as_str()], |row| HeadRow::read(row))
        .optional()?
        .map(|row| row.decode())
        .transpose()
}

pub(super) fn nodes_live(
    connection: &Connection,
    run: &RunId,
    under: Option<&NodePath>,
) -> Result<Vec<NodeHead>, JournalError> {
    // All that there are: SQLite takes a negative limit for none.
    let mut nodes = live_by_path(connection, run, under, -1)?;
    nodes.sort_by_key(|node| Reverse(node.path.depth()));
    Ok(nodes)
}

pub(super) fn nodes_live_first(
    connection: &Connection,
    run: &RunId,
    under: Option<&NodePath>,
    limit: u32,
) -> Result<Vec<NodeHead>, JournalError> {
    live_by_path(connection, run, under, i64::from(limit))
}

fn live_by_path(
    connection: &Connection,
    run: &RunId,
    under: Option<&NodePath>,
    limit: i64,
) -> Result<Vec<NodeHead>, JournalError> {
    // By itself, SQLite would choose the index of all nodes of a run.
    let live = format!(
        "SELECT {} FROM node_runs INDEXED BY node_runs_live WHERE run_id = ?1 AND terminal = 0",
        HeadRow::COLUMNS
    );
    match under {
        None => heads(
            &mut *connection.prepare_cached(&format!("{live} ORDER BY path LIMIT ?2"))?,
            params![run.as_str(), limit],
        ),
        // A range of the index rather than LIKE: `/` is the successor of `.`, so
        // these are exactly the paths that start with "<path>.".
        Some(path) => heads(
            &mut *connection.prepare_cached(&format!(
                "{live} AND path > ?2 || '.' AND path < ?2 || '/' ORDER BY path LIMIT ?3"
            ))?,
            params![run.as_str(), path.as_str(), limit],
        ),
    }
}

pub(super) fn has_live_below(
    connection: &Connection,
    run: &RunId,
    node: &NodePath,
) -> Result<bool, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM node_runs INDEXED BY node_runs_live
                        WHERE run_id = ?1 AND terminal = 0 AND path > ?2 || '.' AND path < ?2 || '/')",
    )?;
    Ok(statement.query_one([run.as_str(), node.as_str()], |row| row.get(0))?)
}

/// Decodes row by row, because there may be many.
fn heads(statement: &mut Statement<'_>, params: impl Params) -> Result<Vec<NodeHead>, JournalError> {
    statement.query_map(params, |row| HeadRow::read(row))?.map(|row| row?.decode()).collect()
}

pub(super) fn events(
    connection: &Connection,
    run: &RunId,
    after: u64,
    within: Option<&NodePath>,
    limit: PageLimit,
) -> Result<EventPage, JournalError> {
    let mut statement = connection
        .prepare_cached("SELECT seq, path, body FROM events WHERE run_id = ? AND seq > ? ORDER BY seq")?;
    // No event has a number that a column cannot hold.
    let mut rows = statement.query(params![run.as_str(), i64::try_from(after).unwrap_or(i64::MAX)])?;
    let mut page = EventPage { scanned_to: after, ..Default::default() };
    let (mut scanned, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        if scanned == SCAN_MAX || page.events.len() >= limit.entries.max(1) as usize {
            return Ok(page);
        }
        let seq = natural(row.get(0)?)?;
        if is_within(row.get_ref(1)?.as_str_or_null().map_err(rusqlite::Error::from)?, within) {
            let body = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
            if !page.events.is_empty() && bytes + body.len() > limit.bytes {
                return Ok(page);
            }
            bytes += body.len();
            page.events.push((seq, body.to_owned()));
        }
        page.scanned_to = seq;
        scanned += 1;
    }
    page.at_end = true;
    Ok(page)
}

/// [`NodePath::contains`] without an allocation for each event.
fn is_within(path: Option<&str>, within: Option<&NodePath>) -> bool {
    let Some(within) = within else { return true };
    path.and_then(|path| path.strip_prefix(within.as_str()))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(any(test, feature = "test-util"))]
pub(super) fn attempts(
    connection: &Connection,
    node: &NodeRunId,
) -> Result<Vec<crate::record::AttemptRecord>, JournalError> {
    let mut statement =
        connection.prepare_cached("SELECT body FROM attempts WHERE node_run_id = ? ORDER BY attempt")?;
    let bodies = statement.query_map([node.as_str()], |row| row.get::<_, String>(0))?;
    bodies.map(|body| super::encoding::from_json(node.as_str(), &body?)).collect()
}

pub(super) fn latest_commit_time(connection: &Connection) -> Result<Option<Timestamp>, JournalError> {
    // In two parts: finished runs have an index, and the others are few.
    let newest: Option<i64> = connection
        .prepare_cached(
            "SELECT max(newest) FROM (SELECT max(changed_at) AS newest FROM runs WHERE terminal = 1
                                      UNION ALL SELECT max(changed_at) FROM runs WHERE terminal = 0)",
        )?
        .query_one([], |row| row.get(0))?;
    Ok(newest.filter(|&newest| newest > 0).map(Timestamp::from_micros))
}

pub(super) fn runs_overdue(
    connection: &Connection,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<RunId>, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT run_id FROM runs WHERE terminal = 0 AND deadline <= ? ORDER BY deadline LIMIT ?",
    )?;
    let ids = statement.query_map(params![now.as_micros(), limit], |row| row.get::<_, String>(0))?;
    Ok(ids.map(|id| id.map(RunId::new)).collect::<Result<_, _>>()?)
}

pub(super) fn counts(connection: &Connection, now: Timestamp) -> Result<Counts, JournalError> {
    let wakes_due: Option<i64> =
        connection.prepare_cached(WAKES_DUE)?.query_one([now.as_micros()], |row| row.get(0))?;
    let ([runs_live, nodes_live, outbox, parked, without_wake_up, approvals, held, set_aside], oldest) =
        connection
            .prepare_cached(
                "SELECT (SELECT count(*) FROM runs WHERE terminal = 0),
                    (SELECT count(*) FROM node_runs WHERE terminal = 0),
                    (SELECT count(*) FROM outbox),
                    (SELECT count(*) FROM parked),
                    (SELECT count(*) FROM node_runs WHERE terminal = 0 AND wake_at IS NULL)
                    + (SELECT count(*) FROM runs WHERE terminal = 0 AND deadline IS NULL),
                    (SELECT count(*) FROM node_runs WHERE wake_job = 'approval'),
                    (SELECT count(*) FROM run_list WHERE held = 1),
                    (SELECT count(*) FROM node_runs
                     WHERE wake_owner IS NULL AND wake_at IS NOT NULL AND wake_job = 'set_aside'),
                    (SELECT decided_at FROM outbox ORDER BY id LIMIT 1)",
            )?
            .query_one([], |row| {
                let mut counted = [0; 8];
                for (column, count) in counted.iter_mut().enumerate() {
                    *count = row.get(column)?;
                }
                Ok((counted, row.get::<_, Option<i64>>(8)?))
            })?;
    Ok(Counts {
        runs_live: natural(runs_live)?,
        nodes_live: natural(nodes_live)?,
        wakes_due: natural(wakes_due.unwrap_or_default())?,
        outbox: natural(outbox)?,
        outbox_oldest: oldest.map(Timestamp::from_micros),
        parked: natural(parked)?,
        approvals: natural(approvals)?,
        held: natural(held)?,
        set_aside: natural(set_aside)?,
        without_wake_up: natural(without_wake_up)?,
        load: load(connection)?,
    })
}
