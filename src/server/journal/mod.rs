//! The journal: the coordinator's own database, and the only source of truth.
//!
//! ```text
//!   coordinator ── commit(ChangeSet) ──▶ Journal ──▶ durable ──▶ then: answer, dispatch, publish
//!   dispatch    ── claim_due ──────────▶    │
//!   outbox pump ── outbox_owed, _ack ──▶    │
//!                                           ├─ sqlite       the built-in journal: one file, one writer thread
//!                                           ├─ postgres     the journal of several coordinators: a database
//!                                           ├─ conformance  the suite that every journal must pass
//!                                           ├─ intercept    a decorator: every call passes an interceptor
//!                                           └─ faulty       an interceptor that injects faults, for tests
//! ```
//!
//! - `rows`: records to rows and back, for both databases; `figures`: what writers did.
//! - `values`: what callers ask with and what they get; `runs`: the same for lists of
//!   runs, nodes and attempts; `work`: for the work of all runs; `webhooks`: notices,
//!   subscriptions and deliveries.
//! - `bulk`: bulk jobs, a part of the trait.
//! - `steering`: the part of the trait that operators steer with.
//! - `workers`: the part about who lives: registration, heartbeats, claims of the dead.
//! - `duties`: which duties this worker holds now.
//! - `news`: hints of one process to the others that something has been committed.
//! - `error`: why something was refused, or the journal could not be opened.
//! - `recent`: records that may be old, for decisions, where several processes write.
//! - `retention`: deletes runs that finished long ago, and old audit records.
//! - `inspect`: what tests read beyond the trait.
//!
//! **Architecture invariants.** A decision is committed here in one transaction,
//! durably, before its caller is answered and before anything is done about it.
//! The journal writes what a [`ChangeSet`] says and derives nothing.

mod backend;
mod bulk;
mod check;
#[cfg(any(test, feature = "test-util"))]
pub mod conformance;
mod debts;
mod duties;
mod error;
#[cfg(any(test, feature = "test-util"))]
pub mod faulty;
mod figures;
#[cfg(any(test, feature = "test-util"))]
pub mod inspect;
#[cfg(any(test, feature = "test-util"))]
pub mod intercept;
mod keys;
mod news;
pub mod postgres;
mod recent;
pub mod retention;
mod rows;
mod runs;
pub mod sqlite;
mod steering;
mod tables;
mod values;
mod webhooks;
mod work;
mod workers;

use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;

pub use self::{
    backend::Backend,
    bulk::{BulkJournal, BulkPlace},
    check::{Contents, Problems, Report},
    debts::{Owing, WithoutStores},
    duties::Duties,
    error::{JournalError, OpenError},
    figures::{Figures, FiguresNow},
    keys::{LiveWork, SecretChange},
    news::{News, NewsBox},
    recent::Recent,
    runs::{
        ATTENTION_MAX, AttemptsPage, Attention, NodeSummary, OwnerRule, Reached, RunCounts, RunPlace,
        RunSelect, RunSummary, RunsFilter, RunsPage, TreePage, Visible,
    },
    steering::{CanceledNode, Steering, StoredPauses},
    values::{
        AuditEntry, AuditFilter, AuditId, AuditPage, AuditRule, AuditSelect, ClaimFilter, ClaimedWake,
        Counts, EventPage, Load, OutboxEntry, OutboxId, PageLimit, Parked, Room, Waiting, WaitingPage,
        WaitingPlace,
    },
    webhooks::{
        Delivery, DeliveryId, DeliveryOutcome, DeliveryUpkeep, DueDeliveries, ExecutorReport, FanOut,
        NewDelivery, NoticeId, Settled, StoredNotice, StoredWebhook, WebhookJournal, WebhookStatus,
    },
    work::{BACKLOG_MAX, Backlog, DueWork, Work, WorkerClaims},
    workers::{Duty, Heard, Heartbeats, SignOfLife, Workers, follow_time},
};
pub use crate::record::{OutboxItem, Recipient};
use crate::{
    record::{AuditRecord, ChangeSet, Job, NodeHead, NodePath, NodeRecord, RunRecord},
    time::Timestamp,
    types::{NodeRunId, RunId, WorkerId},
};

