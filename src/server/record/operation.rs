//! The operations that need a caller, by their ids in the OpenAPI documents: those
//! of the ARP API and those of the operator API.

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
    ListApprovals,
    GetApproval,
    ApproveNodeRun,
    DenyNodeRun,
    ListRuns,
    CountRuns,
    GetRunTree,
    ListAttempts,
    ExplainRun,
    ExplainNodeRun,
    HoldRun,
    ReleaseRun,
    PauseDispatch,
    ResumeDispatch,
    ListDispatchPauses,
    WakeNodeRun,
    CancelRunWithReport,
    GetCancelReport,
    RerunRun,
    StartBulk,
    ListBulk,
    GetBulk,
    ListBulkResults,
    AbortBulk,
    ShowRun,
    ShowNodeRun,
    ShowRunEvents,
    WhoAmI,
    GetSystem,
    GetConfiguration,
    GetWork,
    ListAudit,
    ExportRun,
    CreateWebhook,
    ListWebhooks,
    GetWebhook,
    DeleteWebhook,
    TestWebhook,
    ListWebhookDeliveries,
    RedeliverWebhook,
}

/// The document that has an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// The standard's.
    Arp,
    /// The operators' own.
    Operator,
}

impl Operation {
    pub const ALL: [Self; 49] = [
        Self::StartRun,
        Self::GetRun,
        Self::CancelRun,
        Self::StreamRunEvents,
        Self::CreateNodeRuns,
        Self::GetNodeRun,
        Self::StreamNodeRunEvents,
        Self::ReportNodeRunEvaluation,
        Self::CompleteNodeRun,
        Self::ListApprovals,
        Self::GetApproval,
        Self::ApproveNodeRun,
        Self::DenyNodeRun,
        Self::ListRuns,
        Self::CountRuns,
        Self::GetRunTree,
        Self::ListAttempts,
        Self::ExplainRun,
        Self::ExplainNodeRun,
        Self::HoldRun,
        Self::ReleaseRun,
        Self::PauseDispatch,
        Self::ResumeDispatch,
        Self::ListDispatchPauses,
        Self::WakeNodeRun,
        Self::CancelRunWithReport,
        Self::GetCancelReport,
        Self::RerunRun,
        Self::StartBulk,
        Self::ListBulk,
        Self::GetBulk,
        Self::ListBulkResults,
        Self::AbortBulk,
        Self::ShowRun,
        Self::ShowNodeRun,
        Self::ShowRunEvents,
        Self::WhoAmI,
        Self::GetSystem,
        Self::GetConfiguration,
        Self::GetWork,
        Self::ListAudit,
        Self::ExportRun,
        Self::CreateWebhook,
        Self::ListWebhooks,
        Self::GetWebhook,
        Self::DeleteWebhook,
        Self::TestWebhook,
        Self::ListWebhookDeliveries,
        Self::RedeliverWebhook,
    ];

    /// The operations of one document.
    pub fn of(interface: Interface) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |operation| operation.interface() == interface)
    }

    /// The document that has it.
    pub fn interface(self) -> Interface {
        match self {
            Self::StartRun
            | Self::GetRun
            | Self::CancelRun
            | Self::StreamRunEvents
            | Self::CreateNodeRuns
            | Self::GetNodeRun
            | Self::StreamNodeRunEvents
            | Self::ReportNodeRunEvaluation
            | Self::CompleteNodeRun => Interface::Arp,
            Self::ListApprovals
            | Self::GetApproval
            | Self::ApproveNodeRun
            | Self::DenyNodeRun
            | Self::ListRuns
            | Self::CountRuns
            | Self::GetRunTree
            | Self::ListAttempts
            | Self::ExplainRun
            | Self::ExplainNodeRun
            | Self::HoldRun
            | Self::ReleaseRun
            | Self::PauseDispatch
            | Self::ResumeDispatch
            | Self::ListDispatchPauses
            | Self::WakeNodeRun
            | Self::CancelRunWithReport
            | Self::GetCancelReport
            | Self::RerunRun
            | Self::StartBulk
            | Self::ListBulk
            | Self::GetBulk
            | Self::ListBulkResults
            | Self::AbortBulk
            | Self::ShowRun
            | Self::ShowNodeRun
            | Self::ShowRunEvents
            | Self::WhoAmI
            | Self::GetSystem
            | Self::GetConfiguration
            | Self::GetWork
            | Self::ListAudit
            | Self::ExportRun
            | Self::CreateWebhook
            | Self::ListWebhooks
            | Self::GetWebhook
            | Self::DeleteWebhook
            | Self::TestWebhook
            | Self::ListWebhookDeliveries
            | Self::RedeliverWebhook => Interface::Operator,
        }
    }

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
            Self::ListApprovals => "list_approvals",
            Self::GetApproval => "get_approval",
            Self::ApproveNodeRun => "approve_node_run",
            Self::DenyNodeRun => "deny_node_run",
            Self::ListRuns => "list_runs",
            Self::CountRuns => "count_runs",
            Self::GetRunTree => "get_run_tree",
            Self::ListAttempts => "list_attempts",
            Self::ExplainRun => "explain_run",
            Self::ExplainNodeRun => "explain_node_run",
            Self::HoldRun => "hold_run",
            Self::ReleaseRun => "release_run",
            Self::PauseDispatch => "pause_dispatch",
            Self::ResumeDispatch => "resume_dispatch",
            Self::ListDispatchPauses => "list_dispatch_pauses",
            Self::WakeNodeRun => "wake_node_run",
            Self::CancelRunWithReport => "cancel_run_with_report",
            Self::GetCancelReport => "get_cancel_report",
            Self::RerunRun => "rerun_run",
            Self::StartBulk => "start_bulk",
            Self::ListBulk => "list_bulk",
            Self::GetBulk => "get_bulk",
            Self::ListBulkResults => "list_bulk_results",
            Self::AbortBulk => "abort_bulk",
            Self::ShowRun => "show_run",
            Self::ShowNodeRun => "show_node_run",
            Self::ShowRunEvents => "show_run_events",
            Self::WhoAmI => "who_am_i",
            Self::GetSystem => "get_system",
            Self::GetConfiguration => "get_configuration",
            Self::GetWork => "get_work",
            Self::ListAudit => "list_audit",
            Self::ExportRun => "export_run",
            Self::CreateWebhook => "create_webhook",
            Self::ListWebhooks => "list_webhooks",
            Self::GetWebhook => "get_webhook",
            Self::DeleteWebhook => "delete_webhook",
            Self::TestWebhook => "test_webhook",
            Self::ListWebhookDeliveries => "list_webhook_deliveries",
            Self::RedeliverWebhook => "redeliver_webhook",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
