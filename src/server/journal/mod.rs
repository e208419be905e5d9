//! The journal: the coordinator's own database, and the only truth.
//!
//! Whatever is decided is committed here in one transaction, durably, before
//! anybody is answered and before anything is done about it.
//!
//! - `sqlite`: built in; one writer thread with group commit. For simulations
//!   also in memory, without the thread.
//! - `conformance`: the suite that every implementation must pass.
//! - `faulty`: a decorator that injects faults, for tests.

#[cfg(any(test, feature = "test-util"))]
pub mod conformance;
#[cfg(any(test, feature = "test-util"))]
pub mod faulty;
pub mod retention;
pub mod sqlite;

use async_trait::async_trait;

pub use crate::record::{OutboxItem, Recipient};
use crate::{
    record::{AttemptRecord, ChangeSet, Job, NodeHead, NodePath, NodeRecord, RunRecord},
    time::Timestamp,
    types::{NodeKind, NodeRunId, RunId, WorkerId},
};

/// Durable home of runs. Every implementation must pass `conformance`.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Applies all of `change` or none of it, and returns only once it is
    /// durable. [`JournalError::Conflict`] if any row in it is no longer at the
    /// version that was read (or exists, when it should be new). Stored rows
    /// get the next version. [`JournalError::Reserved`] if it would make a Run or
    /// NodeRun, and what room there is is kept for others. Says what the last entry is that this made in the
    /// outbox, if it made any.
    async fn commit(&self, change: ChangeSet) -> Result<Option<OutboxId>, JournalError>;

    /// Whether there is room for new work: Runs and NodeRuns that do not exist
    /// yet. Asked before anything is spent on deciding; a commit finds out
    /// for itself.
    fn room(&self) -> Room {
        Room::Enough
    }

    async fn run_fetch(&self, run: &RunId) -> Result<Option<RunRecord>, JournalError>;

    async fn node_fetch(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError>;

    /// The same, but large inputs and outputs may be left out, as the record
    /// then says in `unread`. For whoever decides something that they do not
    /// matter to: they stay as they are when the record is committed.
    async fn node_fetch_bare(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
        self.node_fetch(node).await
    }

    /// A NodeRun without its content, which is not read: it may be large, or
    /// damaged.
    async fn head_fetch(&self, node: &NodeRunId) -> Result<Option<NodeHead>, JournalError>;

    /// The NodeRuns of a run that are not terminal, deepest first; with
    /// `under`, only the descendants of that node, without it itself. Costs by
    /// the number of live nodes, not of all, nor by what they carry: their
    /// content is not read.
    async fn nodes_live(&self, run: &RunId, under: Option<&NodePath>) -> Result<Vec<NodeHead>, JournalError>;

    /// Whether any NodeRun below this one is not terminal. Costs the same,
    /// however many there are.
    async fn node_has_live_below(&self, run: &RunId, node: &NodePath) -> Result<bool, JournalError> {
        Ok(!self.nodes_live(run, Some(node)).await?.is_empty())
    }

    /// Events of a run in the order of `seq`, beginning after `after`; with
    /// `within`, only those about that node and its descendants.
    async fn events_after(
        &self,
        run: &RunId,
        after: u64,
        within: Option<&NodePath>,
        limit: PageLimit,
    ) -> Result<EventPage, JournalError>;

    /// What was tried to execute a NodeRun, oldest first.
    async fn attempts_list(&self, node: &NodeRunId) -> Result<Vec<AttemptRecord>, JournalError>;

    /// Takes wake-ups that are due at `now` and owned by nobody, in the order
    /// in which they became due, for `owner`, durably: those that `want` says.
    ///
    /// The content of the NodeRuns is not read: whether it is damaged is found
    /// out by the job that needs it. A head that cannot be read is parked on the
    /// spot, and not given.
    ///
    /// Do not drop the future before it is ready: what was taken would be
    /// owned by one who does not know of it, until that owner is released or
    /// expires. After an error the same is possible, though rare.
    async fn claim_due(
        &self,
        owner: &WorkerId,
        now: Timestamp,
        want: &ClaimFilter,
    ) -> Result<Vec<NodeHead>, JournalError>;

    /// The wake-ups for these jobs that `owner` has had since before `since`,
    /// but for deadlines that have not come: what it should be at, or have
    /// done.
    async fn claims_held(
        &self,
        owner: &WorkerId,
        jobs: &[Job],
        since: Timestamp,
    ) -> Result<Vec<ClaimedWake>, JournalError>;

    /// When the earliest wake-up that nobody owns is due, of those that are due
    /// later than `after`.
    async fn wake_next(&self, after: Timestamp) -> Result<Option<Timestamp>, JournalError>;

    /// Runs that are not over although their deadline has passed, at most
    /// `limit`.
    async fn runs_overdue(&self, now: Timestamp, limit: u32) -> Result<Vec<RunId>, JournalError>;

    /// `owner` lives at least until `until`. Its first renewal registers it.
    async fn renew_worker(&self, owner: &WorkerId, until: Timestamp) -> Result<(), JournalError>;

    /// Puts aside what fails to be decided again and again: it is due again
    /// at `until`, nobody's, tried once more, and listed with its error until
    /// then. Its record is not read for that: it may be what is damaged. If
    /// there is nothing left to do about it, nothing happens; nor if the node
    /// is over by now and its executor is to be told: that has not failed.
    ///
    /// A commit that writes the NodeRun (or the Run) takes it off the list: it
    /// could be decided after all. One that leaves the NodeRun's wake-up as it
    /// is does not: it still waits until then.
    async fn park(&self, item: Parked) -> Result<(), JournalError>;

    /// What is parked, the longest first, at most `limit`.
    async fn parked_list(&self, limit: u32) -> Result<Vec<Parked>, JournalError>;

    /// Takes the wake-ups of owners that are dead at `now` (or that gave up,
    /// see [`Journal::release_claims`]) away from them and makes them due at
    /// once. Returns how many.
    async fn reap_dead_workers(&self, now: Timestamp) -> Result<u64, JournalError>;

    /// `owner` is leaving: everything it owns is due at once, for anybody.
    async fn release_claims(&self, owner: &WorkerId, now: Timestamp) -> Result<(), JournalError>;

    /// When the latest commit that is stored was decided, of those that wrote
    /// a Run: the time cannot be earlier than that.
    async fn latest_commit_time(&self) -> Result<Option<Timestamp>, JournalError>;

    /// Deletes Runs that were over before `finished_before` with all that is
    /// theirs, those that ended first before others, at most `limit`, and
    /// fewer if they are big. Returns how many.
    ///
    /// Only what is done with: a Run stays while anything of it is owed to the
    /// JARVIS stores, or has a wake-up.
    async fn runs_prune(&self, finished_before: Timestamp, limit: u32) -> Result<u64, JournalError>;

    /// Numbers for health and for people.
    async fn counts(&self, now: Timestamp) -> Result<Counts, JournalError>;

    /// The secret that is kept under this name. If there is none, `fresh` is
    /// from now on: then it is durable when this returns, and whoever asks
    /// later, or at the same time, gets the same.
    async fn secret(&self, name: &str, fresh: Vec<u8>) -> Result<Vec<u8>, JournalError>;

    /// What is owed to `recipient`, oldest first, beginning after `after`.
    /// Empty unless the store was opened to keep an outbox.
    async fn outbox_after(
        &self,
        recipient: Recipient,
        after: OutboxId,
        limit: u32,
    ) -> Result<OutboxPage, JournalError>;

    /// The JARVIS stores have accepted these: they are no longer owed.
    async fn outbox_ack(&self, ids: &[OutboxId]) -> Result<(), JournalError>;
}

