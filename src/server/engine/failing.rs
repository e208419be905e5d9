//! What a run has failed with: on the Run and on the events of the failure, so that
//! one look suffices (contract §12).
//!
//! The whole error is on its NodeRun (`completion_error`); this is the part of it
//! that fits on every record, and where to find the rest.

use serde::Serialize;

use super::extensions::{self, COMPLETION_ERROR};
use crate::{
    record::NodeRecord,
    types::{Error, NodeRunId, NodeRunState},
};

/// The maximum number of characters of the message: executors choose it.
const MESSAGE_CHARS: usize = 500;

/// The error of a NodeRun, abridged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Failing {
    code: String,
    message: String,
    node_run_id: NodeRunId,
}

impl Failing {
    pub(super) fn of(error: &Error, node: &NodeRunId) -> Self {
        let bounded = |text: &str| match text.char_indices().nth(MESSAGE_CHARS) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.to_owned(),
        };
        Self { code: bounded(&error.code), message: bounded(&error.message), node_run_id: node.clone() }
    }

    /// What the end of a node says; `None`: it has not failed.
    pub(super) fn by(state: NodeRunState, error: Option<&Error>, node: &NodeRunId) -> Option<Self> {
        match state {
            NodeRunState::Failed => Some(match error {
                Some(error) => Self::of(error, node),
                None => Self::of(&unexplained(), node),
            }),
            NodeRunState::Queued
            | NodeRunState::Assigned
            | NodeRunState::Running
            | NodeRunState::Succeeded
            | NodeRunState::Canceled => None,
        }
    }

    /// What the record of a failed node says.
    pub(super) fn recorded(node: &NodeRecord) -> Self {
        let stored = extensions::own(node.node.extensions.as_ref(), COMPLETION_ERROR);
        let error = stored.and_then(|text| serde_json::from_str::<Error>(text).ok());
        Self::of(&error.unwrap_or_else(unexplained), node.id())
    }
}

/// Of a node whose executor gave no error.
fn unexplained() -> Error {
    Error::new("failed", "The executor reported a failure without an error")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_run_has_a_bounded_message() {
        let node = NodeRunId::from("n");
        let long = Failing::of(&Error::new("it_broke", "ü".repeat(100_000)), &node);
        assert_eq!((long.code.as_str(), long.message.chars().count()), ("it_broke", MESSAGE_CHARS + 1));
        let exact = "x".repeat(MESSAGE_CHARS);
        assert_eq!(Failing::of(&Error::new("c", exact.as_str()), &node).message, exact);
    }
}
