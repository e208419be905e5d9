//! Describes and paints events, nodes and states.

use std::time::Duration;

use super::line::{OutputStyle, Paint};
use crate::types::{
    Error, EvaluationStatus, NodeRun, NodeRunId, NodeRunState, RecoveryActionType, RunEvent, RunEventType,
    RunState,
};

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const SPINNER_STEP: Duration = Duration::from_millis(100);

/// What an event says beyond its type and its node, without colours.
pub(in super::super) fn event_text(event: &RunEvent) -> String {
    event_detail(event, |node| node.as_str().to_owned()).1
}

/// Describes an event beyond its type and its node.
pub(super) fn event_detail(event: &RunEvent, name: impl Fn(&NodeRunId) -> String) -> (Paint, String) {
    let text = |member| text(event, member);
    let word = |member| text(member).unwrap_or_default();
    match event.type_ {
        RunEventType::RunStarted => (Paint::Dim, String::new()),
        RunEventType::NodeRunAssigned => {
            let parent = text("parent_node_run_id").map(NodeRunId::new);
            let under = parent.map(|parent| format!("under {}", name(&parent)));
            (Paint::Dim, under.unwrap_or_else(|| "the root".into()))
        }
        RunEventType::CompositeDecomposed => {
            let count = event.data.as_ref().and_then(|data| data.get("node_run_count")?.as_u64());
            (
                Paint::Dim,
                match count.unwrap_or_default() {
                    1 => "1 more node run".into(),
                    count => format!("{count} more node runs"),
                },
            )
        }
        RunEventType::SubtaskMapped => (Paint::Dim, format!("{}: {}", word("subtask_id"), word("rationale"))),
        RunEventType::CandidateSetGenerated => (Paint::Dim, word("candidate_set_id")),
        RunEventType::PolicyDecided => {
            let action = word("action");
            let action = action.rsplit('.').next().unwrap_or_default();
            let paint = match word("decision").as_str() {
                "allow" => Paint::Dim,
                "require_approval" => Paint::Yellow,
                _ => Paint::Red,
            };
            (paint, format!("{action}: {} ({})", word("decision"), word("reason_code")))
        }
        RunEventType::NodeEvaluated => {
            let paint = if word("status") == "fail" { Paint::Yellow } else { Paint::Dim };
            let message = text("message").map(|message| format!(": {message}")).unwrap_or_default();
            (paint, format!("{} ({}){message}", word("status"), word("reason_code")))
        }
        RunEventType::RecoveryApplied => {
            let target = event.data.as_ref().and_then(|data| data.get("target_node_type_ref"));
            let target = target.as_ref().and_then(|target| target.get("node_type_id")?.as_str());
            let target = target.map(|target| format!(" to {}", short(target))).unwrap_or_default();
            let message = text("message").map(|message| format!(": {message}")).unwrap_or_default();
            (Paint::Yellow, format!("{}{target}{message}", word("type")))
        }
        RunEventType::AtomicExecuted | RunEventType::RunCompleted => {
            let paint = word("state").parse().map_or(Paint::Plain, paint);
            (paint, word("state"))
        }
    }
}

/// The result of a node, or how it was recovered.
pub(super) fn node_note(node: &NodeRun) -> (Paint, String) {
    if waits_for_approval(node) {
        return (Paint::Yellow, "waits for an approval".into());
    }
    let evaluation = node.evaluation_result.as_ref();
    let recovery = node.recovery_actions.as_ref().and_then(|actions| actions.last());
    // That a person was asked says nothing about the result.
    let recovery = recovery.filter(|recovery| recovery.type_ != RecoveryActionType::AskUser);
    if let (Some(evaluation), Some(recovery)) = (evaluation, recovery) {
        let reason = match evaluation.status {
            EvaluationStatus::Fail | EvaluationStatus::Unknown => evaluation.reason_code.as_deref(),
            EvaluationStatus::Success => None,
        };
        let action = match (recovery.type_, &recovery.target_node_type_ref) {
            (RecoveryActionType::Remap, Some(target)) => format!("remap to {}", short(&target.node_type_id)),
            (action, _) => action.to_string(),
        };
        return (Paint::Yellow, format!("{} → {action}", reason.unwrap_or("evaluated")));
    }
    let summary = node.outputs.as_ref().and_then(|outputs| outputs.text("summary"));
    match (summary, completion_error(node)) {
        (Some(summary), _) => (Paint::Plain, summary),
        (None, Some(error)) => (Paint::Red, error.message),
        (None, None) => (Paint::Plain, String::new()),
    }
}

/// Whether the node goes on only when a person approves (contract §9.6).
fn waits_for_approval(node: &NodeRun) -> bool {
    let approval = node.extensions.as_ref().and_then(|extensions| extensions.get("jarvis.approval"));
    !node.state.is_terminal() && approval.is_some_and(|approval| approval["decision"].is_null())
}

/// The error with which a node was completed (contract §12).
pub(in super::super) fn completion_error(node: &NodeRun) -> Option<Error> {
    let extensions = node.extensions.as_ref()?;
    let error = extensions.get("completion_error").or_else(|| extensions.get("jarvis.completion_error"))?;
    serde_json::from_value(error).ok()
}

/// The name without its kind: `weather` of `atomic.weather`.
pub(super) fn short(node_type_id: &str) -> &str {
    node_type_id.split_once('.').map_or(node_type_id, |(_, name)| name)
}

pub(super) fn text(event: &RunEvent, member: &str) -> Option<String> {
    event.data.as_ref()?.text(member)
}

pub(super) fn node_state(state: RunState) -> NodeRunState {
    match state {
        RunState::Queued => NodeRunState::Queued,
        RunState::Running => NodeRunState::Running,
        RunState::Succeeded => NodeRunState::Succeeded,
        RunState::Failed => NodeRunState::Failed,
        RunState::Canceled => NodeRunState::Canceled,
    }
}

pub(super) fn glyph(state: NodeRunState, elapsed: Duration, output: OutputStyle) -> &'static str {
    match state {
        NodeRunState::Queued | NodeRunState::Assigned => "○",
        NodeRunState::Running if output.live => {
            let step = usize::try_from(elapsed.as_millis() / SPINNER_STEP.as_millis()).unwrap_or_default();
            SPINNER[step % SPINNER.len()]
        }
        NodeRunState::Running => "●",
        NodeRunState::Succeeded => "✓",
        NodeRunState::Failed => "✗",
        NodeRunState::Canceled => "⊘",
    }
}

pub(super) fn paint(state: NodeRunState) -> Paint {
    match state {
        NodeRunState::Queued | NodeRunState::Assigned => Paint::Dim,
        NodeRunState::Running => Paint::Cyan,
        NodeRunState::Succeeded => Paint::Green,
        NodeRunState::Failed => Paint::Red,
        NodeRunState::Canceled => Paint::Yellow,
    }
}
