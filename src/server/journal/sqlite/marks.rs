//! Times by name: how far something has come that goes through the journal.

use rusqlite::{Connection, OptionalExtension, params};

use crate::{journal::JournalError, time::Timestamp, types::RunId};

pub(super) fn get(connection: &Connection, name: &str) -> Result<Option<Timestamp>, JournalError> {
    let mut statement = connection.prepare_cached("SELECT at FROM marks WHERE name = ?")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?.map(Timestamp::from_micros))
}

pub(super) fn put(connection: &Connection, name: &str, at: Timestamp) -> Result<(), JournalError> {
    connection
        .prepare_cached(
            "INSERT INTO marks (name, at) VALUES (?, ?) ON CONFLICT DO UPDATE SET at = excluded.at",
        )?
        .execute(params![name, at.as_micros()])?;
    Ok(())
}

/// In two parts: finished runs have an index, and the others are few.
pub(super) fn runs_changed(
    connection: &Connection,
    since: Timestamp,
    limit: u32,
) -> Result<Vec<RunId>, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT run_id FROM runs WHERE terminal = 0 AND changed_at >= ?1
         UNION ALL
         SELECT run_id FROM runs WHERE terminal = 1 AND changed_at >= ?1
         LIMIT ?2",
    )?;
    let ids = statement.query_map(params![since.as_micros(), limit], |row| row.get::<_, String>(0))?;
    Ok(ids.map(|id| id.map(RunId::new)).collect::<Result<_, _>>()?)
}
