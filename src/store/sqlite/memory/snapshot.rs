//! What is committed, for whoever checks it: compared with all its columns, and
//! decoded by the store's own statements, once for each change.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rusqlite::{Connection, Params, params, types::Value};

use super::{JUNK, set_body};
use crate::{
    ids::{NodeRunId, RunId},
    model::RunEvent,
    record::{AttemptRecord, NodeRecord, RunRecord},
    store::{
        Parked, StoreError,
        sqlite::{parking, read, rows::from_json},
    },
};

/// All that a journal held at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    runs: BTreeMap<RunId, Arc<Whole>>,
    run_of: BTreeMap<NodeRunId, RunId>,
    parked: Vec<Parked>,
}

/// All of one run. In two snapshots it is the same one, if nothing of it
/// changed in between.
#[derive(Clone, Debug)]
pub struct Whole {
    pub run: RunRecord,
    /// By id.
    pub nodes: Vec<NodeRecord>,
    /// In the order of `seq`.
    pub events: Vec<RunEvent>,
    /// The events as they are stored.
    pub lines: Vec<String>,
    pub attempts: Vec<AttemptRecord>,
}

impl Whole {
    pub fn node(&self, node: &NodeRunId) -> Option<&NodeRecord> {
        let at = self.nodes.binary_search_by(|other| other.id().cmp(node)).ok()?;
        self.nodes.get(at)
    }
}

impl Snapshot {
    pub fn runs(&self) -> impl Iterator<Item = &Arc<Whole>> {
        self.runs.values()
    }

    pub fn run(&self, run: &RunId) -> Option<&Arc<Whole>> {
        self.runs.get(run)
    }

    pub fn node(&self, node: &NodeRunId) -> Option<&NodeRecord> {
        self.run(self.run_of.get(node)?)?.node(node)
    }

    pub fn parked(&self) -> &[Parked] {
        &self.parked
    }
}

/// A row with whatever columns it has; the first is its id.
type Raw = Vec<Value>;

/// The last snapshot, and the rows that it was made of.
#[derive(Default)]
pub(super) struct Seen {
    /// How many rows the connection had changed by then.
    changes: Option<u64>,
    rows: BTreeMap<RunId, Rows>,
    snapshot: Arc<Snapshot>,
}

#[derive(PartialEq)]
struct Rows {
    run: Raw,
    nodes: Vec<Raw>,
    attempts: Vec<Raw>,
}

impl Seen {
    pub(super) fn look(
        &mut self,
        connection: &Connection,
        damaged: &BTreeMap<NodeRunId, String>,
    ) -> Result<Arc<Snapshot>, StoreError> {
        if self.changes == Some(connection.total_changes()) {
            return Ok(Arc::clone(&self.snapshot));
        }
        let parked = parking::list(connection, u32::MAX)?.into_iter().map(|(item, _times)| item).collect();
        let mut snapshot = Snapshot { parked, ..Snapshot::default() };
        let mut known = BTreeMap::new();
        for run in select(connection, "SELECT run_id, * FROM runs", [])? {
            let id = RunId::new(first(&run)?);
            let of_run = |sql| select(connection, sql, [id.as_str()]);
            let nodes = of_run("SELECT node_run_id, * FROM node_runs WHERE run_id = ? ORDER BY node_run_id")?;
            let attempts = of_run(
                "SELECT node_run_id, * FROM attempts
                 WHERE node_run_id IN (SELECT node_run_id FROM node_runs WHERE run_id = ?)
                 ORDER BY node_run_id, attempt",
            )?;
            let rows = Rows { run, nodes, attempts };
            let before = self.rows.get(&id).zip(self.snapshot.run(&id));
            let whole = whole(connection, &id, &rows, before, damaged)?;
            let of_nodes = whole.nodes.iter().map(|node| (node.id().clone(), id.clone()));
            snapshot.run_of.extend(of_nodes);
            snapshot.runs.insert(id.clone(), whole);
            known.insert(id, rows);
        }
        *self = Self { changes: Some(connection.total_changes()), rows: known, snapshot: Arc::new(snapshot) };
        Ok(Arc::clone(&self.snapshot))
    }
}

/// The run that these rows make, with what is as it was `before`.
fn whole(
    connection: &Connection,
    id: &RunId,
    rows: &Rows,
    before: Option<(&Rows, &Arc<Whole>)>,
    damaged: &BTreeMap<NodeRunId, String>,
) -> Result<Arc<Whole>, StoreError> {
    let last = before.and_then(|(_, whole)| whole.events.last()).map_or(0, |event| event.seq);
    let lines = events(connection, id, last)?;
    if let Some((same, whole)) = before
        && same == rows
        && lines.is_empty()
    {
        return Ok(Arc::clone(whole));
    }
    let (mut all_lines, mut all_events) = match before {
        Some((_, whole)) => (whole.lines.clone(), whole.events.clone()),
        None => (Vec::new(), Vec::new()),
    };
    for line in lines {
        all_events.push(from_json(id.as_str(), &line)?);
        all_lines.push(line);
    }
    let run = match before {
        Some((same, whole)) if same.run == rows.run => whole.run.clone(),
        Some(_) | None => read::run(connection, id)?.ok_or_else(|| gone(id))?,
    };
    let node = |row: &Raw| {
        let id = NodeRunId::new(first(row)?);
        let known =
            before.filter(|(same, _)| same.nodes.contains(row)).and_then(|(_, whole)| whole.node(&id));
        match known {
            Some(known) => Ok(known.clone()),
            None => read_node(connection, &id, damaged.get(&id)),
        }
    };
    let nodes = rows.nodes.iter().map(node).collect::<Result<_, StoreError>>()?;
    let tried = rows.attempts.iter().map(first).collect::<Result<BTreeSet<_>, _>>()?;
    let mut attempts = Vec::new();
    for node in tried {
        attempts.extend(read::attempts(connection, &NodeRunId::new(node))?);
    }
    Ok(Arc::new(Whole { run, nodes, events: all_events, lines: all_lines, attempts }))
}

/// One that is damaged is read as it was before it was.
fn read_node(
    connection: &Connection,
    node: &NodeRunId,
    undamaged: Option<&String>,
) -> Result<NodeRecord, StoreError> {
    let read = || read::node(connection, node)?.ok_or_else(|| gone(node));
    let Some(body) = undamaged else { return read() };
    connection.execute_batch("SAVEPOINT repaired")?;
    let repaired = set_body(connection, node, JUNK, body).and_then(|_| read());
    connection.execute_batch("ROLLBACK TO repaired; RELEASE repaired")?;
    repaired
}

/// The events of a run after one of them, as they are stored.
fn events(connection: &Connection, run: &RunId, after: u64) -> Result<Vec<String>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT body FROM events WHERE run_id = ? AND seq > ? ORDER BY seq")?
        .query_map(params![run.as_str(), i64::try_from(after).unwrap_or(i64::MAX)], |row| row.get(0))?
        .collect::<Result<_, _>>()?)
}

fn select(connection: &Connection, sql: &str, of: impl Params) -> Result<Vec<Raw>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let columns = statement.column_count();
    let rows = statement.query_map(of, |row| (0..columns).map(|column| row.get(column)).collect())?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn first(row: &Raw) -> Result<&str, StoreError> {
    match row.first() {
        Some(Value::Text(id)) => Ok(id),
        other => Err(StoreError::Damaged(format!("{other:?} where an id should be"))),
    }
}

fn gone(what: &impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(format!("{what} is in a listing, and cannot be found"))
}
