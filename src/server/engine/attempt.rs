//! One try to execute a node (contract §9.2): claimed, begun, and finished,
//! retried or lost.
//!
//! ```text
//!              claim                begin                    finish
//!   queued ───────────▶ assigned ───────────▶ running ─────────────────▶ terminal
//!      │  (only if policy or registry          │  ▲
//!      │   must be asked over the network)     │  │ begin, attempt + 1
//!      └──────────── begin ───────────────────▶│  │
//!      └──────────── refuse ──▶ failed         └──┘ failed or lost, may run again (`retry`)
//! ```
//!
//! The attempt's number is its fencing number: a result that names another
//! attempt than the current one, or comes when the node is over, is kept in the
//! attempt log and changes nothing else.

use std::time::Duration;

use super::{
    Decision, Lease, NodeTypeFacts, NodeView, PolicyDecided, PolicyOutcome, Rules,
    cancel::node_expire,
    constraints,
    draft::{Draft, End, is_at_executor, wake},
    guard::{HeadBefore, NodeBefore},
    learn::learn,
    retry::{self, FailedCall},
    silence,
    start::denied,
};
use crate::{
    record::{AttemptOutcome, AttemptRecord, ChangeSet, Job, NodeHead, NodeRecord, RunRecord, Wake},
    time::Timestamp,
    types::{
        ConstraintEnvelope, Error, EvaluationResult, EvaluationStatus, ExecutorBinding, JsonObject, NodeKind,
        NodeRunId, NodeRunState, ResourceRef, RunEventType, RunId,
    },
};

/// An attempt that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub number: u32,
    pub started_at: Timestamp,
}

impl Attempt {
    /// The one that a record says is under way.
    pub(super) fn current(node: &NodeRecord, now: Timestamp) -> Self {
        Self { number: node.attempt, started_at: node.node.started_at.unwrap_or(now) }
    }

    /// The entry of the attempt log.
    pub(super) fn record(
        self,
        node: &NodeRunId,
        run: &RunId,
        outcome: AttemptOutcome,
        now: Timestamp,
    ) -> AttemptRecord {
        AttemptRecord {
            node_run_id: node.clone(),
            run_id: run.clone(),
            attempt: self.number,
            started_at: self.started_at,
            ended_at: now,
            outcome,
        }
    }
}

/// What is needed to begin, found out beforehand.
#[derive(Clone, Debug)]
pub struct BeginAttempt {
    pub facts: NodeTypeFacts,
    /// The decision at the checkpoint `node.run.execute`.
    pub decided: PolicyDecided,
    /// The executor that will do it, or why there is none.
    pub executor: Result<ExecutorBinding, Error>,
}

/// What came of beginning.
#[derive(Clone, Debug, PartialEq)]
pub enum Begun {
    /// Call the executor, and be done by `deadline`.
    Go { attempt: Attempt, deadline: Timestamp },
    /// The node has failed instead.
    Refused,
    /// There is nothing to do any more.
    Stale,
}

/// What an executor answered, or that it did not.
#[derive(Clone, Debug, PartialEq)]
pub enum AttemptResult {
    /// The work is done, well or badly. `state` is terminal.
    Answered {
        state: NodeRunState,
        outputs: Option<JsonObject>,
        output_artifacts: Option<Vec<ResourceRef>>,
        error: Option<Error>,
    },
    /// The call failed, or its answer made no sense.
    Failed(FailedCall),
}

/// What became of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    Yes,
    /// Recorded in the attempt log only.
    Late,
}

/// Marks a node as taken, before its policy or registry questions go out.
pub fn attempt_claim(run: &RunRecord, mut node: NodeRecord, lease: &Lease, now: Timestamp) -> Decision<()> {
    let before = NodeBefore::of(&node);
    match node.node.state {
        NodeRunState::Queued => {
            node.node.state = NodeRunState::Assigned;
            if let Some(wake) = &mut node.wake {
                wake.claimed_by.clone_from(lease);
            }
            Decision { changes: Some(node_only(run, &before, node, now)), answer: () }
        }
        NodeRunState::Assigned
        | NodeRunState::Running
        | NodeRunState::Succeeded
        | NodeRunState::Failed
        | NodeRunState::Canceled => Decision::unchanged(()),
    }
}

