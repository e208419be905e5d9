//! A journal in memory, for simulations: the schema, statements, transactions
//! and cache of the SQLite store, without a file and without threads.
//!
//! ```text
//!   MemoryJournal ── one connection, which outlives the stores opened on it
//!     ├─ open ──▶ SqliteJournal ── cache (empty), queue, fail points: a process
//!     │             ├─ reads:  in the caller
//!     │             └─ writes: in the caller who is first to look at the queue
//!     ├─ snapshot ──▶ all that is committed, for checks
//!     └─ damage, fill ──▶ what can happen to a file
//! ```
//!
//! - `writer`: groups without a writer thread, and where they can fail.
//! - `snapshot`: what is committed, decoded once.
//!
//! The same calls in the same order give the same answers, as long as one thread
//! makes them.

mod snapshot;
#[cfg(test)]
mod tests;
mod writer;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};
use slog::Logger;

pub(super) use self::writer::CallersWriter;
pub use self::{
    snapshot::{Snapshot, Whole},
    writer::FailPoints,
};
use super::{
    SqliteJournal,
    access::{Reads, Writes},
    check,
    read_cache::ReadCache,
    schema::{self, At},
};
use crate::{
    journal::{JournalError, OpenError},
    runtime::tasks::Fatal,
    types::NodeRunId,
};

/// What a damaged body looks like.
const JUNK: &str = "{\"node\": \u{fffd}";

/// The database. Clones are handles of the same one.
#[derive(Clone)]
pub struct MemoryJournal {
    shared: Shared,
    seen: Arc<Mutex<snapshot::Seen>>,
    /// Bodies that were overwritten, as they should be.
    damaged: Arc<Mutex<BTreeMap<NodeRunId, String>>>,
}

/// The one connection. Whoever has it has the database to itself.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Connection>>);

impl Shared {
    pub(super) fn with<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        work(&self.0.lock())
    }
}

impl MemoryJournal {
    pub fn new() -> Result<Self, OpenError> {
        let at = At(Path::new("memory"));
        let connection = Connection::open_in_memory().map_err(|e| at.sqlite(&e))?;
        schema::set_up(&connection).map_err(|e| at.sqlite(&e))?;
        // A rollback journal: a group that fails is undone as in a file.
        connection.pragma_update(None, "journal_mode", "MEMORY").map_err(|e| at.sqlite(&e))?;
        connection.pragma_update(None, "synchronous", "OFF").map_err(|e| at.sqlite(&e))?;
        connection.pragma_update(None, "temp_store", "MEMORY").map_err(|e| at.sqlite(&e))?;
        schema::take_over(&connection, at)?;
        Ok(Self {
            shared: Shared(Arc::new(Mutex::new(connection))),
            seen: Arc::default(),
            damaged: Arc::default(),
        })
    }

    /// Opens it as the next process does: with an empty cache, and whoever had
    /// it before is dead. That one must not use its store any longer
    /// ([`FailPoints::is_dead`]).
    pub fn open(
        &self,
        outbox: bool,
        fail_points: impl FailPoints,
        log: &Logger,
    ) -> Result<SqliteJournal, OpenError> {
        self.shared.with(|connection| schema::take_over(connection, At(Path::new("memory"))))?;
        Ok(SqliteJournal {
            reads: Reads::Shared(self.shared.clone()),
            writes: Writes::Callers(CallersWriter::new(self.shared.clone(), fail_points, log.clone())),
            cache: ReadCache::new(),
            outbox,
            space: None,
            fatal: Fatal::default(),
            path: "memory".into(),
            log: log.clone(),
            _lock: None,
        })
    }

    /// All that is committed. What has not changed since the last time is not
    /// decoded again.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>, JournalError> {
        let damaged = self.damaged.lock();
        self.shared.with(|connection| self.seen.lock().look(connection, &damaged))
    }

    /// As [`MemoryJournal::snapshot`], with everything read and decoded again.
    pub fn snapshot_afresh(&self) -> Result<Arc<Snapshot>, JournalError> {
        *self.seen.lock() = snapshot::Seen::default();
        self.snapshot()
    }

    /// Whatever is wrong with it, as `journal check` finds it.
    pub fn check(&self) -> check::Problems {
        self.shared.with(check::check_records)
    }

    /// The record of a node run turns into junk, until it is repaired or
    /// written again. Its columns are as they were.
    pub fn damage(&self, node: &NodeRunId) -> Result<(), JournalError> {
        let mut damaged = self.damaged.lock();
        self.shared.with(|connection| {
            let body: Option<String> = connection
                .prepare_cached("SELECT body FROM node_runs WHERE node_run_id = ?")?
                .query_row([node.as_str()], |row| row.get(0))
                .optional()?;
            if let Some(body) = body.filter(|body| body != JUNK) {
                set_body(connection, node, &body, JUNK)?;
                damaged.insert(node.clone(), body);
            }
            Ok(())
        })
    }

    /// What is still damaged becomes what it was.
    pub fn repair(&self) -> Result<(), JournalError> {
        let damaged = std::mem::take(&mut *self.damaged.lock());
        self.shared.with(|connection| {
            for (node, body) in damaged {
                set_body(connection, &node, JUNK, &body)?;
            }
            Ok(())
        })
    }

    /// The database cannot grow any more, or can again.
    pub fn fill(&self, full: bool) -> Result<(), JournalError> {
        self.shared.with(|connection| {
            let most = match full {
                true => connection.query_one("PRAGMA page_count", [], |row| row.get(0))?,
                false => i64::from(i32::MAX),
            };
            Ok(connection.pragma_update(None, "max_page_count", most)?)
        })
    }
}

fn set_body(connection: &Connection, node: &NodeRunId, from: &str, to: &str) -> Result<usize, JournalError> {
    Ok(connection
        .prepare_cached("UPDATE node_runs SET body = ?3 WHERE node_run_id = ?1 AND body = ?2")?
        .execute(params![node.as_str(), from, to])?)
}
