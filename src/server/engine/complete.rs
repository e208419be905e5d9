//! Evaluations and completions that arrive over the API (contract §6.8, §6.9).

use super::{
    Decision, Lease, NodeView, Rejection, Rules,
    draft::{Draft, End, is_at_executor},
    recovery,
};
use crate::{
    record::{NodeRecord, RunRecord},
    time::Timestamp,
    types::{
        JsonObject, NodeKind, NodeRunCompleteRequest, NodeRunEvaluationReportRequest, NodeRunState,
        RunEventType,
    },
};

/// Records an evaluation. Any state will do, and none changes.
pub fn node_evaluate(
    run: RunRecord,
    mut node: NodeRecord,
    report: NodeRunEvaluationReportRequest,
    now: Timestamp,
) -> Decision<()> {
    let mut draft = Draft::new(run, now);
    draft.loaded(&node);
    draft.event(RunEventType::NodeEvaluated, Some(&node), JsonObject::of(&report.evaluation_result));
    node.node.evaluation_result = Some(report.evaluation_result);
    if let Some(action) = report.recovery_action {
        draft.event(RunEventType::RecoveryApplied, Some(&node), JsonObject::of(&action));
        // Earlier actions are kept: the list is the history (G25).
        recovery::add(&mut node, action);
    }
    draft.put(node);
    Decision { changes: Some(draft.into_changes()), answer: () }
}

/// Ends a node as its executor, or whoever stands in for it, reports. The same
/// end again is no news; another one is refused (D-06).
pub fn node_complete(
    view: NodeView,
    completion: NodeRunCompleteRequest,
    rules: &Rules,
    lease: &Lease,
    now: Timestamp,
) -> Result<Decision<()>, Rejection> {
    let NodeView { run, node, live_below } = view;
    let state = NodeRunState::from(completion.state);
    if node.is_terminal() {
        return match node.node.state == state {
            true => Ok(Decision::unchanged(())),
            false => Err(Rejection::NodeRunTerminal(node.node.state)),
        };
    }
    // A composite's executor reports for itself. An atomic node at its executor
    // was ended by somebody else: its work has become pointless.
    let tell_executor = match node.node.kind {
        Some(NodeKind::Atomic) => is_at_executor(&node),
        Some(NodeKind::Composite) | None => false,
    };
    let end = End {
        state,
        outputs: completion.outputs,
        output_artifacts: completion.output_artifacts,
        error: completion.error,
        tell_executor,
    };
    let mut draft = Draft::new(run, now);
    draft.loaded(&node);
    draft.end(rules, node, live_below, end, lease);
    Ok(Decision { changes: Some(draft.into_changes()), answer: () })
}
