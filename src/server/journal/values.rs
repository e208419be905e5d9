//! What callers of the journal ask with, and what they get.

use std::sync::Arc;

use crate::{
    record::{AuditOutcome, AuditRecord, AuditedOperation, Job, OutboxItem},
    time::Timestamp,
    types::{NodeKind, NodeRunId, RunId},
};

/// Selects the wake-ups to claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimFilter {
    /// Only for this job; `None`: for any.
    pub job: Option<Job>,
    /// Only of nodes of this kind; those of unknown kind count as atomic.
    /// `None`: of all.
    pub kind: Option<NodeKind>,
    /// No dispatches of these runs, which have reached their share.
    pub except: Vec<RunId>,
    /// The maximum number of wake-ups.
    pub limit: u32,
}

/// The kind of work that there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// For new work.
    Enough,
    /// Only for what ends work: completions, cancels, deadlines.
    Reserve,
}

/// The size of a page: whichever bound is met first, but at least one entry.
#[derive(Clone, Copy, Debug)]
pub struct PageLimit {
    pub entries: u32,
    pub bytes: usize,
}

/// A page of an event stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventPage {
    /// `seq` and the RunEvent as JSON text, without a line end.
    pub events: Vec<(u64, String)>,
    /// Every event up to this `seq` was examined: the next page starts after it.
    pub scanned_to: u64,
    /// No event was behind `scanned_to` when the page was read.
    pub at_end: bool,
}

/// A wake-up that a worker has claimed: its name only, since most of them are
/// in hand and need nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedWake {
    pub run_id: RunId,
    pub node_run_id: NodeRunId,
    pub job: Job,
}

/// Work whose decision fails repeatedly, set aside for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    pub run_id: RunId,
    /// `None`: the Run as a whole, whose deadline has passed.
    pub node_run_id: Option<NodeRunId>,
    /// The job that failed.
    pub job: String,
    pub error: String,
    /// When it was first parked.
    pub since: Timestamp,
    /// When it is tried again.
    pub until: Timestamp,
}

/// Orders the NodeRuns that wait for an approval: by when they began to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WaitingPlace {
    pub since: Timestamp,
    pub node_run_id: NodeRunId,
}

/// A NodeRun that waits for an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub place: WaitingPlace,
    pub run_id: RunId,
}

/// A page of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaitingPage {
    pub waiting: Vec<Waiting>,
    /// Every NodeRun up to this place was examined: the next page starts after it.
    /// `None`: nothing was behind the place that was given.
    pub scanned_to: Option<WaitingPlace>,
    /// Nothing was behind `scanned_to` when the page was read.
    pub at_end: bool,
}

/// Live NodeRuns that nothing but their executors keeps from going on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Those that wait for their dispatch, now or later.
    pub waiting: u64,
    /// The first of them that were created, a few.
    pub waiting_first: Vec<NodeRunId>,
    /// Those that are at executors.
    pub executing: u64,
    /// When the first of them was handed over.
    pub executing_since: Option<Timestamp>,
}

/// Sizes of the journal's tables, for health checks and reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub runs_live: u64,
    pub nodes_live: u64,
    /// Wake-ups that are due and not claimed.
    pub wakes_due: u64,
    /// Entries in the outbox.
    pub outbox: u64,
    /// When the oldest of them was decided.
    pub outbox_oldest: Option<Timestamp>,
    /// Parked items.
    pub parked: u64,
    /// NodeRuns that wait for an approval.
    pub approvals: u64,
    /// Runs that are held.
    pub held: u64,
    /// NodeRuns whose dispatch is set aside, because their run is held or their
    /// dispatch is paused.
    pub set_aside: u64,
    /// Live Runs and NodeRuns without a wake-up: always 0.
    pub without_wake_up: u64,
    pub load: Load,
}

/// Numbers the entries of the outbox. Those of one run are in the order of its commits.
/// Those of different runs need not be, where several processes write: a number is given
/// out before its commit, so a lower one may appear after a higher one. No number is used
/// twice. 0 comes before all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutboxId(pub u64);

/// An entry of the outbox. The content is read when the entry is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEntry {
    pub id: OutboxId,
    pub run_id: RunId,
    pub item: OutboxItem,
}

/// Numbers the records of the audit trail in the order of commits. No number is
/// used twice. 0 comes before all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditId(pub u64);

/// A record of the audit trail with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    pub id: AuditId,
    pub record: AuditRecord,
}

/// Selects records of the audit trail. What is `None` selects all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// About this run or its NodeRuns.
    pub run_id: Option<RunId>,
    /// Not older than this.
    pub since: Option<Timestamp>,
    /// Older than this.
    pub until: Option<Timestamp>,
    /// Of the actor with this name ([`Actor::name`](crate::record::Actor::name)).
    pub actor: Option<String>,
    pub operation: Option<AuditedOperation>,
    pub outcome: Option<AuditOutcome>,
}

impl AuditFilter {
    /// Whether a record passes the filter.
    pub fn admits(&self, record: &AuditRecord) -> bool {
        let Self { run_id, since, until, actor, operation, outcome } = self;
        run_id.as_ref().is_none_or(|run| record.object.run_id.as_ref() == Some(run))
            && since.is_none_or(|since| record.at >= since)
            && until.is_none_or(|until| record.at < until)
            && operation.is_none_or(|operation| record.operation == operation)
            && actor.as_ref().is_none_or(|name| record.actor.name() == name)
            && outcome.is_none_or(|outcome| record.outcome == outcome)
    }
}

/// Says of a record whether it is listed.
pub type AuditRule = dyn Fn(&AuditRecord) -> bool + Send + Sync;

/// The records of a list: there is none without a rule of who may see them.
#[derive(Clone)]
pub struct AuditSelect {
    pub filter: AuditFilter,
    pub visible: Arc<AuditRule>,
}

impl AuditSelect {
    pub(super) fn admits(&self, record: &AuditRecord) -> bool {
        self.filter.admits(record) && (self.visible)(record)
    }
}

/// A page of the audit trail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// In the order of their numbers.
    pub entries: Vec<AuditEntry>,
    /// Records that cannot be read, wanted or not.
    pub damaged: Vec<AuditId>,
    /// Every record up to this one was examined: the next page starts after it.
    pub scanned_to: AuditId,
    /// No wanted record was behind `scanned_to` when the page was read.
    pub at_end: bool,
}
