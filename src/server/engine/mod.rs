//! The rules of the coordinator, and nothing else: no async, no I/O, no clock,
//! no randomness. Each command is a function
//!
//! ```text
//! view of the stored records + command + now  ──▶  Decision | Rejection
//! ```
//!
//! The caller loads the view, commits the [`Decision`]'s change set in one
//! transaction, and only then answers or acts. If a record moved in between,
//! the commit is refused and the command is decided again on what is there now.
//!
//! | module | commands |
//! |---|---|
//! | `start` | start a run |
//! | `adopt` | take over a run that only the JARVIS stores have |
//! | `decompose` | create the children of a composite, idempotently, within limits |
//! | `attempt` | claim, begin, retry, finish: one try to execute a node |
//! | `silence` | composites whose executor has gone |
//! | `hold` | nodes about which the policy point cannot be asked |
//! | `complete` | evaluate and complete a node |
//! | `learn` | what is found out about a node's type after the node was made |
//! | `cancel` | cancel a run; a deadline that passed |
//! | `lifecycle` | the tables of allowed transitions (contract §5) |
//! | `constraints` | merging and testing constraints (contract §7) |
//! | `extensions` | the coordinator's own extension keys (contract §12) |
//! | `recovery` | which recovery actions a NodeRun keeps |
//! | `outputs` | what is kept of outputs that are too large |
//! | `draft` | collects what a decision changes |
//! | `guard` | asserts, in every build, that a change is one that may be made |
//!
//! **Architecture invariants.** Only this module makes a `ChangeSet`. A
//! terminal record never changes its state. Events are numbered here, without
//! gaps; those of an adopted run keep theirs. Cost does not depend on the number
//! of nodes in a run, but for an adoption, and for a cascade, which costs by
//! the nodes that are still alive.

mod adopt;
mod attempt;
mod cancel;
mod complete;
pub mod constraints;
mod decompose;
mod draft;
mod extensions;
mod guard;
mod hold;
mod learn;
pub mod lifecycle;
mod outputs;
mod recovery;
mod rejection;
mod retry;
mod silence;
mod start;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use adopt::{StoredNode, StoredRun, run_adopt};
pub use attempt::{
    Applied, Attempt, AttemptResult, BeginAttempt, Begun, Told, attempt_begin, attempt_claim, attempt_defer,
    attempt_finish, attempt_lost, attempt_refusal, attempt_refuse, attempt_retry, effective_constraints,
    executor_told,
};
pub use cancel::{node_expire, run_cancel, run_expire};
pub use complete::{node_complete, node_evaluate};
pub use decompose::{ChildSpec, CreateChildren, children_create, parent_check};
pub use extensions::is_own_key;
pub use hold::attempt_hold;
pub use outputs::{abridge, oversized};
pub use rejection::{Disagreement, Limit, Rejection};
pub use retry::{FailedCall, Work};
pub use silence::{Checked, Due, Heard, silence_check, why_due};
pub use start::{Asked, StartRun, run_start};

use crate::{
    record::{ChangeSet, NodeHead, NodeRecord, RunRecord},
    types::{ConstraintEnvelope, JsonObject, NodeKind, SideEffectClass, WorkerId},
};

/// What a command leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<T> {
    /// What to commit before answering; none if nothing changes.
    pub changes: Option<ChangeSet>,
    /// What to answer once that is durable.
    pub answer: T,
}

impl<T> Decision<T> {
    /// An answer that needs no change.
    fn unchanged(answer: T) -> Self {
        Self { changes: None, answer }
    }
}

/// A node in its run, as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    pub run: RunRecord,
    pub node: NodeRecord,
    /// The node's descendants that are not terminal, deepest first. Only
    /// composites have any. Their heads: what they carry matters to nothing that
    /// is decided about the node.
    pub live_below: Vec<NodeHead>,
}

/// Settings that decisions depend on.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Write own extension keys as `jarvis.<key>`, as the schema demands,
    /// instead of as documented (contract D-01).
    pub dotted_keys: bool,
    /// How often a node is handed over again, after the first time, when that
    /// came to nothing.
    pub max_retries: u32,
    /// How long an atomic node may be at its executor.
    pub node_timeout: Duration,
    /// How long a run may take.
    pub run_timeout: Duration,
    /// How long the executor of a composite may be silent while nothing below
    /// it is at work. None: until its deadline.
    pub composite_silence: Option<Duration>,
}

/// What the Node Registry (or the prefix rule) says about a node type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeTypeFacts {
    pub kind: Option<NodeKind>,
    pub constraints: Option<ConstraintEnvelope>,
    pub side_effect: Option<SideEffectClass>,
    pub idempotent: bool,
}

/// A policy decision, as it goes into an event (contract §10).
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyDecided {
    /// The checkpoint: `run.start` or `node.run.execute`.
    pub action: &'static str,
    pub outcome: PolicyOutcome,
    pub reason_code: Option<String>,
    pub message: Option<String>,
    /// Further members for the event: `approval_ref`, `policy_hash`,
    /// `policy_version`.
    pub evidence: JsonObject,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyOutcome {
    Allow,
    Deny,
    /// Taken as deny (contract D-08).
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

/// The process that will act on new wake-ups at once, if there is one.
pub type Lease = Option<WorkerId>;
