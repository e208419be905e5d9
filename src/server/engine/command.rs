//! What every command of the engine takes and returns.

use std::time::Duration;

use crate::{
    record::{
        Actor, ChangeSet, Estimate, NodeHead, NodeRecord, Operation, PausesVersion, RetryRule, RunRecord,
    },
    time::Timestamp,
    types::{ConstraintEnvelope, JsonObject, NodeKind, SideEffectClass, StructuralConstraints, WorkerId},
};

/// What every decision depends on, beside the records that it is about.
#[derive(Clone, Copy, Debug)]
pub struct Cx<'a> {
    pub rules: &'a Rules,
    /// Why the decision is made. Its events and its audit record name the actor.
    pub cause: Cause<'a>,
    /// The worker that acts on new wake-ups of this decision.
    pub claim: Claim<'a>,
    pub now: Timestamp,
}

impl Cx<'_> {
    /// The same, but not before the last change of the run: another process, whose clock
    /// may be ahead, may have made it since `now` was asked for.
    pub(super) fn not_before(self, run: &RunRecord) -> Self {
        let now = run.changed_at.map_or(self.now, |changed_at| changed_at.max(self.now));
        Self { now, ..self }
    }
}

/// Why a decision is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause<'a> {
    /// A caller asks for it: if it changes anything, that is audited.
    /// `note`: what its audit record says before anything else.
    Request { actor: &'a Actor, operation: Operation, note: Option<&'a str> },
    /// An executor answers the coordinator's call.
    Answer { executor: &'a Actor },
    /// A rule of the coordinator: a dispatch, a deadline, a cascade.
    Rule,
}

impl<'a> Cause<'a> {
    /// A request of a caller.
    pub fn asked(actor: &'a Actor, operation: Operation) -> Self {
        Self::Request { actor, operation, note: None }
    }

    /// The same, with a word for its audit record.
    pub fn noted(actor: &'a Actor, operation: Operation, note: &'a str) -> Self {
        Self::Request { actor, operation, note: Some(note) }
    }

    /// What the audit record of the request says before anything else.
    pub(super) fn note(self) -> Option<&'a str> {
        match self {
            Self::Request { note, .. } => note,
            Self::Answer { .. } | Self::Rule => None,
        }
    }

    /// Who or what it is.
    pub fn actor(self) -> &'a Actor {
        match self {
            Self::Request { actor, operation: _, note: _ } => actor,
            Self::Answer { executor } => executor,
            Self::Rule => &Actor::Coordinator,
        }
    }
}

/// The worker that claims a wake-up at the moment it is made and acts on it at
/// once. `None`: the wake-up waits in the journal until a worker claims it.
pub type Claim<'a> = Option<&'a WorkerId>;

impl<'a> Cx<'a> {
    /// The same, but new wake-ups are claimed by `claim`.
    #[must_use]
    pub fn with_claim(self, claim: Claim<'a>) -> Self {
        Self { claim, ..self }
    }

    /// The same, but no worker claims new wake-ups.
    #[must_use]
    pub fn unclaimed(self) -> Self {
        self.with_claim(None)
    }
}

/// The result of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<T> {
    /// What to commit before answering; `None` if nothing changes. (Boxed: it is a
    /// kilobyte, and passes through many futures.)
    pub changes: Option<Box<ChangeSet>>,
    /// What to answer once that is durable.
    pub answer: T,
}

impl<T> Decision<T> {
    /// An answer that needs no change.
    pub fn unchanged(answer: T) -> Self {
        Self { changes: None, answer }
    }

    /// An answer that is given once `changes` are durable.
    pub(super) fn commit(changes: ChangeSet, answer: T) -> Self {
        Self { changes: Some(Box::new(changes)), answer }
    }

    /// The same, which only holds as long as dispatch is paused like that.
    #[must_use]
    pub fn under(mut self, pauses: Option<PausesVersion>) -> Self {
        if let Some(changes) = &mut self.changes {
            changes.pauses = pauses;
        }
        self
    }

