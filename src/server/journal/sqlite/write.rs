//! What one piece of a group does to the database. Everything here runs in the
//! writer thread, inside a savepoint: an error undoes the piece as a whole.

use rusqlite::{Connection, params};

use super::{
    parking,
    read::{self, DUE},
    rows::{
        AttemptRow, ChangeRows, ClaimFilterRow, EventRow, HeadRow, NodeRow, RunRow, WakeColumns, integer,
    },
};
use crate::{journal::JournalError, record::OutboxItem, time::Timestamp, types::WorkerId};

/// Writes a change, and returns the id of its last outbox entry.
pub(super) fn commit(connection: &Connection, change: &ChangeRows) -> Result<Option<i64>, JournalError> {
    if let Some(run) = &change.run {
        run_put(connection, run, change.at)?;
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
    outbox_put(connection, change)
}

/// A statement that must hit exactly one row; if it does not, somebody else
/// was faster.
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
    if *version == 0 { Ok(()) } else { parking::leave(connection, run_id, None, None) }
}

fn node_put(connection: &Connection, row: &NodeRow) -> Result<(), JournalError> {
    let NodeRow { head, body, apart, payloads } = row;
    let sql = if head.version == 0 {
        "INSERT INTO node_runs (node_run_id, run_id, path, version, terminal, state, ended_at,
                                wake_job, wake_at, wake_owner, wake_tries,
                                kind, started_at, attempt, astray, deadline, body, apart)
         VALUES (?1, ?2, ?3, ?4 + 1, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
         ON CONFLICT DO NOTHING"
    } else {
        // The run and the place in it never change; naming them here makes a
        // mistake a conflict.
        "UPDATE node_runs SET version = ?4 + 1, terminal = ?5, state = ?6, ended_at = ?7,
                              wake_job = ?8, wake_at = ?9, wake_owner = ?10, wake_tries = ?11,
                              kind = ?12, started_at = ?13, attempt = ?14, astray = ?15, deadline = ?16,
                              body = ?17, apart = ?18
         WHERE node_run_id = ?1 AND run_id = ?2 AND path = ?3 AND version = ?4"
    };
    let wake = Waking::of(head.wake.as_ref());
    let changed = connection.prepare_cached(sql)?.execute(params![
        head.node_run_id.as_str(),
        head.run_id.as_str(),
        head.path,
        head.version,
        head.terminal,
        head.state,
        head.ended_at,
        wake.job,
        wake.at,
        wake.claimed_by,
        wake.tries,
        head.kind,
        head.started_at,
        head.attempt,
        head.superseded_attempt_may_run,
        head.deadline,
        body,
        apart,
    ])?;
    one_row(changed)?;
    if head.version > 0 {
        // What it carried apart before and no longer does.
        connection
            .prepare_cached(
                "DELETE FROM node_payloads
                 WHERE node_run_id = ?1 AND NOT (CASE member WHEN 'inputs' THEN ?2 ELSE ?3 END)",
            )?
            .execute(params![head.node_run_id.as_str(), payloads.has_inputs(), payloads.has_outputs()])?;
        parking::leave(connection, &head.run_id, Some(&head.node_run_id), wake.at)?;
    }
    for (member, content) in [("inputs", &payloads.inputs), ("outputs", &payloads.outputs)] {
        if let Some(content) = content {
            payload_put(connection, head, member, content.as_str())?;
        }
    }
    Ok(())
}

/// What is there already is not written again: inputs never change.
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

/// Of a head, only what a cascade changes.
fn head_put(connection: &Connection, head: &HeadRow) -> Result<(), JournalError> {
    let wake = Waking::of(head.wake.as_ref());
    let changed = connection
        .prepare_cached(
            "UPDATE node_runs SET version = ?4 + 1, terminal = ?5, state = ?6, ended_at = ?7,
                                  wake_job = ?8, wake_at = ?9, wake_owner = ?10, wake_tries = ?11
             WHERE node_run_id = ?1 AND run_id = ?2 AND path = ?3 AND version = ?4",
        )?
        .execute(params![
            head.node_run_id.as_str(),
            head.run_id.as_str(),
            head.path,
            head.version,
            head.terminal,
            head.state,
            head.ended_at,
            wake.job,
            wake.at,
            wake.claimed_by,
            wake.tries,
        ])?;
    one_row(changed)?;
    parking::leave(connection, &head.run_id, Some(&head.node_run_id), wake.at)
}

/// The columns of a wake-up, if there is one.
struct Waking<'r> {
    job: Option<&'r str>,
    at: Option<i64>,
    claimed_by: Option<&'r str>,
    tries: Option<i64>,
}

