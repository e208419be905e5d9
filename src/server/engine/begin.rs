//! A node on its way to its executor (contract §9.2).
//!
//! ```text
//!              claim                    begin
//!   queued ────────────▶ assigned ─────────────────▶ running
//!      │   (only if a remote     │                      ▲ attempt + 1
//!      │    PDP must be asked)   │                      │
//!      ├──────── begin ──────────┼──────────────────────┤
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
    attempt::Attempt,
    audit::Audited,
    bookkeeping::{awaits, node_only, put_back},
    cancel::node_expire,
    command::{Cx, Decision, NodeTypeFacts, NodeView, PolicyDecided, PolicyOutcome},
    constraints::{self, effective_constraints},
    draft::{Draft, End, is_at_executor},
    guard::NodeBefore,
    learn::learn,
    ledger, silence,
    start::denied,
};
use crate::{
    record::{Job, Limits, NodeRecord, RunRecord},
    time::Timestamp,
    types::{Error, ExecutorBinding, NodeKind, NodeRunState},
};

/// The command, with all that was found out beforehand.
#[derive(Clone, Debug)]
pub struct BeginAttempt {
    pub facts: NodeTypeFacts,
    /// The decision at the checkpoint `node.run.execute`, or the reason why the
    /// node must not be executed even if policy allows it.
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

/// Records the policy decision and, if the node may be executed, that it is at
/// its executor (contract §9.2 steps 5 to 7).
pub fn attempt_begin(view: NodeView, command: BeginAttempt, cx: Cx<'_>) -> Decision<BeginOutcome> {
    let NodeView { run, mut node, live_below, payers } = view;
    if !awaits(&node, Job::Dispatch) {
        return Decision::unchanged(BeginOutcome::Superseded);
    }
    let mut draft = Draft::of(run, &node, cx);
    let admitted = admitted(&mut draft, &mut node, command);
    let paid = admitted.and_then(|admitted| {
        let allowance = ledger::reserve(&mut draft, &mut node, &payers, admitted.kind)?;
        Ok((admitted, allowance))
    });
    match paid {
        Ok((admitted, allowance)) => {
            let (attempt, deadline) = hand_over(&mut draft, node, admitted);
            Decision::commit(draft.into_changes(), BeginOutcome::Started { attempt, deadline, allowance })
        }
        Err(error) => {
            if node.superseded_attempt_may_run {
                ledger::settle(&mut draft, &mut node, &payers, None);
            } else {
                ledger::release(&mut draft, &mut node, &payers);
            }
            // An earlier attempt, lost, may still be at the executor.
            let end = End { notify_executor: is_at_executor(&node), ..End::failed(error) };
            draft.end(node, live_below, end);
            Decision::commit(draft.into_changes(), BeginOutcome::Failed)
        }
    }
}

/// A node that may be handed over: its executor, and the time that it may take.
struct Admitted {
    kind: NodeKind,
    binding: ExecutorBinding,
    wall_time: Duration,
}

/// Notes what was found out about the node, which may be the error that it fails
/// with.
fn admitted(draft: &mut Draft<'_>, node: &mut NodeRecord, command: BeginAttempt) -> Result<Admitted, Error> {
    let BeginAttempt { facts, verdict, executor } = command;
    learn(&draft.run, node, &facts, draft.cx.rules);
    let decided = verdict.inspect_err(|error| draft.audited = Audited::failing(node.id(), error, None))?;
    let kind = node.node.kind;
    let kind = kind.ok_or_else(|| Error::new("unknown_node_kind", "Unable to resolve node kind"))?;
    draft.policy_decided(node, &decided);
    match decided.outcome {
        PolicyOutcome::Allow => {}
        PolicyOutcome::Deny | PolicyOutcome::RequireApproval => {
            let error = denied(&decided, "NodeRun denied by policy");
            draft.audited = Audited::failing(node.id(), &error, decided.reason_code.as_deref());
            return Err(error);
        }
    }
    let binding = executor?;
    let effective = effective_constraints(&draft.run, node, &facts).unwrap_or_default();
    let default = match kind {
        NodeKind::Atomic => draft.cx.rules.node_timeout,
        // As long as its children need; the run's deadline bounds it.
        NodeKind::Composite => Duration::MAX,
    };
    Ok(Admitted { kind, binding, wall_time: constraints::wall_time(effective.as_ref(), default) })
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
    if let Some(earlier) = &node.node.executor_binding
        && node.superseded_attempt_may_run
    {
        node.hosts.moved(earlier, &binding);
    }
    node.node.executor_binding = Some(binding);
    node.deadline = Some(deadline);
    node.waits.held_since = None;
    silence::await_executor(&mut node, draft.cx);
    let attempt = Attempt { number: node.attempt, started_at: now };
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

/// Puts a node back because its executor's circuit breaker is open. No attempt
/// is counted: the node waits until its deadline, and then it fails.
pub fn attempt_defer(view: NodeView, at: Timestamp, cx: Cx<'_>) -> Decision<()> {
    if !awaits(&view.node, Job::Dispatch) {
        return Decision::unchanged(());
    }
    if view.node.deadline.is_some_and(|deadline| deadline <= cx.now) {
        return node_expire(view, cx);
    }
    attempt_postpone(&view.run, view.node, at, cx)
}
