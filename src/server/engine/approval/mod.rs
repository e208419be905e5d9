//! Approvals: a node that may not be executed without one waits for it (contract
//! §9.2, D-08).
//!
//! ```text
//!   policy decides ─┬─ deny ──────────────────────────▶ fails
//!                   ├─ require_approval ─┐
//!                   └─ allow, but a gate ┤  has the node a grant? ──yes──▶ goes on
//!                      demands one       └──no─┬─ setting `fail` ────────▶ fails
//!                                              └─ setting `park` ────────▶ waits: `wait`
//!
//!   waits ─┬─ decided by a caller ───────▶ dispatched, or fails ┐
//!          ├─ policy asked again, decides ▶ dispatched, or fails │ `decide`
//!          ├─ expired ───────────────────▶ fails                ┘
//!          └─ the node ends otherwise (cancel, deadline, completion): no decision
//! ```
//!
//! - here: whether a node needs an approval, and how it begins to wait.
//! - `decide`: how that ends.
//!
//! **Invariants.** A node that waits is in the state in which it was: waiting is a
//! wake-up ([`Job::Approval`]) and no attempt, costs no retry, and reserves nothing.
//! An approval ends at most once, and only a caller's grant lets the node through a
//! demand. A denial by policy is no demand: no grant helps.

mod decide;

use std::time::Duration;

use serde_json::json;

pub(super) use self::decide::overtake;
pub use self::decide::{
    ApprovalAnswer, ApprovalVerdict, DecideApproval, approval_asked_again, approval_decide, approval_expire,
};
use super::{
    audit::Audited,
    bookkeeping::wake,
    command::{Approvals, PolicyDecided, PolicyOutcome},
    constraints,
    draft::Draft,
    extensions::{APPROVAL, Writer},
    recovery,
};
use crate::{
    record::{Approval, ApprovalId, Demand, Job, NodeRecord},
    time::{Timestamp, backoff},
    types::{
        ConstraintEnvelope, Error, JsonObject, NodeRunId, RecoveryAction, RecoveryActionType, RunEventType,
    },
};

/// The checkpoint of approvals in events.
const NODE_RUN_APPROVAL: &str = "node.run.approval";

/// The maximum of approvals of one node. Policy can lift its demand and make it
/// again; after that many times it counts as a denial.
const APPROVALS_MAX: u32 = 100;

/// The pauses between questions to policy about a node that waits.
const ASK_BASE: Duration = Duration::from_secs(60);
const ASK_CAP: Duration = Duration::from_secs(300);

/// An approval that is demanded, and the event that says so.
pub(super) struct Demanded {
    demand: Demand,
    event: PolicyDecided,
}

/// The pause before policy is asked again about a node that waits, after that many
/// questions.
pub fn ask_pause(questions: u32, node: &NodeRunId) -> Duration {
    backoff(questions, ASK_BASE, ASK_CAP, node.as_str())
}

/// Says why a node must not be executed if nothing can approve it: its constraints
/// demand an approval (G11).
pub(super) fn refusal(
    effective: Option<&ConstraintEnvelope>,
    node: &NodeRecord,
    approvals: Approvals,
) -> Option<Error> {
    match approvals {
        Approvals::Park { .. } => None,
        Approvals::Fail => (constraints::requires_approval(effective) && !is_granted(node)).then(required),
    }
}

fn required() -> Error {
    Error::new("approval_required", "NodeRun requires an approval that it does not have")
}

/// Records what policy decided about a node. `Ok(None)`: the node may go on.
/// `Ok(Some)`: it has to wait.
pub(super) fn judge(
    draft: &mut Draft<'_>,
    node: &NodeRecord,
    decided: &PolicyDecided,
    effective: Option<&ConstraintEnvelope>,
    denial: &str,
) -> Result<Option<Demanded>, Error> {
    let parks = match draft.cx.rules.gates.approvals {
        Approvals::Park { .. } => newest(node) < APPROVALS_MAX,
        Approvals::Fail => false,
    };
    let granted = node.waits.approval.as_deref().filter(|approval| approval.is_granted());
    let decided = &granted.map_or_else(|| decided.clone(), |approval| satisfied(decided, approval));
    match decided.outcome {
        PolicyOutcome::Deny => Err(deny(draft, node, decided, denial)),
        PolicyOutcome::RequireApproval if granted.is_none() => {
            if parks {
                return Ok(Some(Demanded::by_policy(node, decided)));
            }
            Err(deny(draft, node, decided, denial))
        }
        PolicyOutcome::Allow | PolicyOutcome::RequireApproval => {
            draft.policy_decided(node, decided);
            if granted.is_some() || !constraints::requires_approval(effective) {
                return Ok(None);
            }
            if parks {
                return Ok(Some(Demanded::by_gate(node)));
            }
            let error = required();
            draft.audited = Audited::failing(node.id(), &error, None);
            Err(error)
        }
    }
}

/// Records that policy does not let a node through.
fn deny(draft: &mut Draft<'_>, node: &NodeRecord, decided: &PolicyDecided, message: &str) -> Error {
    draft.policy_decided(node, decided);
    let mut error = Error::new("policy_denied", message);
    match decided.outcome {
        PolicyOutcome::RequireApproval => {
            error.details = Some(decided.evidence.with("code", &"approval_required"));
        }
        PolicyOutcome::Allow | PolicyOutcome::Deny => {}
    }
    draft.audited = Audited::failing(node.id(), &error, decided.reason_code.as_deref());
    error
}

