//! Notices: what webhooks report. A notice names what happened, not what it was: the
//! content of a report is read from the records when it is made.
//!
//! ```text
//!   commit ── ChangeSet.notices ─┐
//!   parking ─────────────────────┼─▶ journal: notices ──▶ webhooks: one delivery for each subscription
//!   circuit breaker opens, closes┘
//! ```

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ApprovalId;
use crate::types::{NodeRunId, RunId};

/// Something that webhooks report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Notice {
    /// A run is over.
    #[serde(rename = "run.completed")]
    RunCompleted { run_id: RunId },
    #[serde(rename = "node_run.failed")]
    NodeRunFailed { run_id: RunId, node_run_id: NodeRunId },
    /// A NodeRun waits for an approval.
    #[serde(rename = "approval.requested")]
    ApprovalRequested { run_id: RunId, approval_id: ApprovalId },
    /// Work cannot be processed and is set aside: of a NodeRun, or of a run as a
    /// whole.
    #[serde(rename = "work.parked")]
    WorkParked {
        run_id: RunId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node_run_id: Option<NodeRunId>,
        job: String,
    },
    /// The circuit breaker of an executor is open.
    #[serde(rename = "executor.down")]
    ExecutorDown(ExecutorName),
    /// It is closed again.
    #[serde(rename = "executor.up")]
    ExecutorUp(ExecutorName),
}

/// An executor, and the member if it is a pool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExecutorName {
    pub executor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
}

/// The kind of a notice, which subscriptions name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "WebhookEventType")]
pub enum NoticeKind {
    #[serde(rename = "run.completed")]
    RunCompleted,
    #[serde(rename = "node_run.failed")]
    NodeRunFailed,
    #[serde(rename = "approval.requested")]
    ApprovalRequested,
    #[serde(rename = "work.parked")]
    WorkParked,
    #[serde(rename = "executor.down")]
    ExecutorDown,
    #[serde(rename = "executor.up")]
    ExecutorUp,
}

impl NoticeKind {
    pub const ALL: [Self; 6] = [
        Self::RunCompleted,
        Self::NodeRunFailed,
        Self::ApprovalRequested,
        Self::WorkParked,
        Self::ExecutorDown,
        Self::ExecutorUp,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::RunCompleted => "run.completed",
            Self::NodeRunFailed => "node_run.failed",
            Self::ApprovalRequested => "approval.requested",
            Self::WorkParked => "work.parked",
            Self::ExecutorDown => "executor.down",
            Self::ExecutorUp => "executor.up",
        }
    }
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no kind of notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no event that webhooks report")]
pub struct NoNoticeKind;

impl FromStr for NoticeKind {
    type Err = NoNoticeKind;

    fn from_str(text: &str) -> Result<Self, NoNoticeKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(NoNoticeKind)
    }
}

impl Notice {
    pub fn kind(&self) -> NoticeKind {
        match self {
            Self::RunCompleted { .. } => NoticeKind::RunCompleted,
            Self::NodeRunFailed { .. } => NoticeKind::NodeRunFailed,
            Self::ApprovalRequested { .. } => NoticeKind::ApprovalRequested,
            Self::WorkParked { .. } => NoticeKind::WorkParked,
            Self::ExecutorDown(_) => NoticeKind::ExecutorDown,
            Self::ExecutorUp(_) => NoticeKind::ExecutorUp,
        }
    }

    /// The run that it is about.
    pub fn run_id(&self) -> Option<&RunId> {
        match self {
            Self::RunCompleted { run_id }
            | Self::NodeRunFailed { run_id, .. }
            | Self::ApprovalRequested { run_id, .. }
            | Self::WorkParked { run_id, .. } => Some(run_id),
            Self::ExecutorDown(_) | Self::ExecutorUp(_) => None,
        }
    }

    /// The NodeRun that it is about.
    pub fn node_run_id(&self) -> Option<&NodeRunId> {
        match self {
            Self::NodeRunFailed { node_run_id, .. } => Some(node_run_id),
            Self::ApprovalRequested { approval_id, .. } => Some(&approval_id.node),
            Self::WorkParked { node_run_id, .. } => node_run_id.as_ref(),
            Self::RunCompleted { .. } | Self::ExecutorDown(_) | Self::ExecutorUp(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn notices_are_stored_by_the_names_of_their_kinds() {
        let executor = || ExecutorName { executor: "atomic_executor".into(), member: None };
        let (run, node) = (|| RunId::from("r"), || NodeRunId::from("n"));
        for (notice, stored) in [
            (Notice::RunCompleted { run_id: run() }, json!({"kind": "run.completed", "run_id": "r"})),
            (
                Notice::NodeRunFailed { run_id: run(), node_run_id: node() },
                json!({"kind": "node_run.failed", "run_id": "r", "node_run_id": "n"}),
            ),
            (
                Notice::ApprovalRequested { run_id: run(), approval_id: ApprovalId::new(node(), 2) },
                json!({"kind": "approval.requested", "run_id": "r", "approval_id": "n.2"}),
            ),
            (
                Notice::WorkParked { run_id: run(), node_run_id: None, job: "run_deadline".into() },
                json!({"kind": "work.parked", "run_id": "r", "job": "run_deadline"}),
            ),
            (
                Notice::ExecutorDown(executor()),
                json!({"kind": "executor.down", "executor": "atomic_executor"}),
            ),
            (Notice::ExecutorUp(executor()), json!({"kind": "executor.up", "executor": "atomic_executor"})),
        ] {
            assert_eq!(serde_json::to_value(&notice).expect("JSON"), stored);
            assert_eq!(serde_json::from_value::<Notice>(stored.clone()).expect("a notice"), notice);
            assert_eq!(json!(notice.kind()), stored["kind"]);
        }
        for kind in NoticeKind::ALL {
            assert_eq!((kind.as_str().parse(), json!(kind)), (Ok(kind), json!(kind.as_str())));
        }
        assert_eq!("run.started".parse::<NoticeKind>(), Err(NoNoticeKind));
    }
}
