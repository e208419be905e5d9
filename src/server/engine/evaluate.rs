//! Evaluations that are reported over the API, and the recovery action that comes
//! with one (contract §6.8).
//!
//! ```text
//!   evaluation ─▶ evaluation_result, history ─▶ node_evaluated
//!   retry, remap, decompose_further, ask_user ─▶ recorded: recovery_applied, `jarvis.applied` false
//!   abort of what has ended, or is out of reach ─▶ the same
//!   abort ─▶ recovery_applied, `jarvis.applied` true ─▶ everything below the target is canceled,
//!            deepest first, then the target, and, if it is the root, the run
//! ```
//!
//! All of it is one commit. Only what this coordinator can carry out by itself is
//! carried out: the others are a plan of the node's parent.

use serde_json::json;

use super::{
    audit::Audited,
    command::{Cx, Decision},
    draft::{Draft, End},
    history, recovery,
};
use crate::{
    record::{NodeHead, NodeRecord, RunRecord},
    types::{
        Error, JsonObject, NodeRunEvaluationReportRequest, NodeRunId, NodeRunState, RecoveryActionType,
        RunEventType,
    },
};

/// What a reported abort ends: nodes that are live, within the reporter's reach.
#[derive(Clone, Debug)]
pub enum Abort {
    /// The evaluated node, with its live descendants, deepest first.
    Evaluated { live_below: Vec<NodeHead> },
    /// Another node of the run.
    Other { target: Box<NodeRecord>, live_below: Vec<NodeHead> },
}

/// The node that a report asks to abort; `None` if it does not.
pub fn abort_target<'r>(
    report: &'r NodeRunEvaluationReportRequest,
    evaluated: &'r NodeRunId,
) -> Option<&'r NodeRunId> {
    let action = report.recovery_action.as_ref()?;
    match action.type_ {
        RecoveryActionType::Abort => Some(action.target_node_run_id.as_ref().unwrap_or(evaluated)),
        RecoveryActionType::Retry
        | RecoveryActionType::Remap
        | RecoveryActionType::DecomposeFurther
        | RecoveryActionType::AskUser => None,
    }
}

/// Records an evaluation, in any state of the node, and carries out an abort.
pub fn node_evaluate(
    run: RunRecord,
    mut node: NodeRecord,
    report: NodeRunEvaluationReportRequest,
    abort: Option<Abort>,
    cx: Cx<'_>,
) -> Decision<()> {
    let cx = cx.not_before(&run);
    let mut draft = Draft::of(run, &node, cx);
    let status = report.evaluation_result.status;
    draft.event(RunEventType::NodeEvaluated, Some(&node), JsonObject::of(&report.evaluation_result));
    history::add(&mut node, report.evaluation_result, cx);
    let mut said = status.to_string();
    if let Some(action) = report.recovery_action {
        said = format!("{said}, {} {}", action.type_, if abort.is_some() { "applied" } else { "recorded" });
        let action = recovery::marked(action, abort.is_some());
        draft.event(RunEventType::RecoveryApplied, Some(&node), JsonObject::of(&action));
        // Earlier actions are kept: the list is the history (G25).
        recovery::add(&mut node, action);
    }
    draft.audited = Audited::node(node.id(), said);
    match abort {
        None => draft.put(node),
        Some(Abort::Evaluated { live_below }) => {
            let end = aborted(&node, node.id());
            draft.end(node, live_below, end);
        }
        Some(Abort::Other { target, live_below }) => abort_other(&mut draft, node, *target, live_below),
    }
    Decision::commit(draft.into_changes(), ())
}

/// Ends another node than the evaluated one, which may be below it.
fn abort_other(draft: &mut Draft<'_>, node: NodeRecord, target: NodeRecord, mut live_below: Vec<NodeHead>) {
    draft.note_loaded(&target);
    let end = aborted(&target, node.id());
    match live_below.iter().position(|head| head.node_run_id == *node.id()) {
        None => draft.put(node),
        // In its place, so that what is below it ends first.
        Some(at) => {
            let rest = live_below.split_off(at + 1);
            live_below.truncate(at);
            draft.cancel_all(live_below);
            draft.cancel(node);
            live_below = rest;
        }
    }
    draft.end(target, live_below, end);
}

fn aborted(target: &NodeRecord, evaluated: &NodeRunId) -> End {
    let error = Error {
        details: Some([("evaluated_node_run_id", json!(evaluated))].into()),
        retryable: Some(false),
        ..Error::new("aborted", "NodeRun was aborted by a reported recovery action")
    };
    End { state: NodeRunState::Canceled, notify_executor: target.is_at_executor(), ..End::failed(error) }
}
