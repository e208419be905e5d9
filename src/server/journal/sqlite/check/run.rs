//! The check of one run: each record decodes and agrees with its columns, and
//! together they satisfy [`invariants`].

use rusqlite::Connection;

use super::Problems;
use crate::{
    invariants::{self, History},
    journal::{
        JournalError,
        sqlite::{
            encoding::from_json,
            rows::{HeadRow, NodeRow, RunRow},
        },
    },
    record::{AttemptRecord, NodeRecord},
    types::RunEvent,
};

/// An error means that the rows could not be read at all.
pub(super) fn check(
    connection: &Connection,
    row: RunRow,
    problems: &mut Problems,
) -> Result<(), JournalError> {
    let known = problems.count;
    let (id, terminal) = (row.run_id.clone(), row.terminal);
    let run = row.decode().inspect_err(|damage| problems.add(format!("run {id}: {damage}")));
    let nodes = nodes(connection, id.as_str(), problems)?;
    let events = events(connection, id.as_str(), problems)?;
    let attempts = attempts(connection, id.as_str(), problems)?;
    let Ok(run) = run else { return Ok(()) };
    if (run.id(), run.is_terminal()) != (&id, terminal) {
        problems.add(format!("run {id}: the columns and the record disagree"));
    }
    // After damage, they would only find its consequences.
    if problems.count == known {
        // The audit trail has a retention of its own: records of this run may be gone.
        let history = History { run: &run, nodes: &nodes, events: &events, attempts: &attempts, audit: None };
        for violation in invariants::check(&history) {
            problems.add(format!("run {id}: {violation}"));
        }
    }
    Ok(())
}

fn nodes(
    connection: &Connection,
    run: &str,
    problems: &mut Problems,
) -> Result<Vec<NodeRecord>, JournalError> {
    let (head, content) = (HeadRow::COLUMNS, NodeRow::CONTENT);
    let sql = format!("SELECT {head}, {content} FROM node_runs WHERE run_id = ?");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut nodes = Vec::new();
    for row in statement.query_map([run], |row| NodeRow::read(row))? {
        let row = row?;
        match row.decode() {
            Ok(node) => {
                if row.head.decode().as_ref() != Ok(&node.head()) {
                    problems.add(format!(
                        "node run {}: the columns and the record disagree",
                        row.head.node_run_id
                    ));
                }
                nodes.push(node);
            }
            Err(damage) => problems.add(format!("node run {}: {damage}", row.head.node_run_id)),
        }
    }
    Ok(nodes)
}

fn events(
    connection: &Connection,
    run: &str,
    problems: &mut Problems,
) -> Result<Vec<RunEvent>, JournalError> {
    let mut statement =
        connection.prepare_cached("SELECT seq, body FROM events WHERE run_id = ? ORDER BY seq")?;
    let rows = statement.query_map([run], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    let mut events = Vec::new();
    for row in rows {
        let (seq, body) = row?;
        match from_json::<RunEvent>(&format!("{run}#{seq}"), &body) {
            Ok(event) if i64::try_from(event.seq) == Ok(seq) => events.push(event),
            Ok(event) => {
                problems.add(format!("run {run}: event {seq} has the number {} in its body", event.seq))
            }
            Err(damage) => problems.add(format!("event: {damage}")),
        }
    }
    Ok(events)
}

fn attempts(
    connection: &Connection,
    run: &str,
    problems: &mut Problems,
) -> Result<Vec<AttemptRecord>, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT node_run_id, body FROM attempts
         WHERE node_run_id IN (SELECT node_run_id FROM node_runs WHERE run_id = ?)",
    )?;
    let rows = statement.query_map([run], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut attempts = Vec::new();
    for row in rows {
        let (node, body) = row?;
        match from_json(&node, &body) {
            Ok(attempt) => attempts.push(attempt),
            Err(damage) => problems.add(format!("attempt: {damage}")),
        }
    }
    Ok(attempts)
}
