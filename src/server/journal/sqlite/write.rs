//! The statements of a commit. They run in the writer thread, in a transaction
//! that undoes the whole operation after an error.

use rusqlite::{CachedStatement, Connection, params};

use super::{
    audit, notices, outbox, parking,
    rows::{AttemptRow, ChangeRows, EventRow, HeadRow, NodeRow, RunRow},
    run_list, steering,
};
use crate::journal::JournalError;

/// Writes a change, and returns the id of its last outbox entry.
pub(super) fn commit(connection: &Connection, change: &ChangeRows) -> Result<Option<i64>, JournalError> {
    if let Some(version) = change.pauses
        && steering::pauses_version(connection)? != version
    {
        return Err(JournalError::Conflict);
    }
    if let Some(run) = &change.run {
        run_put(connection, run, change.at)?;
    }
    if let Some(row) = &change.listed {
        run_list::put(connection, &change.run_id, row)?;
    }
    for node in &change.nodes {
        node_put(connection, node)?;
    }
    for head in &change.heads {
        head_put(connection, head)?;
    }
    for event in &change.events {
        event_put(connection, event)?;
    }
    for attempt in &change.attempts {
        attempt_put(connection, attempt)?;
    }
    audit::append(connection, &change.audit)?;
    notices::append(connection, change.at, &change.notices)?;
    outbox::put(connection, change)
}

/// Fails unless a statement changed exactly one row: otherwise another commit
/// came first.
fn one_row(changed: usize) -> Result<(), JournalError> {
    if changed == 1 { Ok(()) } else { Err(JournalError::Conflict) }
}

fn run_put(connection: &Connection, row: &RunRow, at: i64) -> Result<(), JournalError> {
    let RunRow { run_id, version, terminal, deadline, body } = row;
    let sql = if *version == 0 {
        "INSERT INTO runs (run_id, version, terminal, deadline, body, changed_at)
         VALUES (?1, ?2 + 1, ?3, ?4, ?5, ?6)
         ON CONFLICT DO NOTHING"
    } else {
        "UPDATE runs SET version = ?2 + 1, terminal = ?3, deadline = ?4, body = ?5, changed_at = ?6
         WHERE run_id = ?1 AND version = ?2"
    };
    let changed = connection.prepare_cached(sql)?.execute(params![
        run_id.as_str(),
        version,
        terminal,
        deadline,
        body,
        at
    ])?;
    one_row(changed)?;
    if *version == 0 { Ok(()) } else { parking::remove(connection, run_id, None, None) }
}

/// The parameters ?1 to ?11 of the statements below: a head's place, and what a
/// cascade changes of it.
fn bind_head(statement: &mut CachedStatement<'_>, head: &HeadRow) -> rusqlite::Result<()> {
    let wake = head.wake.as_ref();
    statement.raw_bind_parameter(1, head.node_run_id.as_str())?;
    statement.raw_bind_parameter(2, head.run_id.as_str())?;
    statement.raw_bind_parameter(3, &head.path)?;
    statement.raw_bind_parameter(4, head.version)?;
    statement.raw_bind_parameter(5, head.terminal)?;
    statement.raw_bind_parameter(6, &head.state)?;
    statement.raw_bind_parameter(7, head.ended_at)?;
    statement.raw_bind_parameter(8, wake.map(|wake| wake.job.as_str()))?;
    statement.raw_bind_parameter(9, wake.map(|wake| wake.at))?;
    statement.raw_bind_parameter(10, wake.and_then(|wake| wake.claimed_by.as_deref()))?;
    statement.raw_bind_parameter(11, wake.map(|wake| wake.tries))
}

/// An update of a head, with more columns if given. A node's run and its place
/// in the tree never change: naming them makes a mistake a conflict.
macro_rules! update_head {
    ($($more:literal)?) => {
        concat!(
            "UPDATE node_runs SET version = ?4 + 1, terminal = ?5, state = ?6, ended_at = ?7,
                                  wake_job = ?8, wake_at = ?9, wake_owner = ?10, wake_tries = ?11",
            $($more,)?
            " WHERE node_run_id = ?1 AND run_id = ?2 AND path = ?3 AND version = ?4"
        )
    };
}

