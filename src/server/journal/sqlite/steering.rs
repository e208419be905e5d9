//! Pauses of dispatch, nodes that are set aside, and what a cancel has ended.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    SqliteJournal, audit,
    encoding::{from_json, natural, to_json},
    rows::{AuditRow, HeadRow},
};
use crate::{
    journal::{CanceledNode, JournalError, Steering, StoredPauses},
    record::{AuditRecord, Pause, PauseScope, PausesVersion},
    time::Timestamp,
    types::RunId,
};

/// Unclaimed wake-ups that are set aside, but not of held runs. The first part is
/// the beginning of an index, which has the rest of it as well.
pub(super) const SET_ASIDE: &str = "SELECT rowid FROM node_runs
    WHERE wake_owner IS NULL AND wake_at IS NOT NULL AND wake_job = 'set_aside'
      AND run_id NOT IN (SELECT run_id FROM run_list WHERE held = 1) LIMIT ?1";

#[async_trait]
impl Steering for SqliteJournal {
    async fn pauses(&self) -> Result<StoredPauses, JournalError> {
        // In this order: pauses that are newer than their version do no harm.
        self.reads.here(|connection| {
            Ok(StoredPauses { version: pauses_version(connection)?, pauses: pauses(connection)? })
        })
    }

    async fn pause_put(&self, pause: &Pause, audit: &AuditRecord) -> Result<(), JournalError> {
        let (scope, body) = (to_json(&pause.scope)?, to_json(pause)?);
        let audit = Arc::new([AuditRow::encode(audit)?]);
        self.writes
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "INSERT INTO pauses (scope, body) VALUES (?, ?)
                         ON CONFLICT DO UPDATE SET body = excluded.body",
                    )?
                    .execute(params![scope, body])?;
                pauses_changed(connection)?;
                audit::append(connection, &*audit)
            })
            .await
    }

    async fn pause_remove(&self, scope: &PauseScope, audit: &AuditRecord) -> Result<bool, JournalError> {
        let scope = to_json(scope)?;
        let audit = Arc::new([AuditRow::encode(audit)?]);
        self.writes
            .run(move |connection| {
                let mut delete = connection.prepare_cached("DELETE FROM pauses WHERE scope = ?")?;
                let was_there = delete.execute([&scope])? > 0;
                if was_there {
                    pauses_changed(connection)?;
                    audit::append(connection, &*audit)?;
                }
                Ok(was_there)
            })
            .await
    }

    async fn set_aside_resume(&self, now: Timestamp, limit: u32) -> Result<u64, JournalError> {
        let resumed = self.writes.run(move |connection| resume(connection, now, limit)).await;
        // After an error the rows may have changed nevertheless.
        if resumed != Ok(0) {
            self.cache.drop_all_nodes();
        }
        resumed
    }

    async fn nodes_canceled(
        &self,
        run: &RunId,
        at: Timestamp,
        limit: u32,
    ) -> Result<Vec<CanceledNode>, JournalError> {
        let run = run.clone();
        self.reads.aside(move |connection| canceled(connection, &run, at, limit)).await
    }
}

fn pauses(connection: &Connection) -> Result<Vec<Pause>, JournalError> {
    let mut statement = connection.prepare_cached("SELECT scope, body FROM pauses ORDER BY scope")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut pauses = Vec::new();
    for row in rows {
        let (scope, body) = row?;
        pauses.push(from_json(&scope, &body)?);
    }
    Ok(pauses)
}

/// How often the pauses have changed.
pub(super) fn pauses_version(connection: &Connection) -> Result<PausesVersion, JournalError> {
    let changes = connection
        .prepare_cached("SELECT changes FROM pause_changes")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(PausesVersion(natural(changes.unwrap_or(0))?))
}

/// Runs in the writer thread.
fn pauses_changed(connection: &Connection) -> Result<(), JournalError> {
    connection
        .prepare_cached(
            "INSERT INTO pause_changes (only, changes) VALUES (1, 1)
             ON CONFLICT DO UPDATE SET changes = changes + 1",
        )?
        .execute([])?;
    Ok(())
}

/// Runs in the writer thread.
fn resume(connection: &Connection, now: Timestamp, limit: u32) -> Result<u64, JournalError> {
    let resumed = connection
        .prepare_cached(&format!(
            "UPDATE node_runs SET wake_job = 'dispatch', wake_at = ?2, version = version + 1
             WHERE rowid IN ({SET_ASIDE})"
        ))?
        .execute(params![limit, now.as_micros()])?;
    Ok(resumed as u64)
}

fn canceled(
    connection: &Connection,
    run: &RunId,
    at: Timestamp,
    limit: u32,
) -> Result<Vec<CanceledNode>, JournalError> {
    let columns = HeadRow::COLUMNS;
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {columns}, (SELECT attempts.body FROM attempts
                            WHERE attempts.node_run_id = node_runs.node_run_id
                              AND attempts.attempt = node_runs.attempt)
         FROM node_runs WHERE run_id = ?1 AND state = 'canceled' AND ended_at = ?2 ORDER BY path LIMIT ?3"
    ))?;
    let of_run = params![run.as_str(), at.as_micros(), limit];
    let rows =
        statement.query_map(of_run, |row| Ok((HeadRow::read(row)?, row.get::<_, Option<String>>(16)?)))?;
    let mut nodes = Vec::new();
    for row in rows {
        let (head, attempt) = row?;
        let last_attempt = attempt.map(|body| from_json(head.node_run_id.as_str(), &body)).transpose()?;
        nodes.push(CanceledNode { head: head.decode()?, last_attempt });
    }
    Ok(nodes)
}
