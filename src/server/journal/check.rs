//! What a check of a journal finds, and the check of one run: each record decodes and
//! agrees with its columns, and together they satisfy
//! [`invariants`].

use std::fmt;

use super::{
    Parked,
    rows::{NodeRow, RunRow, from_json},
};
use crate::{
    invariants::{self, History},
    record::{AttemptRecord, NodeRecord},
    types::RunEvent,
};

/// The maximum of problems that are described; further ones are only counted.
const PROBLEMS_MAX: usize = 100;

/// Counts of a journal of any schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    pub runs_live: i64,
    pub runs_over: i64,
    pub node_runs: i64,
    pub events: i64,
    pub audit_records: i64,
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs_live, runs_over, node_runs, events, audit_records } = self;
        write!(
            f,
            "{runs_live} live and {runs_over} finished runs, {node_runs} node runs, {events} events, \
             {audit_records} audit records"
        )
    }
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub schema: i64,
    pub contents: Contents,
    pub outbox: i64,
    /// The parked items, and how often each was parked. They are not problems of the
    /// journal.
    pub parked: Vec<(Parked, u32)>,
    pub problems: Problems,
}

/// The problems that were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// Descriptions of the first ones.
    pub words: Vec<String>,
    pub count: usize,
}

impl Problems {
    pub(super) fn add(&mut self, what: String) {
        self.count += 1;
        if self.words.len() < PROBLEMS_MAX {
            self.words.push(what);
        }
    }
}

/// The rows of one run.
pub(super) struct RunRows {
    pub(super) run: RunRow,
    pub(super) nodes: Vec<NodeRow>,
    /// Numbers and bodies.
    pub(super) events: Vec<(i64, String)>,
    /// The node, and the body.
    pub(super) attempts: Vec<(String, String)>,
}

impl RunRows {
    pub(super) fn check(self, problems: &mut Problems) {
        let known = problems.count;
        let (id, terminal) = (self.run.run_id.clone(), self.run.terminal);
        let run = self.run.decode().inspect_err(|damage| problems.add(format!("run {id}: {damage}")));
        let nodes = nodes(&self.nodes, problems);
        let events = events(id.as_str(), &self.events, problems);
        let attempts = attempts(&self.attempts, problems);
        let Ok(run) = run else { return };
        if (run.id(), run.is_terminal()) != (&id, terminal) {
            problems.add(format!("run {id}: the columns and the record disagree"));
        }
        // After damage, they would only find its consequences.
        if problems.count == known {
            // The audit trail has a retention of its own: records of this run may be gone.
            let history =
                History { run: &run, nodes: &nodes, events: &events, attempts: &attempts, audit: None };
            for violation in invariants::check(&history) {
                problems.add(format!("run {id}: {violation}"));
            }
        }
    }
}

fn nodes(rows: &[NodeRow], problems: &mut Problems) -> Vec<NodeRecord> {
    let mut nodes = Vec::new();
    for row in rows {
        let id = &row.head.node_run_id;
        match row.decode() {
            Ok(node) => {
                if row.head.decode().as_ref() != Ok(&node.head()) {
                    problems.add(format!("node run {id}: the columns and the record disagree"));
                }
                nodes.push(node);
            }
            Err(damage) => problems.add(format!("node run {id}: {damage}")),
        }
    }
    nodes
}

fn events(run: &str, rows: &[(i64, String)], problems: &mut Problems) -> Vec<RunEvent> {
    let mut events = Vec::new();
    for (seq, body) in rows {
        match from_json::<RunEvent>(&format!("{run}#{seq}"), body) {
            Ok(event) if i64::try_from(event.seq) == Ok(*seq) => events.push(event),
            Ok(event) => {
                problems.add(format!("run {run}: event {seq} has the number {} in its body", event.seq))
            }
            Err(damage) => problems.add(format!("event: {damage}")),
        }
    }
    events
}

fn attempts(rows: &[(String, String)], problems: &mut Problems) -> Vec<AttemptRecord> {
    let mut attempts = Vec::new();
    for (node, body) in rows {
        match from_json(node, body) {
            Ok(attempt) => attempts.push(attempt),
            Err(damage) => problems.add(format!("attempt: {damage}")),
        }
    }
    attempts
}
