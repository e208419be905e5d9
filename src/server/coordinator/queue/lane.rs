//! The lanes of the work queue: each has room of its own.

use crate::{record::Job, types::NodeKind};

/// Jobs that share their room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Deadlines of nodes of both kinds: they are short and call no executor.
    Deadlines,
    /// Approvals that have expired, or about which policy is asked again. They wait
    /// for no slot, but for policy.
    Approvals,
    /// Nodes that are set aside and whose deadline has passed.
    SetAside,
    /// Notifications of one executor that its nodes have ended.
    Cancels(NodeKind),
    /// Dispatches to one executor.
    Dispatches(NodeKind),
}

impl Lane {
    /// All lanes, the most urgent first.
    pub const ALL: [Self; 7] = [
        Self::Deadlines,
        Self::Approvals,
        Self::SetAside,
        Self::Cancels(NodeKind::Composite),
        Self::Cancels(NodeKind::Atomic),
        Self::Dispatches(NodeKind::Composite),
        Self::Dispatches(NodeKind::Atomic),
    ];

    /// The lane of a job about a node of this kind. A node of unknown kind is in
    /// an atomic lane until its kind is known.
    pub fn of(job: Job, kind: Option<NodeKind>) -> Self {
        let kind = kind.unwrap_or(NodeKind::Atomic);
        match job {
            Job::Deadline => Self::Deadlines,
            Job::Approval => Self::Approvals,
            Job::SetAside => Self::SetAside,
            Job::CancelExecutor => Self::Cancels(kind),
            Job::Dispatch => Self::Dispatches(kind),
        }
    }

    pub fn job(self) -> Job {
        match self {
            Self::Deadlines => Job::Deadline,
            Self::Approvals => Job::Approval,
            Self::SetAside => Job::SetAside,
            Self::Cancels(_) => Job::CancelExecutor,
            Self::Dispatches(_) => Job::Dispatch,
        }
    }

    /// The kind of its nodes; `None`: both.
    pub fn kind(self) -> Option<NodeKind> {
        match self {
            Self::Deadlines | Self::Approvals | Self::SetAside => None,
            Self::Cancels(kind) | Self::Dispatches(kind) => Some(kind),
        }
    }

    pub(super) fn index(self) -> usize {
        match self {
            Self::Deadlines => 0,
            Self::Cancels(NodeKind::Composite) => 1,
            Self::Cancels(NodeKind::Atomic) => 2,
            Self::Dispatches(NodeKind::Composite) => 3,
            Self::Dispatches(NodeKind::Atomic) => 4,
            Self::Approvals => 5,
            Self::SetAside => 6,
        }
    }
}
