//! Completions that arrive over the API (contract §6.9).

use super::{
    audit::Audited,
    command::{Cx, Decision, NodeView},
    draft::{Draft, End},
    finish::note_violations,
    ledger::{self, Usage},
    rejection::Rejection,
};
use crate::types::{JsonObject, NodeKind, NodeRunCompleteRequest, NodeRunState};

/// Ends a node as its executor (or a caller on its behalf) reports. The same end
/// again changes nothing; a different one is rejected (D-06).
pub fn node_complete(
    view: NodeView,
    completion: NodeRunCompleteRequest,
    violations: Option<&JsonObject>,
    cx: Cx<'_>,
) -> Result<Decision<()>, Rejection> {
    let NodeView { run, mut node, live_below, payers } = view;
    let state = NodeRunState::from(completion.state);
    if node.is_terminal() {
        return if node.node.state == state {
            Ok(Decision::unchanged(()))
        } else {
            Err(Rejection::NodeRunTerminal(node.node.state))
        };
    }
    // A composite's executor reports for itself. An atomic node at its executor
    // was ended by another caller: its work has become pointless.
    let notify_executor = match node.node.kind {
        Some(NodeKind::Atomic) => node.is_at_executor(),
        Some(NodeKind::Composite) | None => false,
    };
    // An atomic node's use is reported by its executor; this caller is another.
    let usage = match node.node.kind {
        Some(NodeKind::Composite) => Usage::reported(completion.extensions.as_ref()),
        Some(NodeKind::Atomic) | None => None,
    };
    let end = End {
        state,
        outputs: completion.outputs,
        output_artifacts: completion.output_artifacts,
        error: completion.error,
        notify_executor,
    };
    let cx = cx.not_before(&run);
    let mut draft = Draft::of(run, &node, cx);
    draft.audited = Audited::node(node.id(), state.to_string());
    if usage.is_some() {
        ledger::record_usage(&mut node, usage.as_ref(), cx.rules);
        ledger::settle(&mut draft, &mut node, &payers, usage.as_ref());
    }
    note_violations(&mut node, violations, cx.rules);
    draft.end(node, live_below, end);
    Ok(Decision::commit(draft.into_changes(), ()))
}
