//! Records of the audit trail: who asked for what, and what came of it.
//!
//! ```text
//!   a request that changes something ─▶ ChangeSet.audit ──▶ in the commit of the change
//!   a denial by policy or constraints ─▶ ChangeSet.audit ──▶ in the commit of the failed node
//!   a refusal by a rule ───────────────▶ Journal::audit_append ──▶ durable before the answer
//! ```
//!
//! A repetition that changes nothing has no record: nothing was done. What the
//! coordinator decides by itself has none either, its events tell it.
//!
//! **Invariant:** a record is bounded: `detail` by [`DETAIL_BYTES`], the names in
//! it as the tokens and ids that they come from.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Actor, Operation};
use crate::{
    time::Timestamp,
    types::{NodeRunId, RunId},
};

/// The maximum length of a detail.
pub const DETAIL_BYTES: usize = 200;

/// One record of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    pub at: Timestamp,
    pub actor: Actor,
    pub operation: AuditedOperation,
    #[serde(flatten)]
    pub object: AuditObject,
    pub outcome: AuditOutcome,
    /// The code of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A word more: a state, a number. At most [`DETAIL_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    /// The events of the same commit: the first and the last `seq`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<(u64, u64)>,
    /// Earlier refusals of this actor that have no record, because there were too
    /// many of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub suppressed: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde needs")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl AuditRecord {
    pub fn applied(at: Timestamp, actor: Actor, operation: AuditedOperation, object: AuditObject) -> Self {
        Self {
            at,
            actor,
            operation,
            object,
            outcome: AuditOutcome::Applied,
            reason: None,
            detail: None,
            events: None,
            suppressed: 0,
        }
    }

    /// The same as a refusal with this code.
    #[must_use]
    pub fn refused(self, reason: impl Into<String>) -> Self {
        Self { outcome: AuditOutcome::Refused, reason: Some(reason.into()), ..self }
    }

    /// The same with a detail, which is cut if it is too long.
    #[must_use]
    pub fn with_detail(self, detail: Option<String>) -> Self {
        let detail = detail.map(|mut detail| {
            let end = (0..=DETAIL_BYTES).rev().find(|end| detail.is_char_boundary(*end));
            detail.truncate(if detail.len() > DETAIL_BYTES { end.unwrap_or(0) } else { detail.len() });
            detail
        });
        Self { detail, ..self }
    }

    /// The same of a commit with these events.
    #[must_use]
    pub fn with_events(self, events: Option<(u64, u64)>) -> Self {
        Self { events, ..self }
    }

    /// The same, after a number of refusals that have no record.
    #[must_use]
    pub fn after(self, suppressed: u64) -> Self {
        Self { suppressed, ..self }
    }

    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }
}

/// What was asked for, or done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AuditedOperation {
    /// An operation of the API.
    Request(Operation),
    /// Something that is not.
    Other(OtherOperation),
}

/// What is audited and is no operation of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OtherOperation {
    /// The coordinator's dispatch of a node, which policy or a constraint refused.
    DispatchNodeRun,
    /// The command `journal rotate-key`.
    RotateKey,
    /// The end of a bulk job.
    FinishBulk,
}

impl OtherOperation {
    pub const ALL: [Self; 3] = [Self::DispatchNodeRun, Self::RotateKey, Self::FinishBulk];
}

impl AuditedOperation {
    /// The one with this name.
    pub fn named(name: &str) -> Option<Self> {
        let others = OtherOperation::ALL.into_iter().map(Self::Other);
        Operation::named(name)
            .map(Self::Request)
            .or_else(|| others.into_iter().find(|other| other.as_str() == name))
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request(operation) => operation.as_str(),
            Self::Other(OtherOperation::DispatchNodeRun) => "dispatch_node_run",
            Self::Other(OtherOperation::RotateKey) => "rotate_key",
            Self::Other(OtherOperation::FinishBulk) => "finish_bulk",
        }
    }
}

impl fmt::Display for AuditedOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a record is about; nothing in particular, if both are missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditObject {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_run_id: Option<NodeRunId>,
}

impl AuditObject {
    pub fn run(run: &RunId) -> Self {
        Self { run_id: Some(run.clone()), node_run_id: None }
    }

    pub fn node(run: &RunId, node: &NodeRunId) -> Self {
        Self { run_id: Some(run.clone()), node_run_id: Some(node.clone()) }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    /// It was done.
    Applied,
    /// A rule refused it.
    Refused,
}

impl AuditOutcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for AuditOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record::Identity;

    #[test]
    fn audit_records_are_stored_without_what_is_absent() {
        let alice = Actor::Caller(Identity::bare("alice"));
        let asked = AuditedOperation::Request(Operation::CancelRun);
        let at = Timestamp::from_micros(1_000_000);
        let plain = AuditRecord::applied(at, alice, asked, AuditObject::run(&"r".into()));
        let full = plain.clone().refused("forbidden").with_detail(Some("x".into()));
        let full = full.with_events(Some((4, 6))).after(3);
        let rotated = AuditRecord::applied(
            at,
            Actor::CommandLine,
            AuditedOperation::Other(OtherOperation::RotateKey),
            AuditObject::default(),
        );
        for (record, stored) in [
            (
                plain,
                json!({"at": at, "actor": {"kind": "caller", "subject": "alice"}, "operation": "cancel_run",
                       "run_id": "r", "outcome": "applied"}),
            ),
            (
                full,
                json!({"at": at, "actor": {"kind": "caller", "subject": "alice"}, "operation": "cancel_run",
                       "run_id": "r", "outcome": "refused", "reason": "forbidden", "detail": "x",
                       "events": [4, 6], "suppressed": 3}),
            ),
            (
                rotated,
                json!({"at": at, "actor": {"kind": "command_line"}, "operation": "rotate_key",
                       "outcome": "applied"}),
            ),
        ] {
            assert_eq!(serde_json::to_value(&record).expect("JSON"), stored);
            assert_eq!(serde_json::from_value::<AuditRecord>(stored).expect("a record"), record);
        }
    }

    #[test]
    fn long_details_are_cut_between_characters() {
        let nothing = AuditRecord::applied(
            Timestamp::from_micros(0),
            Actor::Coordinator,
            AuditedOperation::Other(OtherOperation::DispatchNodeRun),
            AuditObject::default(),
        );
        let long = nothing.with_detail(Some(format!("x{}", "é".repeat(DETAIL_BYTES))));
        assert_eq!(long.detail().map(str::len), Some(DETAIL_BYTES - 1));
    }

    #[test]
    fn audited_operations_are_stored_by_their_names() {
        let all = Operation::ALL.map(AuditedOperation::Request).into_iter();
        for operation in all.chain(OtherOperation::ALL.map(AuditedOperation::Other)) {
            assert_eq!(serde_json::to_value(operation).expect("JSON"), json!(operation.as_str()));
            let read: AuditedOperation = serde_json::from_value(json!(operation.as_str())).expect("known");
            assert_eq!((read, AuditedOperation::named(operation.as_str())), (operation, Some(operation)));
        }
    }
}
