//! What is done in a transaction.

use rusqlite::{Connection, params};

use super::rows::{self, ChangeRows, NODE_COLUMNS, NodeRow, RunRow};
use crate::{ids::OwnerId, record::NodeRecord, store::StoreError, time::Timestamp};

pub(super) fn commit(db: &Connection, change: &ChangeRows) -> Result<(), StoreError> {
    if let Some(run) = &change.run {
        put_run(db, &change.run_id, run)?;
    }
    for node in &change.nodes {
        put_node(db, &change.run_id, node)?;
    }
    let mut insert =
        db.prepare_cached("INSERT INTO events (run_id, seq, path, body) VALUES (?1, ?2, ?3, ?4)")?;
    for event in &change.events {
        insert.execute(params![change.run_id, event.seq, event.path, event.body])?;
    }
    let mut insert = db.prepare_cached(
        "INSERT INTO attempts (node_run_id, attempt, body) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET body = excluded.body",
    )?;
    for attempt in &change.attempts {
        insert.execute(params![attempt.node, attempt.attempt, attempt.body])?;
    }
    if change.outbox { note_owed(db, change) } else { Ok(()) }
}

fn put_run(db: &Connection, id: &str, run: &RunRow) -> Result<(), StoreError> {
    let changed = if run.version == 0 {
        db.prepare_cached(
            "INSERT INTO runs (run_id, version, terminal, deadline, body) VALUES (?1, 1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![id, run.terminal, run.deadline, run.body])?
    } else {
        db.prepare_cached(
            "UPDATE runs SET version = version + 1, terminal = ?2, deadline = ?3, body = ?4
             WHERE run_id = ?1 AND version = ?5",
        )?
        .execute(params![id, run.terminal, run.deadline, run.body, run.version])?
    };
    if changed == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

fn put_node(db: &Connection, run_id: &str, node: &NodeRow) -> Result<(), StoreError> {
    let wake = node.wake.as_ref();
    let (job, at) = (wake.map(|wake| wake.job.as_str()), wake.map(|wake| wake.at.as_micros()));
    let owner = wake.and_then(|wake| wake.owner.as_ref()).map(OwnerId::as_str);
    let tries = wake.map_or(0, |wake| wake.tries);
    let changed = if node.version == 0 {
        db.prepare_cached(
            "INSERT INTO node_runs
                 (node_run_id, run_id, version, path, terminal, wake_job, wake_at, wake_owner, wake_tries, body)
             VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![node.id, run_id, node.path, node.terminal, job, at, owner, tries, node.body])?
    } else {
        db.prepare_cached(
            "UPDATE node_runs
             SET version = version + 1, terminal = ?2, wake_job = ?3, wake_at = ?4, wake_owner = ?5,
                 wake_tries = ?6, body = ?7
             WHERE node_run_id = ?1 AND version = ?8",
        )?
        .execute(params![node.id, node.terminal, job, at, owner, tries, node.body, node.version])?
    };
    if changed == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

/// Notes what the JARVIS stores have yet to hear of: the run, its nodes, then
/// its events.
fn note_owed(db: &Connection, change: &ChangeRows) -> Result<(), StoreError> {
    let mut insert = db.prepare_cached("INSERT INTO outbox (run_id, what, key) VALUES (?1, ?2, ?3)")?;
    if change.run.is_some() {
        insert.execute(params![change.run_id, "run", ""])?;
    }
    for node in &change.nodes {
        insert.execute(params![change.run_id, "node_run", node.id])?;
    }
    for event in &change.events {
        insert.execute(params![change.run_id, "event", event.seq.to_string()])?;
    }
    Ok(())
}

pub(super) fn wakes_claim(
    db: &Connection,
    owner: &OwnerId,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<NodeRecord>, StoreError> {
    let mut due = db.prepare_cached(
        "SELECT node_run_id FROM node_runs
         WHERE wake_at IS NOT NULL AND wake_owner IS NULL AND wake_at <= ?1
         ORDER BY wake_at LIMIT ?2",
    )?;
    let ids: Vec<String> =
        due.query_map(params![now.as_micros(), limit], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut claim = db.prepare_cached(&format!(
        "UPDATE node_runs SET wake_owner = ?2, version = version + 1 WHERE node_run_id = ?1 RETURNING {NODE_COLUMNS}"
    ))?;
    let mut claimed = Vec::with_capacity(ids.len());
    for id in ids {
        let mut rows = claim.query(params![id, owner.as_str()])?;
        while let Some(row) = rows.next()? {
            claimed.push(rows::node(row)?);
        }
    }
    Ok(claimed)
}

pub(super) fn owner_renew(db: &Connection, owner: &OwnerId, until: Timestamp) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO owners (owner_id, alive_until) VALUES (?1, ?2)
         ON CONFLICT DO UPDATE SET alive_until = excluded.alive_until",
    )?
    .execute(params![owner.as_str(), until.as_micros()])?;
    Ok(())
}

pub(super) fn owners_expire(db: &Connection, now: Timestamp) -> Result<u64, StoreError> {
    let freed = db
        .prepare_cached(
            "UPDATE node_runs SET wake_owner = NULL, wake_at = ?1, version = version + 1
             WHERE wake_owner IS NOT NULL
               AND wake_owner NOT IN (SELECT owner_id FROM owners WHERE alive_until >= ?1)",
        )?
        .execute([now.as_micros()])?;
    db.prepare_cached("DELETE FROM owners WHERE alive_until < ?1")?.execute([now.as_micros()])?;
    Ok(freed as u64)
}

pub(super) fn owner_release(db: &Connection, owner: &OwnerId, now: Timestamp) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM owners WHERE owner_id = ?1")?.execute([owner.as_str()])?;
    db.prepare_cached(
        "UPDATE node_runs SET wake_owner = NULL, wake_at = ?2, version = version + 1 WHERE wake_owner = ?1",
    )?
    .execute(params![owner.as_str(), now.as_micros()])?;
    Ok(())
}

pub(super) fn outbox_ack(db: &Connection, ids: &[u64]) -> Result<(), StoreError> {
    let mut delete = db.prepare_cached("DELETE FROM outbox WHERE id = ?1")?;
    for id in ids {
        delete.execute([rows::signed(*id)])?;
    }
    Ok(())
}
