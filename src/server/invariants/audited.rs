//! The audit trail of a run, compared with its events: whatever a caller caused has
//! exactly one record, of the same commit.

use std::collections::BTreeMap;

use super::{Findings, Scene};
use crate::{
    record::{Actor, AuditOutcome, AuditRecord, AuditedOperation, Operation, OtherOperation},
    types::RunEvent,
};

pub(super) fn check(scene: &Scene<'_>, trail: &[AuditRecord], findings: &mut Findings) {
    let run = scene.run.id();
    // By the first event: what each record says about the events of its commit.
    let mut commits: BTreeMap<u64, &AuditRecord> = BTreeMap::new();
    for record in trail {
        let what = || format!("{record:?}");
        let names_run = record.object.run_id.as_ref() == Some(run);
        findings.rule("an audit record of a run names it", names_run, what);
        let has_reason = record.reason.is_some() == (record.outcome == AuditOutcome::Refused);
        findings.rule("exactly refusals have a reason", has_reason, what);
        let Some((first, last)) = record.events else { continue };
        let alone = commits.insert(first, record).is_none();
        findings.rule("a commit has one audit record", alone, what);
        let known = first <= last && last <= scene.run.last_seq;
        findings.rule("an audit record names events that exist", known, what);
    }
    for event in scene.events {
        let Some(actor) = actor(event) else { continue };
        let before = commits.range(..=event.seq).next_back().map(|(_first, record)| *record);
        let of_commit = before.filter(|record| record.events.is_some_and(|(_, last)| event.seq <= last));
        let what = || format!("event {} by {actor:?}: {of_commit:?}", event.seq);
        if let Some(record) = of_commit {
            let decides = |name: &str| match name {
                "approval_granted" => {
                    record.operation == AuditedOperation::Request(Operation::ApproveNodeRun)
                }
                "approval_denied" => record.operation == AuditedOperation::Request(Operation::DenyNodeRun),
                _ => true,
            };
            let code = event.data.as_ref().and_then(|data| data.text("reason_code"));
            let named = !matches!(actor, Actor::Caller(_)) || code.as_deref().is_none_or(decides);
            findings.rule("a decision about an approval is audited as what it is", named, what);
            let agrees = record.at == event.time && record.actor == actor;
            findings.rule("an audit record agrees with the events of its commit", agrees, what);
        }
        // Events that another coordinator imported have their records there, and an
        // executor's answer to a dispatch has none.
        let demanded = !scene.adopted && matches!(actor, Actor::Caller(_));
        findings.rule("what a caller causes is audited", !demanded || of_commit.is_some(), what);
        let refusal_only = of_commit.is_none_or(|record| match record.operation {
            AuditedOperation::Request(_) => true,
            AuditedOperation::Other(
                OtherOperation::DispatchNodeRun | OtherOperation::RotateKey | OtherOperation::FinishBulk,
            ) => record.outcome == AuditOutcome::Refused,
        });
        let own = actor != Actor::Coordinator || refusal_only;
        findings.rule("the coordinator's decisions are audited only if they refuse", own, what);
    }
}

/// Who caused an event, as it says; `None` if it was made before events said so.
fn actor(event: &RunEvent) -> Option<Actor> {
    let text = event.extensions.as_ref()?.raw("jarvis.actor")?;
    serde_json::from_str(text).ok()
}
