//! A journal remembers that it owes the JARVIS stores every change, so that a
//! start that does not know of them cannot leave a gap in what they have.
//!
//! ```text
//!                 started with stores
//!   owes nothing ─────────────────────▶ owes every change
//!        ▲                                │ started without them:
//!        │ forget: what is owed is gone   ├─ refuse: not started
//!        └────────────────────────────────┴─ owe: noted, and sent by the next
//!                                                 start that has them
//! ```
//!
//! It is a row of `secrets`: what the journal must know again after a restart.

use rusqlite::Connection;

use super::secrets;
use crate::journal::JournalError;

const NAME: &str = "owes_jarvis_stores";

/// What becomes of what the stores are owed when a start has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutStores {
    Refuse,
    Owe,
    Forget,
}

/// What a journal owes, without stores to send it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owing {
    Nothing,
    /// All that is decided is noted for them, as before.
    Everything,
    /// It did, and so many changes were yet to be sent.
    Forgotten(u64),
}

/// From now on every change is owed.
pub(super) fn record(connection: &Connection) -> Result<(), JournalError> {
    if secrets::get(connection, NAME)?.is_none() {
        secrets::get_or_put(connection, NAME, b"every change")?;
    }
    Ok(())
}

/// How many changes have yet to be sent, if the stores are owed anything. (An
/// older program has owed and not remembered it.)
pub(super) fn entries(connection: &Connection) -> Result<Option<u64>, JournalError> {
    let entries: i64 =
        connection.prepare_cached("SELECT count(*) FROM outbox")?.query_one([], |row| row.get(0))?;
    let remembered = secrets::get(connection, NAME)?.is_some();
    Ok((remembered || entries > 0).then_some(u64::try_from(entries).unwrap_or(0)))
}

pub(super) fn forget(connection: &Connection) -> Result<(), JournalError> {
    connection.prepare_cached("DELETE FROM outbox")?.execute([])?;
    connection.prepare_cached("DELETE FROM secrets WHERE name = ?")?.execute([NAME])?;
    Ok(())
}
