//! The work in the journal, as operators see it.
//!
//! **Invariant:** it costs by what is live, due, parked or owed, and not by what is
//! stored.

use super::{Counts, Parked};
use crate::{
    record::Recipient,
    time::Timestamp,
    types::{NodeKind, WorkerId},
};

/// The most entries of the outbox that are looked at for [`Backlog`].
pub const BACKLOG_MAX: u32 = 100_000;

/// All of it, as of one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    pub counts: Counts,
    /// Unclaimed wake-ups that are due, by lane; lanes without any are missing.
    pub due: Vec<DueWork>,
    /// The items that were parked first, and how often each was.
    pub parked: Vec<(Parked, u32)>,
    /// Since when the first NodeRun waits for an approval.
    pub approvals_oldest: Option<Timestamp>,
    /// One for each recipient.
    pub backlogs: Vec<Backlog>,
    pub workers: Vec<WorkerClaims>,
}

/// The due wake-ups for one job, of nodes of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueWork {
    /// As it is stored: a damaged record may have any text.
    pub job: String,
    /// `None`: not known yet.
    pub kind: Option<NodeKind>,
    pub count: u64,
    pub oldest: Timestamp,
}

/// The outbox entries for one recipient, of the first [`BACKLOG_MAX`] of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    pub recipient: Recipient,
    pub entries: u64,
    pub oldest: Option<Timestamp>,
    /// There are entries that were not looked at.
    pub more: bool,
}

/// A worker that is registered, and its claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerClaims {
    pub worker: WorkerId,
    pub claims: u64,
}
