//! What a commit changes, as the metrics see it. Made before the commit, which
//! consumes the changes, and counted after it.

use prometheus_client::encoding::EncodeLabelSet;
use serde::Deserialize;

use super::Inner;
use crate::{
    record::{AttemptOutcome, ChangeSet, EventRecord, NodeHead, NodeRecord, Origin, RunRecord},
    time::Timestamp,
    types::{Extensions, NodeKind, NodeRunState, RunEventType, RunState},
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct StateLabels {
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct RunEndLabels {
    state: &'static str,
    error_code: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct NodeStateLabels {
    kind: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct NodeEndLabels {
    kind: &'static str,
    state: &'static str,
    error_code: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct LogLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct PolicyLabels {
    action: &'static str,
    decision: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct EventLabels {
    r#type: &'static str,
}

/// The facts of a change set.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    facts: Vec<Fact>,
}

#[derive(Debug)]
enum Fact {
    RunStarted,
    RunEnded { state: RunState, code: &'static str, seconds: Option<f64> },
    NodeCreated(Option<NodeKind>),
    HandedOver { kind: Option<NodeKind>, waited: Option<f64> },
    NodeEnded { kind: Option<NodeKind>, state: NodeRunState, code: &'static str, seconds: Option<f64> },
    Logged(&'static str),
    Policy(PolicyLabels),
    Event(RunEventType),
}

impl Tally {
    pub(crate) fn of(changes: &ChangeSet) -> Self {
        let at = changes.at;
        let mut facts =
            Vec::with_capacity(changes.events.len() + changes.nodes.len() + changes.heads.len() + 2);
        facts.extend(changes.run.iter().flat_map(|run| of_run(run, at)).flatten());
        facts.extend(changes.nodes.iter().flat_map(|node| of_node(node, at)).flatten());
        facts.extend(changes.heads.iter().filter_map(|head| of_head(head, at)));
        facts.extend(changes.attempts.iter().map(|attempt| {
            Fact::Logged(match attempt.outcome {
                AttemptOutcome::Late { .. } => "late",
                AttemptOutcome::Lost => "lost",
                AttemptOutcome::Failed { .. } | AttemptOutcome::FailedResult { .. } => "retried",
                AttemptOutcome::Fenced => "fenced",
            })
        }));
        for event in &changes.events {
            facts.push(Fact::Event(event.event.type_));
            facts.extend(policy(event).map(Fact::Policy));
        }
        Self { facts }
    }

    /// One of each fact.
    #[cfg(test)]
    pub(super) fn of_everything() -> Self {
        let kind = Some(NodeKind::Atomic);
        let seconds = Some(2.0);
        let facts = vec![
            Fact::RunStarted,
            Fact::RunEnded { state: RunState::Failed, code: "timeout", seconds },
            Fact::NodeCreated(kind),
            Fact::HandedOver { kind, waited: seconds },
            Fact::NodeEnded { kind, state: NodeRunState::Failed, code: "timeout", seconds },
            Fact::Logged("late"),
            Fact::Policy(PolicyLabels { action: "run.start", decision: "allow" }),
            Fact::Event(RunEventType::RunStarted),
        ];
        Self { facts }
    }

    pub(super) fn count(&self, metrics: &Inner) {
        for fact in &self.facts {
            match fact {
                Fact::RunStarted => _ = metrics.runs_started.inc(),
                Fact::RunEnded { state, code, seconds } => {
                    let ended = RunEndLabels { state: run_state(*state), error_code: code };
                    metrics.runs_completed.get_or_create(&ended).inc();
                    let labels = StateLabels { state: run_state(*state) };
                    if let Some(seconds) = seconds {
                        metrics.run_duration.get_or_create(&labels).observe(*seconds);
                    }
                }
                Fact::NodeCreated(kind) => {
                    metrics.nodes_created.get_or_create(&KindLabels { kind: kind_name(*kind) }).inc();
                }
                Fact::HandedOver { kind, waited } => {
                    if let Some(waited) = waited {
                        let labels = KindLabels { kind: kind_name(*kind) };
                        metrics.node_queue.get_or_create(&labels).observe(*waited);
                    }
                }
                Fact::NodeEnded { kind, state, code, seconds } => {
                    let (kind, state) = (kind_name(*kind), node_state(*state));
                    let labels = NodeEndLabels { kind, state, error_code: code };
                    metrics.nodes_completed.get_or_create(&labels).inc();
                    if let Some(seconds) = seconds {
                        let labels = NodeStateLabels { kind, state };
                        metrics.node_duration.get_or_create(&labels).observe(*seconds);
                    }
                }
                Fact::Logged(outcome) => {
                    metrics.attempts_logged.get_or_create(&LogLabels { outcome }).inc();
                }
                Fact::Policy(labels) => _ = metrics.policy.get_or_create(labels).inc(),
                Fact::Event(type_) => {
                    metrics.events.get_or_create(&EventLabels { r#type: event_type(*type_) }).inc();
                }
            }
        }
    }
}

fn of_run(run: &RunRecord, at: Timestamp) -> [Option<Fact>; 2] {
    let is_ours = match run.origin {
        Origin::Request { .. } => true,
        // It was started elsewhere.
        Origin::Adopted => false,
    };
    let ended = run.run.ended_at.filter(|ended| *ended == at);
    [
        (run.version == 0 && is_ours).then_some(Fact::RunStarted),
        ended.map(|ended| Fact::RunEnded {
            state: run.run.state,
            code: run.error_code().map_or("", |code| known(&code)),
            seconds: seconds(run.run.started_at, ended),
        }),
    ]
}

fn of_node(node: &NodeRecord, at: Timestamp) -> [Option<Fact>; 3] {
    let NodeRecord { node: shown, version, attempt, .. } = node;
    let ended = shown.ended_at.filter(|ended| *ended == at);
    let began = shown.started_at.filter(|began| *began == at && *attempt == 1);
    [
        (*version == 0).then_some(Fact::NodeCreated(shown.kind)),
        began.map(|began| Fact::HandedOver { kind: shown.kind, waited: seconds(shown.created_at, began) }),
        ended.map(|ended| Fact::NodeEnded {
            kind: shown.kind,
            state: shown.state,
            code: error_code(shown.extensions.as_ref()),
            seconds: seconds(shown.started_at, ended),
        }),
    ]
}

fn of_head(head: &NodeHead, at: Timestamp) -> Option<Fact> {
    let ended = head.ended_at.filter(|ended| *ended == at)?;
    let seconds = seconds(head.started_at, ended);
    Some(Fact::NodeEnded { kind: head.kind, state: head.state, code: "", seconds })
}

fn seconds(from: Option<Timestamp>, to: Timestamp) -> Option<f64> {
    Some(to.since(from?).as_secs_f64())
}

fn policy(event: &EventRecord) -> Option<PolicyLabels> {
    match event.event.type_ {
        RunEventType::PolicyDecided => {}
        RunEventType::RunStarted
        | RunEventType::NodeRunAssigned
        | RunEventType::CompositeDecomposed
        | RunEventType::CandidateSetGenerated
        | RunEventType::SubtaskMapped
        | RunEventType::AtomicExecuted
        | RunEventType::NodeEvaluated
        | RunEventType::RecoveryApplied
        | RunEventType::RunCompleted => return None,
    }
    let data = event.event.data.as_ref()?;
    let one_of = |member: &str, known: &[&'static str]| {
        let text = data.text(member)?;
        known.iter().copied().find(|known| *known == text)
    };
    Some(PolicyLabels {
        action: one_of("action", &ACTIONS).unwrap_or(OTHER),
        decision: one_of("decision", &["allow", "deny", "require_approval"]).unwrap_or(OTHER),
    })
}

/// The checkpoints of policy, and decisions about approvals.
const ACTIONS: [&str; 4] = ["run.start", "node.run.execute", "node.run.irreversible", "node.run.approval"];

/// What is none of the known values.
const OTHER: &str = "other";

/// The codes with which the coordinator fails nodes, and those of the JARVIS
/// executors.
const CODES: [&str; 29] = [
    "aborted",
    "approval_denied",
    "approval_expired",
    "approval_required",
    "atomic_executor_invalid_result",
    "atomic_executor_unavailable",
    "atomic_executor_unconfigured",
    "budget_exceeded",
    "canceled",
    "composite_executor_silent",
    "composite_executor_unavailable",
    "composite_executor_unconfigured",
    "composite_rejected",
    "constraint_invalid",
    "coordinator_url_unconfigured",
    "deadline_exceeded",
    "executor_instance_unknown",
    "executor_outcome_unknown",
    "failed",
    "handler_error",
    "node_type_denied",
    "node_type_not_allowed",
    "pdp_unavailable",
    "policy_denied",
    "side_effect_not_allowed",
    "timeout",
    "token_request_failed",
    "unknown_node_kind",
    "unknown_node_type",
];

/// The code of the error that a node ended with; empty if there is none.
fn error_code(extensions: Option<&Extensions>) -> &'static str {
    #[derive(Deserialize)]
    struct Coded {
        code: String,
    }
    let stored = |key| extensions.and_then(|extensions| extensions.raw(key));
    let Some(text) = stored("completion_error").or_else(|| stored("jarvis.completion_error")) else {
        return "";
    };
    known(&serde_json::from_str::<Coded>(text).map(|coded| coded.code).unwrap_or_default())
}

/// A code as a label.
fn known(code: &str) -> &'static str {
    CODES.into_iter().find(|known| *known == code).unwrap_or(OTHER)
}

pub(super) fn kind_name(kind: Option<NodeKind>) -> &'static str {
    match kind {
        Some(NodeKind::Atomic) => "atomic",
        Some(NodeKind::Composite) => "composite",
        None => "unknown",
    }
}

fn run_state(state: RunState) -> &'static str {
    match state {
        RunState::Queued => "queued",
        RunState::Running => "running",
        RunState::Succeeded => "succeeded",
        RunState::Failed => "failed",
        RunState::Canceled => "canceled",
    }
}

fn node_state(state: NodeRunState) -> &'static str {
    match state {
        NodeRunState::Queued => "queued",
        NodeRunState::Assigned => "assigned",
        NodeRunState::Running => "running",
        NodeRunState::Succeeded => "succeeded",
        NodeRunState::Failed => "failed",
        NodeRunState::Canceled => "canceled",
    }
}

fn event_type(type_: RunEventType) -> &'static str {
    match type_ {
        RunEventType::RunStarted => "run_started",
        RunEventType::NodeRunAssigned => "node_run_assigned",
        RunEventType::CompositeDecomposed => "composite_decomposed",
        RunEventType::CandidateSetGenerated => "candidate_set_generated",
        RunEventType::SubtaskMapped => "subtask_mapped",
        RunEventType::AtomicExecuted => "atomic_executed",
        RunEventType::NodeEvaluated => "node_evaluated",
        RunEventType::RecoveryApplied => "recovery_applied",
        RunEventType::PolicyDecided => "policy_decided",
        RunEventType::RunCompleted => "run_completed",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn codes_that_executors_invent_are_no_labels() {
        let with = |key: &str, error| Extensions::from([(key, error)]);
        for (extensions, code) in [
            (None, ""),
            (Some(with("other.key", json!({"code": "timeout"}))), ""),
            (Some(with("completion_error", json!({"code": "timeout"}))), "timeout"),
            (
                Some(with("jarvis.completion_error", json!({"code": "deadline_exceeded"}))),
                "deadline_exceeded",
            ),
            (Some(with("completion_error", json!({"code": "run_4711"}))), OTHER),
            (Some(with("completion_error", json!("odd"))), OTHER),
        ] {
            assert_eq!(error_code(extensions.as_ref()), code, "{extensions:?}");
        }
    }

    #[test]
    fn known_codes_are_sorted_and_there_once() {
        assert!(CODES.is_sorted_by(|a, b| a < b));
    }
}