/// The constraints that hold for a node at dispatch (contract §7.2): its own, of
/// which those of its run and of what is above it are part; the run's once more,
/// since others may have written the record; and those of its type, which may
/// not have been known when it was made. Narrowing twice changes nothing.
pub fn effective_constraints(
    run: &RunRecord,
    node: &NodeRecord,
    facts: &NodeTypeFacts,
) -> Result<Option<ConstraintEnvelope>, Error> {
    let invalid = |_| Error::new("constraint_invalid", "Constraints payload is not valid");
    let of_run = constraints::stored(run.run.extensions.as_ref()).map_err(invalid)?;
    let own = constraints::stored(node.node.extensions.as_ref()).map_err(invalid)?;
    Ok(constraints::merge([of_run.as_ref(), own.as_ref(), facts.constraints.as_ref()]))
}

/// Why a node must not be executed, policy apart (contract §9.2 steps 3, 4).
pub fn attempt_refusal(run: &RunRecord, node: &NodeRecord, facts: &NodeTypeFacts) -> Option<Error> {
    let Some(kind) = node.node.kind.or(facts.kind) else {
        return Some(Error::new("unknown_node_kind", "Unable to resolve node kind"));
    };
    let side_effect = node.side_effect.or(facts.side_effect);
    match effective_constraints(run, node, facts) {
        Ok(effective) => {
            constraints::refusal(effective.as_ref(), &node.node.node_type_ref, kind, side_effect)
        }
        Err(invalid) => Some(invalid),
    }
}

/// Fails a node that must not, or cannot, be executed.
pub fn attempt_refuse(
    view: NodeView,
    facts: &NodeTypeFacts,
    error: Error,
    rules: &Rules,
    lease: &Lease,
    now: Timestamp,
) -> Decision<()> {
    let NodeView { run, mut node, live_below } = view;
    if !awaits(&node, Job::Dispatch) {
        return Decision::unchanged(());
    }
    let mut draft = Draft::new(run, now);
    draft.loaded(&node);
    learn(&draft.run, &mut node, facts, rules);
    let end = refused(&node, error);
    draft.end(rules, node, live_below, end, lease);
    Decision { changes: Some(draft.into_changes()), answer: () }
}

/// Records the policy decision and, if all is well, that the node is at its
/// executor (contract §9.2 steps 5 to 7).
pub fn attempt_begin(
    view: NodeView,
    command: BeginAttempt,
    rules: &Rules,
    lease: &Lease,
    now: Timestamp,
) -> Decision<Begun> {
    let NodeView { run, mut node, live_below } = view;
    if !awaits(&node, Job::Dispatch) {
        return Decision::unchanged(Begun::Stale);
    }
    let BeginAttempt { facts, decided, executor } = command;
    let mut draft = Draft::new(run, now);
    draft.loaded(&node);
    learn(&draft.run, &mut node, &facts, rules);
    // `attempt_refusal` has let through only nodes of known kind.
    let Some(kind) = node.node.kind else { return Decision::unchanged(Begun::Stale) };
    let effective = effective_constraints(&draft.run, &node, &facts).unwrap_or_default();

    draft.policy_decided(&node, &decided);
    let binding = match (decided.outcome, executor) {
        (PolicyOutcome::Allow, Ok(binding)) => binding,
        (PolicyOutcome::Allow, Err(unconfigured)) => {
            let end = refused(&node, unconfigured);
            draft.end(rules, node, live_below, end, lease);
            return Decision { changes: Some(draft.into_changes()), answer: Begun::Refused };
        }
        (PolicyOutcome::Deny | PolicyOutcome::RequireApproval, _) => {
            let end = refused(&node, denied(&decided, "NodeRun denied by policy"));
            draft.end(rules, node, live_below, end, lease);
            return Decision { changes: Some(draft.into_changes()), answer: Begun::Refused };
        }
    };
    let default = match kind {
        NodeKind::Atomic => rules.node_timeout,
        // As long as its children need; the run's deadline bounds it.
        NodeKind::Composite => Duration::MAX,
    };
    // From the first attempt on: trying again does not make time.
    let begun = node.node.started_at.map_or(now, |first| first.min(now));
    let by_time = begun + constraints::wall_time(effective.as_ref(), default);
    let deadline = draft.run.deadline.map_or(by_time, |of_run| of_run.min(by_time));
    node.attempt += 1;
    node.node.state = NodeRunState::Running;
    node.node.started_at.get_or_insert(now);
    node.node.executor_binding = Some(binding);
    node.deadline = Some(deadline);
    node.waits.held_since = None;
    silence::wait(&mut node, rules, lease, now);
    let attempt = Attempt { number: node.attempt, started_at: now };
    draft.put(node);
    Decision { changes: Some(draft.into_changes()), answer: Begun::Go { attempt, deadline } }
}

