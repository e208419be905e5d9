//! The built-in journal: one SQLite file, with nothing to install or operate.
//!
//! ```text
//!   callers ──rows──▶ queue ──▶ writer ──▶ BEGIN · op · op · … · COMMIT
//!      ▲                          │        (one fsync makes all of them durable)
//!      └──────── answers ─────────┤
//!                                 └─nudge─▶ checkpointer: log → database file
//!   readers ──▶ read cache ──▶ pool of read-only connections (never wait for the writer)
//! ```
//!
//! | module | purpose |
//! |---|---|
//! | `journal` | the `Journal` trait on top of the modules below |
//! | `schema`, `migrations` | opening and locking the file; the schema and how it came to be |
//! | `access` | where reads and writes run: as above, or all in the caller |
//! | `readers`, `read` | the pool of connections; the statements that read |
//! | `read_cache` | recently committed records and events |
//! | `rows`, `body`, `encoding` | records to rows and back, in the caller's task |
//! | `writer`, `threads` | the writer thread and its group commit |
//! | `write` | the statements of a commit |
//! | `audit` | the audit trail |
//! | `approvals` | what waits for an approval |
//! | `work` | the work of all runs, for operators |
//! | `claims`, `workers`, `signs` | the work queue and its claims; who works, who is dead, what they have heard |
//! | `load` | how much waits and how much is under way, and since when |
//! | `outbox`, `debts` | outbox entries; whether the JARVIS stores are owed them |
//! | `parking` | items whose decision fails repeatedly |
//! | `notices`, `webhooks`, `deliveries` | what webhooks report, to whom, and what waits |
//! | `prune` | deletion of finished runs |
//! | `secrets` | secrets by name |
//! | `steering` | pauses of dispatch, nodes that are set aside, what a cancel has ended |
//! | `space` | the size limit of the file and its reserve |
//! | `checkpoint` | keeps the write-ahead log short, off the commit path |
//! | `run_list`, `run_count`, `attention` | the list of runs; how many there are; those that need attention |
//! | `tree` | the nodes of a run, the attempts of a node |
//! | `error` | SQLite's errors as the journal's |
//! | `contents`, `backup`, `check`, `compact`, `export`, `keys`, `tables` | for the command `journal`; `export` for operators, too |
//! | `memory`, `callers_writer` | the same journal in memory and without threads, for simulations |
//!
//! **Architecture invariant:** only the writer's connection writes, and only one
//! process may write: it has locked the file and `<file>.lock`. Other processes
//! may read (`contents`), and rotate a key (`keys`).

mod access;
mod approvals;
mod attention;
mod audit;
mod backup;
mod bulk;
#[cfg(any(test, feature = "test-util"))]
mod callers_writer;
mod check;
mod checkpoint;
mod claims;
mod compact;
mod contents;
mod debts;
mod deliveries;
mod error;
mod export;
#[cfg(any(test, feature = "test-util"))]
mod inspect;
mod journal;
mod keys;
mod load;
mod look;
mod marks;
#[cfg(any(test, feature = "test-util"))]
pub mod memory;
mod migrations;
mod new_file;
mod notices;
mod outbox;
mod parking;
#[cfg(test)]
mod proptests;
mod prune;
mod read;
mod read_cache;
mod readers;
mod run_count;
mod run_list;
mod schema;
mod secrets;
mod signs;
mod space;
mod steering;
mod tables;
#[cfg(test)]
pub(super) mod tests;
mod threads;
mod tree;
mod webhooks;
mod work;
mod workers;
mod write;
mod writer;

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use slog::{Logger, info};
use tokio::sync::Semaphore;

use self::{
    access::{LONG_READS, Reads, Writes},
    read_cache::{Holds, ReadCache},
    readers::Readers,
    schema::Lock,
    space::Space,
    threads::ThreadParts,
    webhooks::Wanted,
    writer::Writer,
};
pub use self::{
    audit::AuditReader,
    backup::backup,
    check::check,
    compact::{Compacted, compact},
    export::{ExportError, export},
    keys::secret_change,
    look::{Look, look},
    new_file::NewFile,
    schema::{folder_exists, private},
    tables::Tables,
};
use super::{
    Backend, Figures, JournalError, OpenError, Owing, WithoutStores,
    rows::{self, encoding},
};
use crate::{runtime::tasks::Fatal, types::WorkerId};

