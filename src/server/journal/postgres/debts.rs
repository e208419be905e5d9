//! Whether the journal owes the JARVIS stores every change: see
//! [`Owing`](crate::journal::Owing).

use std::sync::Arc;

use super::{PostgresJournal, link::Live, names};
use crate::journal::{JournalError, rows::natural};

/// The secret that records it: it survives restarts.
const NAME: &str = "owes_jarvis_stores";

const ENTRIES: &str = "SELECT count(*) FROM outbox";
const FORGET_ENTRIES: &str = "DELETE FROM outbox";
const FORGET: &str = "DELETE FROM secrets WHERE name = $1";

/// Records that every change is owed from now on.
pub(super) async fn record(journal: &PostgresJournal) -> Result<(), JournalError> {
    journal.secret_get_or_put(NAME, b"every change".to_vec()).await.map(drop)
}

/// The number of outbox entries, if the stores are owed anything.
pub(super) async fn entries(live: Arc<Live>) -> Result<Option<u64>, JournalError> {
    let entries = natural(live.query_one(ENTRIES, &[]).await?.try_get(0)?)?;
    let recorded = names::secret(live, NAME).await?.is_some();
    Ok((recorded || entries > 0).then_some(entries))
}

pub(super) async fn forget(journal: &PostgresJournal) -> Result<(), JournalError> {
    let forget = |live: Arc<Live>| async move {
        live.execute(FORGET_ENTRIES, &[]).await?;
        live.execute(FORGET, &[&NAME]).await?;
        Ok(())
    };
    journal.writers.own(forget).await
}
