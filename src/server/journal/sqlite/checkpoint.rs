//! Keeps the write-ahead log short, off the commit path.
//!
//! SQLite would do it inside a commit, every 1,000 pages, and that commit
//! would pay for all. Here a second thread copies pages from the log to the
//! database file while commits go on. It can never quite catch up with a busy
//! writer, and the log only starts over when all of it was copied; so once the
//! log is long, the writer itself copies the little that is left, between two
//! groups.

use std::{
    io,
    sync::mpsc::{self, SyncSender},
    thread,
};

use rusqlite::Connection;
use slog::{Logger, warn};

use super::threads::ThreadParts;

/// Pages (of 4 KiB) that wait to be copied before the thread is told.
const COPY_AT: i64 = 1000;
/// Pages in the log from which on it should start over.
const RESTART_AT: i64 = 4000;
/// So few are left that the writer may copy them itself, in a moment.
const REMAINDER: i64 = 300;
/// The thread cannot keep up: from here on the writer waits for the copying,
/// or the log would fill the disk.
const TOO_LONG: i64 = 50_000;
/// Rounds of copying in a row, each for what was written during the last.
const ROUNDS: u32 = 4;

/// How long the log is.
#[derive(Clone, Copy)]
pub(super) struct LogLength {
    pages: i64,
    copied: i64,
}

impl LogLength {
    /// Looks without copying.
    pub(super) fn of(connection: &Connection) -> rusqlite::Result<Self> {
        Self::after("PRAGMA wal_checkpoint(NOOP)", connection)
    }

    /// Copies what can be copied without waiting for anybody.
    fn after_copying(connection: &Connection) -> rusqlite::Result<Self> {
        Self::after("PRAGMA wal_checkpoint(PASSIVE)", connection)
    }

    fn after(sql: &str, connection: &Connection) -> rusqlite::Result<Self> {
        connection
            .prepare_cached(sql)?
            .query_one([], |row| Ok(Self { pages: row.get(1)?, copied: row.get(2)? }))
    }

    fn left(self) -> i64 {
        self.pages - self.copied
    }
}

/// The way to the thread. It ends when this is dropped.
pub(super) struct Checkpointer {
    /// `None` only while it is being dropped.
    nudge: Option<SyncSender<()>>,
    thread: Option<thread::JoinHandle<()>>,
    log: Logger,
}

impl Checkpointer {
    pub(super) fn start(connection: Connection, parts: &ThreadParts) -> io::Result<Self> {
        let (nudge, nudges) = mpsc::sync_channel(1);
        let (log, thread_log) = (parts.log.clone(), parts.log.clone());
        let thread = parts.spawn("journal-checkpoints", move || {
            for () in nudges {
                if let Err(e) = copy(&connection) {
                    warn!(thread_log, "cannot checkpoint the journal"; "error" => %e);
                }
            }
        })?;
        Ok(Self { nudge: Some(nudge), thread: Some(thread), log })
    }

    /// The writer calls this between two groups.
    pub(super) fn after_commit(&self, connection: &Connection, length: LogLength) {
        let left = length.left();
        if length.pages >= TOO_LONG || (length.pages >= RESTART_AT && (1..=REMAINDER).contains(&left)) {
            self.copy_now(connection);
        } else if left >= COPY_AT {
            // Full: it has been told already.
            let _told = self.nudge.as_ref().map(|nudge| nudge.try_send(()));
        }
    }

    /// There was no room: perhaps because the log could not grow. Once it is
    /// copied it starts over, and has room again.
    pub(super) fn after_full(&self, connection: &Connection) {
        self.copy_now(connection);
    }

    fn copy_now(&self, connection: &Connection) {
        if let Err(e) = LogLength::after_copying(connection) {
            warn!(self.log, "cannot checkpoint the journal"; "error" => %e);
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.nudge = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn copy(connection: &Connection) -> rusqlite::Result<()> {
    for _ in 0..ROUNDS {
        if LogLength::after_copying(connection)?.left() <= REMAINDER / 2 {
            break;
        }
    }
    Ok(())
}
