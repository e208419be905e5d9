//! A node on its way to its executor (contract §9.2).
//!
//! ```text
//!              claim                    begin
//!   queued ────────────▶ assigned ─────────────────▶ running
//!      │   (only if a remote     │                      ▲ attempt + 1
//!      │    PDP must be asked)   │                      │
//!      ├──────── begin ──────────┼──────────────────────┤
//!      │                         ├─ begin, approval needed: waits (`approval`)
//!      │                         └─ begin, not allowed ─┼─▶ failed
//!      └─ postpone, defer ─▶ queued, later              │
//!                               running, failed or lost attempt that may be repeated
//! ```
//!
//! What is asked about a node beforehand comes in with the command: facts about
//! its type, whether it may be executed at all ([`attempt_refusal`]), and the
//! policy decision.

use std::time::Duration;

use super::{
    approval::{self, Demanded},
    attempt::Attempt,
    audit::Audited,
    bookkeeping::{awaits, node_only, put_back},
    cancel::node_expire,
    command::{Cx, Decision, Gates, NodeTypeFacts, NodeView, PolicyDecided},
    constraints::{self, effective_constraints},
    draft::Draft,
    guard::NodeBefore,
    learn::learn,
    ledger,
    overdue::WaitsFor,
    refuse, run_hold, silence,
};
use crate::{
    record::{Approval, AttemptNote, Job, Limits, NodeRecord, RunRecord},
    time::Timestamp,
    types::{Error, ExecutorBinding, NodeKind, NodeRunState, SideEffectClass},
};

/// The command, with all that was found out beforehand.
#[derive(Clone, Debug)]
pub struct BeginAttempt {
    pub facts: NodeTypeFacts,
    /// The decision at the checkpoint `node.run.execute` (or, with that one before
    /// it, at `node.run.irreversible`), or the reason why the node must not be
    /// executed even if policy allows it.
    pub verdict: Result<PolicyDecided, Error>,
    /// The executor that will be called, or why there is none.
    pub executor: Result<ExecutorBinding, Error>,
}

/// The result of [`attempt_begin`].
#[derive(Clone, Debug, PartialEq)]
pub enum BeginOutcome {
    /// The executor is to be called, and the call must end by `deadline`.
    Started {
        attempt: Attempt,
        deadline: Timestamp,
        /// What it may use of what is limited.
        allowance: Limits,
    },
    /// The node has failed instead.
    Failed,
    /// The node waits for this approval.
    Waits(Box<Approval>),
    /// The node no longer waits for its dispatch.
    Superseded,
}

/// Marks a node as assigned before questions about it go over the network.
pub fn attempt_claim(run: &RunRecord, mut node: NodeRecord, cx: Cx<'_>) -> Decision<()> {
    let before = NodeBefore::of(&node);
    match node.node.state {
        NodeRunState::Queued => {
            node.node.state = NodeRunState::Assigned;
            if let Some(wake) = &mut node.wake {
                wake.claimed_by = cx.claim.cloned();
            }
            Decision::commit(node_only(run, &before, node, cx), ())
        }
        NodeRunState::Assigned
        | NodeRunState::Running
        | NodeRunState::Succeeded
        | NodeRunState::Failed
        | NodeRunState::Canceled => Decision::unchanged(()),
    }
}

/// Says why a node must not be executed, policy apart (contract §9.2 steps 3
/// and 4).
pub fn attempt_refusal(
    run: &RunRecord,
    node: &NodeRecord,
    facts: &NodeTypeFacts,
    gates: Gates,
) -> Option<Error> {
    let Some(kind) = node.node.kind.or(facts.kind) else {
        return Some(Error::new("unknown_node_kind", "Unable to resolve node kind"));
    };
    match effective_constraints(run, node, facts) {
        Ok(effective) => {
            let class = side_effect(node, facts, gates);
            constraints::forbidden(effective.as_ref(), &node.node.node_type_ref, Some(kind), class)
                .or_else(|| approval::refusal(effective.as_ref(), node, gates.approvals))
        }
        Err(invalid) => Some(invalid),
    }
}

fn side_effect(node: &NodeRecord, facts: &NodeTypeFacts, gates: Gates) -> SideEffectClass {
    node.side_effect.or(facts.side_effect).unwrap_or(gates.unknown_side_effect)
}

/// Whether policy is asked about a node at the checkpoint `node.run.irreversible`
/// as well. A composite has no effect of its own; each of its children is asked
/// about.
pub fn attempt_is_irreversible(node: &NodeRecord, facts: &NodeTypeFacts, gates: Gates) -> bool {
    gates.irreversible_checkpoint
        && node.node.kind.or(facts.kind) == Some(NodeKind::Atomic)
        && side_effect(node, facts, gates) == SideEffectClass::Irreversible
}

/// Records the policy decision and, if the node may be executed, that it is at
/// its executor (contract §9.2 steps 5 to 7).
pub fn attempt_begin(view: NodeView, command: BeginAttempt, cx: Cx<'_>) -> Decision<BeginOutcome> {
    let NodeView { run, mut node, live_below, payers } = view;
    if !awaits(&node, Job::Dispatch) {
        return Decision::unchanged(BeginOutcome::Superseded);
    }
    if run.hold.is_some() {
        return attempt_set_aside(&run, node, cx).answering(BeginOutcome::Superseded);
    }
    let cx = cx.not_before(&run);
    let mut draft = Draft::of(run, &node, cx);
    let paid = match judged(&mut draft, &mut node, command) {
        Ok(Judged::Admitted(admitted)) => {
            let reserved = ledger::reserve(&mut draft, &mut node, &payers, admitted.kind);
            reserved.map(|allowance| (admitted, allowance))
        }
        Ok(Judged::NeedsApproval(demanded)) => {
            let approval = approval::wait(&mut draft, node, demanded);
            return Decision::commit(draft.into_changes(), BeginOutcome::Waits(Box::new(approval)));
        }
        Err(error) => Err(error),
    };
    match paid {
        Ok((admitted, allowance)) => {
            let (attempt, deadline) = hand_over(&mut draft, node, admitted);
            Decision::commit(draft.into_changes(), BeginOutcome::Started { attempt, deadline, allowance })
        }
        Err(error) => {
            refuse::fail(&mut draft, node, &payers, live_below, error);
            Decision::commit(draft.into_changes(), BeginOutcome::Failed)
        }
    }
}

