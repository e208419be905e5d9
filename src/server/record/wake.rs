//! Wake-ups: what a record waits for, and when it is due.
//!
//! A NodeRun that is not terminal carries its own [`Wake`]. The column is the
//! work queue, and "every non-terminal record has a wake-up" is a constraint of
//! the database. While a worker works on a wake-up it holds a *claim* on it:
//! `claimed_by` names that worker. If the worker dies, the claim is taken away
//! and the wake-up is due immediately.
//!
//! ```text
//!            Dispatch              Deadline               (none)
//!   queued ───────────▶ running ───────────────▶ terminal ──────
//!    ▲ │ ▲ retry later,│  claimed  deadline passed    │ executor must stop
//!    │ │ │ or held     │           or silent          ▼
//!    │ │ └─────────────┘                         CancelExecutor, until acknowledged
//!    │ ▼ needs an approval
//!   Approval, until it is decided or expires
//!
//!   Dispatch ◀──▶ SetAside, while the run is held or the dispatch is paused
//! ```

use crate::{time::Timestamp, types::WorkerId};

/// The next action for a NodeRun, and when it is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wake {
    pub job: Job,
    /// The earliest time of the action.
    pub at: Timestamp,
    /// The worker that holds the claim. Nothing else works on the wake-up while
    /// that worker lives.
    pub claimed_by: Option<WorkerId>,
    /// Failed tries so far: the exponent of the backoff.
    pub tries: u32,
}

/// The action that a wake-up stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Job {
    /// Hand the node to its executor.
    Dispatch,
    /// The node is at its executor. At `at` its deadline has passed, or it is
    /// time to check whether that executor is silent
    /// ([`Waits::check_at`](super::Waits::check_at)).
    Deadline,
    /// The node is terminal, but its executor has not been notified yet.
    CancelExecutor,
    /// The node waits for an approval
    /// ([`Waits::approval`](super::Waits::approval)). At `at` the policy point is
    /// asked again, or the approval expires.
    Approval,
    /// The node waits for its dispatch, but its run is held or its dispatch is
    /// paused. The release or the resumption makes it a dispatch again. At `at` the
    /// node's deadline has passed.
    SetAside,
}

impl Job {
    pub const ALL: [Self; 5] =
        [Self::Dispatch, Self::Deadline, Self::CancelExecutor, Self::Approval, Self::SetAside];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dispatch => "dispatch",
            Self::Deadline => "deadline",
            Self::CancelExecutor => "cancel_executor",
            Self::Approval => "approval",
            Self::SetAside => "set_aside",
        }
    }
}