/// Which wake-ups to take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimFilter {
    /// Only for this; `None`: for whatever.
    pub job: Option<Job>,
    /// Only of nodes of this kind. Those of unknown kind go with the atomic
    /// ones. `None`: of all.
    pub kind: Option<NodeKind>,
    /// No dispatches of these runs, which have enough in hand.
    pub except: Vec<RunId>,
    /// At most so many.
    pub limit: u32,
}

/// For what there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Enough,
    /// For what ends work: completions, cancels, deadlines.
    Reserve,
}

/// How much of a listing to give at once: whichever bound is met first (but
/// always at least one entry).
#[derive(Clone, Copy, Debug)]
pub struct PageLimit {
    pub entries: u32,
    pub bytes: usize,
}

/// A piece of an event stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventPage {
    /// `seq` and the RunEvent as JSON text, without a line end.
    pub events: Vec<(u64, String)>,
    /// Every event up to this `seq` was looked at: go on after it.
    pub scanned_to: u64,
    /// Nothing was left behind `scanned_to` when the page was read.
    pub at_end: bool,
}

/// A wake-up that somebody has: only its name, since most of them are in hand
/// and need nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedWake {
    pub run_id: RunId,
    pub node_run_id: NodeRunId,
    pub job: Job,
}

/// Work that could not be decided, put aside for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    pub run_id: RunId,
    /// None: the Run as a whole, which should be over by now.
    pub node_run_id: Option<NodeRunId>,
    /// What was to be done.
    pub job: String,
    pub error: String,
    /// Since when it has been parked, again and again.
    pub since: Timestamp,
    /// When it is tried again.
    pub until: Timestamp,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub runs_live: u64,
    pub nodes_live: u64,
    /// Wake-ups that are due and nobody has taken.
    pub wakes_due: u64,
    /// Entries in the outbox.
    pub outbox: u64,
    /// When the oldest of them was decided.
    pub outbox_oldest: Option<Timestamp>,
    /// What fails again and again.
    pub parked: u64,
    /// Live Runs and NodeRuns that nobody would look at again: always 0.
    pub without_wake_up: u64,
}