    /// The same changes with another answer.
    #[must_use]
    pub fn answering<U>(self, answer: U) -> Decision<U> {
        Decision { changes: self.changes, answer }
    }
}

/// A node in its run, as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    pub run: RunRecord,
    pub node: NodeRecord,
    /// The node's live descendants, deepest first. Only composites have any.
    /// Heads are enough: no decision about the node depends on their content.
    pub live_below: Vec<NodeHead>,
    /// The nodes above it whose accounts its use counts in, where a decision
    /// needs them: see [`NodeBudget::payer`](crate::record::NodeBudget).
    pub payers: Vec<NodeRecord>,
}

/// Settings that decisions depend on.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Write own extension keys as `jarvis.<key>`, as the schema demands,
    /// instead of as documented (contract D-01).
    pub dotted_keys: bool,
    /// Maximum number of further attempts after a first one that failed.
    pub max_retries: u32,
    /// Maximum time that an atomic node may be at its executor.
    pub node_timeout: Duration,
    /// Maximum time that a run may take.
    pub run_timeout: Duration,
    /// How long a composite's executor may be silent while no node below the
    /// composite is live. `None`: until the composite's deadline.
    pub composite_silence: Option<Duration>,
    /// The operator's bounds on runs.
    pub bounds: Bounds,
    /// What a node is expected to use whose type declares nothing.
    pub default_usage: Estimate,
    /// What is asked and demanded before work is handed over.
    pub gates: Gates,
}

/// What happens to a node that may not be executed without an approval (D-08).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approvals {
    /// It fails.
    Fail,
    /// It waits, at most this long.
    Park { timeout: Duration },
}

/// The operator's gates (contract §7.2, §10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gates {
    /// The class of a type that does not declare its side effects.
    pub unknown_side_effect: SideEffectClass,
    /// Policy is asked a second time about irreversible work.
    pub irreversible_checkpoint: bool,
    pub approvals: Approvals,
    /// Binding decisions are refused without their candidate set.
    pub candidate_sets_required: bool,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            unknown_side_effect: SideEffectClass::Irreversible,
            irreversible_checkpoint: false,
            approvals: Approvals::Fail,
            candidate_sets_required: false,
        }
    }
}

/// What holds for every run that enters the journal: see `bounds`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bounds {
    /// Values of what neither run nor type limits.
    pub defaults: Option<ConstraintEnvelope>,
    /// What nothing may exceed.
    pub maxima: Option<ConstraintEnvelope>,
    /// Limits on the tree where there is no other.
    pub ceilings: StructuralConstraints,
}

/// What the Node Registry (or the prefix rule) says about a node type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeTypeFacts {
    pub kind: Option<NodeKind>,
    pub constraints: Option<ConstraintEnvelope>,
    pub side_effect: Option<SideEffectClass>,
    pub idempotent: bool,
    /// What an execution is expected to use.
    pub estimated_usage: Option<Estimate>,
    /// Whether a failed result is followed by another attempt.
    pub retry: Option<RetryRule>,
}

/// What is known about the inputs of a new node, where they are judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InputsNote {
    /// How they violate the schema of the node's type.
    pub violations: Option<JsonObject>,
    /// They could not be judged: that is to be done at the node's dispatch.
    pub unjudged: bool,
}

/// A policy decision, as it goes into an event (contract §10).
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyDecided {
    /// The checkpoint: `run.start`, `node.run.execute`, `node.run.irreversible`, or of
    /// approvals.
    pub action: &'static str,
    pub outcome: PolicyOutcome,
    pub reason_code: Option<String>,
    pub message: Option<String>,
    /// Further members of the event: `approval_ref`, `policy_hash`,
    /// `policy_version`.
    pub evidence: JsonObject,
    /// The decision at the checkpoint before this one, which allowed it.
    pub after: Option<Box<Self>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyOutcome {
    Allow,
    Deny,
    /// Neither: see [`Approvals`].
    RequireApproval,
}

impl PolicyOutcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::RequireApproval => "require_approval",
        }
    }
}
