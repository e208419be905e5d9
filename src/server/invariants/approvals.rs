//! The approvals of nodes (contract §9.2): each ends once, and a node that waits is
//! not executed.

use std::collections::BTreeMap;

use super::{
    Findings, Scene,
    records::{about, extension},
};
use crate::{
    record::{ApprovalId, ApprovalOutcome, Job, NodeRecord},
    types::{ConstraintEnvelope, NodeRunId, RunEvent, RunEventType},
};

pub(super) fn check(scene: &Scene<'_>, findings: &mut Findings) {
    let mut heard: BTreeMap<&NodeRunId, Heard> = BTreeMap::new();
    for event in scene.events.iter().filter(|event| event.type_ == RunEventType::PolicyDecided) {
        if let Some(node) = &event.node_run_id {
            heard.entry(node).or_default().hear(event, findings);
        }
    }
    for node in scene.nodes.values() {
        waiting(node, findings);
        shown(node, findings);
        if !scene.adopted {
            gates(node, findings);
            let nothing = Heard::default();
            heard.get(node.id()).unwrap_or(&nothing).agrees(node, findings);
        }
    }
}

/// A node has an open approval exactly while it waits for it, or has ended over it.
fn waiting(node: &NodeRecord, findings: &mut Findings) {
    let waits = node.wake.as_ref().is_some_and(|wake| wake.job == Job::Approval);
    let open = node.waits.approval.as_deref().filter(|approval| approval.is_open());
    let agrees = if node.is_terminal() { !waits } else { waits == open.is_some() };
    findings.rule("a node waits for an approval exactly while it is open", agrees, || about(node));
    let Some(approval) = node.waits.approval.as_deref() else { return };
    findings.same("an approval names its node", &node.id(), &&approval.approval_id.node, &node.id());
    let in_time = approval.requested_at <= approval.expires_at;
    findings.rule("an approval expires after its request", in_time, || about(node));
    if waits {
        let bounded = node.deadline.is_some_and(|deadline| approval.expires_at <= deadline);
        findings.rule("an approval expires within its node's deadline", bounded, || about(node));
        let reserved = node.attempt == 0 && node.budget.reserved.is_some();
        findings.rule("a node that waits for an approval reserves nothing", !reserved, || about(node));
    }
}

/// What the constraints of a node demand, it has before it is executed.
fn gates(node: &NodeRecord, findings: &mut Findings) {
    let constraints = extension(node.node.extensions.as_ref(), "constraints")
        .and_then(|text| serde_json::from_str::<ConstraintEnvelope>(text).ok());
    let is_gated = constraints.and_then(|all| all.gates?.require_approval) == Some(true);
    let is_granted = node.waits.approval.as_ref().is_some_and(|approval| approval.is_granted());
    let holds = !is_gated || is_granted || node.attempt == 0;
    findings.rule("no node is executed without the approval that a gate demands", holds, || about(node));
}

fn shown(node: &NodeRecord, findings: &mut Findings) {
    let Some(approval) = node.waits.approval.as_deref() else { return };
    let mirror = node.node.extensions.as_ref().and_then(|extensions| extensions.get("jarvis.approval"));
    let is = serde_json::to_value(approval).ok();
    findings.same("an approval is shown as it is", &node.id(), &mirror, &is);
}

/// What the events say about the approvals of one node: by id, in their order, and how
/// each ended, if it did.
#[derive(Default)]
struct Heard {
    asked: Vec<(String, Option<bool>)>,
}

impl Heard {
    fn hear(&mut self, event: &RunEvent, findings: &mut Findings) {
        let what = || format!("{event:?}");
        let data = |member: &str| event.data.as_ref().and_then(|data| data.get(member));
        let text = |member: &str| data(member).and_then(|value| value.as_str().map(str::to_owned));
        let id = data("approval_ref").and_then(|of| of["approval_id"].as_str().map(str::to_owned));
        let (Some(id), Some(decision)) = (id, text("decision")) else { return };
        // Where nodes do not wait, policy names approvals that are not ours.
        let names = |id: &ApprovalId| event.node_run_id.as_ref() == Some(&id.node);
        if !id.parse().is_ok_and(|id| names(&id)) {
            return;
        }
        let newest = self.asked.last();
        if decision == "require_approval" {
            match newest {
                // A demand that was granted before is made again, and satisfied.
                Some((known, Some(true))) if *known == id => {}
                Some((_, None)) => findings.rule("a node waits for one approval at a time", false, what),
                Some((_, Some(_))) | None => {
                    let is_new = self.asked.iter().all(|(known, _)| *known != id);
                    findings.rule("an approval is demanded once", is_new, what);
                    self.asked.push((id, None));
                }
            }
        } else if text("action").as_deref() == Some("node.run.approval") {
            let waits = newest.is_some_and(|(known, end)| *known == id && end.is_none());
            findings.rule("an approval ends once, and only while it waits", waits, what);
            if let Some((_, end)) = self.asked.last_mut() {
                *end = Some(decision == "allow");
            }
        }
    }

    /// The newest approval is the record's, and all others have ended.
    fn agrees(&self, node: &NodeRecord, findings: &mut Findings) {
        let approval = node.waits.approval.as_deref();
        let recorded = approval.map(|approval| {
            let allows = approval.outcome().map(|outcome| match outcome {
                ApprovalOutcome::Approved | ApprovalOutcome::Lifted => true,
                ApprovalOutcome::Denied | ApprovalOutcome::Expired => false,
            });
            (approval.approval_id.to_string(), allows)
        });
        let newest = self.asked.last().cloned();
        findings.same("the newest approval agrees with the events", &node.id(), &newest, &recorded);
        let number = approval.map_or(0, |approval| approval.approval_id.number);
        let count = u32::try_from(self.asked.len()).unwrap_or(u32::MAX);
        findings.same("approvals are numbered from 1", &node.id(), &count, &number);
    }
}
