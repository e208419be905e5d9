//! Keeps the write-ahead log short, off the commit path.
//!
//! ```text
//!   writer ──commits──▶ log ──▶ checkpointer thread copies it to the file
//!      │ between groups: measures the log
//!      ├─ COPY_AT pages not copied ──▶ nudges the thread
//!      └─ log long and nearly copied ──▶ copies the rest itself: the log starts over
//! ```
//!
//! By default SQLite checkpoints inside a commit, every 1,000 pages, and delays
//! that commit. Here a second thread copies pages while commits continue. It never
//! quite catches up with a busy writer, and the log only starts over when all of it
//! is copied; so once the log is long, the writer copies the small rest itself.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, SyncSender},
    },
    thread,
    time::Instant,
};

use rusqlite::Connection;
use slog::{Logger, warn};

use super::{Figures, threads::ThreadParts};

/// Pages (of 4 KiB) to be copied at which the thread is nudged.
const COPY_AT: i64 = 1000;
/// Pages in the log at which it should start over.
const RESTART_AT: i64 = 4000;
/// The maximum of pages that the writer copies itself: a matter of milliseconds.
const REMAINDER: i64 = 300;
/// Pages in the log at which the thread cannot keep up: the writer waits for the
/// copying, or the log would fill the disk.
const TOO_LONG: i64 = 50_000;
/// Consecutive rounds of copying, each for the pages written during the last.
const ROUNDS: u32 = 4;

/// The length of the log.
#[derive(Clone, Copy)]
pub(super) struct LogLength {
    pages: i64,
    copied: i64,
}

impl LogLength {
    /// Measures without copying.
    pub(super) fn of(connection: &Connection) -> rusqlite::Result<Self> {
        Self::after("PRAGMA wal_checkpoint(NOOP)", connection)
    }

    /// Copies what can be copied without waiting for readers.
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

/// The handle of the thread, which ends when this is dropped.
pub(super) struct Checkpointer {
    /// `None` only while it is being dropped.
    nudge: Option<SyncSender<()>>,
    thread: Option<thread::JoinHandle<()>>,
    figures: Arc<Figures>,
    log: Logger,
}

impl Checkpointer {
    pub(super) fn start(connection: Connection, parts: &ThreadParts) -> io::Result<Self> {
        let (nudge, nudges) = mpsc::sync_channel(1);
        let (log, thread_log) = (parts.log.clone(), parts.log.clone());
        let (figures, of_thread) = (Arc::clone(&parts.figures), Arc::clone(&parts.figures));
        let thread = parts.spawn("journal-checkpoints", move || {
            for () in nudges {
                if let Err(e) = timed(&of_thread, || copy(&connection)) {
                    warn!(thread_log, "could not checkpoint the journal"; "error" => %e);
                }
            }
        })?;
        Ok(Self { nudge: Some(nudge), thread: Some(thread), figures, log })
    }

    /// Called by the writer between two groups.
    pub(super) fn after_commit(&self, connection: &Connection, length: LogLength) {
        let left = length.left();
        if length.pages >= TOO_LONG || (length.pages >= RESTART_AT && (1..=REMAINDER).contains(&left)) {
            self.copy_now(connection);
        } else if left >= COPY_AT {
            // Full: the thread has been nudged already.
            let _nudged = self.nudge.as_ref().map(|nudge| nudge.try_send(()));
        }
    }

    /// Called after a commit that found no room, perhaps because the log could not
    /// grow. Once it is copied it starts over, and has room again.
    pub(super) fn after_full(&self, connection: &Connection) {
        self.copy_now(connection);
    }

    fn copy_now(&self, connection: &Connection) {
        if let Err(e) = timed(&self.figures, || LogLength::after_copying(connection)) {
            warn!(self.log, "could not checkpoint the journal"; "error" => %e);
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

/// Notes how long a copy takes.
fn timed<T>(figures: &Figures, copy: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let copied = copy();
    figures.checkpoint(began.elapsed());
    copied
}

fn copy(connection: &Connection) -> rusqlite::Result<()> {
    for _ in 0..ROUNDS {
        if LogLength::after_copying(connection)?.left() <= REMAINDER / 2 {
            break;
        }
    }
    Ok(())
}