/// How to open the journal.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The file. It is created if it is missing, its folder is not. The files
    /// `-wal`, `-shm` and `.lock` are beside it.
    pub path: PathBuf,
    /// The maximum size of the file: what does not fit is refused with
    /// [`JournalError::Full`]. The last part of it is reserved for what ends work:
    /// new Runs and NodeRuns are refused earlier, with
    /// [`JournalError::Reserved`]. The write-ahead log is not included (some 20 MB
    /// under steady load).
    pub max_bytes: Option<u64>,
    /// Keep an outbox: store the entries of a change set instead of dropping
    /// them.
    pub outbox: bool,
}

/// The journal in a SQLite file. Dropping it executes what is still queued, ends
/// its threads and unlocks the file.
pub struct SqliteJournal {
    // Dropped in this order: the writer after the readers, because the last
    // connection to be closed copies the log to the file, and only if it may
    // write; the lock last.
    reads: Reads,
    writes: Writes,
    cache: ReadCache,
    /// Whether it keeps an outbox.
    outbox: bool,
    /// `None`: the size of the file is not limited.
    space: Option<Arc<Space>>,
    wanted: Wanted,
    /// The worker that is registered through this handle.
    worker: OnceLock<WorkerId>,
    /// Whether other handles write to the same database.
    is_shared: bool,
    #[cfg(any(test, feature = "test-util"))]
    late_ids: Option<memory::LateIds>,
    #[cfg(any(test, feature = "test-util"))]
    bus: Option<memory::OnBus>,
    fatal: Fatal,
    figures: Arc<Figures>,
    /// For messages.
    path: PathBuf,
    log: Logger,
    /// `None`: it is in memory.
    _lock: Option<Lock>,
}

impl SqliteJournal {
    pub fn open(options: SqliteOptions, log: Logger) -> Result<Self, OpenError> {
        let opened = schema::open(&options)?;
        let failed = |reason: String| OpenError::Io { path: opened.path.display().to_string(), reason };
        let checkpoints = schema::connect_again(&opened.path).map_err(|e| failed(e.to_string()))?;
        let (path, connection) = (opened.path.clone(), &opened.connection);
        let space =
            Space::of(connection, options.max_bytes, path, log.clone()).map_err(|e| failed(e.to_string()))?;
        let wanted = Wanted::of(connection).map_err(|e| failed(e.to_string()))?;
        let fatal = Fatal::default();
        let figures = Arc::<Figures>::default();
        let parts = ThreadParts {
            space: space.clone(),
            fatal: fatal.clone(),
            figures: Arc::clone(&figures),
            log: log.clone(),
        };
        let writer = Writer::start(opened.connection, checkpoints, &parts)
            .map_err(|e| failed(format!("cannot start a thread: {e}")))?;
        info!(log, "journal opened"; "path" => %opened.path.display(), "new" => opened.new);
        let reads = Reads::Pool {
            readers: Arc::new(Readers::new(opened.path)),
            turns: Arc::new(Semaphore::new(LONG_READS)),
        };
        Ok(Self {
            reads,
            writes: Writes::Thread(writer),
            cache: ReadCache::new(Holds::Everything),
            outbox: options.outbox,
            space,
            wanted,
            worker: OnceLock::new(),
            is_shared: false,
            #[cfg(any(test, feature = "test-util"))]
            late_ids: None,
            #[cfg(any(test, feature = "test-util"))]
            bus: None,
            fatal,
            figures,
            path: options.path,
            log,
            _lock: Some(opened.lock),
        })
    }
}

#[async_trait]
impl Backend for SqliteJournal {
    async fn with_stores(&self) -> Result<(), JournalError> {
        self.writes.run(debts::record).await
    }

    async fn without_stores(&mut self, then: WithoutStores) -> Result<Owing, OpenError> {
        let path = || self.path.display().to_string();
        let failed = |e: JournalError| OpenError::Io { path: path(), reason: e.to_string() };
        let Some(entries) = self.reads.aside(debts::entries).await.map_err(failed)? else {
            return Ok(Owing::Nothing);
        };
        match then {
            WithoutStores::Refuse => Err(OpenError::Owes { path: path(), entries }),
            WithoutStores::Owe => {
                self.outbox = true;
                Ok(Owing::Everything)
            }
            WithoutStores::Forget => {
                self.writes.run(debts::forget).await.map_err(failed)?;
                Ok(Owing::Forgotten(entries))
            }
        }
    }

    fn without_webhooks(&self) {
        self.wanted.switch_off();
    }

    fn fatal(&self) -> &Fatal {
        &self.fatal
    }

    fn figures(&self) -> &Arc<Figures> {
        &self.figures
    }
}
