//! What the error of a node says whose deadline has passed: whether it was ever
//! handed to an executor, and what it waited for.
//!
//! ```text
//!   attempt 0 ───────────────▶ it never left the queue: since when, and for what it waited
//!   waits for its dispatch ──▶ an attempt has failed, and the next one had yet to begin
//!   else ────────────────────▶ an executor has it: which, since when, the attempt
//! ```
//!
//! For an operator who has the record and nothing else.

use serde_json::{Value, json};

use super::{approval, bookkeeping::awaits, draft::End, hold};
use crate::{
    record::{Job, NodeRecord},
    time::Timestamp,
    types::{Error, JsonObject, NodeKind, NodeRunState},
};

/// What a node waits for that is not at its executor, as far as its dispatch knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// Its turn: it is looked at for the first time.
    Turn,
    /// A free slot of its executor.
    Slot,
    /// A circuit breaker to close.
    Breaker,
    /// An operator, who holds its run or has paused its dispatch.
    Release,
}

impl WaitsFor {
    fn code(self) -> &'static str {
        match self {
            Self::Turn => "turn",
            Self::Slot => "slot",
            Self::Breaker => "breaker",
            Self::Release => "release",
        }
    }

    fn words(self, kind: Option<NodeKind>) -> String {
        let executor = match kind {
            Some(NodeKind::Atomic) => "the atomic executor",
            Some(NodeKind::Composite) => "the composite executor",
            None => "its executor",
        };
        match self {
            Self::Turn => "its dispatch".to_owned(),
            Self::Slot => format!("a free slot of {executor}"),
            Self::Breaker => format!("{executor}, whose circuit breaker was open"),
            Self::Release => "an operator to release its run or to resume dispatch".to_owned(),
        }
    }
}

/// The end of a node whose own deadline has passed.
pub(super) fn node_end(node: &NodeRecord, waits_for: WaitsFor, now: Timestamp) -> End {
    let place = Place::of(node, waits_for);
    let message = format!("NodeRun exceeded its deadline: {}", place.words(node, now));
    end(node, message, place.facts(node, now))
}

/// The end of a root whose run's deadline has passed.
pub(super) fn run_end(root: &NodeRecord, now: Timestamp) -> End {
    end(root, "Run exceeded its deadline".to_owned(), Place::of(root, WaitsFor::Turn).facts(root, now))
}

fn end(node: &NodeRecord, message: String, facts: JsonObject) -> End {
    let error = Error { details: Some(facts), ..Error::new("deadline_exceeded", message) };
    End { state: NodeRunState::Failed, notify_executor: node.is_at_executor(), ..End::failed(error) }
}

/// Where the node was when its time ran out.
enum Place {
    Approval(JsonObject),
    Held(JsonObject),
    Queue(WaitsFor),
    /// Between two attempts.
    Retry(WaitsFor),
    Executor,
}

impl Place {
    fn of(node: &NodeRecord, waits_for: WaitsFor) -> Self {
        let is_aside = awaits(node, Job::SetAside);
        let waits_for = if is_aside { WaitsFor::Release } else { waits_for };
        if let Some(held) = hold::details(node).filter(|_| !is_aside) {
            Self::Held(held)
        } else if let Some(waits) = approval::details(node) {
            Self::Approval(waits)
        } else if node.attempt == 0 {
            Self::Queue(waits_for)
        } else if is_aside || awaits(node, Job::Dispatch) {
            Self::Retry(waits_for)
        } else {
            Self::Executor
        }
    }

    fn words(&self, node: &NodeRecord, now: Timestamp) -> String {
        let queued = queued_seconds(node, now);
        let before = if node.attempt == 0 {
            "it was never handed to an executor".to_owned()
        } else {
            format!("attempt {} had failed", node.attempt)
        };
        let kind = node.node.kind;
        match self {
            Self::Held(_) => format!("{before}; it was held because the policy point was unavailable"),
            Self::Approval(_) => format!("{before}; it waited for an approval"),
            Self::Queue(waits_for) => {
                let seconds = queued.map_or_else(String::new, |seconds| format!(" {seconds} s"));
                format!("{before}; it waited{seconds} for {}", waits_for.words(kind))
            }
            Self::Retry(waits_for) => {
                format!("{before}; it waited for the next, and for {}", waits_for.words(kind))
            }
            Self::Executor => {
                let name = node.node.executor_binding.as_ref().map(|at| at.executor_instance_id.as_str());
                let name = name.unwrap_or("its executor");
                format!("attempt {} was at {name} and gave no result", node.attempt)
            }
        }
    }

    fn facts(self, node: &NodeRecord, now: Timestamp) -> JsonObject {
        let mut facts: Vec<(&'static str, Value)> = vec![("handed_over", json!(node.attempt > 0))];
        if node.attempt == 0 {
            facts.extend(node.node.created_at.map(|since| ("queued_since", json!(since))));
            facts.extend(queued_seconds(node, now).map(|seconds| ("queued_seconds", json!(seconds))));
        } else {
            facts.push(("attempt", json!(node.attempt)));
            facts.extend(node.node.started_at.map(|since| ("first_handed_over_at", json!(since))));
        }
        let more = match self {
            Self::Approval(more) | Self::Held(more) => more,
            Self::Queue(waits_for) | Self::Retry(waits_for) => {
                facts.push(("waited_for", json!(waits_for.code())));
                let tries = node.wake.as_ref().map_or(0, |wake| wake.tries);
                facts.extend((tries > 0).then(|| ("put_back", json!(tries))));
                JsonObject::new()
            }
            Self::Executor => {
                let at = node.node.executor_binding.as_ref();
                facts.extend(at.map(|at| ("executor_instance_id", json!(at.executor_instance_id))));
                JsonObject::new()
            }
        };
        facts.into_iter().fold(more, |facts, (name, value)| facts.with(name, &value))
    }
}

fn queued_seconds(node: &NodeRecord, now: Timestamp) -> Option<u64> {
    node.node.created_at.map(|since| now.since(since).as_secs())
}