impl<'r> Waking<'r> {
    fn of(wake: Option<&'r WakeColumns>) -> Self {
        Self {
            job: wake.map(|wake| wake.job.as_str()),
            at: wake.map(|wake| wake.at),
            claimed_by: wake.and_then(|wake| wake.claimed_by.as_deref()),
            tries: wake.map(|wake| wake.tries),
        }
    }
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

/// Adds the change's outbox entries, and returns the id of the last one.
fn outbox_put(connection: &Connection, change: &ChangeRows) -> Result<Option<i64>, JournalError> {
    if change.outbox.is_empty() {
        return Ok(None);
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO outbox (decided_at, run_id, node_run_id, new, first_seq, last_seq)
         VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
    )?;
    let run = change.run_id.as_str();
    let mut last = None;
    for item in &change.outbox {
        let (node, new, first, newest) = match item {
            OutboxItem::Run { new } => (None, Some(*new), None, None),
            OutboxItem::NodeRun { node_run_id, new } => (Some(node_run_id.as_str()), Some(*new), None, None),
            OutboxItem::Events { first, last } => (None, None, Some(integer(*first)?), Some(integer(*last)?)),
        };
        last = insert.query_one(params![change.at, run, node, new, first, newest], |row| row.get(0))?;
    }
    Ok(last)
}

pub(super) fn claim_due(
    connection: &Connection,
    owner: &WorkerId,
    now: Timestamp,
    want: &ClaimFilterRow,
) -> Result<Vec<HeadRow>, JournalError> {
    let columns = HeadRow::COLUMNS;
    let mut select = connection
        .prepare_cached(&format!("SELECT {columns} FROM node_runs WHERE {DUE} ORDER BY wake_at LIMIT ?5"))?;
    let mut due = Vec::new();
    for lane in read::lanes(connection, want)? {
        let of_lane = params![now.as_micros(), lane.job, lane.kind, want.except, want.limit];
        for row in select.query_map(of_lane, HeadRow::read)? {
            due.push(row?);
        }
    }
    due.sort_by_key(|row: &HeadRow| row.wake.as_ref().map(|wake| wake.at));
    due.truncate(want.limit as usize);
    let mut claim = connection.prepare_cached(
        "UPDATE node_runs SET wake_owner = ?1, version = version + 1 WHERE node_run_id = ?2 RETURNING version",
    )?;
    for row in &mut due {
        row.version = claim.query_one(params![owner.as_str(), row.node_run_id.as_str()], |row| row.get(0))?;
        if let Some(wake) = &mut row.wake {
            wake.claimed_by = Some(owner.as_str().to_owned());
        }
    }
    Ok(due)
}

pub(super) fn renew_worker(
    connection: &Connection,
    owner: &WorkerId,
    until: Timestamp,
) -> Result<(), JournalError> {
    connection
        .prepare_cached(
            "INSERT INTO owners (owner_id, alive_until) VALUES (?, ?)
             ON CONFLICT DO UPDATE SET alive_until = excluded.alive_until",
        )?
        .execute(params![owner.as_str(), until.as_micros()])?;
    Ok(())
}

/// The job stays what it was: whoever gets a deadline before its time knows
/// that the one who had it is gone.
pub(super) fn reap_dead_workers(connection: &Connection, now: Timestamp) -> Result<u64, JournalError> {
    let lost = connection
        .prepare_cached(
            "UPDATE node_runs SET wake_owner = NULL, wake_at = ?1, version = version + 1
             WHERE wake_owner IS NOT NULL
               AND wake_owner NOT IN (SELECT owner_id FROM owners WHERE alive_until >= ?1)",
        )?
        .execute([now.as_micros()])?;
    connection.prepare_cached("DELETE FROM owners WHERE alive_until < ?")?.execute([now.as_micros()])?;
    Ok(lost as u64)
}

pub(super) fn release_claims(
    connection: &Connection,
    owner: &WorkerId,
    now: Timestamp,
) -> Result<(), JournalError> {
    connection
        .prepare_cached(
            "UPDATE node_runs SET wake_owner = NULL, wake_at = ?2, version = version + 1 WHERE wake_owner = ?1",
        )?
        .execute(params![owner.as_str(), now.as_micros()])?;
    connection.prepare_cached("DELETE FROM owners WHERE owner_id = ?")?.execute([owner.as_str()])?;
    Ok(())
}

/// Whoever comes first decides; everybody gets what is kept.
pub(super) fn secret(connection: &Connection, name: &str, fresh: &[u8]) -> Result<Vec<u8>, JournalError> {
    connection
        .prepare_cached("INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING")?
        .execute(params![name, fresh])?;
    let mut statement = connection.prepare_cached("SELECT value FROM secrets WHERE name = ?")?;
    Ok(statement.query_one([name], |row| row.get(0))?)
}

pub(super) fn outbox_ack(connection: &Connection, ids: &[i64]) -> Result<(), JournalError> {
    let mut delete = connection.prepare_cached("DELETE FROM outbox WHERE id = ?")?;
    for id in ids {
        delete.execute([id])?;
    }
    Ok(())
}