fn node_put(connection: &Connection, row: &NodeRow) -> Result<(), JournalError> {
    let NodeRow { head, body, apart, payloads, waits_since } = row;
    let sql = if head.version == 0 {
        "INSERT INTO node_runs (node_run_id, run_id, path, version, terminal, state, ended_at,
                                wake_job, wake_at, wake_owner, wake_tries,
                                kind, started_at, attempt, astray, deadline, body, apart, waits_since)
         VALUES (?1, ?2, ?3, ?4 + 1, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
         ON CONFLICT DO NOTHING"
    } else {
        update_head!(
            ", kind = ?12, started_at = ?13, attempt = ?14, astray = ?15, deadline = ?16,
                        body = ?17, apart = ?18, waits_since = ?19"
        )
    };
    let mut statement = connection.prepare_cached(sql)?;
    bind_head(&mut statement, head)?;
    statement.raw_bind_parameter(12, &head.kind)?;
    statement.raw_bind_parameter(13, head.started_at)?;
    statement.raw_bind_parameter(14, head.attempt)?;
    statement.raw_bind_parameter(15, head.superseded_attempt_may_run)?;
    statement.raw_bind_parameter(16, head.deadline)?;
    statement.raw_bind_parameter(17, body)?;
    statement.raw_bind_parameter(18, apart)?;
    statement.raw_bind_parameter(19, waits_since)?;
    one_row(statement.raw_execute()?)?;
    if head.version > 0 {
        // Payloads that were stored apart before and no longer are.
        connection
            .prepare_cached(
                "DELETE FROM node_payloads
                 WHERE node_run_id = ?1 AND NOT (CASE member WHEN 'inputs' THEN ?2 ELSE ?3 END)",
            )?
            .execute(params![head.node_run_id.as_str(), payloads.has_inputs(), payloads.has_outputs()])?;
        parking::remove(connection, &head.run_id, Some(&head.node_run_id), head.wake_at())?;
    }
    for (member, content) in [("inputs", &payloads.inputs), ("outputs", &payloads.outputs)] {
        if let Some(content) = content {
            payload_put(connection, head, member, content.as_str())?;
        }
    }
    Ok(())
}

/// Content that is stored already is not written again: inputs never change.
fn payload_put(
    connection: &Connection,
    head: &HeadRow,
    member: &str,
    content: &str,
) -> Result<(), JournalError> {
    connection
        .prepare_cached(
            "INSERT INTO node_payloads (node_run_id, member, content) VALUES (?, ?, ?)
             ON CONFLICT DO UPDATE SET content = excluded.content WHERE content <> excluded.content",
        )?
        .execute(params![head.node_run_id.as_str(), member, content])?;
    Ok(())
}

/// Writes the columns that a cascade changes.
fn head_put(connection: &Connection, head: &HeadRow) -> Result<(), JournalError> {
    let mut statement = connection.prepare_cached(update_head!())?;
    bind_head(&mut statement, head)?;
    one_row(statement.raw_execute()?)?;
    parking::remove(connection, &head.run_id, Some(&head.node_run_id), head.wake_at())
}

fn event_put(connection: &Connection, row: &EventRow) -> Result<(), JournalError> {
    let changed = connection
        .prepare_cached(
            "INSERT INTO events (run_id, seq, path, body) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )?
        .execute(params![row.run_id.as_str(), row.seq, row.path, row.body])?;
    one_row(changed)
}

fn attempt_put(connection: &Connection, row: &AttemptRow) -> Result<(), JournalError> {
    connection
        .prepare_cached(
            "INSERT INTO attempts (node_run_id, attempt, body) VALUES (?, ?, ?)
             ON CONFLICT DO UPDATE SET body = excluded.body",
        )?
        .execute(params![row.node_run_id.as_str(), row.attempt, row.body])?;
    Ok(())
}
