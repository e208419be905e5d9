//! What is stored by name: secrets, and marks (times up to which something has come).

use std::sync::Arc;

use super::{PostgresJournal, link::Live};
use crate::{journal::JournalError, time::Timestamp, types::RunId};

const SECRET: &str = "SELECT value FROM secrets WHERE name = $1";

const SECRET_PUT: &str = "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING";

const SECRET_REPLACE: &str = "UPDATE secrets SET value = $3 WHERE name = $1 AND value IN ($2, $3)";

const MARK: &str = "SELECT at FROM marks WHERE name = $1";

const MARK_PUT: &str = "INSERT INTO marks (name, at) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET at = excluded.at";

/// In two parts: finished runs have an index, and the others are few.
const RUNS_CHANGED: &str = "
    SELECT run_id FROM runs WHERE NOT terminal AND changed_at >= $1
    UNION ALL
    SELECT run_id FROM runs WHERE terminal AND over_at >= $1
    LIMIT $2";

impl PostgresJournal {
    /// Stores a secret unless there is one of this name. Returns the one that is stored:
    /// the first writer decides.
    pub(super) async fn secret_get_or_put(
        &self,
        name: &str,
        fresh: Vec<u8>,
    ) -> Result<Vec<u8>, JournalError> {
        if let Some(stored) = self.readers.read(|live| secret(live, name)).await? {
            return Ok(stored);
        }
        let owned = name.to_owned();
        self.writers
            .own(move |live| {
                let (name, fresh) = (owned.clone(), fresh.clone());
                async move {
                    live.execute(SECRET_PUT, &[&name, &fresh]).await?;
                    Ok(live.query_one(SECRET, &[&name]).await?.try_get(0)?)
                }
            })
            .await
    }

    /// Replaces a secret, unless it is neither `old` nor `new` already.
    pub(super) async fn secret_swap(
        &self,
        name: &str,
        old: Vec<u8>,
        new: Vec<u8>,
    ) -> Result<(), JournalError> {
        let name = name.to_owned();
        self.writers
            .own(move |live| {
                let (name, old, new) = (name.clone(), old.clone(), new.clone());
                async move {
                    match live.execute(SECRET_REPLACE, &[&name, &old, &new]).await? {
                        0 => Err(JournalError::Conflict.into()),
                        _ => Ok(()),
                    }
                }
            })
            .await
    }

    pub(super) async fn mark_put(&self, name: &str, at: Timestamp) -> Result<(), JournalError> {
        let (name, at) = (name.to_owned(), at.as_micros());
        self.writers
            .own(move |live| {
                let name = name.clone();
                async move {
                    live.execute(MARK_PUT, &[&name, &at]).await?;
                    Ok(())
                }
            })
            .await
    }
}

pub(super) async fn secret(live: Arc<Live>, name: &str) -> Result<Option<Vec<u8>>, JournalError> {
    Ok(live.query_opt(SECRET, &[&name]).await?.map(|row| row.try_get(0)).transpose()?)
}

pub(super) async fn mark(live: Arc<Live>, name: &str) -> Result<Option<Timestamp>, JournalError> {
    let row = live.query_opt(MARK, &[&name]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.map(Timestamp::from_micros))
}

pub(super) async fn runs_changed(
    live: Arc<Live>,
    since: Timestamp,
    limit: u32,
) -> Result<Vec<RunId>, JournalError> {
    let rows = live.query(RUNS_CHANGED, &[&since.as_micros(), &i64::from(limit)]).await?;
    rows.iter().map(|row| Ok(RunId::new(row.try_get::<_, String>(0)?))).collect()
}
