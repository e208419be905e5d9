//! How an approval ends: by a caller, by policy, or by time.
//!
//! ```text
//!   approve ───────────────▶ approved ─▶ the node is dispatched
//!   deny ──────────────────▶ denied ───▶ the node fails, `approval_denied`
//!   policy asked again ─┬──▶ lifted ───▶ the node is dispatched
//!                       ├──▶ denied ───▶ the node fails, `policy_denied`
//!                       └──▶ no change: asked again later
//!   time ──────────────────▶ expired ──▶ the node fails, `approval_expired`
//! ```
//!
//! Each end is an event `policy_decided` about `node.run.approval`.

use serde_json::json;

use super::{NODE_RUN_APPROVAL, ask_pause, deny, note, referring};
use crate::{
    engine::{
        audit::Audited,
        bookkeeping::{awaits, head_only, wake},
        command::{Cx, Decision, NodeView, PolicyDecided, PolicyOutcome},
        draft::Draft,
        guard::HeadBefore,
        refuse,
        rejection::Rejection,
    },
    record::{Actor, Approval, ApprovalDecision, ApprovalOutcome, Job, NodeRecord, Wake},
    types::{Error, JsonObject},
};

/// What a caller decides about an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApprovalVerdict {
    Approve,
    Deny,
}

impl ApprovalVerdict {
    fn outcome(self) -> ApprovalOutcome {
        match self {
            Self::Approve => ApprovalOutcome::Approved,
            Self::Deny => ApprovalOutcome::Denied,
        }
    }
}

/// A caller's decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecideApproval {
    /// The number of the approval.
    pub number: u32,
    pub verdict: ApprovalVerdict,
    pub reason: String,
}

/// What policy says about a node that waits.
#[derive(Clone, Debug, PartialEq)]
pub enum ApprovalAnswer {
    /// The decision at the checkpoint that demanded the approval, or the reason why
    /// the node must not be executed even if policy allows it.
    Decided(Result<PolicyDecided, Error>),
    /// Policy is unavailable, or was not asked.
    Nothing,
}

/// Applies a caller's decision. The same decision again changes nothing.
pub fn approval_decide(
    view: NodeView,
    command: &DecideApproval,
    cx: Cx<'_>,
) -> Result<Decision<Approval>, Rejection> {
    let DecideApproval { number, verdict, reason } = command;
    let Some(approval) = view.node.waits.approval.as_deref() else {
        return Err(Rejection::ApprovalEnded(None));
    };
    if approval.approval_id.number != *number {
        return Err(Rejection::ApprovalEnded(None));
    }
    match approval.outcome() {
        Some(outcome) if outcome == verdict.outcome() => return Ok(Decision::unchanged(approval.clone())),
        Some(outcome @ (ApprovalOutcome::Approved | ApprovalOutcome::Denied)) => {
            return Err(Rejection::ApprovalDecided(outcome));
        }
        Some(outcome @ (ApprovalOutcome::Expired | ApprovalOutcome::Lifted)) => {
            return Err(Rejection::ApprovalEnded(Some(outcome)));
        }
        None => {}
    }
    if approval.expires_at <= cx.now {
        // Its wake-up is due, and will say so.
        return Err(Rejection::ApprovalEnded(Some(ApprovalOutcome::Expired)));
    }
    if !awaits(&view.node, Job::Approval) {
        return Err(Rejection::ApprovalEnded(None));
    }
    let NodeView { run, mut node, live_below, payers } = view;
    let cx = cx.not_before(&run);
    let mut draft = Draft::of(run, &node, cx);
    let decision = ApprovalDecision::new(verdict.outcome(), cx.cause.actor().clone(), Some(reason), cx.now);
    let ended = end(&mut draft, &mut node, decision);
    draft.audited = Audited::node(node.id(), reason.as_str());
    match verdict {
        ApprovalVerdict::Approve => go_on(draft.cx, &mut node),
        ApprovalVerdict::Deny => {
            let error = failed("approval_denied", "The approval of the NodeRun was denied", &ended);
            refuse::fail(&mut draft, node, &payers, live_below, error);
            return Ok(Decision::commit(draft.into_changes(), ended));
        }
    }
    draft.put(node);
    Ok(Decision::commit(draft.into_changes(), ended))
}

/// Fails a node whose approval has expired. Answers whether it has.
pub fn approval_expire(view: NodeView, cx: Cx<'_>) -> Decision<bool> {
    let Some(approval) = waiting(&view.node) else { return Decision::unchanged(false) };
    if approval.expires_at > cx.now {
        return Decision::unchanged(false);
    }
    let NodeView { run, mut node, live_below, payers } = view;
    let cx = cx.not_before(&run);
    let mut draft = Draft::of(run, &node, cx);
    let decision = ApprovalDecision::new(ApprovalOutcome::Expired, Actor::Coordinator, None, cx.now);
    let ended = end(&mut draft, &mut node, decision);
    let error = failed("approval_expired", "The approval of the NodeRun was not given in time", &ended);
    draft.audited = Audited::failing(node.id(), &error, None);
    refuse::fail(&mut draft, node, &payers, live_below, error);
    Decision::commit(draft.into_changes(), true)
}

