//! Whether the journal owes the JARVIS stores every change. That is stored, so that a
//! start without stores cannot leave a gap in what they have.

use std::sync::Arc;

use super::{PostgresJournal, link::Live, names};
use crate::journal::{JournalError, OpenError, Owing, WithoutStores, rows::natural};

/// The secret that records it: it survives restarts.
const NAME: &str = "owes_jarvis_stores";

const ENTRIES: &str = "SELECT count(*) FROM outbox";
const FORGET_ENTRIES: &str = "DELETE FROM outbox";
const FORGET: &str = "DELETE FROM secrets WHERE name = $1";

impl PostgresJournal {
    /// For a server with JARVIS stores: the journal records that it owes them every
    /// change.
    pub async fn with_stores(&self) -> Result<(), JournalError> {
        self.secret_get_or_put(NAME, b"every change".to_vec()).await.map(drop)
    }

    /// For a server without JARVIS stores: what happens to entries that they are owed.
    pub async fn without_stores(&mut self, then: WithoutStores) -> Result<Owing, OpenError> {
        let path = || self.connector.address.to_string();
        let failed = |e: JournalError| OpenError::Io { path: path(), reason: e.to_string() };
        let Some(entries) = self.readers.read(entries).await.map_err(failed)? else {
            return Ok(Owing::Nothing);
        };
        match then {
            WithoutStores::Refuse => Err(OpenError::Owes { path: path(), entries }),
            WithoutStores::Owe => {
                self.outbox = true;
                Ok(Owing::Everything)
            }
            WithoutStores::Forget => {
                let forget = |live: Arc<Live>| async move {
                    live.execute(FORGET_ENTRIES, &[]).await?;
                    live.execute(FORGET, &[&NAME]).await?;
                    Ok(())
                };
                self.writers.own(forget).await.map_err(failed)?;
                Ok(Owing::Forgotten(entries))
            }
        }
    }
}

/// The number of outbox entries, if the stores are owed anything.
async fn entries(live: Arc<Live>) -> Result<Option<u64>, JournalError> {
    let entries = natural(live.query_one(ENTRIES, &[]).await?.try_get(0)?)?;
    let recorded = names::secret(live, NAME).await?.is_some();
    Ok((recorded || entries > 0).then_some(entries))
}
