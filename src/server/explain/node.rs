//! The reasons of one NodeRun.
//!
//! ```text
//!   ended ──▶ over (· notifying executor)
//!   wake-up is parked ──▶ parked
//!   Dispatch, later ───▶ policy unavailable │ breaker open │ backing off │ postponed
//!   Dispatch, due ─────▶ dispatch off │ queue full │ due │ asking policy │ waiting for a slot │ …
//!   Deadline ──────────▶ waiting for children, at executor
//!   Approval ──────────▶ waiting for an approval
//!   SetAside ──────────▶ held, dispatch paused
//!   … of a held run ───▶ and held
//! ```

use super::cause::{Cause, Reason};
use crate::{
    record::{AttemptOutcome, AttemptRecord, Hold, Job, NodeRecord, Pause, Wake},
    time::Timestamp,
    types::{Error, NodeKind, NodeRunId, NodeRunState, RunId, WorkerId},
};

/// What is known about a NodeRun beside its record.
#[derive(Clone, Debug)]
pub struct Facts<'f> {
    pub now: Timestamp,
    /// This process.
    pub worker: &'f WorkerId,
    /// Its job is in hand of this process.
    pub is_in_hand: bool,
    pub below: Below,
    pub parked: Option<ParkedFacts>,
    pub last_attempt: Option<&'f AttemptRecord>,
    /// The executor of its kind.
    pub executor: ExecutorFacts,
    pub auto_dispatch: bool,
    /// The hold of its run.
    pub hold: Option<&'f Hold>,
    /// A pause that covers its dispatch.
    pub pause: Option<&'f Pause>,
}

/// The live nodes below a composite.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Below {
    pub live: u64,
    /// There may be more than were looked at.
    pub more: bool,
    pub oldest: Option<NodeRunId>,
}

/// A job that is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedFacts {
    pub job: String,
    pub error: String,
    pub since: Timestamp,
    pub until: Timestamp,
}

/// The state of an executor, as the last sweep saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecutorFacts {
    pub name: Option<String>,
    /// The circuit breakers of all its members are open.
    pub is_breaker_open: bool,
    /// No more of its nodes fit into memory.
    pub is_queue_full: bool,
}

/// Why a NodeRun is where it is; never empty.
pub fn node_reasons(node: &NodeRecord, facts: &Facts<'_>) -> Vec<Reason> {
    if node.is_terminal() {
        return ended(node);
    }
    let held = facts.hold.map(|hold| hold_reason(&node.node.run_id, hold, node.deadline));
    if let Some(ParkedFacts { job, error, since, until }) = facts.parked.clone() {
        let parked = Cause::Parked { job, error }.reason(Some(since), Some(until));
        return [parked].into_iter().chain(held).collect();
    }
    let Some(wake) = &node.wake else {
        return vec![Cause::NoWakeUp.reason(node.node.created_at, node.deadline)];
    };
    let paused = facts.pause.map(paused);
    match wake.job {
        Job::Dispatch if wake.at > facts.now => {
            [dispatched_later(node, wake, facts)].into_iter().chain(paused).collect()
        }
        Job::Dispatch => vec![paused.unwrap_or_else(|| dispatched_now(node, wake, facts))],
        Job::SetAside => set_aside(node, held, paused),
        Job::Deadline => at_executor(node, facts).into_iter().chain(held).collect(),
        Job::Approval => [approval(node)].into_iter().chain(held).collect(),
        // Only ended nodes have such a wake-up.
        Job::CancelExecutor => vec![notifying(node, wake)],
    }
}

/// That a run is held, at the latest until `deadline`.
pub fn hold_reason(run: &RunId, hold: &Hold, deadline: Option<Timestamp>) -> Reason {
    let Hold { since, by, reason, until } = hold;
    let (run_id, by) = (run.clone(), by.name().to_owned());
    Cause::Held { run_id, by, reason: reason.clone() }.reason(Some(*since), until.or(deadline))
}

fn paused(pause: &Pause) -> Reason {
    let Pause { scope, since, by, reason } = pause;
    let (name, scope) = (scope.name().map(str::to_owned), scope.kind().to_owned());
    let cause = Cause::DispatchPaused { scope, name, by: by.name().to_owned(), reason: reason.clone() };
    cause.reason(Some(*since), None)
}

/// Without a hold and a pause, it was resumed a moment ago.
fn set_aside(node: &NodeRecord, held: Option<Reason>, paused: Option<Reason>) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = held.into_iter().chain(paused).collect();
    if reasons.is_empty() {
        reasons.push(Cause::DispatchDue.reason(None, node.deadline));
    }
    reasons
}

