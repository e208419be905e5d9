//! The SQLite journal in memory, for simulations: the same schema, statements,
//! transactions and read cache, without a file and without threads.
//!
//! ```text
//!   MemoryJournal ── one connection, which outlives the journals opened on it
//!     ├─ open ──▶ SqliteJournal ── cache (empty), queue, fail points: one process
//!     │             ├─ reads:  in the caller
//!     │             └─ writes: in the first caller that finds the queue
//!     ├─ snapshot ──▶ everything that is committed, for checks
//!     └─ damage, fill ──▶ what can happen to a file
//! ```
//!
//! - `bus`: news between the processes that share it.
//! - `snapshot`: the committed content, decoded once.
//! - `late_ids`: ids of outbox entries that are not in the order of commits.
//!
//! **Invariant:** the same calls in the same order get the same answers, as long as
//! one thread makes them.

mod bus;
mod late_ids;
mod snapshot;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};
use slog::Logger;

use self::bus::Bus;
pub use self::snapshot::{Snapshot, Whole};
pub(super) use self::{bus::OnBus, late_ids::LateIds};
pub use super::callers_writer::FailPoints;
use super::{
    SqliteJournal,
    access::{Reads, Writes},
    callers_writer::{CallersWriter, Shared},
    check,
    read_cache::{Holds, ReadCache},
    schema::{self, At},
    webhooks::Wanted,
};
use crate::{
    journal::{JournalError, OpenError, Problems},
    runtime::tasks::Fatal,
    types::NodeRunId,
};

/// The body of a damaged record.
const JUNK: &str = "{\"node\": \u{fffd}";

/// The database. Clones are handles of the same one.
#[derive(Clone)]
pub struct MemoryJournal {
    shared: Shared,
    seen: Arc<Mutex<snapshot::Seen>>,
    late_ids: LateIds,
    bus: Bus,
    /// The original bodies of damaged records.
    damaged: Arc<Mutex<BTreeMap<NodeRunId, String>>>,
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
            shared: Shared::new(connection),
            late_ids: LateIds::default(),
            bus: Bus::default(),
            seen: Arc::default(),
            damaged: Arc::default(),
        })
    }

    /// Opens the journal as the next process does: with an empty cache, and all
    /// earlier workers are dead. Earlier processes must not use theirs any more
    /// ([`FailPoints::is_dead`]).
    pub fn open(
        &self,
        outbox: bool,
        fail_points: impl FailPoints,
        log: &Logger,
    ) -> Result<SqliteJournal, OpenError> {
        let at = At(Path::new("memory"));
        self.shared.with(|connection| schema::take_over(connection, at))?;
        self.handle(outbox, false, fail_points, log)
    }

    /// Opens the journal as one of several processes does: the others go on, and what
    /// they write is not in the cache, which therefore holds nothing. Ids of the outbox are
    /// in the order of commits only within a run.
    pub fn open_shared(
        &self,
        outbox: bool,
        fail_points: impl FailPoints,
        log: &Logger,
    ) -> Result<SqliteJournal, OpenError> {
        self.handle(outbox, true, fail_points, log)
    }

    fn handle(
        &self,
        outbox: bool,
        is_shared: bool,
        fail_points: impl FailPoints,
        log: &Logger,
    ) -> Result<SqliteJournal, OpenError> {
        let at = At(Path::new("memory"));
        let wanted = self.shared.with(Wanted::of).map_err(|e| at.sqlite(&e))?;
        Ok(SqliteJournal {
            reads: Reads::Shared(self.shared.clone()),
            writes: Writes::Callers(CallersWriter::new(self.shared.clone(), fail_points, log.clone())),
            cache: ReadCache::new(if is_shared { Holds::Nothing } else { Holds::Everything }),
            outbox,
            space: None,
            wanted,
            worker: OnceLock::new(),
            is_shared,
            late_ids: is_shared.then(|| self.late_ids.clone()),
            bus: is_shared.then(|| self.bus.join()),
            fatal: Fatal::default(),
            figures: Arc::default(),
            path: "memory".into(),
            log: log.clone(),
            _lock: None,
        })
    }

    /// Everything that is committed. Rows that have not changed since the last
    /// snapshot are not decoded again.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>, JournalError> {
        let damaged = self.damaged.lock();
        self.shared.with(|connection| self.seen.lock().look(connection, &damaged))
    }

    /// Like [`MemoryJournal::snapshot`], with everything read and decoded again.
    pub fn snapshot_afresh(&self) -> Result<Arc<Snapshot>, JournalError> {
        *self.seen.lock() = snapshot::Seen::default();
        self.snapshot()
    }

    /// The number of entries in the outbox.
    pub fn outbox_entries(&self) -> Result<u64, JournalError> {
        self.shared.with(|connection| {
            Ok(connection.query_one("SELECT count(*) FROM outbox", [], |row| row.get::<_, u32>(0))?.into())
        })
    }

    /// The problems that `journal check` would find.
    pub fn check(&self) -> Problems {
        self.shared.with(check::check_records)
    }

    /// Damages the record of a node run, until it is repaired or written again. Its
    /// columns stay intact.
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

    /// Restores the records that are still damaged.
    pub fn repair(&self) -> Result<(), JournalError> {
        let damaged = std::mem::take(&mut *self.damaged.lock());
        self.shared.with(|connection| {
            for (node, body) in damaged {
                set_body(connection, &node, JUNK, &body)?;
            }
            Ok(())
        })
    }

    /// Sets whether the database is full, so that it cannot grow.
    pub fn fill(&self, full: bool) -> Result<(), JournalError> {
        self.shared.with(|connection| {
            let most = if full {
                connection.query_one("PRAGMA page_count", [], |row| row.get(0))?
            } else {
                i64::from(i32::MAX)
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
