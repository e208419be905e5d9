//! Pauses of dispatch, nodes that are set aside, and what a cancel has ended.

use std::sync::Arc;

use async_trait::async_trait;

use super::{PostgresJournal, audit, link::Live, read::head_columns};
use crate::{
    journal::{
        CanceledNode, JournalError, Steering, StoredPauses,
        rows::{AuditRow, HeadRow, from_json, natural, to_json},
    },
    record::{AuditRecord, Pause, PauseScope, PausesVersion},
    time::Timestamp,
    types::RunId,
};

/// As of one moment.
const PAUSES: &str = "SELECT changes, scope, body FROM pause_changes LEFT JOIN pauses ON true ORDER BY scope";

/// The fence rows of all writers. A transaction that has begun goes on first; one that
/// begins later finds what has changed here.
const LOCK_HANDS: &str =
    "SELECT count(*) FROM (SELECT 1 FROM hands ORDER BY owner_id, hand FOR UPDATE) AS locked";

const CHANGED: &str = "UPDATE pause_changes SET changes = changes + 1";

const PUT: &str = "INSERT INTO pauses (scope, body) VALUES ($1, $2)
    ON CONFLICT (scope) DO UPDATE SET body = excluded.body";

const REMOVE: &str = "DELETE FROM pauses WHERE scope = $1";

/// Unclaimed wake-ups that are set aside, but not of held runs. A run that is held
/// meanwhile gives its nodes another version, which the lock finds: then they stay as they
/// are.
const RESUME: &str = "
    WITH seen AS MATERIALIZED (
        SELECT node_run_id, version FROM node_runs
        WHERE wake_owner IS NULL AND wake_at IS NOT NULL AND wake_job = 'set_aside'
          AND run_id NOT IN (SELECT run_id FROM runs WHERE held)
        LIMIT $1),
    locked AS MATERIALIZED (
        SELECT node_run_id FROM node_runs JOIN seen USING (node_run_id, version)
        FOR UPDATE OF node_runs SKIP LOCKED)
    UPDATE node_runs SET wake_job = 'dispatch', wake_at = $2, version = version + 1
    WHERE node_run_id IN (SELECT node_run_id FROM locked)";

const CANCELED: &str = concat!(
    "SELECT ",
    head_columns!(),
    ", (SELECT attempts.body FROM attempts
        WHERE attempts.node_run_id = node_runs.node_run_id AND attempts.attempt = node_runs.attempt)
     FROM node_runs WHERE run_id = $1 AND state = 'canceled' AND ended_at = $2 ORDER BY path LIMIT $3"
);

#[async_trait]
impl Steering for PostgresJournal {
    async fn pauses(&self) -> Result<StoredPauses, JournalError> {
        let all = |live: Arc<Live>| async move {
            let rows = live.query(PAUSES, &[]).await?;
            let mut stored = StoredPauses::default();
            for row in &rows {
                stored.version = PausesVersion(natural(row.try_get(0)?)?);
                if let Some(scope) = row.try_get(1)? {
                    stored.pauses.push(from_json(scope, row.try_get(2)?)?);
                }
            }
            Ok(stored)
        };
        self.readers.read(all).await
    }

    async fn pause_put(&self, pause: &Pause, audit: &AuditRecord) -> Result<(), JournalError> {
        let (scope, body) = (to_json(&pause.scope)?, to_json(pause)?);
        let audit = Arc::new([AuditRow::encode(audit)?]);
        self.writers
            .own(move |live| {
                let (scope, body, audit) = (scope.clone(), body.clone(), Arc::clone(&audit));
                async move {
                    live.query(LOCK_HANDS, &[]).await?;
                    live.execute(PUT, &[&scope, &body]).await?;
                    live.execute(CHANGED, &[]).await?;
                    audit::append(&live, &*audit).await
                }
            })
            .await
    }

    async fn pause_remove(&self, scope: &PauseScope, audit: &AuditRecord) -> Result<bool, JournalError> {
        let scope = to_json(scope)?;
        let audit = Arc::new([AuditRow::encode(audit)?]);
        self.writers
            .own(move |live| {
                let (scope, audit) = (scope.clone(), Arc::clone(&audit));
                async move {
                    live.query(LOCK_HANDS, &[]).await?;
                    let was_there = live.execute(REMOVE, &[&scope]).await? > 0;
                    if was_there {
                        live.execute(CHANGED, &[]).await?;
                        audit::append(&live, &*audit).await?;
                    }
                    Ok(was_there)
                }
            })
            .await
    }

    async fn set_aside_resume(&self, now: Timestamp, limit: u32) -> Result<u64, JournalError> {
        let (now, limit) = (now.as_micros(), i64::from(limit));
        self.writers.own(move |live| async move { Ok(live.execute(RESUME, &[&limit, &now]).await?) }).await
    }

    async fn nodes_canceled(
        &self,
        run: &RunId,
        at: Timestamp,
        limit: u32,
    ) -> Result<Vec<CanceledNode>, JournalError> {
        let of_run = |live: Arc<Live>| async move {
            let rows = live.query(CANCELED, &[&run.as_str(), &at.as_micros(), &i64::from(limit)]).await?;
            rows.iter()
                .map(|row| {
                    let head = HeadRow::read(row)?.decode()?;
                    let attempt: Option<&str> = row.try_get(16)?;
                    let last_attempt =
                        attempt.map(|body| from_json(head.node_run_id.as_str(), body)).transpose()?;
                    Ok(CanceledNode { head, last_attempt })
                })
                .collect()
        };
        self.readers.read(of_run).await
    }
}
