//! Whether the journal owes the JARVIS stores every change. That is stored, so
//! that a start without stores cannot leave a gap in what they have.
//!
//! ```text
//!                 started with stores
//!   owes nothing ─────────────────────▶ owes every change
//!        ▲                                │ started without stores:
//!        │ forget: entries are deleted    ├─ refuse: the start fails
//!        └────────────────────────────────┴─ owe: entries are kept, and sent after
//!                                                 the next start with stores
//! ```
//!
//! It is a row of `secrets`, which survive restarts.

use rusqlite::Connection;

use super::secrets;
use crate::journal::JournalError;

const NAME: &str = "owes_jarvis_stores";

/// Records that every change is owed from now on.
pub(super) fn record(connection: &Connection) -> Result<(), JournalError> {
    if secrets::get(connection, NAME)?.is_none() {
        secrets::get_or_put(connection, NAME, b"every change")?;
    }
    Ok(())
}

/// The number of outbox entries, if the stores are owed anything. (Older programs
/// kept an outbox without recording that.)
pub(super) fn entries(connection: &Connection) -> Result<Option<u64>, JournalError> {
    let entries: i64 =
        connection.prepare_cached("SELECT count(*) FROM outbox")?.query_one([], |row| row.get(0))?;
    let recorded = secrets::get(connection, NAME)?.is_some();
    Ok((recorded || entries > 0).then_some(u64::try_from(entries).unwrap_or(0)))
}

pub(super) fn forget(connection: &Connection) -> Result<(), JournalError> {
    connection.prepare_cached("DELETE FROM outbox")?.execute([])?;
    connection.prepare_cached("DELETE FROM secrets WHERE name = ?")?.execute([NAME])?;
    Ok(())
}
