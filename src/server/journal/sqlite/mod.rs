//! The built-in journal: one SQLite file, nothing to install or to run.
//!
//! ```text
//!   callers ──rows──▶ queue ──▶ writer ──▶ BEGIN · piece · piece · … · COMMIT
//!      ▲                          │        (one fsync makes all of them durable)
//!      └──────── answers ─────────┤
//!                                 └─nudge─▶ checkpointer: log → database file
//!   readers ──▶ pool of read-only connections (never wait for the writer)
//! ```
//!
//! - `schema`: opening and checking the file.
//! - `access`: where reads and writes run: as above, or all in the caller.
//! - `memory`: a journal in memory, for simulations: the same schema,
//!   statements, groups and memory of what is recent, without threads.
//! - `migrations`: what it looks like, and how it came to look like that.
//! - `rows`, `body`: records to rows and back, in the caller's task.
//! - `writer`: the one thread that writes, and its groups.
//! - `write`: the statements of one piece of a group.
//! - `checkpoint`: keeps the write-ahead log short, off the commit path.
//! - `parking`: what fails again and again.
//! - `prune`: forgets finished runs.
//! - `space`: how full the file may be, and what the last of it is for.
//! - `debts`: that the JARVIS stores are owed what is decided.
//! - `recent`: what was committed lately, so that it need not be read.
//! - `read`: the pool and the statements that read.
//! - `error`: what SQLite says, in our words.
//! - `contents`, `backup`, `check`, `compact`: for the command `journal`.
//!
//! **Architecture invariant:** only the writer's connection writes, and only
//! one process may: it has locked the file, and `<file>.lock`. Others may look
//! (`contents`).

mod access;
mod backup;
mod body;
mod check;
mod checkpoint;
mod compact;
mod contents;
mod debts;
mod error;
#[cfg(any(test, feature = "test-util"))]
pub mod memory;
mod migrations;
mod parking;
#[cfg(test)]
mod proptests;
mod prune;
mod read;
mod recent;
mod rows;
mod schema;
mod space;
#[cfg(test)]
pub(super) mod tests;
mod write;
mod writer;

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use slog::{Logger, error, info, o};
use tokio::sync::Semaphore;

use self::{
    access::{Reads, Writes},
    read::Readers,
    recent::Recent,
    rows::{ChangeRows, HeadRow, WantRow},
    schema::Lock,
    space::Space,
    writer::{Care, Writer},
};
pub use self::{
    backup::backup,
    check::{Problems, Report, check},
    compact::{Compacted, compact},
    contents::Contents,
    debts::{Owing, WithoutStores},
    schema::folder_exists,
};
use super::{
    Counts, EventPage, Journal, JournalError, OpenError, OutboxId, OutboxPage, OwnedWake, PageLimit, Parked,
    Recipient, Room, Want,
};
use crate::{
    record::{AttemptRecord, ChangeSet, Job, NodeHead, NodePath, NodeRecord, RunRecord},
    runtime::tasks::Fatal,
    time::Timestamp,
    types::{NodeRunId, RunId, WorkerId},
};

/// How long a head that cannot be read is left alone: somebody has to look at
/// it.
const UNREADABLE: Duration = Duration::from_secs(3600);

/// Reads that may be long, at a time: each has a connection, which is two or
/// three open files, and a thread. More wait for their turn.
const LONG_READS: usize = 16;

/// How to open the journal.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The file. It is made if it is missing, its folder is not; beside it
    /// live `-wal`, `-shm` and `.lock`.
    pub path: PathBuf,
    /// The file does not grow beyond this: what does not fit is refused with
    /// [`JournalError::Full`]. The last of it is kept for what ends work: new Runs
    /// and NodeRuns are refused earlier, with [`JournalError::Reserved`]. The write-ahead log comes on top (some 20 MB under
    /// steady load).
    pub max_bytes: Option<u64>,
    /// Note what is owed to the JARVIS stores.
    pub outbox: bool,
}

/// The journal in a SQLite file. Dropping it serves what is still queued,
/// ends its threads and lets go of the file.
pub struct SqliteJournal {
    // The order is the order in which they are dropped: the writer after the
    // readers, since only the last to close the file, if it may write, brings
    // the log over to it; the lock goes last.
    readers: Reads,
    writer: Writes,
    recent: Recent,
    outbox: bool,
    /// `None`: the file may grow.
    space: Option<Arc<Space>>,
    fatal: Fatal,
    /// For messages.
    path: String,
    log: Logger,
    /// None: it is in memory.
    _lock: Option<Lock>,
}

