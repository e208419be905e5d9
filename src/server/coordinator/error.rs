//! Every way in which a call to the coordinator can fail, independent of HTTP:
//! `api` makes an ARP error envelope of the facts.

use std::fmt;

use crate::{
    auth::AuthError,
    engine::Rejection,
    journal::JournalError,
    record::{ApprovalId, WebhookId},
    types::{BulkId, NodeRunId, RunId, RunState},
};

/// An invalid place in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// For programs: `missing`, `string_type`, … (contract §3.6).
    pub kind: &'static str,
    /// The path of the place: `["body", "node_runs", 0, "inputs"]`.
    pub location: Vec<Step>,
    /// For people.
    pub message: String,
}

/// One step of the path of a place in a request. A member may be named `0`, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Member(String),
    Index(usize),
}

impl From<&str> for Step {
    fn from(member: &str) -> Self {
        Self::Member(member.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(name) => f.write_str(name),
            Self::Index(index) => index.fmt(f),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    #[error("Request validation failed")]
    Invalid(Vec<FieldError>),
    /// Inputs do not match the schema of their node type.
    #[error("Inputs do not match the schema of their node type")]
    InputSchema(Vec<FieldError>),
    /// A node type's schema cannot be used, and that is no permission.
    #[error("The schema of the node type cannot be used")]
    SchemaUnusable(Vec<FieldError>),
    #[error("Run '{0}' not found")]
    RunNotFound(RunId),
    #[error("NodeRun '{0}' not found")]
    NodeRunNotFound(NodeRunId),
    #[error("Parent NodeRun '{0}' not found")]
    ParentNotFound(NodeRunId),
    /// The caller's assignment token is for this NodeRun, and the request is not
    /// (D-19).
    #[error("Token is scoped to NodeRun '{0}' and its descendants")]
    OutsideAssignment(NodeRunId),
    /// The NodeRun of the caller's assignment token has ended: the token is not
    /// valid any more.
    #[error("{}", AuthError::ASSIGNMENT_ENDED)]
    AssignmentEnded,
    /// The caller may know of the run, but not do this with it.
    #[error("This requires the role '{0}'")]
    LacksRole(&'static str),
    /// The run context names a tenant for which the caller does not speak.
    #[error("run_context.tenant_id is not the tenant of the caller's token")]
    TenantMismatch,
    /// A caller of one tenant asks for a webhook of another.
    #[error("tenant is not that of the caller's token")]
    WebhookTenant,
    /// The operation needs an identity, and the caller sent no token.
    #[error("Missing Authorization header")]
    Unauthenticated,
    #[error("Bulk job '{0}' not found")]
    BulkNotFound(BulkId),
    #[error("Approval '{0}' not found")]
    ApprovalNotFound(ApprovalId),
    /// The caller has started the run, and may not decide about its approvals.
    #[error("The starter of a run may not decide about its approvals")]
    StarterMayNotDecide,
    #[error("Webhook '{0}' not found")]
    WebhookNotFound(WebhookId),
    #[error("Delivery '{0}' not found")]
    DeliveryNotFound(u64),
    /// The server has no targets for webhooks.
    #[error("Webhooks are off: set JARVIS_RUN_COORDINATOR_WEBHOOK_TARGETS")]
    WebhooksOff,
    /// There are as many webhooks as there may be.
    #[error("There are {0} webhooks, which is the maximum")]
    TooManyWebhooks(u32),
    #[error("{}", .0.message())]
    Rejected(Rejection),
    /// The NodeRun does not wait for a time, so that it cannot be tried now: why it is
    /// where it is.
    #[error("NodeRun does not wait: {0}")]
    NotWaiting(String),
    /// There are this many pauses of dispatch already.
    #[error("There are {0} pauses of dispatch already")]
    TooManyPauses(usize),
    /// The run has not been canceled.
    #[error("Run has not been canceled: it is {0}")]
    NotCanceled(RunState),
    /// The decision needs the Node Registry, which is unavailable (D-16).
    #[error("Node Registry request failed")]
    NodeRegistryUnavailable { internal: String },
    /// The decision needs the Node Registry, which rejects the coordinator's
    /// credentials. A retry does not help.
    #[error("Node Registry refuses the coordinator's credentials")]
    NodeRegistryForbidden { internal: String },
    /// The decision needs the policy decision point, which is unavailable, and the
    /// configuration says to wait for it.
    #[error("PDP request failed")]
    PdpUnavailable { internal: String },
    /// The journal does not have it, and the Run Store is unavailable.
    #[error("Run Store request failed")]
    RunStoreUnavailable { internal: String },
    /// The Run Store has it, but its events are unavailable.
    #[error("Event Stream request failed")]
    EventStreamUnavailable { internal: String },
    /// The details are for the log: callers learn only that the journal is
    /// unavailable, or full.
    #[error("{}", journal_message(.0))]
    Journal(#[from] JournalError),
    #[error("The coordinator is shutting down")]
    ShuttingDown,
}

fn journal_message(error: &JournalError) -> &'static str {
    match error {
        JournalError::Full(_) => "The journal is full",
        JournalError::Reserved => "The journal is nearly full: new work is refused, running work can finish",
        JournalError::Conflict
        | JournalError::Fenced
        | JournalError::Failed(_)
        | JournalError::TooBig(_)
        | JournalError::Damaged(_) => "The journal is unavailable",
    }
}

/// The part of an error that clients may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorFacts {
    pub status: u16,
    pub code: &'static str,
    /// Whether the same request may succeed later. `None`: it depends.
    pub retryable: Option<bool>,
}

impl CoordinatorError {
    pub fn facts(&self) -> ErrorFacts {
        let facts = |status, code, retryable| ErrorFacts { status, code, retryable: Some(retryable) };
        match self {
            Self::Invalid(_) => facts(400, "invalid_request", false),
            Self::InputSchema(_) => facts(422, "input_schema_violation", false),
            Self::SchemaUnusable(_) => facts(422, "schema_unusable", false),
            Self::OutsideAssignment(_) | Self::LacksRole(_) | Self::StarterMayNotDecide => {
                facts(403, "forbidden", false)
            }
            Self::TenantMismatch | Self::WebhookTenant => facts(403, "tenant_mismatch", false),
            Self::AssignmentEnded | Self::Unauthenticated => {
                ErrorFacts { status: 401, code: "unauthorized", retryable: None }
            }
            Self::RunNotFound(_) => facts(404, "run_not_found", false),
            Self::NodeRunNotFound(_) => facts(404, "node_run_not_found", false),
            Self::ParentNotFound(_) => facts(404, "parent_node_run_not_found", false),
            Self::BulkNotFound(_) => facts(404, "bulk_not_found", false),
            Self::ApprovalNotFound(_) => facts(404, "approval_not_found", false),
            Self::Rejected(Rejection::TooManyBulkJobs) => facts(409, "too_many_bulk_jobs", true),
            Self::WebhookNotFound(_) => facts(404, "webhook_not_found", false),
            Self::DeliveryNotFound(_) => facts(404, "webhook_delivery_not_found", false),
            Self::WebhooksOff => facts(409, "webhooks_off", false),
            Self::TooManyWebhooks(_) => facts(409, "webhook_limit_exceeded", false),
            Self::Rejected(rejection) => facts(409, rejection.code(), false),
            Self::NotWaiting(_) => facts(409, "node_run_not_waiting", false),
            Self::TooManyPauses(_) => facts(409, "too_many_pauses", false),
            Self::NotCanceled(_) => facts(409, "run_not_canceled", false),
            Self::NodeRegistryUnavailable { .. } => facts(503, "node_registry_unavailable", true),
            Self::NodeRegistryForbidden { .. } => facts(503, "node_registry_unavailable", false),
            Self::PdpUnavailable { .. } => facts(503, "pdp_unavailable", true),
            Self::RunStoreUnavailable { .. } => facts(502, "run_store_unavailable", true),
            Self::EventStreamUnavailable { .. } => facts(502, "event_stream_unavailable", true),
            Self::Journal(_) => facts(503, "journal_unavailable", true),
            Self::ShuttingDown => facts(503, "shutting_down", true),
        }
    }

    /// Details for the log.
    pub fn internal(&self) -> Option<String> {
        match self {
            Self::NodeRegistryUnavailable { internal }
            | Self::NodeRegistryForbidden { internal }
            | Self::PdpUnavailable { internal }
            | Self::RunStoreUnavailable { internal }
            | Self::EventStreamUnavailable { internal } => Some(internal.clone()),
            Self::Journal(error) => Some(error.to_string()),
            Self::Invalid(_)
            | Self::InputSchema(_)
            | Self::SchemaUnusable(_)
            | Self::BulkNotFound(_)
            | Self::RunNotFound(_)
            | Self::NodeRunNotFound(_)
            | Self::ParentNotFound(_)
            | Self::AssignmentEnded
            | Self::OutsideAssignment(_)
            | Self::LacksRole(_)
            | Self::TenantMismatch
            | Self::WebhookTenant
            | Self::Unauthenticated
            | Self::ApprovalNotFound(_)
            | Self::StarterMayNotDecide
            | Self::WebhookNotFound(_)
            | Self::DeliveryNotFound(_)
            | Self::WebhooksOff
            | Self::TooManyWebhooks(_)
            | Self::Rejected(_)
            | Self::NotWaiting(_)
            | Self::TooManyPauses(_)
            | Self::NotCanceled(_)
            | Self::ShuttingDown => None,
        }
    }
}

impl From<Rejection> for CoordinatorError {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}