/// A body in pieces. An error means that what came before it is not the whole. (`Sync`,
/// because HTTP bodies have to be.)
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, JournalError>> + Send + Sync>>;

/// The name of the secret with the signing keys of assignment tokens.
pub const ASSIGNMENT_KEYS: &str = "assignment_token_key";

/// The name of the mark before which all spans were sent, or given up.
pub const SPANS_MARK: &str = "spans";

/// Durable home of runs. Every implementation must pass `conformance`.
#[async_trait]
pub trait Journal: BulkJournal + Steering + WebhookJournal + Workers {
    /// Applies all of `change` or none of it, and returns once it is durable.
    /// Stored rows get the next version. Returns the id of the last outbox entry
    /// that it added, if it added any.
    ///
    /// Fails with [`JournalError::Conflict`] if a row in it is no longer at the
    /// version that was read (or exists although it should be new), and with
    /// [`JournalError::Reserved`] if it would make a Run or NodeRun while the
    /// remaining room is reserved. A conflict it is, too, if the pauses of dispatch have
    /// changed since those that it names. Fails with [`JournalError::Fenced`] if the worker of
    /// this handle was declared dead.
    async fn commit(&self, change: ChangeSet) -> Result<Option<OutboxId>, JournalError>;

    /// Whether there is room for new work: Runs and NodeRuns that do not exist
    /// yet. Asked before anything is spent on deciding; a commit checks for
    /// itself.
    fn room(&self) -> Room {
        Room::Enough
    }

    /// Records that may be old, for decisions only, if the journal keeps any: what the
    /// methods below return is always the latest.
    fn recent(&self) -> Option<&Recent> {
        None
    }

    async fn run_fetch(&self, run: &RunId) -> Result<Option<RunRecord>, JournalError>;

    /// How far each of these runs has come, in any order; those that do not exist are left
    /// out. Their records are not read.
    async fn runs_reached(&self, runs: &[RunId]) -> Result<Vec<Reached>, JournalError>;

