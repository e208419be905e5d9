//! The rotation of keys, for the command `journal rotate-key`: one secret changes, also
//! while servers use the journal. They read it when they need it.

use super::{PostgresJournal, audit, batch::Failure};
use crate::{
    journal::{
        JournalError, LiveWork, SecretChange,
        rows::{AuditRow, natural},
    },
    time::Timestamp,
};

const LOCK: &str = "SELECT value FROM secrets WHERE name = $1 FOR UPDATE";

const PUT: &str = "INSERT INTO secrets (name, value) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

const LIVE_WORK: &str = "SELECT (SELECT max(deadline) FROM runs WHERE NOT terminal),
    (SELECT count(*) FROM node_runs WHERE NOT terminal AND kind = 'composite' AND state = 'running')";

impl PostgresJournal {
    /// Replaces a secret by what `change` makes of it, durably, with its audit record.
    pub async fn secret_change<T, E: From<JournalError>>(
        &self,
        name: &str,
        change: impl FnOnce(Option<Vec<u8>>, LiveWork) -> Result<SecretChange<T>, E>,
    ) -> Result<T, E> {
        let live = self.beats.live().await?;
        let database = |error: tokio_postgres::Error| JournalError::from(error);
        live.client.batch_execute("BEGIN").await.map_err(database)?;
        let changed = async {
            let stored = live.query_opt(LOCK, &[&name]).await.map_err(database)?;
            let stored = stored.map(|row| row.try_get(0)).transpose().map_err(database)?;
            let row = live.query_one(LIVE_WORK, &[]).await.map_err(database)?;
            let deadline: Option<i64> = row.try_get(0).map_err(database)?;
            let work = LiveWork {
                last_deadline: deadline.map(Timestamp::from_micros),
                composites: natural(row.try_get(1).map_err(database)?)?,
            };
            let SecretChange { value, audit, outcome } = change(stored, work)?;
            live.execute(PUT, &[&name, &value]).await.map_err(database)?;
            let record = AuditRow::encode(&audit)?;
            audit::append(&live, &[record]).await.map_err(|failure: Failure| JournalError::from(failure))?;
            Ok(outcome)
        };
        match changed.await {
            Ok(outcome) => {
                live.client.batch_execute("COMMIT").await.map_err(database)?;
                Ok(outcome)
            }
            Err(failure) => {
                live.client.batch_execute("ROLLBACK").await.map_err(database)?;
                Err(failure)
            }
        }
    }
}
