//! The types of the ARP Standard: generated from `openapi/run-coordinator.yaml`
//! (see `build.rs`), with validating scalars, ids and JSON text. They have no
//! behaviour, and change only when the standard does.

mod ids;
pub mod json;
#[cfg(test)]
pub(crate) mod proptests;
mod scalar;
pub mod trace;
#[expect(clippy::all, unused_qualifications, reason = "generated code is not ours to format")]
mod wire {
    include!(concat!(env!("OUT_DIR"), "/wire.rs"));
}

pub use ids::{ArtifactId, BulkId, IdSource, NodeRunId, RandomIds, RunId, WorkerId};
pub use json::JsonObject;
pub use scalar::{NonEmpty, NonNegative, UnitInterval, Uri};
pub use wire::*;

/// The maximum nesting of requests and of executors' answers, so that any reader
/// can parse what is stored of them.
pub const JSON_LEVELS_MAX: u32 = 100;

/// Free-form additions to an object (contract §12).
pub type Extensions = JsonObject;

impl RunState {
    /// Whether the state is final (contract §5).
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Canceled => true,
        }
    }
}

impl NodeRunState {
    /// Whether the state is final (contract §5).
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Queued | Self::Assigned | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Canceled => true,
        }
    }
}

impl From<CompletionState> for NodeRunState {
    fn from(state: CompletionState) -> Self {
        match state {
            CompletionState::Succeeded => Self::Succeeded,
            CompletionState::Failed => Self::Failed,
            CompletionState::Canceled => Self::Canceled,
        }
    }
}

impl From<CompletionState> for RunState {
    fn from(state: CompletionState) -> Self {
        match state {
            CompletionState::Succeeded => Self::Succeeded,
            CompletionState::Failed => Self::Failed,
            CompletionState::Canceled => Self::Canceled,
        }
    }
}

impl HealthCheck {
    /// Makes a check: `degraded` if there is `trouble`, `ok` otherwise.
    pub fn new(name: &str, trouble: Option<String>, details: Option<JsonObject>) -> Self {
        let status = if trouble.is_some() { HealthStatus::Degraded } else { HealthStatus::Ok };
        Self { name: name.into(), status, message: trouble, details }
    }
}

impl Error {
    /// Makes an error with a code and a message.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            details: None,
            retryable: None,
            cause: None,
            extensions: None,
        }
    }
}
