//! Records of NodeRuns that are about to be stored for the first time.

use super::{
    command::{Cx, NodeTypeFacts},
    draft::wake,
};
use crate::{
    record::{Job, NodePath, NodeRecord},
    time::Timestamp,
    types::NodeRun,
};

/// Makes the record of a queued NodeRun, which waits for its dispatch.
pub(super) fn queued_record(
    node: NodeRun,
    path: NodePath,
    facts: NodeTypeFacts,
    deadline: Option<Timestamp>,
    cx: Cx<'_>,
) -> NodeRecord {
    NodeRecord {
        side_effect: facts.side_effect,
        idempotent: facts.idempotent,
        type_constraints: facts.constraints,
        deadline,
        wake: Some(wake(Job::Dispatch, cx.now, cx.claim)),
        ..NodeRecord::new(node, path)
    }
}
