//! What workers have heard of the executors of composites, in the table `heard`, and
//! until when each has said so, in `owners`.

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    journal::{Heard, JournalError, SignOfLife},
    record::NodePath,
    time::Timestamp,
    types::{RunId, WorkerId},
};

/// Runs in the writer thread.
pub(super) fn note(
    connection: &Connection,
    worker: &WorkerId,
    signs: &[SignOfLife],
    (known_to, forget_before): (Timestamp, Timestamp),
) -> Result<(), JournalError> {
    let known = connection
        .prepare_cached("UPDATE owners SET heard_to = ? WHERE owner_id = ?")?
        .execute(params![known_to.as_micros(), worker.as_str()])?;
    if known == 0 {
        return Err(JournalError::Fenced);
    }
    let mut put = connection.prepare_cached(
        "INSERT INTO heard (run_id, path, at) VALUES (?, ?, ?)
         ON CONFLICT DO UPDATE SET at = max(at, excluded.at)",
    )?;
    for SignOfLife { run_id, path, at } in signs {
        put.execute(params![run_id.as_str(), path.as_str(), at.as_micros()])?;
    }
    connection.prepare_cached("DELETE FROM heard WHERE at < ?")?.execute([forget_before.as_micros()])?;
    Ok(())
}

pub(super) fn last(connection: &Connection, run: &RunId, path: &NodePath) -> Result<Heard, JournalError> {
    let (silent, known_to): (i64, Option<i64>) = connection
        .prepare_cached("SELECT count(*) - count(heard_to), min(heard_to) FROM owners")?
        .query_one([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let last: Option<i64> = connection
        .prepare_cached("SELECT at FROM heard WHERE run_id = ? AND path = ?")?
        .query_row([run.as_str(), path.as_str()], |row| row.get(0))
        .optional()?;
    Ok(Heard {
        last: last.map(Timestamp::from_micros),
        known_to: known_to.filter(|_| silent == 0).map(Timestamp::from_micros),
    })
}
