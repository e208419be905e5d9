//! Whether and when a node is dispatched again after a failed attempt (contract
//! §9.2, G29).
//!
//! ```text
//!   the executor              │ read, idempotent, composite │ any other node
//!   ──────────────────────────┼─────────────────────────────┼──────────────────────────
//!   has certainly not started │ retry                       │ retry
//!   gave no response          │ retry                       │ executor_outcome_unknown
//!   has an intermediary that  │ retry                       │ fails, `outcome: unknown`
//!   answered (also 429 or 503 │                             │
//!   without an ARP error)     │                             │
//!   has rejected the work     │ fails                       │ fails
//! ```
//!
//! A failed *result* is repeated only if the node's type says so (`RetryRule`), for
//! the codes that it names, at most as often as it and `jarvis.max_retries` in the
//! constraints say, and not if the executor denies it (`retryable: false`). A node
//! that may not be executed twice needs the executor's word (`retryable: true`).
//!
//! There are at most `Rules::max_retries` retries (attempts that were lost with
//! their worker count as well), with exponential backoff, not before the
//! executor's `Retry-After`, and only before the node's deadline. A node that
//! waits for a retry stays `running`; a cancel or a deadline ends it like a queued
//! node.
//!
//! Every retry is recorded: in the attempt log, in an event `recovery_applied`,
//! and among the NodeRun's recovery actions.

use std::time::Duration;

use serde_json::json;

use super::{
    attempt::{Attempt, FailedCall, Work},
    bookkeeping::{awaits, wake},
    command::{Cx, NodeTypeFacts},
    constraints::{self, effective_constraints},
    draft::{Draft, End},
    recovery,
};
use crate::{
    record::{AttemptOutcome, Job, NodeRecord, RunRecord},
    time::{Timestamp, backoff},
    types::{
        Error, JsonObject, NodeKind, NodeRunId, NodeRunState, RecoveryAction, RecoveryActionType,
        RunEventType, SideEffectClass,
    },
};

/// Exponential backoff between attempts, unless the executor asks for more.
const BASE: Duration = Duration::from_millis(250);
const CAP: Duration = Duration::from_secs(30);

/// The pause before a node is tried again, after this number of tries. Callers
/// use it as well, while something that a dispatch needs is unavailable.
pub fn retry_pause(tries: u32, node: &NodeRunId) -> Duration {
    backoff(tries, BASE, CAP, node.as_str())
}

/// Whether executing the node twice does no harm. (A composite executor ignores a
/// node that it has already.)
pub(super) fn may_repeat(node: &NodeRecord) -> bool {
    match node.node.kind {
        Some(NodeKind::Composite) => true,
        Some(NodeKind::Atomic) | None => node.idempotent || node.side_effect == Some(SideEffectClass::Read),
    }
}

/// Whether the composite's executor has started, as its children prove.
pub(super) fn has_started(node: &NodeRecord, failed: &FailedCall) -> bool {
    let by_this_attempt = match failed.work {
        Work::Unanswered | Work::Uncertain => true,
        // Only an earlier attempt can have created children.
        Work::NotStarted => node.attempt > 1,
        Work::Rejected => false,
    };
    by_this_attempt && node.children > 0
}

/// When the node is dispatched again; `None` if it fails.
pub(super) fn retry_at(node: &NodeRecord, failed: &FailedCall, cx: Cx<'_>) -> Option<Timestamp> {
    let may = match failed.work {
        Work::NotStarted => true,
        Work::Unanswered | Work::Uncertain => may_repeat(node),
        Work::Rejected => false,
    };
    if !may || node.retries >= cx.rules.max_retries {
        return None;
    }
    let wait = retry_pause(node.retries, node.id()).max(failed.retry_after.unwrap_or_default());
    Some(cx.now + wait).filter(|at| node.deadline.is_none_or(|deadline| *at < deadline))
}

/// When a node is dispatched again whose executor has reported this result; `None`
/// if it ends with it.
pub(super) fn after_result(
    run: &RunRecord,
    node: &NodeRecord,
    state: NodeRunState,
    error: Option<&Error>,
    cx: Cx<'_>,
) -> Option<Timestamp> {
    let rule = node.result_retries.rule.as_ref()?;
    let made = node.result_retries.made;
    let is_failure = match (state, node.node.kind) {
        (NodeRunState::Failed, Some(NodeKind::Atomic)) => true,
        (
            NodeRunState::Queued
            | NodeRunState::Assigned
            | NodeRunState::Running
            | NodeRunState::Failed
            | NodeRunState::Succeeded
            | NodeRunState::Canceled,
            _,
        ) => false,
    };
    let may = match error.and_then(|error| error.retryable) {
        Some(retryable) => retryable,
        None => may_repeat(node),
    };
    let is_named =
        rule.codes.as_ref().is_none_or(|codes| error.is_some_and(|error| codes.contains(&error.code)));
    let within = made.saturating_add(1) < rule.max_attempts && node.retries < cx.rules.max_retries;
    // A retry that is scheduled already follows a lost or failed attempt.
    if !(is_failure && may && is_named && within && awaits(node, Job::Deadline)) {
        return None;
    }
    let constraints = effective_constraints(run, node, &NodeTypeFacts::default()).unwrap_or_default();
    let limit = constraints.as_ref().and_then(constraints::max_retries);
    if limit.is_some_and(|limit| u64::from(made) >= limit) {
        return None;
    }
    let at = cx.now + retry_pause(node.retries, node.id());
    Some(at).filter(|at| node.deadline.is_none_or(|deadline| *at < deadline))
}