impl SqliteJournal {
    #[expect(clippy::needless_pass_by_value, reason = "it becomes the parent of the store's own logger")]
    pub fn open(options: SqliteOptions, log: Logger) -> Result<Self, OpenError> {
        let log = log.new(o!("component" => "store"));
        let opened = schema::open(&options)?;
        let failed = |reason: String| OpenError::Io { path: opened.path.display().to_string(), reason };
        let checkpoints = schema::connect_again(&opened.path).map_err(|e| failed(e.to_string()))?;
        let shown = options.path.display().to_string();
        let (path, connection) = (opened.path.clone(), &opened.connection);
        let space =
            Space::of(connection, options.max_bytes, path, log.clone()).map_err(|e| failed(e.to_string()))?;
        let fatal = Fatal::default();
        let care = Care { space: space.clone(), fatal: fatal.clone(), log: log.clone() };
        let writer = Writer::start(opened.connection, checkpoints, care)
            .map_err(|e| failed(format!("cannot start a thread: {e}")))?;
        info!(log, "journal opened"; "path" => %opened.path.display(), "new" => opened.new);
        let readers = Reads::Pool {
            readers: Arc::new(Readers::new(opened.path)),
            turns: Arc::new(Semaphore::new(LONG_READS)),
        };
        Ok(Self {
            readers,
            writer: Writes::Thread(writer),
            recent: Recent::new(),
            outbox: options.outbox,
            space,
            fatal,
            path: shown,
            log,
            _lock: Some(opened.lock),
        })
    }

    /// For a server with JARVIS stores: the journal remembers that it owes them
    /// every change.
    pub async fn with_stores(&self) -> Result<(), JournalError> {
        self.writer.run(debts::remember).await
    }

    /// For a server without: what it does if there were some.
    pub async fn without_stores(&mut self, then: WithoutStores) -> Result<Owing, OpenError> {
        let failed = |e: JournalError| OpenError::Io { path: self.path.clone(), reason: e.to_string() };
        let Some(entries) = self.read_aside(debts::owed).await.map_err(failed)? else {
            return Ok(Owing::Nothing);
        };
        match then {
            WithoutStores::Refuse => Err(OpenError::Owes { path: self.path.clone(), entries }),
            WithoutStores::Owe => {
                self.outbox = true;
                Ok(Owing::Everything)
            }
            WithoutStores::Forget => {
                self.writer.run(debts::forget).await.map_err(failed)?;
                Ok(Owing::Forgotten(entries))
            }
        }
    }

    /// Declared when a thread of the journal has ended that should not have:
    /// nothing can be written from then on, and only another process can help.
    pub fn fatal(&self) -> &Fatal {
        &self.fatal
    }

    /// Before a commit: what it changes is not remembered while it is under
    /// way.
    fn forget(&self, change: &ChangeSet) {
        if change.run.is_some() {
            self.recent.forget_run(&change.run_id);
        }
        for node in &change.nodes {
            self.recent.forget_node(node.id());
        }
        for head in &change.heads {
            self.recent.forget_node(&head.node_run_id);
        }
        if !change.events.is_empty() {
            self.recent.expect_events(&change.run_id);
        }
    }

    /// After a commit: what it wrote.
    fn remember(&self, change: ChangeSet, rows: &ChangeRows) {
        let ChangeSet { run_id, at: _, run, nodes, heads, events, attempts: _, adopted: _ } = change;
        if let (Some(mut run), Some(row)) = (run, &rows.run) {
            run.version += 1;
            self.recent.remember_run(run, row.body.bytes());
        }
        for (mut node, row) in nodes.into_iter().zip(&rows.nodes) {
            if node.unread.any() {
                self.recent.forget_node(node.id());
                continue;
            }
            node.version += 1;
            self.recent.remember_node(node, row.body.bytes() + row.payloads.bytes());
        }
        // Of these only the head is known.
        for head in heads {
            self.recent.forget_node(&head.node_run_id);
        }
        let events = events.into_iter().zip(&rows.events).map(|(event, row)| recent::Event {
            seq: event.event.seq,
            path: event.path,
            body: Arc::clone(&row.body),
        });
        self.recent.remember_events(&run_id, events.collect());
    }

    /// What can be read of these. One that cannot must not stop all the others:
    /// it is put aside, so that it is not met again and again, and reported.
    async fn readable(&self, rows: Vec<HeadRow>, now: Timestamp) -> Vec<NodeHead> {
        let mut heads = Vec::with_capacity(rows.len());
        for row in rows {
            let damage = match row.decode() {
                Ok(head) => {
                    heads.push(head);
                    continue;
                }
                Err(damage) => damage,
            };
            error!(self.log, "a node run cannot be read: it is put aside"; "run_id" => %row.run_id,
                "node_run_id" => %row.node_run_id, "error" => %damage);
            let item = parking::unreadable(&row, &damage, now, now + UNREADABLE);
            if let Err(failure) = self.park(item).await {
                error!(self.log, "it could not be put aside"; "node_run_id" => %row.node_run_id,
                    "error" => %failure);
            }
        }
        heads
    }

