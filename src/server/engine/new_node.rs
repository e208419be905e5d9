//! NodeRuns that are about to be stored for the first time.

use super::{
    command::{Cx, NodeTypeFacts},
    draft::wake,
};
use crate::{
    record::{Job, NodePath, NodeRecord, Unread, Waits},
    time::Timestamp,
    types::{NodeKind, NodeRun, NodeRunId, NodeRunState, NodeTypeRef, RunId},
};

/// A queued NodeRun with its identity only.
pub fn queued_node_run(id: NodeRunId, run: RunId, node_type: NodeTypeRef, kind: Option<NodeKind>) -> NodeRun {
    NodeRun {
        node_run_id: id,
        run_id: run,
        parent_node_run_id: None,
        node_type_ref: node_type,
        kind,
        state: NodeRunState::Queued,
        created_at: None,
        started_at: None,
        ended_at: None,
        inputs: None,
        outputs: None,
        output_artifacts: None,
        executor_binding: None,
        evaluation_result: None,
        recovery_actions: None,
        extensions: None,
    }
}

/// The record of a queued NodeRun that waits for its dispatch.
pub(super) fn queued_record(
    node: NodeRun,
    path: NodePath,
    facts: NodeTypeFacts,
    deadline: Option<Timestamp>,
    cx: Cx<'_>,
) -> NodeRecord {
    NodeRecord {
        node,
        version: 0,
        path,
        children: 0,
        rounds: 0,
        attempt: 0,
        retries: 0,
        astray: false,
        side_effect: facts.side_effect,
        idempotent: facts.idempotent,
        type_constraints: facts.constraints,
        deadline,
        waits: Waits::default(),
        wake: Some(wake(Job::Dispatch, cx.now, cx.claim)),
        unread: Unread::default(),
    }
}