/// Records a failed result and schedules the next attempt at `at`.
pub(super) fn schedule_after_result(
    draft: &mut Draft<'_>,
    mut node: NodeRecord,
    attempt: Attempt,
    error: Option<Error>,
    at: Timestamp,
) {
    let (code, message) = match &error {
        Some(error) => (error.code.clone(), error.message.clone()),
        None => ("failed".to_owned(), "The executor reported a failure".to_owned()),
    };
    draft.attempt(&node, attempt, AttemptOutcome::FailedResult { error, retry_at: at });
    node.retries += 1;
    node.result_retries.made += 1;
    node.result_retries.last = attempt.number;
    node.wake = Some(wake(Job::Dispatch, at, None));
    record(draft, &mut node, attempt, &code, &message, at);
    draft.put(node);
}

/// Records a failed attempt and schedules the next one at `at`.
pub(super) fn schedule(
    draft: &mut Draft<'_>,
    mut node: NodeRecord,
    attempt: Attempt,
    failed: &FailedCall,
    at: Timestamp,
) {
    let may_have_begun = match failed.work {
        Work::Unanswered | Work::Uncertain => true,
        Work::NotStarted | Work::Rejected => false,
    };
    let outcome = AttemptOutcome::Failed { error: failed.error.clone(), retry_at: at, may_have_begun };
    draft.attempt(&node, attempt, outcome);
    node.retries += 1;
    if may_have_begun {
        supersede_running_attempt(&mut node);
    }
    node.wake = Some(wake(Job::Dispatch, at, None));
    record(draft, &mut node, attempt, &failed.error.code, &failed.error.message, at);
    draft.put(node);
}

/// Notes that another attempt is made while this one may still be at its
/// executor. (A composite executor has one attempt at a time; of a pool, only the
/// same member recognizes the repetition.)
pub(super) fn supersede_running_attempt(node: &mut NodeRecord) {
    let is_composite = node.node.kind == Some(NodeKind::Composite);
    node.superseded_attempt_may_run = !is_composite;
    node.hosts.pinned |= is_composite;
}

/// Records on the NodeRun and in an event that an attempt has failed and that
/// another one follows.
pub(super) fn record(
    draft: &mut Draft<'_>,
    node: &mut NodeRecord,
    attempt: Attempt,
    code: &str,
    message: &str,
    at: Timestamp,
) {
    let facts = [
        ("jarvis.attempt", json!(attempt.number)),
        ("jarvis.code", json!(code)),
        ("jarvis.started_at", json!(attempt.started_at)),
        ("jarvis.retry_at", json!(at)),
    ];
    let action = RecoveryAction {
        type_: RecoveryActionType::Retry,
        target_node_run_id: Some(node.id().clone()),
        target_node_type_ref: None,
        message: Some(message.into()),
        extensions: Some(facts.into()),
    };
    let action = recovery::marked(action, true);
    draft.event(RunEventType::RecoveryApplied, Some(node), JsonObject::of(&action));
    recovery::add(node, action);
}

/// The end of a node that is not dispatched again.
pub(super) fn final_failure(node: &NodeRecord, failed: FailedCall) -> End {
    let FailedCall { error, work, retry_after: _ } = failed;
    let (may_be_at_work, error) = match work {
        Work::NotStarted | Work::Rejected => (false, error),
        Work::Unanswered | Work::Uncertain if may_repeat(node) => (true, error),
        Work::Unanswered => (true, unknown(error, node.attempt)),
        Work::Uncertain => (true, doubtful(error)),
    };
    End { notify_executor: may_be_at_work, ..End::failed(error) }
}

/// The error of a node with an unknown outcome that must not be executed twice.
fn unknown(cause: Error, attempt: u32) -> Error {
    Error {
        details: Some(cause.details.unwrap_or_default().with("attempt", &attempt)),
        retryable: Some(false),
        ..Error::new(
            "executor_outcome_unknown",
            "The executor gave no response, and the node may not be executed twice",
        )
    }
}

fn doubtful(mut error: Error) -> Error {
    error.details = Some(error.details.unwrap_or_default().with("outcome", &"unknown"));
    error.retryable = Some(false);
    error
}