    fn forget_parked(&self, item: &Parked) {
        match &item.node_run_id {
            Some(node) => self.recent.forget_node(node),
            None => self.recent.forget_run(&item.run_id),
        }
    }

    /// A read that may be long: it must not hold up the other tasks of this
    /// runtime thread, nor take a connection from the short ones. (Those hold
    /// theirs without waiting for anything, so they are as many as the runtime
    /// has threads.)
    async fn read_aside<T: Send + 'static>(
        &self,
        read: impl FnOnce(&rusqlite::Connection) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        self.readers.aside(read).await
    }
}

/// Makes something that has to be seen to, rather than seeing to what there is.
fn is_new_work(change: &ChangeSet) -> bool {
    change.run.as_ref().is_some_and(|run| run.version == 0)
        || change.nodes.iter().any(|node| node.version == 0)
}

// Fetches by key are done right here: a few microseconds, mostly from memory,
// where the way to a blocking thread and back alone would cost more. What
// grows with the data goes through `read_aside`.
#[async_trait]
impl Journal for SqliteJournal {
    async fn commit(&self, mut change: ChangeSet) -> Result<Option<OutboxId>, JournalError> {
        let rows = Arc::new(ChangeRows::encode(&mut change)?);
        self.forget(&change);
        let (written, outbox) = (Arc::clone(&rows), self.outbox);
        let space = self.space.clone().filter(|_| is_new_work(&change));
        let work = move |connection: &_| match &space {
            None => write::commit(connection, &written, outbox),
            Some(space) => {
                let before = space::pages_used(connection)?;
                let committed = write::commit(connection, &written, outbox)?;
                space.admit(connection, before)?;
                Ok(committed)
            }
        };
        let committed = self.writer.run(work).await;
        match committed {
            Ok(last) => {
                self.remember(change, &rows);
                Ok(last.map(rows::natural).transpose()?.map(OutboxId))
            }
            Err(failure) => {
                // Somebody may have remembered meanwhile what led to this.
                self.forget(&change);
                self.recent.forget_events(&change.run_id);
                Err(failure)
            }
        }
    }

    fn room(&self) -> Room {
        self.space.as_ref().map_or(Room::Enough, |space| space.room())
    }

    async fn run_fetch(&self, run: &RunId) -> Result<Option<RunRecord>, JournalError> {
        match self.recent.run(run) {
            Some(found) => Ok(Some(found)),
            None => self.readers.with(|connection| read::run(connection, run)),
        }
    }

    async fn node_fetch(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
        match self.recent.node(node) {
            Some(found) => Ok(Some(found)),
            None => self.readers.with(|connection| read::node(connection, node)),
        }
    }

    async fn node_fetch_bare(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
        match self.recent.node(node) {
            Some(found) => Ok(Some(found)),
            None => self.readers.with(|connection| read::node_bare(connection, node)),
        }
    }

    async fn head_fetch(&self, node: &NodeRunId) -> Result<Option<NodeHead>, JournalError> {
        match self.recent.head(node) {
            Some(found) => Ok(Some(found)),
            None => self.readers.with(|connection| read::head(connection, node)),
        }
    }

    async fn nodes_live(&self, run: &RunId, under: Option<&NodePath>) -> Result<Vec<NodeHead>, JournalError> {
        let (run, under) = (run.clone(), under.cloned());
        self.read_aside(move |connection| read::nodes_live(connection, &run, under.as_ref())).await
    }

    async fn node_has_live_below(&self, run: &RunId, node: &NodePath) -> Result<bool, JournalError> {
        self.readers.with(|connection| read::has_live_below(connection, run, node))
    }

    async fn events_after(
        &self,
        run: &RunId,
        after: u64,
        within: Option<&NodePath>,
        limit: PageLimit,
    ) -> Result<EventPage, JournalError> {
        if let Some(page) = self.recent.events_after(run, after, within, limit) {
            return Ok(page);
        }
        let (run, within) = (run.clone(), within.cloned());
        self.read_aside(move |connection| read::events(connection, &run, after, within.as_ref(), limit)).await
    }

    async fn attempts_list(&self, node: &NodeRunId) -> Result<Vec<AttemptRecord>, JournalError> {
        self.readers.with(|connection| read::attempts(connection, node))
    }

