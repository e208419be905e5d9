//! The committed content, for checks: compared column by column, and decoded by the
//! journal's own statements once for each change.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rusqlite::{Connection, Params, params, types::Value};

use super::JUNK;
use crate::{
    journal::{
        AuditEntry, AuditId, JournalError, Parked,
        sqlite::{audit, encoding::from_json, parking, read},
    },
    record::{AttemptRecord, AuditRecord, NodeRecord, RunRecord},
    types::{NodeRunId, RunEvent, RunId},
};

/// Everything that a journal contained at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    runs: BTreeMap<RunId, Arc<Whole>>,
    run_of: BTreeMap<NodeRunId, RunId>,
    parked: Vec<Parked>,
}

/// Everything about one run. Two snapshots share it if nothing of it changed in
/// between.
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
    /// In the order of their numbers; the last one's.
    pub audit: Vec<AuditRecord>,
    audited_to: AuditId,
}

impl Whole {
    fn add_audit(&mut self, entries: Vec<AuditEntry>) {
        for AuditEntry { id, record } in entries {
            self.audited_to = id;
            self.audit.push(record);
        }
    }

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

/// The last snapshot, and the rows that it was decoded from.
#[derive(Default)]
pub(super) struct Seen {
    /// The number of rows that the connection had changed by then.
    changes: Option<u64>,
    runs: Rows,
    of_runs: BTreeMap<RunId, (Rows, Rows)>,
    snapshot: Arc<Snapshot>,
}

impl Seen {
    pub(super) fn look(
        &mut self,
        connection: &Connection,
        damaged: &BTreeMap<NodeRunId, String>,
    ) -> Result<Arc<Snapshot>, JournalError> {
        if self.changes == Some(connection.total_changes()) {
            return Ok(Arc::clone(&self.snapshot));
        }
        // After a failure, the next look starts from nothing.
        let Self { mut runs, mut of_runs, snapshot: before, .. } = std::mem::take(self);
        let parked = parking::list(connection, u32::MAX)?.into_iter().map(|(item, _times)| item).collect();
        let mut snapshot = Snapshot { parked, ..Snapshot::default() };
        let changed = runs.look(connection, "SELECT run_id, * FROM runs ORDER BY run_id", [])?;
        for id in runs.ids() {
            let run = RunId::new(id);
            let (nodes, attempts) = of_runs.entry(run.clone()).or_default();
            let changed = Changed {
                run: changed.contains(id),
                nodes: nodes.look(
                    connection,
                    "SELECT node_run_id, * FROM node_runs WHERE run_id = ? ORDER BY node_run_id",
                    [id],
                )?,
                attempts: attempts.look(
                    connection,
                    "SELECT node_run_id || '#' || attempt, * FROM attempts
                     WHERE node_run_id IN (SELECT node_run_id FROM node_runs WHERE run_id = ?) ORDER BY 1",
                    [id],
                )?,
            };
            let whole = match before.run(&run) {
                Some(before) => update(connection, before, &changed, nodes, damaged)?,
                None => Arc::new(whole(connection, &run, nodes, damaged)?),
            };
            snapshot.run_of.extend(whole.nodes.iter().map(|node| (node.id().clone(), run.clone())));
            snapshot.runs.insert(run, whole);
        }
        *self =
            Self { changes: Some(connection.total_changes()), runs, of_runs, snapshot: Arc::new(snapshot) };
        Ok(Arc::clone(&self.snapshot))
    }
}

/// The ids of rows that are new, changed or deleted.
struct Changed {
    run: bool,
    nodes: BTreeSet<String>,
    attempts: BTreeSet<String>,
}

/// Rows with all their columns; the first one is an id, by which they are ordered.
#[derive(Default)]
struct Rows(Vec<Vec<Value>>);

impl Rows {
    fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|row| id(row))
    }

    /// Reads the rows again. Returns the ids of those that are new, changed or
    /// deleted.
    fn look(
        &mut self,
        connection: &Connection,
        sql: &str,
        of: impl Params,
    ) -> Result<BTreeSet<String>, JournalError> {
        let mut changed = BTreeSet::new();
        let mut before = std::mem::take(&mut self.0).into_iter().peekable();
        let mut statement = connection.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(of)?;
        while let Some(row) = rows.next()? {
            let this = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            while let Some(gone) = before.next_if(|row| id(row) < Some(this)) {
                changed.extend(id(&gone).map(str::to_owned));
            }
            let same = |known: &Vec<Value>| {
                known.len() == columns
                    && known.iter().zip(0..).all(|(known, column)| row.get_ref(column) == Ok(known.into()))
            };
            if let Some(known) = before.next_if(same) {
                self.0.push(known);
                continue;
            }
            let _replaced = before.next_if(|row| id(row) == Some(this));
            changed.insert(this.to_owned());
            self.0.push((0..columns).map(|column| row.get(column)).collect::<Result<_, _>>()?);
        }
        changed.extend(before.filter_map(|gone| id(&gone).map(str::to_owned)));
        Ok(changed)
    }
}

