//! Reclaims free space (VACUUM). No other process may use the journal meanwhile,
//! because it is rewritten.

use std::{fs, path::Path};

use rusqlite::Connection;

use super::{SqliteOptions, prune, schema};
use crate::{
    journal::{JournalError, OpenError},
    time::Timestamp,
};

/// Runs deleted in one transaction.
const AT_ONCE: u32 = 256;

/// The result of compacting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    pub runs_pruned: u64,
    pub bytes_before: u64,
    pub bytes_after: u64,
}

/// Reclaims free space. With `finished_before`, first deletes the runs that ended
/// before that, as [`Journal::runs_prune`](crate::journal::Journal::runs_prune)
/// does.
pub fn compact(path: &Path, finished_before: Option<Timestamp>) -> Result<Compacted, OpenError> {
    let at = schema::At(path);
    let bytes = || fs::metadata(path).map(|file| file.len()).map_err(|e| at.io(e));
    // Opening would create a missing journal, but here that is a mistake.
    bytes()?;
    let options = SqliteOptions { path: path.to_owned(), max_bytes: None, outbox: false };
    let opened = schema::open(&options)?;
    let connection = &opened.connection;
    // A log that a crash left belongs to the size before.
    checkpoint(connection).map_err(|e| at.sqlite(&e))?;
    let bytes_before = bytes()?;
    let runs_pruned = match finished_before {
        Some(before) => prune_all(connection, before).map_err(|e| at.io(std::io::Error::other(e)))?,
        None => 0,
    };
    connection.execute_batch("VACUUM").and_then(|()| checkpoint(connection)).map_err(|e| at.sqlite(&e))?;
    Ok(Compacted { runs_pruned, bytes_before, bytes_after: bytes()? })
}

/// Copies the write-ahead log to the file.
fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_one("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn prune_all(connection: &Connection, before: Timestamp) -> Result<u64, JournalError> {
    let mut deleted = 0;
    loop {
        let prune::Prunable { runs, outbox_seen } = prune::prunable(connection, before, AT_ONCE)?;
        let transaction = connection.unchecked_transaction()?;
        let deleted_before = deleted;
        for run in &runs {
            deleted += u64::from(prune::run_prune(&transaction, run, before, outbox_seen)?.is_some());
        }
        transaction.commit()?;
        if deleted == deleted_before {
            return Ok(deleted);
        }
    }
}
