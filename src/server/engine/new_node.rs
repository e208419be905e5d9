//! Records of NodeRuns that are about to be stored for the first time.

use super::{
    bookkeeping::wake,
    command::{Cx, NodeTypeFacts},
};
use crate::{
    record::{Job, NodeBudget, NodePath, NodeRecord, ResultRetries},
    time::Timestamp,
    types::NodeRun,
};

/// Makes the record of a queued NodeRun, which waits for its dispatch.
pub(super) fn queued_record(
    node: NodeRun,
    path: NodePath,
    facts: NodeTypeFacts,
    deadline: Option<Timestamp>,
    budget: NodeBudget,
    cx: Cx<'_>,
) -> NodeRecord {
    NodeRecord {
        side_effect: facts.side_effect,
        idempotent: facts.idempotent,
        result_retries: ResultRetries::of(facts.retry),
        type_constraints: facts.constraints,
        deadline,
        budget,
        wake: Some(wake(Job::Dispatch, cx.now, cx.claim)),
        ..NodeRecord::new(node, path)
    }
}
