//! Handing a node over again after a try that came to nothing (contract §9.2,
//! G29): whether, and when.
//!
//! ```text
//!   the executor             │ read, idempotent, composite │ anything else
//!   ─────────────────────────┼─────────────────────────────┼──────────────────────────
//!   has surely not begun     │ again                       │ again
//!   was asked, said nothing  │ again                       │ executor_outcome_unknown
//!   something in between     │ again                       │ fails, `outcome: unknown`
//!   answered for it (also    │                             │
//!   429, 503 without a word) │                             │
//!   has refused              │ fails                       │ fails
//! ```
//!
//! Again: at most [`Rules::max_retries`] times (attempts that were lost with
//! their process count as well), with growing waits, not before the executor
//! said, and only if that is before the node's time is up. A node
//! that waits to be handed over again stays `running`, with an earlier attempt
//! behind it; what is in the way of a queued one (a cancel, a deadline) is in
//! the way of this one too.
//!
//! Whatever happens is on record: in the attempt log, in an event
//! `recovery_applied`, and among the NodeRun's recovery actions.

use std::time::Duration;

use serde_json::json;

use super::{
    Attempt, Rules,
    draft::{Draft, End, wake},
    recovery,
};
use crate::{
    record::{AttemptOutcome, Job, NodeRecord},
    time::{Timestamp, backoff},
    types::{Error, JsonObject, NodeKind, RecoveryAction, RecoveryActionType, RunEventType, SideEffectClass},
};

/// Waits between tries, if the executor does not say.
const BASE: Duration = Duration::from_millis(250);
const CAP: Duration = Duration::from_secs(30);

/// A call that gave no result.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedCall {
    /// What the node fails with, if it does.
    pub error: Error,
    pub work: Work,
    /// The executor does not want to be asked again sooner.
    pub retry_after: Option<Duration>,
}

/// What a failed call says about the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// It has surely not begun.
    NotBegun,
    /// The executor was asked, and nothing came back.
    Unanswered,
    /// Something in between answered for the executor, or it broke down over
    /// the work.
    Doubtful,
    /// The executor has spoken: asking again changes nothing.
    Refused,
}

/// Executing it twice does no harm. (A composite's executor ignores what it
/// has already.)
pub(super) fn may_repeat(node: &NodeRecord) -> bool {
    match node.node.kind {
        Some(NodeKind::Composite) => true,
        Some(NodeKind::Atomic) | None => node.idempotent || node.side_effect == Some(SideEffectClass::Read),
    }
}

/// The composite's executor is at it, as its children show.
pub(super) fn has_begun(node: &NodeRecord, failed: &FailedCall) -> bool {
    let by_this_attempt = match failed.work {
        Work::Unanswered | Work::Doubtful => true,
        // If anybody's, then an earlier attempt's.
        Work::NotBegun => node.attempt > 1,
        Work::Refused => false,
    };
    by_this_attempt && node.children > 0
}

/// When the node is to be handed over again, if it is.
pub(super) fn again_at(
    node: &NodeRecord,
    failed: &FailedCall,
    rules: &Rules,
    now: Timestamp,
) -> Option<Timestamp> {
    let may = match failed.work {
        Work::NotBegun => true,
        Work::Unanswered | Work::Doubtful => may_repeat(node),
        Work::Refused => false,
    };
    if !may || node.retries >= rules.max_retries {
        return None;
    }
    let wait =
        backoff(node.retries, BASE, CAP, node.id().as_str()).max(failed.retry_after.unwrap_or_default());
    Some(now + wait).filter(|at| node.deadline.is_none_or(|deadline| *at < deadline))
}

/// The node is to be handed over again at `at`, after this attempt.
pub(super) fn put_again(
    draft: &mut Draft,
    mut node: NodeRecord,
    attempt: Attempt,
    failed: &FailedCall,
    at: Timestamp,
) {
    let may_have_begun = match failed.work {
        Work::Unanswered | Work::Doubtful => true,
        Work::NotBegun | Work::Refused => false,
    };
    let outcome = AttemptOutcome::Failed { error: failed.error.clone(), retry_at: at, may_have_begun };
    draft.attempt(&node, attempt, outcome);
    node.retries += 1;
    if may_have_begun {
        supersede_running_attempt(&mut node);
    }
    node.wake = Some(wake(Job::Dispatch, at, &None));
    note(draft, &mut node, attempt, &failed.error.code, &failed.error.message, at);
    draft.put(node);
}

/// Another attempt will be made although this one may still be at its executor.
/// (A composite's executor knows only one.)
pub(super) fn supersede_running_attempt(node: &mut NodeRecord) {
    node.superseded_attempt_may_run = node.node.kind != Some(NodeKind::Composite);
}

/// Writes on the NodeRun and into the events that an attempt came to nothing
/// and that there will be another.
pub(super) fn note(
    draft: &mut Draft,
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
    draft.event(RunEventType::RecoveryApplied, Some(node), JsonObject::of(&action));
    recovery::add(node, action);
}

/// How the node ends if it is not handed over again.
pub(super) fn given_up(node: &NodeRecord, failed: FailedCall) -> End {
    let FailedCall { error, work, retry_after: _ } = failed;
    let (may_be_at_work, error) = match work {
        Work::NotBegun | Work::Refused => (false, error),
        Work::Unanswered | Work::Doubtful if may_repeat(node) => (true, error),
        Work::Unanswered => (true, unknown(error, node.attempt)),
        Work::Doubtful => (true, doubtful(error)),
    };
    End { tell_executor: may_be_at_work, ..End::failed(error) }
}

/// Nobody knows what the executor did, and it must not be asked again.
fn unknown(cause: Error, attempt: u32) -> Error {
    Error {
        details: Some(cause.details.unwrap_or_default().with("attempt", &attempt)),
        retryable: Some(false),
        ..Error::new(
            "executor_outcome_unknown",
            "The executor was asked and gave no answer, and the node may not be executed twice",
        )
    }
}

fn doubtful(mut error: Error) -> Error {
    error.details = Some(error.details.unwrap_or_default().with("outcome", &"unknown"));
    error.retryable = Some(false);
    error
}
