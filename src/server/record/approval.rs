//! Approvals: what a NodeRun waits for before it may be executed, and who decided.
//!
//! ```text
//!   demanded ──▶ waits ──┬─ approved by a caller ─▶ the node passes whatever demands one
//!   (gate, policy)       ├─ denied by a caller ───▶ the node fails
//!                        ├─ expired ──────────────▶ the node fails
//!                        ├─ lifted by policy ─────▶ the node goes on, and may be asked about again
//!                        └─ the node ends otherwise: no decision is recorded
//! ```
//!
//! A node waits for one approval at a time, and its record has the newest. Its id has
//! the number of the approval, so that a late decision does not decide a later one.
//!
//! **Invariant:** an approval is bounded: texts of policy are cut, a reason has at
//! most [`REASON_BYTES`].

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::Actor;
use crate::{
    time::Timestamp,
    types::{JsonObject, NodeRunId},
};

/// The maximum length of the reason of a decision.
pub const REASON_BYTES: usize = 1000;

/// The maximum length of what policy says about its demand, and of the reference to
/// an approval elsewhere.
const TEXT_BYTES: usize = 1000;
const REF_BYTES: usize = 4096;

/// Identifies an approval: `<node_run_id>.<number>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApprovalId {
    pub node: NodeRunId,
    /// Counts the approvals of the node, from 1.
    pub number: u32,
}

/// The text is no id of an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an approval id is a NodeRun id, a dot and a number from 1 on")]
pub struct NoApprovalId;

impl ApprovalId {
    pub fn new(node: NodeRunId, number: u32) -> Self {
        Self { node, number }
    }
}

impl fmt::Display for ApprovalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.node, self.number)
    }
}

impl FromStr for ApprovalId {
    type Err = NoApprovalId;

    fn from_str(text: &str) -> Result<Self, NoApprovalId> {
        let (node, digits) = text.rsplit_once('.').ok_or(NoApprovalId)?;
        let number = digits.parse::<u32>().map_err(|_| NoApprovalId)?;
        // One approval has one spelling.
        let is_canonical = number > 0 && number.to_string() == digits && !node.is_empty();
        if is_canonical { Ok(Self::new(NodeRunId::new(node), number)) } else { Err(NoApprovalId) }
    }
}

impl Serialize for ApprovalId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ApprovalId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// An approval as its NodeRun's record has it, and as the NodeRun shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    pub approval_id: ApprovalId,
    #[serde(flatten)]
    pub demand: Demand,
    pub requested_at: Timestamp,
    /// Without a decision by then, the node fails.
    pub expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<ApprovalDecision>,
}

/// What demands an approval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "demanded_by", rename_all = "snake_case")]
pub enum Demand {
    /// `gates.require_approval` of the node's constraints.
    Gate,
    /// The policy decision point.
    Policy {
        /// The checkpoint.
        action: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason_code: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// The approval as the policy decision point knows it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approval_ref: Option<JsonObject>,
    },
}

impl Demand {
    /// A demand of policy, cut to what a record may keep of it.
    pub fn of_policy(
        action: &str,
        reason_code: Option<&str>,
        message: Option<&str>,
        approval_ref: Option<JsonObject>,
    ) -> Self {
        let cut = |text: &str| cut(text, TEXT_BYTES).to_owned();
        Self::Policy {
            action: action.to_owned(),
            reason_code: reason_code.map(cut),
            message: message.map(cut),
            approval_ref: approval_ref.filter(|reference| reference.bytes() <= REF_BYTES),
        }
    }

    /// Whether policy may come to another decision by itself.
    pub fn is_by_policy(&self) -> bool {
        match self {
            Self::Gate => false,
            Self::Policy { .. } => true,
        }
    }
}

/// How an approval ended, other than with its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalDecision {
    pub outcome: ApprovalOutcome,
    /// A caller; the coordinator, if time or policy decided.
    pub by: Actor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub at: Timestamp,
}

