//! Gives back to the disk what a journal no longer needs. Nobody else may have
//! it meanwhile: it is written anew.

use std::{fs, path::Path};

use rusqlite::Connection;

use super::{SqliteOptions, prune, schema};
use crate::{
    journal::{JournalError, OpenError},
    time::Timestamp,
};

/// Runs deleted in one transaction.
const AT_ONCE: u32 = 256;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    pub runs_pruned: u64,
    pub bytes_before: u64,
    pub bytes_after: u64,
}

/// With `finished_before`, forgets the runs that were over before that, as
/// [`Journal::runs_prune`](crate::journal::Journal::runs_prune) does.
pub fn compact(path: &Path, finished_before: Option<Timestamp>) -> Result<Compacted, OpenError> {
    let at = schema::At(path);
    let bytes = || fs::metadata(path).map(|file| file.len()).map_err(|e| at.io(e));
    // Opening makes a journal where there is none, but here that is a mistake.
    bytes()?;
    let options = SqliteOptions { path: path.to_owned(), max_bytes: None, outbox: false };
    let opened = schema::open(&options)?;
    let connection = &opened.connection;
    // What a crash left in the log belongs to the size before.
    checkpoint(connection).map_err(|e| at.sqlite(&e))?;
    let bytes_before = bytes()?;
    let runs_pruned = match finished_before {
        Some(before) => forget(connection, before).map_err(|e| at.io(std::io::Error::other(e)))?,
        None => 0,
    };
    connection.execute_batch("VACUUM").and_then(|()| checkpoint(connection)).map_err(|e| at.sqlite(&e))?;
    Ok(Compacted { runs_pruned, bytes_before, bytes_after: bytes()? })
}

/// Brings the write-ahead log over to the file.
fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_one("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn forget(connection: &Connection, before: Timestamp) -> Result<u64, JournalError> {
    let mut gone = 0;
    loop {
        let prune::Prunable { runs, outbox_seen } = prune::prunable(connection, before, AT_ONCE)?;
        let transaction = connection.unchecked_transaction()?;
        let before_these = gone;
        for run in &runs {
            gone += u64::from(prune::run_prune(&transaction, run, before, outbox_seen)?.is_some());
        }
        transaction.commit()?;
        if gone == before_these {
            return Ok(gone);
        }
    }
}