/// What comes of a node that does not fail.
enum Judged {
    Admitted(Admitted),
    NeedsApproval(Demanded),
}

/// A node that may be handed over: its executor, and the time that it may take.
struct Admitted {
    kind: NodeKind,
    binding: ExecutorBinding,
    wall_time: Duration,
}

/// Notes what was found out about the node, which may be the error that it fails
/// with.
fn judged(draft: &mut Draft<'_>, node: &mut NodeRecord, command: BeginAttempt) -> Result<Judged, Error> {
    let BeginAttempt { facts, verdict, executor } = command;
    learn(&draft.run, node, &facts, draft.cx.rules);
    let decided = verdict.inspect_err(|error| draft.audited = Audited::failing(node.id(), error, None))?;
    node.note = draft.run.trace.as_ref().filter(|trace| trace.is_sampled()).map(|_| {
        Box::new(AttemptNote {
            at: draft.cx.now,
            action: decided.action.to_owned(),
            decision: decided.outcome.as_str().to_owned(),
            reason_code: decided.reason_code.clone(),
            executor: None,
        })
    });
    let kind = node.node.kind;
    let kind = kind.ok_or_else(|| Error::new("unknown_node_kind", "Unable to resolve node kind"))?;
    let effective = effective_constraints(&draft.run, node, &facts).unwrap_or_default();
    let denial = "NodeRun denied by policy";
    if let Some(demanded) = approval::judge(draft, node, &decided, effective.as_ref(), denial)? {
        return Ok(Judged::NeedsApproval(demanded));
    }
    let binding = executor?;
    let default = match kind {
        NodeKind::Atomic => draft.cx.rules.node_timeout,
        // As long as its children need; the run's deadline bounds it.
        NodeKind::Composite => Duration::MAX,
    };
    let wall_time = constraints::wall_time(effective.as_ref(), default);
    Ok(Judged::Admitted(Admitted { kind, binding, wall_time }))
}

fn hand_over(draft: &mut Draft<'_>, mut node: NodeRecord, admitted: Admitted) -> (Attempt, Timestamp) {
    let Admitted { kind, binding, wall_time } = admitted;
    let now = draft.cx.now;
    // From the first attempt on: a retry gets no extra time.
    let first_start = node.node.started_at.map_or(now, |first| first.min(now));
    let by_time = first_start + wall_time;
    let deadline = draft.run.deadline.map_or(by_time, |of_run| of_run.min(by_time));
    node.attempt += 1;
    node.node.kind = Some(kind);
    node.node.state = NodeRunState::Running;
    node.node.started_at.get_or_insert(now);
    node.attempt_started_at = (node.attempt > 1).then_some(now);
    if let Some(earlier) = &node.node.executor_binding
        && node.superseded_attempt_may_run
    {
        node.hosts.moved(earlier, &binding);
    }
    if let Some(note) = &mut node.note {
        note.executor = Some(binding.executor_instance_id.clone());
    }
    node.node.executor_binding = Some(binding);
    node.deadline = Some(deadline);
    node.waits.held_since = None;
    silence::await_executor(&mut node, draft.cx);
    let attempt = Attempt { number: node.attempt, started_at: now };
    draft.run.attempts = draft.run.attempts.saturating_add(1);
    draft.run_changed();
    draft.put(node);
    (attempt, deadline)
}

/// Puts a node back to be dispatched at `at`, because something that the
/// dispatch needs is unavailable.
pub fn attempt_postpone(run: &RunRecord, mut node: NodeRecord, at: Timestamp, cx: Cx<'_>) -> Decision<()> {
    let before = NodeBefore::of(&node);
    if put_back(&mut node, at).is_none() {
        return Decision::unchanged(());
    }
    Decision::commit(node_only(run, &before, node, cx), ())
}

/// Sets a node aside, because its dispatch is paused: it keeps its place, and
/// nothing is counted.
pub fn attempt_set_aside(run: &RunRecord, mut node: NodeRecord, cx: Cx<'_>) -> Decision<()> {
    if !awaits(&node, Job::Dispatch) {
        return Decision::unchanged(());
    }
    let before = NodeBefore::of(&node);
    run_hold::set_aside(&mut node, cx.now);
    Decision::commit(node_only(run, &before, node, cx), ())
}

/// Puts a node back because no executor takes it for now. No attempt is counted:
/// the node waits until its deadline, and then it fails.
pub fn attempt_defer(view: NodeView, at: Timestamp, waits_for: WaitsFor, cx: Cx<'_>) -> Decision<()> {
    if !awaits(&view.node, Job::Dispatch) {
        return Decision::unchanged(());
    }
    if view.node.deadline.is_some_and(|deadline| deadline <= cx.now) {
        return node_expire(view, waits_for, cx);
    }
    attempt_postpone(&view.run, view.node, at, cx)
}
