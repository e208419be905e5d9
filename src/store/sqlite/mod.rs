//! The embedded journal: one SQLite file, no server needed.
//!
//! ```text
//!   callers ──▶ serialise ──▶ channel ──▶ writer thread ──▶ BEGIN … COMMIT (one fsync)
//!      ▲                                        │ the next group gathers meanwhile
//!      └──────────── reply, once durable ◀──────┘
//!   readers ──▶ a few read-only connections (WAL: they wait for nobody)
//! ```
//!
//! | module | |
//! |---|---|
//! | `schema` | opening, locking, checking, migrating |
//! | `writer` | the one thread that writes; group commit |
//! | `rows` | records to rows and back |
//! | `write` | what a change set and the lease operations do, in SQL |
//! | `read` | queries |
//!
//! **Architecture invariants.** Write-ahead log, `synchronous=FULL`: what a
//! reply says is on the disk. One process at a time holds the file (`.lock`
//! beside it), so at opening no wake-up has a living owner. That a live record
//! has a wake-up is a CHECK of the schema.

mod read;
mod rows;
mod schema;
mod write;
mod writer;

use std::{fs::File, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use slog::{Logger, info};

use self::{read::Readers, writer::Writer};
use super::{Counts, EventPage, OpenError, OutboxEntry, PageLimit, Store, StoreError};
use crate::{
    ids::{NodeRunId, OwnerId, RunId},
    record::{AttemptRecord, ChangeSet, NodePath, NodeRecord, RunRecord},
    time::Timestamp,
};

/// Where the journal is, and what it may do.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    pub path: PathBuf,
    /// The file grows to this and no further; then commits fail with
    /// [`StoreError::Full`].
    pub max_bytes: Option<u64>,
    /// Note for each change what the JARVIS stores have yet to hear.
    pub outbox: bool,
}

/// A journal in a SQLite file.
pub struct SqliteStore {
    // In the order of closing: the writer goes after the readers, since only the
    // last to close the file, if it may write, brings the log over to it; last
    // the lock is given up.
    readers: Arc<Readers>,
    writer: Writer,
    outbox: bool,
    _lock: File,
}

impl SqliteStore {
    /// Opens the journal, making or migrating it if need be.
    pub fn open(options: SqliteOptions, log: Logger) -> Result<Self, OpenError> {
        let SqliteOptions { path, max_bytes, outbox } = options;
        let lock = schema::lock(&path)?;
        let connection = schema::open(&path, max_bytes)?;
        let readers = Arc::new(Readers::open(&path)?);
        info!(log, "journal open"; "path" => %path.display());
        let writer = Writer::start(connection, log).map_err(|error| OpenError::Io {
            path: path.display().to_string(),
            reason: format!("cannot start the writer: {error}"),
        })?;
        Ok(Self { readers, writer, outbox, _lock: lock })
    }

    /// For queries that may read many rows.
    async fn listing<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Readers) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = Arc::clone(&self.readers);
        let listed = tokio::task::spawn_blocking(move || query(&readers)).await;
        listed.map_err(|error| StoreError::Failed(format!("a query did not end: {error}")))?
    }
}

/// Reads of one row are done in place: they take microseconds, less than
/// handing them to another thread.
#[async_trait]
impl Store for SqliteStore {
    async fn commit(&self, change: ChangeSet) -> Result<(), StoreError> {
        let rows = rows::ChangeRows::new(change, self.outbox)?;
        self.writer.submit(move |db| write::commit(db, &rows)).await
    }

    async fn run_fetch(&self, run: &RunId) -> Result<Option<RunRecord>, StoreError> {
        self.readers.run_fetch(run)
    }

    async fn node_fetch(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, StoreError> {
        self.readers.node_fetch(node)
    }

    async fn nodes_live(&self, run: &RunId, under: Option<&NodePath>) -> Result<Vec<NodeRecord>, StoreError> {
        let (run, under) = (run.clone(), under.cloned());
        self.listing(move |readers| readers.nodes_live(&run, under.as_ref())).await
    }

    async fn events_after(
        &self,
        run: &RunId,
        after: u64,
        within: Option<&NodePath>,
        limit: PageLimit,
    ) -> Result<EventPage, StoreError> {
        let (run, within) = (run.clone(), within.cloned());
        self.listing(move |readers| readers.events_after(&run, after, within.as_ref(), limit)).await
    }

    async fn attempts_list(&self, node: &NodeRunId) -> Result<Vec<AttemptRecord>, StoreError> {
        self.readers.attempts_list(node)
    }

    async fn wakes_claim(
        &self,
        owner: &OwnerId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<NodeRecord>, StoreError> {
        // Nothing due is the common case, and costs no commit.
        if self.readers.wake_next()?.is_none_or(|next| next > now) {
            return Ok(Vec::new());
        }
        let owner = owner.clone();
        self.writer.submit(move |db| write::wakes_claim(db, &owner, now, limit)).await
    }

    async fn wakes_owned(&self, owner: &OwnerId, since: Timestamp) -> Result<Vec<NodeRecord>, StoreError> {
        let owner = owner.clone();
        self.listing(move |readers| readers.wakes_owned(&owner, since)).await
    }

    async fn wake_next(&self) -> Result<Option<Timestamp>, StoreError> {
        self.readers.wake_next()
    }

    async fn runs_overdue(&self, now: Timestamp, limit: u32) -> Result<Vec<RunId>, StoreError> {
        self.readers.runs_overdue(now, limit)
    }

    async fn owner_renew(&self, owner: &OwnerId, until: Timestamp) -> Result<(), StoreError> {
        let owner = owner.clone();
        self.writer.submit(move |db| write::owner_renew(db, &owner, until)).await
    }

    async fn owners_expire(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.writer.submit(move |db| write::owners_expire(db, now)).await
    }

    async fn owner_release(&self, owner: &OwnerId, now: Timestamp) -> Result<(), StoreError> {
        let owner = owner.clone();
        self.writer.submit(move |db| write::owner_release(db, &owner, now)).await
    }

    async fn counts(&self, now: Timestamp) -> Result<Counts, StoreError> {
        self.listing(move |readers| readers.counts(now)).await
    }

    async fn outbox_page(&self, limit: u32) -> Result<Vec<OutboxEntry>, StoreError> {
        self.listing(move |readers| readers.outbox_page(limit)).await
    }

    async fn outbox_ack(&self, ids: &[u64]) -> Result<(), StoreError> {
        let ids = ids.to_vec();
        self.writer.submit(move |db| write::outbox_ack(db, &ids)).await
    }
}

/// Sorts what SQLite reports into what callers can do about it.
fn failed(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => StoreError::Full(error.to_string()),
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            StoreError::Damaged(error.to_string())
        }
        Some(_) | None => StoreError::Failed(error.to_string()),
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        failed(&error)
    }
}