    async fn node_fetch(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError>;

    /// Like [`Journal::node_fetch`], but large inputs and outputs may be left
    /// out, as `unread` in the record then says. For decisions that do not
    /// depend on them: a commit of the record leaves them as they are stored.
    async fn node_fetch_bare(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
        self.node_fetch(node).await
    }

    /// A NodeRun without its content, which may be large or damaged and is not
    /// read.
    async fn head_fetch(&self, node: &NodeRunId) -> Result<Option<NodeHead>, JournalError>;

    /// The NodeRuns of a run that are not terminal, deepest first; with `under`,
    /// only the descendants of that node, without the node itself. The cost
    /// depends on the number of live nodes, not of all nodes and not on the size
    /// of their content, which is not read.
    async fn nodes_live(&self, run: &RunId, under: Option<&NodePath>) -> Result<Vec<NodeHead>, JournalError>;

    /// The first of them in the order of their paths, at most `limit`, at a cost that
    /// does not depend on the number of the others.
    async fn nodes_live_first(
        &self,
        run: &RunId,
        under: Option<&NodePath>,
        limit: u32,
    ) -> Result<Vec<NodeHead>, JournalError>;

    /// Whether any NodeRun below this one is not terminal, at a cost that does
    /// not depend on their number.
    async fn node_has_live_below(&self, run: &RunId, node: &NodePath) -> Result<bool, JournalError> {
        Ok(!self.nodes_live(run, Some(node)).await?.is_empty())
    }

    /// Events of a run in the order of `seq`, starting after `after`; with
    /// `within`, only those about that node and its descendants.
    async fn events_after(
        &self,
        run: &RunId,
        after: u64,
        within: Option<&NodePath>,
        limit: PageLimit,
    ) -> Result<EventPage, JournalError>;

    /// Claims due, unclaimed wake-ups that pass `filter` for `worker`, durably
    /// and in the order in which they became due.
    ///
    /// The content of the NodeRuns is not read: the job that needs it finds out
    /// whether it is damaged. A head that cannot be read is parked immediately
    /// and not returned.
    ///
    /// The future must not be dropped before it is ready: `worker` would hold
    /// claims that it does not know of until they are released or reaped. The
    /// same can happen after an error, though rarely.
    async fn claim_due(
        &self,
        worker: &WorkerId,
        now: Timestamp,
        filter: &ClaimFilter,
    ) -> Result<Vec<NodeHead>, JournalError>;

    /// The wake-ups for these jobs that `worker` claimed and that were due
    /// before `since`: work that it should have in hand or have finished.
    async fn claims_held(
        &self,
        worker: &WorkerId,
        jobs: &[Job],
        since: Timestamp,
    ) -> Result<Vec<ClaimedWake>, JournalError>;

    /// When the earliest unclaimed wake-up is due, of those that are due later
    /// than `after`.
    async fn wake_next(&self, after: Timestamp) -> Result<Option<Timestamp>, JournalError>;

    /// At most `limit` runs that are not terminal although their deadline has
    /// passed.
    async fn runs_overdue(&self, now: Timestamp, limit: u32) -> Result<Vec<RunId>, JournalError>;

    /// Parks an item whose decision fails repeatedly: it is unclaimed, due again
    /// at `until`, has one more try, and is listed with its error until then.
    /// The record is not read for that, because it may be what is damaged.
    /// Nothing happens if the item has no wake-up any more, nor if the node has
    /// ended meanwhile and only its executor is to be notified: that has not
    /// failed.
    ///
    /// A commit that writes the NodeRun (or the Run) removes it from the list,
    /// unless it leaves the wake-up of the NodeRun as it is. An item that was not on
    /// it is reported, if notices are wanted.
    async fn park(&self, item: Parked) -> Result<(), JournalError>;

    /// The latest decision time of all stored commits that wrote a Run: the
    /// current time cannot be earlier.
    async fn latest_commit_time(&self) -> Result<Option<Timestamp>, JournalError>;

    /// Deletes Runs that ended before `finished_before` with everything that
    /// belongs to them, oldest first, at most `limit`, and fewer if they are
    /// big. Returns how many.
    ///
    /// A Run stays while the outbox has an entry of it, or any of its NodeRuns
    /// has a wake-up.
    async fn runs_prune(&self, finished_before: Timestamp, limit: u32) -> Result<u64, JournalError>;

    /// The work of all runs as of one moment, with the first `parked` parked items.
    async fn work(&self, now: Timestamp, parked: u32) -> Result<Work, JournalError>;

    /// Counts for health checks and reports.
    async fn counts(&self, now: Timestamp) -> Result<Counts, JournalError>;

    /// The secret with this name. If there is none, `fresh` becomes the secret
    /// and is durable when this returns. Concurrent callers all get the same.
    async fn secret(&self, name: &str, fresh: Vec<u8>) -> Result<Vec<u8>, JournalError>;

    /// The secret with this name, if there is one: as it is now, also if another
    /// process has replaced it.
    async fn secret_find(&self, name: &str) -> Result<Option<Vec<u8>>, JournalError>;

    /// Replaces the secret with this name, durably. Fails with
    /// [`JournalError::Conflict`] if it is neither `old` nor `new` already.
    async fn secret_replace(&self, name: &str, old: Vec<u8>, new: Vec<u8>) -> Result<(), JournalError>;

    /// The time that was stored under this name, if any was.
    async fn mark_find(&self, name: &str) -> Result<Option<Timestamp>, JournalError>;

    /// Stores a time under this name, durably.
    async fn mark_set(&self, name: &str, at: Timestamp) -> Result<(), JournalError>;

    /// At most `limit` of the runs that a commit wrote at this time or later. The cost
    /// grows with the number of live runs, and not with that of the others.
    async fn runs_changed(&self, since: Timestamp, limit: u32) -> Result<Vec<RunId>, JournalError>;

    /// The outbox entries for `recipient` behind `after` that are not `in_hand`, in the
    /// order of their ids, at most `limit`. Fewer are all that were committed before the
    /// call. Empty if the journal keeps no outbox.
    ///
    /// In a journal that several processes share, an entry of another run may appear
    /// below one that was read ([`OutboxId`]): only a call with `after` 0 finds it.
    async fn outbox_owed(
        &self,
        recipient: Recipient,
        after: OutboxId,
        in_hand: &[OutboxId],
        limit: u32,
    ) -> Result<Vec<OutboxEntry>, JournalError>;

    /// Whether the outbox has no entry of this run up to `upto`, for whichever recipient:
    /// the stores have accepted them. For processes that do not send themselves; the
    /// built-in journal, where the one that asks is the one that sends, has no index for
    /// it.
    async fn outbox_settled(&self, run: &RunId, upto: OutboxId) -> Result<bool, JournalError>;

    /// Deletes outbox entries that the JARVIS stores have accepted.
    async fn outbox_ack(&self, ids: &[OutboxId]) -> Result<(), JournalError>;

    /// Appends records to the audit trail that belong to no commit, and returns
    /// once they are durable.
    async fn audit_append(&self, records: Vec<AuditRecord>) -> Result<(), JournalError>;

    /// The records of the audit trail after `after` that pass `filter`, in the
    /// order of commits. A page may be shorter than `limit`, and even empty,
    /// although more follows: its cost is bounded, however few records pass. A record
    /// may be on no page for a moment, while a commit that comes before it is not over.
    async fn audit_page(
        &self,
        after: AuditId,
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<AuditPage, JournalError>;

    /// The same from the newest on: the selected records before `before`. `scanned_to` is
    /// the oldest that was examined.
    async fn audit_newest(
        &self,
        before: Option<AuditId>,
        select: &AuditSelect,
        limit: u32,
    ) -> Result<AuditPage, JournalError>;

    /// Everything that is recorded about a run, as of one moment: an evidence bundle in
    /// pieces, which end with an error if it is not whole. `None`: there is no such run.
    async fn export(&self, run: &RunId, now: Timestamp) -> Result<Option<Pieces>, JournalError>;

    /// The NodeRuns that wait for an approval, behind the place `after`, in the order
    /// in which they began to; with `run`, only those of that run. A page may be
    /// shorter than `limit`, and even empty, although more follows: its cost is
    /// bounded, however many wait.
    async fn approvals_page(
        &self,
        after: Option<&WaitingPlace>,
        run: Option<&RunId>,
        limit: u32,
    ) -> Result<WaitingPage, JournalError>;

    /// The runs behind a place that pass `filter`, newest first. The cost does not
    /// depend on the number of runs.
    async fn runs_page(
        &self,
        after: Option<&RunPlace>,
        filter: &RunsFilter,
        limit: u32,
    ) -> Result<RunsPage, JournalError>;

    /// Counts the runs behind a place that pass `filter`, as far as a page goes.
    async fn runs_count(
        &self,
        after: Option<&RunPlace>,
        filter: &RunsFilter,
    ) -> Result<RunCounts, JournalError>;

    /// The nodes of a run behind a path; with `under`, that node and its descendants
    /// only.
    async fn tree_page(
        &self,
        run: &RunId,
        under: Option<&NodePath>,
        after: Option<&NodePath>,
        limit: u32,
    ) -> Result<TreePage, JournalError>;

    /// The entry in the list of parked items for a NodeRun, if it has one.
    async fn parked_find(&self, run: &RunId, node: &NodeRunId) -> Result<Option<Parked>, JournalError>;

    /// The logged attempts of a NodeRun behind one.
    async fn attempts_page(
        &self,
        node: &NodeRunId,
        after: u32,
        limit: u32,
    ) -> Result<AttemptsPage, JournalError>;

    /// Deletes records of the audit trail that are older than `before`, oldest
    /// first, at most `limit`. Returns how many. The deletion of a Run deletes
    /// none.
    async fn audit_prune(&self, before: Timestamp, limit: u32) -> Result<u64, JournalError>;
}