/// Puts a node back to be dispatched at `at`, because something that was needed
/// is not there right now.
pub fn attempt_retry(run: &RunRecord, mut node: NodeRecord, at: Timestamp, now: Timestamp) -> Decision<()> {
    // One that somebody else has begun in between must not be begun again.
    let Some(Wake { job: Job::Dispatch, tries, .. }) = node.wake else {
        return Decision::unchanged(());
    };
    let before = NodeBefore::of(&node);
    let at = node.deadline.map_or(at, |deadline| deadline.min(at));
    node.wake = Some(Wake { job: Job::Dispatch, at, claimed_by: None, tries: tries.saturating_add(1) });
    Decision { changes: Some(node_only(run, &before, node, now)), answer: () }
}

/// Puts a node back that was not even handed over, since nothing would have
/// come of it (its executor is known to be down). That was no attempt, and costs
/// none: it waits for as long as it has time, and then it ends.
pub fn attempt_defer(
    view: NodeView,
    at: Timestamp,
    rules: &Rules,
    lease: &Lease,
    now: Timestamp,
) -> Decision<()> {
    if !awaits(&view.node, Job::Dispatch) {
        return Decision::unchanged(());
    }
    if view.node.deadline.is_some_and(|deadline| deadline <= now) {
        return node_expire(view, rules, lease, now);
    }
    attempt_retry(&view.run, view.node, at, now)
}

/// Applies the result of a node's attempt (contract §9.3, §9.4), or, if the
/// attempt is not the current one any more, records that it came.
pub fn attempt_finish(
    view: NodeView,
    attempt: Attempt,
    result: AttemptResult,
    rules: &Rules,
    lease: &Lease,
    now: Timestamp,
) -> Decision<Applied> {
    let NodeView { run, mut node, live_below } = view;
    if node.is_terminal() || node.attempt != attempt.number {
        let (state, error) = match result {
            AttemptResult::Answered { state, error, .. } => (state, error),
            AttemptResult::Failed(failed) => (NodeRunState::Failed, Some(failed.error)),
        };
        let outcome = AttemptOutcome::Late { state, error };
        let record = attempt.record(node.id(), run.id(), outcome, now);
        let changes = ChangeSet { attempts: vec![record], ..ChangeSet::new(run.id().clone(), now) };
        return Decision { changes: Some(changes), answer: Applied::Late };
    }
    let mut draft = Draft::new(run, now);
    draft.loaded(&node);
    let end = match result {
        AttemptResult::Answered { state, outputs, output_artifacts, error } => {
            let evaluation = evaluation(state);
            draft.event(RunEventType::NodeEvaluated, Some(&node), JsonObject::of(&evaluation));
            // The events have both (G25). An evaluator has looked at the result
            // itself, not at its state alone: its verdict stands.
            if node.node.evaluation_result.as_ref().is_none_or(is_automatic) {
                node.node.evaluation_result = Some(evaluation);
            }
            End { state, outputs, output_artifacts, error, tell_executor: false }
        }
        // Said before, by a commit whose answer was lost, or by whoever took
        // the attempt for lost: it is to be handed over again already.
        AttemptResult::Failed(_) if !awaits(&node, Job::Deadline) => {
            return Decision::unchanged(Applied::Yes);
        }
        // Whatever became of the call: its executor has begun, and will report.
        AttemptResult::Failed(failed) if retry::has_begun(&node, &failed) => {
            return Decision::unchanged(Applied::Yes);
        }
        AttemptResult::Failed(failed) => match retry::again_at(&node, &failed, rules, now) {
            Some(at) => {
                retry::put_again(&mut draft, node, attempt, &failed, at);
                return Decision { changes: Some(draft.into_changes()), answer: Applied::Yes };
            }
            None => retry::given_up(&node, failed),
        },
    };
    draft.end(rules, node, live_below, end, lease);
    Decision { changes: Some(draft.into_changes()), answer: Applied::Yes }
}

