//! Composites whose executor is silent.
//!
//! A composite executor reports on its own, and is not called in between. If it
//! has died or given up, its node would wait until its deadline. So a composite at
//! its executor has a second time in its record, `check_at`, and its wake-up is
//! due at whichever comes first:
//!
//! ```text
//!   begin, create ─▶ running, check in [`Rules::composite_silence`]
//!                      │ due                                     ▲
//!                      ▼                                         │ postponed
//!          contact since then, or a live descendant? ──yes───────┘
//!                      │ no
//!                      ├─ no children, and never restarted ─▶ restarted (once)
//!                      └─ otherwise ─▶ failed, `composite_executor_silent`; its executor is notified
//! ```
//!
//! The last contact is kept in memory by the caller (a poll must not be a
//! commit); only the postponed check is recorded.
//!
//! If such a wake-up is due before both times, its worker is gone
//! ([`DueReason::Lost`]).

use std::time::Duration;

use serde_json::json;

use super::{
    attempt::Attempt,
    bookkeeping::{awaits, node_only, wake},
    command::{Cx, Decision, NodeView},
    draft::{Draft, End},
    guard::NodeBefore,
    recovery, retry,
};
use crate::{
    record::{AttemptOutcome, Job, NodeRecord},
    time::Timestamp,
    types::{Error, JsonObject, NodeKind, RecoveryAction, RecoveryActionType, RunEventType},
};

/// The error code of a composite that fails for this.
pub(super) const SILENT: &str = "composite_executor_silent";

/// Why the wake-up of a node at its executor is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DueReason {
    /// Its deadline has passed.
    Deadline,
    /// Its executor must have shown a sign of life by now.
    Silence,
    /// Neither: the worker that was waiting for its attempt is gone.
    Lost,
}

/// Signs of life of a composite's executor that are not in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The last request that only the executor, or a node below the composite,
    /// can have caused.
    pub last: Timestamp,
    /// Whether a node below the composite is live: its executor waits for that.
    pub live_below: bool,
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SilenceOutcome {
    /// The check was not due any more.
    Superseded,
    /// The executor lives, or has time left: the next check comes later.
    Postponed,
    /// The composite is handed to its executor again.
    Restarted,
    /// The composite has failed.
    Failed,
}

/// Says why the wake-up of a node at its executor is due at `now`. The caller has
/// made sure that the wake-up is for this job.
pub fn due_reason(node: &NodeRecord, now: Timestamp) -> DueReason {
    let at = node.wake.as_ref().map(|wake| wake.at);
    match (node.deadline, node.waits.check_at) {
        (Some(deadline), _) if deadline <= now => DueReason::Deadline,
        // The wake-up of a dead worker has been moved to the time when its death
        // was noticed, which may be later than this.
        (_, Some(check)) if check <= now && at == Some(check) => DueReason::Silence,
        (Some(_) | None, Some(_) | None) => DueReason::Lost,
    }
}

/// Lets a node wait for its executor, until its deadline or the next check.
pub(super) fn await_executor(node: &mut NodeRecord, cx: Cx<'_>) {
    let silence = match node.node.kind {
        Some(NodeKind::Composite) => cx.rules.composite_silence,
        Some(NodeKind::Atomic) | None => None,
    };
    await_until(node, silence.map(|silence| cx.now + silence), cx);
}

fn await_until(node: &mut NodeRecord, check_at: Option<Timestamp>, cx: Cx<'_>) {
    let deadline = node.deadline.unwrap_or(cx.now);
    // The deadline comes first otherwise.
    node.waits.check_at = check_at.filter(|check| *check < deadline);
    node.wake = Some(wake(Job::Deadline, node.waits.check_at.unwrap_or(deadline), cx.claim));
}

/// Decides about a composite whose check is due. The view needs no live
/// descendants: `contact` says whether there are any.
pub fn silence_check(view: NodeView, contact: Contact, cx: Cx<'_>) -> Decision<SilenceOutcome> {
    let NodeView { run, mut node, .. } = view;
    if node.is_terminal() || !awaits(&node, Job::Deadline) || due_reason(&node, cx.now) != DueReason::Silence
    {
        return Decision::unchanged(SilenceOutcome::Superseded);
    }
    let next = match cx.rules.composite_silence {
        // The check has been switched off since.
        None => Some(None),
        Some(silence) if contact.live_below => Some(Some(cx.now + silence)),
        Some(silence) => Some(Some(contact.last + silence)).filter(|next| *next > Some(cx.now)),
    };
    if let Some(check_at) = next {
        // Without children it is lost with its worker: see `attempt_lost`.
        let waiting = if node.children == 0 { cx } else { cx.unclaimed() };
        let before = NodeBefore::of(&node);
        await_until(&mut node, check_at, waiting);
        return Decision::commit(node_only(&run, &before, node, cx), SilenceOutcome::Postponed);
    }
    let now = cx.now;
    let attempt = Attempt::of(&node, now);
    let cx = cx.not_before(&run);
    let mut draft = Draft::of(run, &node, cx);
    if node.children == 0 && !node.waits.restarted && cx.rules.max_retries > 0 {
        let error = silent(&node, contact.last, now);
        let message = "The executor of the composite is silent";
        draft.attempt(&node, attempt, AttemptOutcome::Failed { error, retry_at: now, may_have_begun: true });
        retry::record(&mut draft, &mut node, attempt, SILENT, message, now);
        node.waits.restarted = true;
        retry::supersede_running_attempt(&mut node);
        // Unclaimed: there may be as many of them as the executor had.
        node.wake = Some(wake(Job::Dispatch, now, None));
        draft.put(node);
        return Decision::commit(draft.into_changes(), SilenceOutcome::Restarted);
    }
    let error = silent(&node, contact.last, now);
    give_up(&mut draft, &mut node, &error);
    draft.end(node, Vec::new(), End { notify_executor: true, ..End::failed(error) });
    Decision::commit(draft.into_changes(), SilenceOutcome::Failed)
}

fn silent(node: &NodeRecord, last_contact: Timestamp, now: Timestamp) -> Error {
    let silence: Duration = now.since(last_contact);
    let details = [
        ("attempt", json!(node.attempt)),
        ("children", json!(node.children)),
        ("heard_at", json!(last_contact)),
        ("silent_for_seconds", json!(silence.as_secs())),
    ];
    Error {
        details: Some(details.into()),
        retryable: Some(false),
        ..Error::new(
            SILENT,
            "The executor of the composite is silent, and no node below the composite is live",
        )
    }
}

/// Records on the NodeRun and in an event that the coordinator stops waiting: a
/// composite has no event of its own for its end.
fn give_up(draft: &mut Draft<'_>, node: &mut NodeRecord, error: &Error) {
    let facts = [("jarvis.attempt", json!(node.attempt)), ("jarvis.code", json!(error.code))];
    let action = RecoveryAction {
        type_: RecoveryActionType::Abort,
        target_node_run_id: Some(node.id().clone()),
        target_node_type_ref: None,
        message: Some(error.message.clone()),
        extensions: Some(facts.into()),
    };
    let action = recovery::marked(action, true);
    draft.event(RunEventType::RecoveryApplied, Some(node), JsonObject::of(&action));
    recovery::add(node, action);
}
