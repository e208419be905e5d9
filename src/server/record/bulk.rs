//! Bulk jobs: the same done to many runs, by the server.
//!
//! ```text
//!   BulkJob ── what, why, by whom, how fast; how far it is
//!      └─ BulkResult ── one for each run: pending, then what came of it
//! ```
//!
//! **Invariants.** A live job has a time at which it goes on: a constraint of the
//! database. A run has a pending result before it is acted on, so that none is
//! forgotten by a crash. What has ended does not change, but for results that were under
//! way.

use serde::{Deserialize, Serialize};

use super::{Actor, Identity, RerunFrom};
use crate::{
    time::Timestamp,
    types::{BulkId, JsonObject, RunId},
};

/// A job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BulkJob {
    pub bulk_id: BulkId,
    /// Version of the row, counted up by each commit; 0 = not stored yet.
    #[serde(skip)]
    pub version: u64,
    pub action: BulkAction,
    pub reason: String,
    pub by: BulkCaller,
    pub created_at: Timestamp,
    /// When it goes on; `Some` exactly while it is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<Timestamp>,
    pub state: BulkState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The maximum of runs that it acts on in a second.
    pub per_second: u32,
    /// Which runs, if they are not given by their ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<JsonObject>,
    /// Every run down to this place has a result, of the list of runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<(Timestamp, RunId)>,
    /// Every run has a result, at least a pending one.
    pub is_listed: bool,
    /// There were more runs than a job may have.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
    pub counts: BulkCounts,
    /// Why the newest run that failed did, or what keeps the job from going on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aborted: Option<BulkAborted>,
}

impl BulkJob {
    pub fn is_live(&self) -> bool {
        self.state == BulkState::Running
    }
}

/// What is done to each run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BulkAction {
    Cancel,
    Rerun { from: RerunFrom },
}

impl BulkAction {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Rerun { .. } => "rerun",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BulkState {
    Running,
    /// Every run has its result.
    Finished,
    Aborted,
}

impl BulkState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Aborted => "aborted",
        }
    }
}

/// The principal that made a job, with the rights that it had then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkCaller {
    pub identity: Identity,
    /// It sent no token.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_anonymous: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_read: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_operate: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_admin: bool,
}

/// The number of runs by what came of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkCounts {
    pub pending: u64,
    pub done: u64,
    pub skipped: u64,
    pub failed: u64,
}

impl BulkCounts {
    pub fn total(&self) -> u64 {
        self.pending + self.done + self.skipped + self.failed
    }
}

/// Who has ended a job before its time, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkAborted {
    pub by: Actor,
    pub reason: String,
}

/// What came of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkResult {
    /// 1, 2, …
    pub number: u64,
    pub run_id: RunId,
    pub outcome: BulkOutcome,
    /// Why it was skipped or failed; the id of the run that repeats it.
    pub detail: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BulkOutcome {
    Pending,
    Done,
    Skipped,
    Failed,
}

impl BulkOutcome {
    pub const ALL: [Self; 4] = [Self::Pending, Self::Done, Self::Skipped, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }

    /// The outcome of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }
}

/// What one step of a job writes, in one transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct BulkChange {
    pub job: BulkJob,
    /// New, or in the place of pending ones.
    pub results: Vec<BulkResult>,
    pub audit: Vec<super::AuditRecord>,
}