impl ApprovalDecision {
    /// A decision with what may be kept of its reason.
    pub fn new(outcome: ApprovalOutcome, by: Actor, reason: Option<&str>, at: Timestamp) -> Self {
        Self { outcome, by, reason: reason.map(|reason| cut(reason, REASON_BYTES).to_owned()), at }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalOutcome {
    /// A caller granted it.
    Approved,
    /// A caller or policy refused it.
    Denied,
    /// It was not decided in time.
    Expired,
    /// Policy does not demand it any more. That is no grant.
    Lifted,
}

impl ApprovalOutcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Lifted => "lifted",
        }
    }
}

impl fmt::Display for ApprovalOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Approval {
    /// Whether it has no decision. (Its node may have ended nevertheless.)
    pub fn is_open(&self) -> bool {
        self.decision.is_none()
    }

    pub fn outcome(&self) -> Option<ApprovalOutcome> {
        self.decision.as_ref().map(|decision| decision.outcome)
    }

    /// Whether it lets its node through.
    pub fn is_granted(&self) -> bool {
        self.outcome() == Some(ApprovalOutcome::Approved)
    }
}

/// The beginning of a text with at most this length.
fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record::Identity;

    #[test]
    fn approval_id_has_one_spelling() {
        for good in ["node_run_1.1", "a.b.12", "x.4294967295"] {
            let id: ApprovalId = good.parse().expect(good);
            assert_eq!(id.to_string(), good);
            assert_eq!(serde_json::from_value::<ApprovalId>(json!(good)).expect("an id"), id);
        }
        for bad in ["", ".1", "n", "n.", "n.0", "n.01", "n.+1", "n.-1", "n.4294967296", "n.1 ", "n.x"] {
            assert_eq!(bad.parse::<ApprovalId>(), Err(NoApprovalId), "{bad}");
        }
    }

    #[test]
    fn approval_is_stored_as_it_is_shown() {
        let at = Timestamp::from_micros(1_000_000);
        let reference = JsonObject::new().with("approval_id", &"elsewhere");
        let approval = Approval {
            approval_id: ApprovalId::new("n".into(), 2),
            demand: Demand::of_policy("run.start", Some("r"), None, Some(reference)),
            requested_at: at,
            expires_at: at,
            decision: Some(ApprovalDecision::new(
                ApprovalOutcome::Denied,
                Actor::Caller(Identity::bare("bob")),
                Some("not today"),
                at,
            )),
        };
        let stored = json!({
            "approval_id": "n.2", "demanded_by": "policy", "action": "run.start", "reason_code": "r",
            "approval_ref": {"approval_id": "elsewhere"}, "requested_at": at, "expires_at": at,
            "decision": {"outcome": "denied", "by": {"kind": "caller", "subject": "bob"},
                         "reason": "not today", "at": at},
        });
        assert_eq!(serde_json::to_value(&approval).expect("JSON"), stored);
        assert_eq!(serde_json::from_value::<Approval>(stored).expect("an approval"), approval);
        let gate = Approval { demand: Demand::Gate, decision: None, ..approval };
        let text = serde_json::to_string(&gate).expect("JSON");
        assert!(text.contains(r#""demanded_by":"gate""#), "{text}");
        assert_eq!(serde_json::from_str::<Approval>(&text).expect("an approval"), gate);
    }

    #[test]
    fn texts_of_policy_are_cut() {
        let long = "é".repeat(TEXT_BYTES);
        let endless = JsonObject::new().with("approval_id", &long).with("more", &long.repeat(3));
        let demand = Demand::of_policy("run.start", Some(&long), Some(&long), Some(endless));
        let Demand::Policy { reason_code, message, approval_ref, .. } = demand else { panic!("by policy") };
        assert_eq!(reason_code.as_deref().map(str::len), Some(TEXT_BYTES));
        assert_eq!(message.as_deref().map(str::len), Some(TEXT_BYTES));
        assert_eq!(approval_ref, None);
    }
}
