//! The operations of the API that need a caller, by their ids in the OpenAPI
//! document.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An operation that a caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    StartRun,
    GetRun,
    CancelRun,
    StreamRunEvents,
    CreateNodeRuns,
    GetNodeRun,
    StreamNodeRunEvents,
    ReportNodeRunEvaluation,
    CompleteNodeRun,
}

impl Operation {
    pub const ALL: [Self; 9] = [
        Self::StartRun,
        Self::GetRun,
        Self::CancelRun,
        Self::StreamRunEvents,
        Self::CreateNodeRuns,
        Self::GetNodeRun,
        Self::StreamNodeRunEvents,
        Self::ReportNodeRunEvaluation,
        Self::CompleteNodeRun,
    ];

    /// The operation with this id.
    pub fn named(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == id)
    }

    /// Its operation id.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StartRun => "start_run",
            Self::GetRun => "get_run",
            Self::CancelRun => "cancel_run",
            Self::StreamRunEvents => "stream_run_events",
            Self::CreateNodeRuns => "create_node_runs",
            Self::GetNodeRun => "get_node_run",
            Self::StreamNodeRunEvents => "stream_node_run_events",
            Self::ReportNodeRunEvaluation => "report_node_run_evaluation",
            Self::CompleteNodeRun => "complete_node_run",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
