//! Every way in which a command can be rejected, with its code and message.

use super::bulk::BULK_LIVE_MAX;
use crate::{
    record::ApprovalOutcome,
    types::{NodeRunState, RunState},
};

/// A structural limit (contract §6.6, checks 8 to 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    MaxDepth,
    MaxChildrenPerComposite,
    MaxTotalNodesPerRun,
    MaxDecompositionRoundsPerNode,
    /// Contract §6.6, check 7.
    MaxCandidatesPerSubtask,
}

/// What differs when an idempotency key is used again (contract §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disagreement {
    Parent,
    NodeType,
    Inputs,
    BindingDecision,
    CandidateSet,
    /// The set itself, not its id.
    CandidateSetContent,
    Constraints,
    /// The run to repeat, or how much of it.
    Rerun,
}

/// Why the engine rejects a command, which then writes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// A run with this id exists, started by a different request (D-07).
    RunAlreadyExists,
    /// Constraints in a stored record cannot be read.
    ConstraintInvalid,
    /// The parent is a node of another run.
    ParentMismatch,
    /// The parent is not composite, or its kind is unknown.
    ParentNotComposite,
    RunTerminal(RunState),
    ParentTerminal(NodeRunState),
    /// `binding_decision` names another node type or candidate set than its
    /// spec does (G20).
    BindingMismatch(&'static str),
    /// The candidate set of a spec is about another set or subtask than the spec.
    CandidateSetMismatch(&'static str),
    /// The type is not among those that its candidate set proposes.
    CandidateNotInSet,
    /// A binding decision comes without its candidate set.
    CandidateSetRequired,
    Idempotency(Disagreement),
    Limit(Limit),
    /// Only what has ended is repeated.
    RunLive(RunState),
    /// The run cannot be repeated, for this reason.
    NotRepeatable(&'static str),
    /// As many bulk jobs are live as may be.
    TooManyBulkJobs,
    /// The NodeRun has ended in another way (D-06).
    NodeRunTerminal(NodeRunState),
    /// A caller has decided otherwise about the approval.
    ApprovalDecided(ApprovalOutcome),
    /// The approval has ended without a caller's decision; `None`: with its node.
    ApprovalEnded(Option<ApprovalOutcome>),
}

impl Rejection {
    /// The stable code. Every rejection is a 409 and not retryable.
    pub fn code(&self) -> &'static str {
        match self {
            Self::RunAlreadyExists => "run_already_exists",
            Self::ConstraintInvalid => "constraint_invalid",
            Self::ParentMismatch => "parent_node_run_mismatch",
            Self::ParentNotComposite => "parent_node_run_invalid",
            Self::RunTerminal(_) => "run_terminal",
            Self::ParentTerminal(_) => "parent_node_run_terminal",
            Self::BindingMismatch(_) | Self::CandidateSetMismatch(_) => "binding_mismatch",
            Self::CandidateNotInSet => "candidate_not_in_set",
            Self::CandidateSetRequired => "candidate_set_required",
            Self::Idempotency(_) => "idempotency_conflict",
            Self::Limit(_) => "constraint_violation",
            Self::RunLive(_) => "run_not_terminal",
            Self::NotRepeatable(_) => "run_not_repeatable",
            Self::TooManyBulkJobs => "too_many_bulk_jobs",
            Self::NodeRunTerminal(_) => "node_run_terminal",
            Self::ApprovalDecided(_) => "approval_already_decided",
            Self::ApprovalEnded(_) => "approval_ended",
        }
    }

    /// Whether a rule keeps the caller from it, so that it is audited. The others
    /// say that the request does not fit the state or itself.
    pub fn is_by_rule(&self) -> bool {
        match self {
            Self::Limit(_) | Self::CandidateNotInSet | Self::CandidateSetRequired => true,
            Self::RunAlreadyExists
            | Self::ConstraintInvalid
            | Self::ParentMismatch
            | Self::ParentNotComposite
            | Self::RunTerminal(_)
            | Self::ParentTerminal(_)
            | Self::BindingMismatch(_)
            | Self::CandidateSetMismatch(_)
            | Self::Idempotency(_)
            | Self::RunLive(_)
            | Self::NotRepeatable(_)
            | Self::TooManyBulkJobs
            | Self::NodeRunTerminal(_)
            | Self::ApprovalDecided(_)
            | Self::ApprovalEnded(_) => false,
        }
    }

    /// The message. The contract fixes some of them word for word.
    pub fn message(&self) -> String {
        match self {
            Self::RunAlreadyExists => "Run already exists.".into(),
            Self::ConstraintInvalid => "Constraints payload is not valid".into(),
            Self::ParentMismatch => "Parent NodeRun does not belong to the requested run".into(),
            Self::ParentNotComposite => "Parent NodeRun must be composite to create child NodeRuns".into(),
            Self::RunTerminal(state) => format!("Run is already {state}"),
            Self::ParentTerminal(state) => format!("Parent NodeRun is already {state}"),
            Self::BindingMismatch(member) => format!("binding_decision does not agree with {member}"),
            Self::CandidateSetMismatch(member) => format!("candidate set does not agree with {member}"),
            Self::CandidateNotInSet => "node_type_ref is not in its candidate set".into(),
            Self::CandidateSetRequired => "binding_decision requires its candidate set".into(),
            Self::Idempotency(about) => format!("Idempotency key already used {}", about.phrase()),
            Self::Limit(limit) => format!("{} constraint violated{}", limit.name(), limit.suffix()),
            Self::RunLive(state) => format!("Run is still {state}"),
            Self::NotRepeatable(why) => format!("Run cannot be repeated: {why}"),
            Self::TooManyBulkJobs => format!("At most {BULK_LIVE_MAX} bulk jobs are live at a time"),
            Self::NodeRunTerminal(state) => format!("NodeRun is already {state}"),
            Self::ApprovalDecided(outcome) => format!("Approval is already {outcome}"),
            Self::ApprovalEnded(Some(outcome)) => format!("Approval has ended: it is {outcome}"),
            Self::ApprovalEnded(None) => "Approval has ended: its NodeRun does not wait for it".into(),
        }
    }
}

impl Limit {
    pub fn name(self) -> &'static str {
        match self {
            Self::MaxDepth => "max_depth",
            Self::MaxChildrenPerComposite => "max_children_per_composite",
            Self::MaxTotalNodesPerRun => "max_total_nodes_per_run",
            Self::MaxDecompositionRoundsPerNode => "max_decomposition_rounds_per_node",
            Self::MaxCandidatesPerSubtask => "max_candidates_per_subtask",
        }
    }
    fn suffix(self) -> &'static str {
        match self {
            Self::MaxDepth => " for child NodeRuns",
            Self::MaxChildrenPerComposite
            | Self::MaxTotalNodesPerRun
            | Self::MaxDecompositionRoundsPerNode
            | Self::MaxCandidatesPerSubtask => "",
        }
    }
}

impl Disagreement {
    fn phrase(self) -> &'static str {
        match self {
            Self::Parent => "for a different parent/run",
            Self::NodeType => "for a different NodeTypeRef",
            Self::Inputs => "for different inputs",
            Self::BindingDecision => "with different binding_decision",
            Self::CandidateSet => "with different candidate_set_id",
            Self::CandidateSetContent => "with different candidate set",
            Self::Constraints => "with different constraints",
            Self::Rerun => "for a different rerun",
        }
    }
}