    async fn wakes_claim(
        &self,
        owner: &WorkerId,
        now: Timestamp,
        want: &Want,
    ) -> Result<Vec<NodeHead>, JournalError> {
        let want = WantRow::encode(want)?;
        // Mostly nothing is due, and then nobody has to wait for the writer.
        if !self.readers.with(|connection| read::wake_is_due(connection, now, &want))? {
            return Ok(Vec::new());
        }
        let owner = owner.clone();
        let claimed =
            self.writer.run(move |connection| write::wakes_claim(connection, &owner, now, &want)).await;
        // Whatever came of it: the claimed rows have changed.
        let claimed = claimed.inspect_err(|_| self.recent.forget_nodes())?;
        for row in &claimed {
            self.recent.surpass_node(&row.node_run_id, rows::natural(row.version)?);
        }
        Ok(self.readable(claimed, now).await)
    }

    async fn wakes_owned(
        &self,
        owner: &WorkerId,
        jobs: &[Job],
        since: Timestamp,
    ) -> Result<Vec<OwnedWake>, JournalError> {
        let jobs = rows::to_json(&jobs.iter().map(|job| job.as_str()).collect::<Vec<_>>())?;
        let owner = owner.clone();
        self.read_aside(move |connection| read::wakes_owned(connection, &owner, &jobs, since)).await
    }

    async fn wake_next(&self, after: Timestamp) -> Result<Option<Timestamp>, JournalError> {
        self.readers.with(|connection| read::wake_next(connection, after))
    }

    async fn runs_overdue(&self, now: Timestamp, limit: u32) -> Result<Vec<RunId>, JournalError> {
        self.readers.with(|connection| read::runs_overdue(connection, now, limit))
    }

    async fn park(&self, item: Parked) -> Result<(), JournalError> {
        let parked = item.clone();
        let outcome = self.writer.run(move |connection| parking::park(connection, &parked)).await;
        self.forget_parked(&item);
        outcome
    }

    async fn parked_list(&self, limit: u32) -> Result<Vec<Parked>, JournalError> {
        let parked = self.readers.with(|connection| parking::list(connection, limit))?;
        Ok(parked.into_iter().map(|(item, _times)| item).collect())
    }

    async fn owner_renew(&self, owner: &WorkerId, until: Timestamp) -> Result<(), JournalError> {
        let owner = owner.clone();
        self.writer.run(move |connection| write::owner_renew(connection, &owner, until)).await
    }

    async fn owners_expire(&self, now: Timestamp) -> Result<u64, JournalError> {
        let freed = self.writer.run(move |connection| write::owners_expire(connection, now)).await;
        if freed != Ok(0) {
            self.recent.forget_nodes();
        }
        freed
    }

    async fn owner_release(&self, owner: &WorkerId, now: Timestamp) -> Result<(), JournalError> {
        let owner = owner.clone();
        let released = self.writer.run(move |connection| write::owner_release(connection, &owner, now)).await;
        self.recent.forget_nodes();
        released
    }

    async fn time_newest(&self) -> Result<Option<Timestamp>, JournalError> {
        self.read_aside(read::time_newest).await
    }

    async fn runs_prune(&self, finished_before: Timestamp, limit: u32) -> Result<u64, JournalError> {
        let look = move |connection: &_| prune::prunable(connection, finished_before, limit);
        let prune::Prunable { runs, outbox_seen } = self.read_aside(look).await?;
        let (mut gone, mut rows) = (0, 0);
        for run in runs {
            let id = run.clone();
            let piece = move |connection: &_| prune::run_prune(connection, &id, finished_before, outbox_seen);
            let pruned = self.writer.run(piece).await.inspect_err(|_| self.recent.forget_nodes());
            self.recent.forget_run(&run);
            self.recent.forget_events(&run);
            let Some(pruned) = pruned? else { continue };
            pruned.nodes.iter().for_each(|node| self.recent.forget_node(node));
            gone += 1;
            rows += pruned.rows;
            if rows >= prune::ROWS_MAX {
                break;
            }
        }
        Ok(gone)
    }

    async fn counts(&self, now: Timestamp) -> Result<Counts, JournalError> {
        self.read_aside(move |connection| read::counts(connection, now)).await
    }

    async fn secret(&self, name: &str, fresh: Vec<u8>) -> Result<Vec<u8>, JournalError> {
        // Read first: a journal that is full can still tell what it has.
        if let Some(kept) = self.readers.with(|connection| read::secret(connection, name))? {
            return Ok(kept);
        }
        let name = name.to_owned();
        self.writer.run(move |connection| write::secret(connection, &name, &fresh)).await
    }

    async fn outbox_after(
        &self,
        recipient: Recipient,
        after: OutboxId,
        limit: u32,
    ) -> Result<OutboxPage, JournalError> {
        self.read_aside(move |connection| read::outbox(connection, recipient, after, limit)).await
    }

    async fn outbox_ack(&self, ids: &[OutboxId]) -> Result<(), JournalError> {
        let ids = ids.iter().map(|&id| rows::integer(id.0)).collect::<Result<Vec<_>, _>>()?;
        self.writer.run(move |connection| write::outbox_ack(connection, &ids)).await
    }
}