/// The process that was at this attempt is gone, and nobody knows what the
/// executor did. An atomic node runs again only if that can do no harm.
///
/// A composite's executor may have given up, because nobody answered it. As
/// long as it has no children it is assigned again: an executor that is at it
/// ignores that. With children the executor has begun its plan, which it would
/// begin anew: it is only waited for.
///
/// Each lost attempt counts as one that failed: what kills the process whenever
/// it is fetched must not be fetched for ever. After the last, an atomic node
/// fails; a composite is waited for.
pub fn attempt_lost(view: NodeView, rules: &Rules, lease: &Lease, now: Timestamp) -> Decision<()> {
    if !awaits(&view.node, Job::Deadline) {
        return Decision::unchanged(());
    }
    let NodeView { run, mut node, live_below } = view;
    let again = retry::may_repeat(&node) && node.retries < rules.max_retries;
    let only_waits = node.children > 0 || (!again && node.node.kind == Some(NodeKind::Composite));
    if only_waits {
        let before = NodeBefore::of(&node);
        silence::wait(&mut node, rules, &None, now);
        return Decision { changes: Some(node_only(&run, &before, node, now)), answer: () };
    }
    let attempt = Attempt::current(&node, now);
    let mut draft = Draft::new(run, now);
    draft.loaded(&node);
    draft.attempt(&node, attempt, AttemptOutcome::Lost);
    if again {
        node.retries += 1;
        let lost = "The coordinator stopped while the node was at its executor";
        retry::note(&mut draft, &mut node, attempt, "attempt_lost", lost, now);
        retry::supersede_running_attempt(&mut node);
        node.wake = Some(wake(Job::Dispatch, now, lease));
        draft.put(node);
    } else {
        let why = match retry::may_repeat(&node) {
            true => "as often as a node may be handed over",
            false => "and it may not be executed twice",
        };
        let message = format!("The coordinator stopped while the node was at its executor, {why}");
        let mut error = Error::new("executor_outcome_unknown", message);
        error.details = Some([("attempt", attempt.number.into())].into());
        let end = End { tell_executor: true, ..End::failed(error) };
        draft.end(rules, node, live_below, end, lease);
    }
    Decision { changes: Some(draft.into_changes()), answer: () }
}

/// What came of telling an executor that a node is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It has acknowledged that.
    Yes,
    /// It is to be told again then.
    Again(Timestamp),
    /// It is told no more: what it may still answer is fenced off.
    GivenUp,
}

/// Notes what came of telling the executor of a node that is over.
pub fn executor_told(mut node: NodeHead, told: Told, now: Timestamp) -> Decision<()> {
    let Some(Wake { job: Job::CancelExecutor, tries, .. }) = node.wake else {
        return Decision::unchanged(());
    };
    let before = HeadBefore::of(&node);
    let again = |at| Wake { job: Job::CancelExecutor, at, claimed_by: None, tries: tries.saturating_add(1) };
    let (next, fenced) = match told {
        Told::Yes => (None, false),
        Told::Again(at) => (Some(again(at)), false),
        Told::GivenUp => (None, true),
    };
    let attempt = Attempt { number: node.attempt, started_at: node.started_at.unwrap_or(now) };
    let fenced = fenced.then(|| attempt.record(&node.node_run_id, &node.run_id, AttemptOutcome::Fenced, now));
    node.wake = next;
    before.may_become(&node);
    let attempts = fenced.into_iter().collect();
    let run = node.run_id.clone();
    let changes = ChangeSet { attempts, heads: vec![node], ..ChangeSet::new(run, now) }.owing_all();
    Decision { changes: Some(changes), answer: () }
}

/// The node waits for this: nobody has taken it further yet.
pub(super) fn awaits(node: &NodeRecord, job: Job) -> bool {
    node.wake.as_ref().is_some_and(|wake| wake.job == job)
}

/// The end of a node that is not begun. An earlier attempt, lost, may still be
/// at its executor.
fn refused(node: &NodeRecord, error: Error) -> End {
    End { tell_executor: is_at_executor(node), ..End::failed(error) }
}

/// The reason that the coordinator gives for its own evaluations.
const AUTOMATIC: &str = "atomic_completed";

fn is_automatic(evaluation: &EvaluationResult) -> bool {
    evaluation.reason_code.as_deref() == Some(AUTOMATIC)
}

fn evaluation(state: NodeRunState) -> EvaluationResult {
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

/// A change of one node's bookkeeping: no event, so the run stays as it is.
pub(super) fn node_only(run: &RunRecord, before: &NodeBefore, node: NodeRecord, now: Timestamp) -> ChangeSet {
    before.may_become(&node);
    ChangeSet { nodes: vec![node], ..ChangeSet::new(run.id().clone(), now) }.owing_all()
}