/// Applies what policy says now about a node whose approval it demanded. Answers how
/// the approval `number` has ended by that, if it has.
pub fn approval_asked_again(
    view: NodeView,
    number: u32,
    answer: ApprovalAnswer,
    cx: Cx<'_>,
) -> Decision<Option<ApprovalOutcome>> {
    let Some(approval) = waiting(&view.node).filter(|approval| approval.approval_id.number == number) else {
        return Decision::unchanged(None);
    };
    if approval.expires_at <= cx.now {
        let expired = |expired: bool| expired.then_some(ApprovalOutcome::Expired);
        let Decision { changes, answer } = approval_expire(view, cx);
        return Decision { changes, answer: expired(answer) };
    }
    let answer = match answer {
        ApprovalAnswer::Decided(answer) => answer,
        ApprovalAnswer::Nothing => return ask_later(&view.node, cx),
    };
    match answer {
        Ok(PolicyDecided { outcome: PolicyOutcome::RequireApproval, .. }) => ask_later(&view.node, cx),
        Ok(decided @ PolicyDecided { outcome: PolicyOutcome::Allow, .. }) => {
            let NodeView { run, mut node, live_below: _, payers: _ } = view;
            let cx = cx.not_before(&run);
            let mut draft = Draft::of(run, &node, cx);
            draft.policy_decided(&node, &decided);
            lift(&mut draft, &mut node, decided.message.as_deref());
            go_on(cx, &mut node);
            draft.put(node);
            Decision::commit(draft.into_changes(), Some(ApprovalOutcome::Lifted))
        }
        Ok(decided @ PolicyDecided { outcome: PolicyOutcome::Deny, .. }) => refused(view, Err(decided), cx),
        Err(error) => refused(view, Ok(error), cx),
    }
}

/// Fails a node that may not be executed, approved or not.
fn refused(
    view: NodeView,
    why: Result<Error, PolicyDecided>,
    cx: Cx<'_>,
) -> Decision<Option<ApprovalOutcome>> {
    let NodeView { run, mut node, live_below, payers } = view;
    let cx = cx.not_before(&run);
    let mut draft = Draft::of(run, &node, cx);
    let error = match why {
        Ok(error) => {
            draft.audited = Audited::failing(node.id(), &error, None);
            error
        }
        Err(decided) => deny(&mut draft, &node, &decided, "NodeRun denied by policy"),
    };
    let by = Actor::Coordinator;
    end(&mut draft, &mut node, ApprovalDecision::new(ApprovalOutcome::Denied, by, Some(&error.code), cx.now));
    refuse::fail(&mut draft, node, &payers, live_below, error);
    Decision::commit(draft.into_changes(), Some(ApprovalOutcome::Denied))
}

/// Ends the approval of a node whose executor has started all the same: the attempt
/// before this one, which was let through, has created children. A node that does
/// not wait stays as it is.
pub(in crate::server::engine) fn overtake(draft: &mut Draft<'_>, node: &mut NodeRecord) {
    if waiting(node).is_some() {
        lift(draft, node, Some("The executor of an earlier attempt has started"));
    }
}

fn lift(draft: &mut Draft<'_>, node: &mut NodeRecord, reason: Option<&str>) {
    let now = draft.cx.now;
    end(draft, node, ApprovalDecision::new(ApprovalOutcome::Lifted, Actor::Coordinator, reason, now));
}

/// The approval that a node waits for.
fn waiting(node: &NodeRecord) -> Option<&Approval> {
    let approval = node.waits.approval.as_deref().filter(|approval| approval.is_open());
    approval.filter(|_| awaits(node, Job::Approval))
}

/// Records the end of a node's approval, with its event.
fn end(draft: &mut Draft<'_>, node: &mut NodeRecord, decision: ApprovalDecision) -> Approval {
    let Some(approval) = node.waits.approval.as_deref() else {
        unreachable!("a node that waits for an approval has it")
    };
    let (outcome, code) = match decision.outcome {
        ApprovalOutcome::Approved => (PolicyOutcome::Allow, "approval_granted"),
        ApprovalOutcome::Lifted => (PolicyOutcome::Allow, "approval_lifted"),
        ApprovalOutcome::Denied => (PolicyOutcome::Deny, "approval_denied"),
        ApprovalOutcome::Expired => (PolicyOutcome::Deny, "approval_expired"),
    };
    let event = PolicyDecided {
        action: NODE_RUN_APPROVAL,
        outcome,
        reason_code: Some(code.into()),
        message: decision.reason.clone(),
        after: None,
        evidence: JsonObject::new(),
    };
    draft.policy_decided(node, &referring(&event, &approval.approval_id));
    let ended = Approval { decision: Some(decision), ..approval.clone() };
    note(draft, node, ended.clone());
    ended
}

/// Lets a node be dispatched, now.
fn go_on(cx: Cx<'_>, node: &mut NodeRecord) {
    node.wake = Some(wake(Job::Dispatch, cx.now, cx.claim));
}

fn failed(code: &str, message: &str, approval: &Approval) -> Error {
    let details = [("approval", json!(approval))].into();
    Error { details: Some(details), retryable: Some(false), ..Error::new(code, message) }
}

/// Puts a node back until policy is asked again or its approval expires.
fn ask_later(node: &NodeRecord, cx: Cx<'_>) -> Decision<Option<ApprovalOutcome>> {
    let Some(approval) = waiting(node) else { return Decision::unchanged(None) };
    let mut head = node.head();
    let before = HeadBefore::of(&head);
    let tries = head.wake.as_ref().map_or(0, |wake| wake.tries).saturating_add(1);
    let at = if approval.demand.is_by_policy() {
        approval.expires_at.min(cx.now + ask_pause(tries, node.id()))
    } else {
        approval.expires_at
    };
    head.wake = Some(Wake { job: Job::Approval, at, claimed_by: None, tries });
    Decision::commit(head_only(&before, head, Vec::new(), cx), None)
}
