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
mod begin;
mod bookkeeping;
mod cancel;
mod command;
mod complete;
pub mod constraints;
mod decompose;
mod draft;
mod extensions;
mod finish;
mod guard;
mod hold;
mod learn;
pub mod lifecycle;
mod new_node;
mod outputs;
mod recovery;
mod rejection;
mod retry;
mod silence;
mod start;
#[cfg(test)]
mod tests;

pub use adopt::{StoredNode, StoredRun, run_adopt};
pub use attempt::{Applied, Attempt, AttemptResult, FailedCall, Work};
pub use begin::{
    BeginAttempt, BeginOutcome, attempt_begin, attempt_claim, attempt_defer, attempt_postpone,
    attempt_refusal,
};
pub use cancel::{CancelNotification, cancel_notified, node_expire, run_cancel, run_expire};
pub use command::{Claim, Cx, Decision, NodeTypeFacts, NodeView, PolicyDecided, PolicyOutcome, Rules};
pub use complete::{node_complete, node_evaluate};
pub use constraints::effective_constraints;
pub use decompose::{ChildSpec, CreateChildren, children_create, parent_check};
pub use extensions::is_own_key;
pub use finish::{attempt_finish, attempt_lost};
pub use hold::attempt_hold;
pub use new_node::queued_node_run;
pub use outputs::{abridge, oversized};
pub use rejection::{Disagreement, Limit, Rejection};
pub use silence::{Contact, DueReason, SilenceOutcome, due_reason, silence_check};
pub use start::{PreparedStart, StartRun, run_repeated, run_start};