fn ended(node: &NodeRecord) -> Vec<Reason> {
    let state = node.node.state;
    let over = Cause::Over { state, error_code: error_code(node) }.reason(node.node.ended_at, None);
    let reused = node.repetition.twin.reused().cloned();
    let reused = reused.map(|id| Cause::Reused { node_run_id: id }.reason(node.node.ended_at, None));
    let notified = node.wake.as_ref().map(|wake| notifying(node, wake));
    [over].into_iter().chain(reused).chain(notified).collect()
}

/// The code of the error with which a node has ended: in its extensions, under
/// either spelling.
fn error_code(node: &NodeRecord) -> Option<String> {
    let extensions = node.node.extensions.as_ref()?;
    let text =
        ["completion_error", "jarvis.completion_error"].into_iter().find_map(|key| extensions.raw(key))?;
    serde_json::from_str::<Error>(text).ok().map(|error| error.code)
}

fn notifying(node: &NodeRecord, wake: &Wake) -> Reason {
    Cause::NotifyingExecutor { tries: wake.tries }.reason(node.node.ended_at, Some(wake.at))
}

fn approval(node: &NodeRecord) -> Reason {
    let Some(approval) = &node.waits.approval else { return Cause::DispatchDue.reason(None, node.deadline) };
    Cause::WaitingForApproval { approval_id: approval.approval_id.to_string() }
        .reason(Some(approval.requested_at), Some(approval.expires_at))
}

fn dispatched_later(node: &NodeRecord, wake: &Wake, facts: &Facts<'_>) -> Reason {
    let until = Some(wake.at);
    if let Some(since) = node.waits.held_since {
        return Cause::PolicyUnavailable.reason(Some(since), until);
    }
    let ExecutorFacts { name, is_breaker_open, is_queue_full: _ } = &facts.executor;
    if *is_breaker_open {
        return Cause::BreakerOpen { executor: name.clone() }.reason(None, until);
    }
    if node.node.state == NodeRunState::Running && node.retries > 0 {
        let (since, last_error) =
            facts.last_attempt.map_or((None, None), |attempt| (Some(attempt.ended_at), last_error(attempt)));
        return Cause::BackingOff { retries: node.retries, last_error }.reason(since, until);
    }
    Cause::Postponed { tries: wake.tries }.reason(node.node.created_at, until)
}

fn last_error(attempt: &AttemptRecord) -> Option<String> {
    match &attempt.outcome {
        AttemptOutcome::Failed { error, .. } => Some(error.code.clone()),
        AttemptOutcome::FailedResult { error, .. } => error.as_ref().map(|error| error.code.clone()),
        AttemptOutcome::Late { error, .. } => error.as_ref().map(|error| error.code.clone()),
        AttemptOutcome::Lost => Some("attempt_lost".into()),
        AttemptOutcome::Fenced => None,
    }
}

fn dispatched_now(node: &NodeRecord, wake: &Wake, facts: &Facts<'_>) -> Reason {
    let executor = facts.executor.name.clone();
    let (since, until) = (Some(wake.at), node.deadline);
    let cause = match &wake.claimed_by {
        _ if !facts.auto_dispatch => Cause::DispatchOff,
        None if facts.executor.is_queue_full => Cause::QueueFull { executor },
        None => Cause::DispatchDue,
        Some(worker) if worker != facts.worker => Cause::AtWorker { worker: worker.to_string() },
        Some(_) if !facts.is_in_hand => Cause::LostByWorker,
        Some(_) => match node.node.state {
            NodeRunState::Assigned => Cause::AskingPolicy,
            NodeRunState::Queued
            | NodeRunState::Running
            | NodeRunState::Succeeded
            | NodeRunState::Failed
            | NodeRunState::Canceled => Cause::WaitingForSlot { executor },
        },
    };
    cause.reason(since, until)
}

fn at_executor(node: &NodeRecord, facts: &Facts<'_>) -> Vec<Reason> {
    let binding = node.node.executor_binding.as_ref();
    let executor = binding.map(|binding| binding.executor_instance_id.clone());
    let until = node.waits.check_at.or(node.deadline);
    let at_executor =
        Cause::AtExecutor { executor, attempt: node.attempt }.reason(node.node.started_at, until);
    let Below { live, more, oldest } = facts.below.clone();
    let waits = match node.node.kind {
        Some(NodeKind::Composite) if live > 0 => {
            Some(Cause::WaitingForChildren { live, more, oldest }.reason(node.node.started_at, node.deadline))
        }
        Some(NodeKind::Atomic | NodeKind::Composite) | None => None,
    };
    waits.into_iter().chain([at_executor]).collect()
}