/// Numbers the entries of the outbox in the order of commits. No number is
/// used twice. 0 is before all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutboxId(pub u64);

/// Something that a JARVIS store has yet to hear of. The content is read when
/// it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEntry {
    pub id: OutboxId,
    pub run_id: RunId,
    pub item: OutboxItem,
}

/// A piece of what is owed to one recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxPage {
    pub entries: Vec<OutboxEntry>,
    /// Every entry up to here was looked at, whoever it is for: go on after it.
    pub scanned_to: OutboxId,
}

/// Why the journal could not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Somebody else changed a row in between: read again and decide again.
    #[error("a row changed since it was read")]
    Conflict,
    /// No room. Nothing was written.
    #[error("the journal is full: {0}")]
    Full(String),
    /// No room for new work: what is left is kept for what ends work. Nothing
    /// was written.
    #[error("the journal is full: what room there is is kept for work that is under way")]
    Reserved,
    /// A failure of the disk or the database. Nothing was written that can be
    /// seen; whether the commit survived is decided by the database.
    #[error("the journal failed: {0}")]
    Failed(String),
    /// A record is larger than any that a journal can have. Nothing was
    /// written.
    #[error("a record is too big for the journal: {0}")]
    TooBig(String),
    /// A stored record cannot be read.
    #[error("a record of the journal is damaged: {0}")]
    Damaged(String),
}

/// Why the journal could not be opened. Each has a message for whoever starts
/// the program.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path}: another coordinator is using this journal")]
    Locked { path: String },
    #[error("{path}: this is not a journal of the run coordinator, or it is damaged: {reason}")]
    Corrupt { path: String, reason: String },
    #[error(
        "{path}: the journal has schema {found}, this program knows up to {supported}: use a newer program"
    )]
    Newer { path: String, found: i64, supported: i64 },
    #[error(
        "{path}: the folder {folder} does not exist: make it, or correct --journal or \
         JARVIS_RUN_COORDINATOR_JOURNAL"
    )]
    NoFolder { path: String, folder: String },
    #[error(
        "{path}: this journal owes the JARVIS stores every change ({entries} have yet to be sent), and their \
         URLs are not set; without them it would leave a gap in what they have. Set JARVIS_RUN_STORE_URL, \
         JARVIS_EVENT_STREAM_URL and JARVIS_ARTIFACT_STORE_URL, or say with \
         JARVIS_RUN_COORDINATOR_WITHOUT_STORES to go on owing (owe) or to give it up (forget)"
    )]
    Owes { path: String, entries: u64 },
    #[error("{path}: {reason}")]
    Io { path: String, reason: String },
}
