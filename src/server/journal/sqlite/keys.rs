//! The rotation of keys, for the command `journal rotate-key`: one secret changes,
//! also while a server uses the journal.
//!
//! ```text
//!   BEGIN IMMEDIATE ──▶ the secret, what is live ──▶ the change ──▶ COMMIT
//!        │ waits for the server's commit, and the server's next one for this
//!        └─ BUSY_WITHIN ─▶ not rotated
//! ```
//!
//! The exception to "only one process may write": a transaction of two rows, which
//! takes no longer than a commit of the server, whose writer waits for it (SQLite's
//! locks are between processes). No process has the secret in memory: a server
//! reads it when it needs it. The other row is the audit record of the change.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::{
    audit,
    migrations::KNOWN,
    rows::AuditRow,
    schema::{self, At},
    secrets,
};
use crate::{
    journal::{LiveWork, OpenError, SecretChange},
    time::Timestamp,
};

/// How long the command waits for other writers.
const BUSY_WITHIN: Duration = Duration::from_secs(10);

/// Replaces a secret by what `change` makes of it, durably. The journal must have the
/// schema of this program: a server of an earlier one might not understand the change.
pub fn secret_change<T, E: From<OpenError>>(
    journal: &Path,
    name: &str,
    change: impl FnOnce(Option<Vec<u8>>, LiveWork) -> Result<SecretChange<T>, E>,
) -> Result<T, E> {
    let at = At(journal);
    let failed = |e: rusqlite::Error| match e.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy) => {
            at.io(std::io::Error::other("the journal is busy: nothing was changed, try again"))
        }
        Some(_) | None => at.sqlite(&e),
    };
    let mut connection = connect(journal)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let stored = secrets::get(&transaction, name).map_err(|e| at.io(std::io::Error::other(e)))?;
    let live = live_work(&transaction).map_err(failed)?;
    let SecretChange { value, audit, outcome } = change(stored, live)?;
    transaction
        .execute(
            "INSERT INTO secrets (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2",
            (name, value),
        )
        .map_err(failed)?;
    AuditRow::encode(&audit)
        .and_then(|row| audit::append(&transaction, &[row]))
        .map_err(|e| at.io(std::io::Error::other(e)))?;
    transaction.commit().map_err(failed)?;
    Ok(outcome)
}

/// Opens a journal for the transaction.
fn connect(journal: &Path) -> Result<Connection, OpenError> {
    let at = At(journal);
    // Opening would create a missing journal, but here that is a mistake.
    std::fs::metadata(journal).map_err(|e| at.io(e))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(journal, flags).map_err(|e| at.sqlite(&e))?;
    connection.busy_timeout(BUSY_WITHIN).map_err(|e| at.sqlite(&e))?;
    if schema::is_new(&connection, at)? {
        return Err(at.corrupt("it is empty".into()));
    }
    let schema: i64 =
        connection.query_one("PRAGMA user_version", [], |row| row.get(0)).map_err(|e| at.sqlite(&e))?;
    if schema < KNOWN {
        let reason = format!("the journal has schema {schema}: start the server of this version first");
        return Err(at.io(std::io::Error::other(reason)));
    }
    connection.pragma_update(None, "synchronous", "FULL").map_err(|e| at.sqlite(&e))?;
    Ok(connection)
}

fn live_work(connection: &Connection) -> rusqlite::Result<LiveWork> {
    let last_deadline: Option<i64> =
        connection.query_one("SELECT max(deadline) FROM runs WHERE terminal = 0", [], |row| row.get(0))?;
    let composites: i64 = connection.query_one(
        "SELECT count(*) FROM node_runs WHERE terminal = 0 AND kind = 'composite' AND state = 'running'",
        [],
        |row| row.get(0),
    )?;
    let composites = u64::try_from(composites).unwrap_or_default();
    Ok(LiveWork { last_deadline: last_deadline.map(Timestamp::from_micros), composites })
}
