//! An attempt: one try to execute a node, and how it can come out.
//!
//! The attempt's number is its fencing number. A result that names another
//! attempt than the current one, or that arrives when the node has ended, goes
//! into the attempt log and changes nothing else.

use std::time::Duration;

use super::ledger::Usage;
use crate::{
    record::{AttemptOutcome, AttemptRecord, NodeHead, NodeRecord},
    time::Timestamp,
    types::{Error, JsonObject, NodeRunId, NodeRunState, ResourceRef, RunId},
};

/// An attempt that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub number: u32,
    pub started_at: Timestamp,
}

impl Attempt {
    /// The current attempt according to the record.
    pub(super) fn of(node: &NodeRecord, now: Timestamp) -> Self {
        let started_at = node.attempt_started_at.or(node.node.started_at).unwrap_or(now);
        Self { number: node.attempt, started_at }
    }

    /// The current attempt according to the node's head, which has the start of the
    /// first one only.
    pub(super) fn of_head(node: &NodeHead, now: Timestamp) -> Self {
        Self { number: node.attempt, started_at: node.started_at.unwrap_or(now) }
    }

    /// Makes the entry of the attempt log.
    pub(super) fn record(
        self,
        node: &NodeRunId,
        run: &RunId,
        outcome: AttemptOutcome,
        now: Timestamp,
    ) -> AttemptRecord {
        AttemptRecord {
            node_run_id: node.clone(),
            run_id: run.clone(),
            attempt: self.number,
            started_at: self.started_at,
            ended_at: now,
            outcome,
            note: None,
        }
    }
}

/// The result of a call to an executor.
#[derive(Clone, Debug, PartialEq)]
pub enum AttemptResult {
    /// The executor has ended the work. `state` is terminal.
    Answered {
        state: NodeRunState,
        outputs: Option<JsonObject>,
        output_artifacts: Option<Vec<ResourceRef>>,
        error: Option<Error>,
        /// What it says about the use of budgets.
        usage: Option<Usage>,
        /// How its outputs violate the schema of its type, if that is noted.
        violations: Option<JsonObject>,
    },
    /// The call failed, or its answer was invalid.
    Failed(FailedCall),
}

/// A call that gave no result.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedCall {
    /// The error that the node gets if it fails for this.
    pub error: Error,
    pub work: Work,
    /// The minimum time before the next call, if the executor asked for one.
    pub retry_after: Option<Duration>,
}

/// What a failed call implies about the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// The executor has certainly not started.
    NotStarted,
    /// The request was sent, and no response arrived.
    Unanswered,
    /// An intermediary answered for the executor, or the executor broke down
    /// over the work.
    Uncertain,
    /// The executor has rejected the work: a further call would change nothing.
    Rejected,
}

/// What was done with a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    Yes,
    /// The attempt was superseded: the result is in the attempt log only.
    Late,
}
