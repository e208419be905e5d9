//! The audit records of a decision (contract §19.1, D-22).
//!
//! | cause | what it changes | a rule refuses a node |
//! |---|---|---|
//! | a caller's request | one record: applied | the same record: refused; of a child, a record more |
//! | an executor's answer | no record: its events tell it | – |
//! | a rule of the coordinator | no record: its events tell it | one record |

use super::command::{Cause, Cx};
use crate::{
    record::{AuditObject, AuditRecord, AuditedOperation, EventRecord, OtherOperation},
    types::{Error, NodeRunId, RunId},
};

/// The codes of errors by which a rule keeps a node from being executed; others say
/// that something is missing, broken or too late.
const REFUSALS: [&str; 6] = [
    "policy_denied",
    "node_type_not_allowed",
    "node_type_denied",
    "side_effect_not_allowed",
    "approval_required",
    "approval_expired",
];

/// What a record says beside its cause.
#[derive(Default)]
pub(super) struct Audited {
    /// The node that the request names, or that was refused.
    node: Option<NodeRunId>,
    detail: Option<String>,
    /// The code of a refusal.
    refused: Option<String>,
}

impl Audited {
    /// A request about a node.
    pub(super) fn node(node: &NodeRunId, detail: impl Into<String>) -> Self {
        Self { node: Some(node.clone()), detail: Some(detail.into()), refused: None }
    }

    /// A request about the run as a whole.
    pub(super) fn run(detail: impl Into<String>) -> Self {
        Self { node: None, detail: Some(detail.into()), refused: None }
    }

    /// A node that fails with this error, which may be the refusal of a rule.
    pub(super) fn failing(node: &NodeRunId, error: &Error, detail: Option<&str>) -> Self {
        let refused = REFUSALS.contains(&error.code.as_str()).then(|| error.code.clone());
        Self { node: Some(node.clone()), detail: detail.map(str::to_owned), refused }
    }

    /// The record of a decision with these events.
    pub(super) fn record(self, run: &RunId, events: &[EventRecord], cx: Cx<'_>) -> Option<AuditRecord> {
        let Self { node, detail, refused } = self;
        let operation = match (cx.cause, &refused) {
            (Cause::Request { operation, .. }, _) => AuditedOperation::Request(operation),
            (Cause::Rule, Some(_)) => AuditedOperation::Other(OtherOperation::DispatchNodeRun),
            (Cause::Rule, None) | (Cause::Answer { .. }, _) => return None,
        };
        let object = AuditObject { run_id: Some(run.clone()), node_run_id: node };
        let record = AuditRecord::applied(cx.now, cx.cause.actor().clone(), operation, object);
        let detail = match (cx.cause.note(), detail) {
            (Some(note), Some(detail)) => Some(format!("{note}; {detail}")),
            (Some(note), None) => Some(note.to_owned()),
            (None, detail) => detail,
        };
        let record = record.with_events(range(events)).with_detail(detail);
        Some(match refused {
            Some(code) => record.refused(code),
            None => record,
        })
    }
}

/// The record of a node that its creation refuses to execute. Its events are those
/// of the request's record.
pub(super) fn refused_child(run: &RunId, node: &NodeRunId, error: &Error, cx: Cx<'_>) -> Option<AuditRecord> {
    let Cause::Request { actor, operation, note: _ } = cx.cause else { return None };
    let object = AuditObject { run_id: Some(run.clone()), node_run_id: Some(node.clone()) };
    let operation = AuditedOperation::Request(operation);
    Some(AuditRecord::applied(cx.now, actor.clone(), operation, object).refused(error.code.clone()))
}

fn range(events: &[EventRecord]) -> Option<(u64, u64)> {
    Some((events.first()?.event.seq, events.last()?.event.seq))
}
