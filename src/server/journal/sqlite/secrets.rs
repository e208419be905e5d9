//! Secrets by name: what the coordinator must know again after a restart.

use rusqlite::{Connection, OptionalExtension, params};

use crate::journal::JournalError;

pub(super) fn get(connection: &Connection, name: &str) -> Result<Option<Vec<u8>>, JournalError> {
    let mut statement = connection.prepare_cached("SELECT value FROM secrets WHERE name = ?")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

/// Stores `fresh` unless there is a secret of this name. Returns the one that is
/// stored: the first writer decides.
pub(super) fn get_or_put(connection: &Connection, name: &str, fresh: &[u8]) -> Result<Vec<u8>, JournalError> {
    connection
        .prepare_cached("INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING")?
        .execute(params![name, fresh])?;
    let mut statement = connection.prepare_cached("SELECT value FROM secrets WHERE name = ?")?;
    Ok(statement.query_one([name], |row| row.get(0))?)
}

/// Replaces a secret, unless it is neither `old` nor `new` already.
pub(super) fn replace(
    connection: &Connection,
    name: &str,
    old: &[u8],
    new: &[u8],
) -> Result<(), JournalError> {
    let mut statement =
        connection.prepare_cached("UPDATE secrets SET value = ?3 WHERE name = ?1 AND value IN (?2, ?3)")?;
    match statement.execute(params![name, old, new])? {
        0 => Err(JournalError::Conflict),
        _ => Ok(()),
    }
}