impl Demanded {
    fn by_gate(node: &NodeRecord) -> Self {
        let event = PolicyDecided {
            action: NODE_RUN_APPROVAL,
            outcome: PolicyOutcome::RequireApproval,
            reason_code: Some("gate_require_approval".into()),
            message: Some("The constraints of the node demand an approval".into()),
            after: None,
            evidence: JsonObject::new(),
        };
        Self { demand: Demand::Gate, event: referring(&event, &next_id(node)) }
    }

    fn by_policy(node: &NodeRecord, decided: &PolicyDecided) -> Self {
        let reference = decided.evidence.raw("approval_ref").and_then(|text| serde_json::from_str(text).ok());
        let (reason_code, message) = (decided.reason_code.as_deref(), decided.message.as_deref());
        Self {
            demand: Demand::of_policy(decided.action, reason_code, message, reference),
            event: referring(decided, &next_id(node)),
        }
    }
}

/// A decision with a reference to our approval. That of policy becomes an extension
/// of it.
fn referring(decided: &PolicyDecided, id: &ApprovalId) -> PolicyDecided {
    let reference = JsonObject::new().with("approval_id", id);
    let reference = match decided.evidence.get("approval_ref") {
        None => reference,
        Some(theirs) => {
            let extensions = JsonObject::new().with("jarvis.policy_approval_ref", &theirs);
            reference.with("extensions", &extensions)
        }
    };
    PolicyDecided { evidence: decided.evidence.with("approval_ref", &reference), ..decided.clone() }
}

/// Decisions about a node whose execution was approved: what they demand, it has.
fn satisfied(decided: &PolicyDecided, approval: &Approval) -> PolicyDecided {
    let decided = match decided.outcome {
        PolicyOutcome::RequireApproval => referring(decided, &approval.approval_id),
        PolicyOutcome::Allow | PolicyOutcome::Deny => decided.clone(),
    };
    let after = decided.after.as_deref().map(|before| Box::new(satisfied(before, approval)));
    PolicyDecided { after, ..decided }
}

/// Lets a node wait for an approval, instead of for its dispatch.
pub(super) fn wait(draft: &mut Draft<'_>, mut node: NodeRecord, demanded: Demanded) -> Approval {
    let Demanded { demand, event } = demanded;
    draft.policy_decided(&node, &event);
    let (now, id) = (draft.cx.now, next_id(&node));
    let timeout = match draft.cx.rules.gates.approvals {
        Approvals::Park { timeout } => timeout,
        Approvals::Fail => Duration::ZERO,
    };
    let deadlines = [node.deadline, draft.run.deadline].into_iter().flatten();
    let expires_at = deadlines.fold(now + timeout, Timestamp::min);
    let ask_at = if demand.is_by_policy() { now + ask_pause(0, node.id()) } else { expires_at };
    let approval = Approval { approval_id: id, demand, requested_at: now, expires_at, decision: None };
    node.waits.held_since = None;
    // Unclaimed: there may be any number of them.
    node.wake = Some(wake(Job::Approval, ask_at.min(expires_at), None));
    note(draft, &mut node, approval.clone());
    let action = RecoveryAction {
        type_: RecoveryActionType::AskUser,
        target_node_run_id: Some(node.id().clone()),
        target_node_type_ref: None,
        message: Some("The node waits for an approval".into()),
        extensions: Some([(APPROVAL, json!(approval))].into()),
    };
    draft.event(RunEventType::RecoveryApplied, Some(&node), JsonObject::of(&action));
    recovery::add(&mut node, action);
    draft.put(node);
    approval
}

/// Stores an approval with its node, which shows it.
fn note(draft: &Draft<'_>, node: &mut NodeRecord, approval: Approval) {
    let extensions = Writer::update(draft.cx.rules, node.node.extensions.take());
    node.node.extensions = extensions.exactly(APPROVAL, &approval).done();
    node.waits.approval = Some(Box::new(approval));
}

/// Whether a caller has approved the node's execution.
fn is_granted(node: &NodeRecord) -> bool {
    node.waits.approval.as_ref().is_some_and(|approval| approval.is_granted())
}

/// The number of the node's newest approval; 0 without any. A node of an adopted run
/// shows those that it had elsewhere, and their ids are not used again.
fn newest(node: &NodeRecord) -> u32 {
    let shown = || {
        let text = node.node.extensions.as_ref()?.raw(APPROVAL)?;
        serde_json::from_str::<Approval>(text).ok()
    };
    match &node.waits.approval {
        Some(approval) => approval.approval_id.number,
        None => shown().map_or(0, |approval| approval.approval_id.number),
    }
}

fn next_id(node: &NodeRecord) -> ApprovalId {
    ApprovalId::new(node.id().clone(), newest(node).saturating_add(1))
}

/// The error details of a node whose deadline has passed while it waited.
pub(super) fn details(node: &NodeRecord) -> Option<JsonObject> {
    let approval = node.waits.approval.as_ref().filter(|approval| approval.is_open())?;
    let waits = node.wake.as_ref().is_some_and(|wake| wake.job == Job::Approval);
    waits.then(|| [("code", json!("approval_required")), ("approval", json!(approval))].into())
}
