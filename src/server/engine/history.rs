//! The evaluations of a NodeRun (G25): the one that stands, and the newest of all.
//!
//! ```text
//!   evaluation_result        the newest that was reported; else the coordinator's own
//!   jarvis.evaluations       the newest, as soon as one was reported or there is a second
//!                            [{"at", "actor", "evaluation_result"}, …]
//!   jarvis.evaluations_dropped   how many older ones there were
//! ```
//!
//! The coordinator's own evaluation of a result looks at its state only, so it
//! never replaces one that was reported. A node that has nothing else is not
//! burdened with a history. What was evaluated before there was a history is in it
//! without `at` and `actor`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    command::Cx,
    extensions::{EVALUATIONS, EVALUATIONS_DROPPED, Writer},
};
use crate::{
    record::{Actor, NodeRecord},
    time::Timestamp,
    types::{EvaluationResult, EvaluationStatus, NodeRunState},
};

/// Maximum number of evaluations.
const KEPT: usize = 100;

/// Maximum size of their JSON in bytes; the newest is kept in any case.
const KEPT_BYTES: usize = 256 << 10;

/// The reason code of the coordinator's own evaluations.
const AUTOMATIC: &str = "atomic_completed";

#[derive(Serialize, Deserialize)]
struct Entry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<Actor>,
    evaluation_result: Value,
}

/// The coordinator's own evaluation of a result.
pub(super) fn automatic(state: NodeRunState) -> EvaluationResult {
    let status = match state {
        NodeRunState::Succeeded => EvaluationStatus::Success,
        NodeRunState::Queued
        | NodeRunState::Assigned
        | NodeRunState::Running
        | NodeRunState::Failed
        | NodeRunState::Canceled => EvaluationStatus::Fail,
    };
    EvaluationResult {
        status,
        reason_code: Some(AUTOMATIC.into()),
        message: None,
        details: None,
        confidence: None,
        extensions: None,
    }
}

/// Adds the coordinator's own evaluation, which stands if no other does.
pub(super) fn add_automatic(node: &mut NodeRecord, evaluation: EvaluationResult, cx: Cx<'_>) {
    let is_automatic = |evaluation: &EvaluationResult| evaluation.reason_code.as_deref() == Some(AUTOMATIC);
    let Some(standing) = &node.node.evaluation_result else {
        node.node.evaluation_result = Some(evaluation);
        return;
    };
    let stands = !is_automatic(standing);
    remember(node, &evaluation, cx);
    if !stands {
        node.node.evaluation_result = Some(evaluation);
    }
}

/// Adds an evaluation that was reported, which stands from now on.
pub(super) fn add(node: &mut NodeRecord, evaluation: EvaluationResult, cx: Cx<'_>) {
    remember(node, &evaluation, cx);
    node.node.evaluation_result = Some(evaluation);
}

fn remember(node: &mut NodeRecord, evaluation: &EvaluationResult, cx: Cx<'_>) {
    let stored = node.node.extensions.as_ref();
    let mut entries: Vec<Entry> = stored
        .and_then(|extensions| extensions.raw(EVALUATIONS))
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    if entries.is_empty()
        && let Some(before) = &node.node.evaluation_result
    {
        entries.push(Entry { at: None, actor: None, evaluation_result: value(before) });
    }
    let actor = Some(cx.cause.actor().clone());
    entries.push(Entry { at: Some(cx.now), actor, evaluation_result: value(evaluation) });
    let dropped = entries.len() - fitting(&entries);
    entries.drain(..dropped);
    let before = stored.and_then(|extensions| extensions.raw(EVALUATIONS_DROPPED));
    let before = before.and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    let total = before.saturating_add(dropped as u64);
    let mut extensions = Writer::update(cx.rules, node.node.extensions.take()).exactly(EVALUATIONS, &entries);
    if total > 0 {
        extensions = extensions.exactly(EVALUATIONS_DROPPED, &total);
    }
    node.node.extensions = extensions.done();
}

fn value(evaluation: &EvaluationResult) -> Value {
    serde_json::to_value(evaluation).unwrap_or_default()
}

/// The number of newest entries that fit.
fn fitting(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let fits = |entry: &&Entry| {
        bytes += serde_json::to_vec(entry).map_or(0, |json| json.len());
        bytes <= KEPT_BYTES
    };
    entries.iter().rev().take(KEPT).take_while(fits).count().max(1)
}