fn id(row: &[Value]) -> Option<&str> {
    match row.first() {
        Some(Value::Text(id)) => Some(id),
        Some(Value::Null | Value::Integer(_) | Value::Real(_) | Value::Blob(_)) | None => None,
    }
}

fn whole(
    connection: &Connection,
    run: &RunId,
    nodes: &Rows,
    damaged: &BTreeMap<NodeRunId, String>,
) -> Result<Whole, JournalError> {
    let nodes = nodes.ids().map(NodeRunId::new).map(|id| read_node(connection, &id, damaged.get(&id)));
    let mut whole = Whole {
        run: read_run(connection, run)?,
        nodes: nodes.collect::<Result<_, _>>()?,
        events: Vec::new(),
        lines: Vec::new(),
        attempts: Vec::new(),
        audit: Vec::new(),
        audited_to: AuditId::default(),
    };
    whole.add_audit(audit::of_run(connection, run, AuditId::default())?);
    add_events(&mut whole, events(connection, run, 0)?)?;
    whole.attempts = read_attempts(connection, &whole)?;
    Ok(whole)
}

/// The run with its changes.
fn update(
    connection: &Connection,
    before: &Arc<Whole>,
    changed: &Changed,
    nodes: &Rows,
    damaged: &BTreeMap<NodeRunId, String>,
) -> Result<Arc<Whole>, JournalError> {
    let run = before.run.id();
    let lines = events(connection, run, before.events.last().map_or(0, |event| event.seq))?;
    let audited = audit::of_run(connection, run, before.audited_to)?;
    let is_same = !changed.run && changed.nodes.is_empty() && changed.attempts.is_empty();
    if is_same && lines.is_empty() && audited.is_empty() {
        return Ok(Arc::clone(before));
    }
    let mut whole = Whole::clone(before);
    if changed.run {
        whole.run = read_run(connection, run)?;
    }
    if !changed.nodes.is_empty() {
        whole.nodes.clear();
        for id in nodes.ids() {
            let node = NodeRunId::new(id);
            whole.nodes.push(match before.node(&node).filter(|_| !changed.nodes.contains(id)) {
                Some(same) => same.clone(),
                None => read_node(connection, &node, damaged.get(&node))?,
            });
        }
    }
    add_events(&mut whole, lines)?;
    whole.add_audit(audited);
    if !changed.attempts.is_empty() {
        whole.attempts = read_attempts(connection, &whole)?;
    }
    Ok(Arc::new(whole))
}

fn add_events(whole: &mut Whole, lines: Vec<String>) -> Result<(), JournalError> {
    for line in lines {
        whole.events.push(from_json(whole.run.id().as_str(), &line)?);
        whole.lines.push(line);
    }
    Ok(())
}

fn read_run(connection: &Connection, run: &RunId) -> Result<RunRecord, JournalError> {
    read::run(connection, run)?.ok_or_else(|| gone(run))
}

fn read_attempts(connection: &Connection, whole: &Whole) -> Result<Vec<AttemptRecord>, JournalError> {
    let mut attempts = Vec::new();
    for node in &whole.nodes {
        attempts.extend(read::attempts(connection, node.id())?);
    }
    Ok(attempts)
}

/// Reads a node run; a damaged one as it was before.
fn read_node(
    connection: &Connection,
    node: &NodeRunId,
    undamaged: Option<&String>,
) -> Result<NodeRecord, JournalError> {
    let mut row = read::node_row(connection, node)?.ok_or_else(|| gone(node))?;
    if let Some(body) = undamaged.filter(|_| row.body.text().is_ok_and(|text| text == JUNK)) {
        row.body = body.clone().into();
    }
    row.decode()
}

/// The events of a run after one of them, as they are stored.
fn events(connection: &Connection, run: &RunId, after: u64) -> Result<Vec<String>, JournalError> {
    Ok(connection
        .prepare_cached("SELECT body FROM events WHERE run_id = ? AND seq > ? ORDER BY seq")?
        .query_map(params![run.as_str(), i64::try_from(after).unwrap_or(i64::MAX)], |row| row.get(0))?
        .collect::<Result<_, _>>()?)
}

fn gone(what: &impl std::fmt::Display) -> JournalError {
    JournalError::Damaged(format!("{what} is listed, and cannot be found"))
}
