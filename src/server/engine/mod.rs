//! The rules of the coordinator, as pure functions: no async, no I/O, no clock,
//! no randomness. Each command is a function
//!
//! ```text
//! view of the stored records + command + context (Cx)  ──▶  Decision | Rejection
//! ```
//!
//! The caller loads the view, commits the [`Decision`]'s change set in one
//! transaction, and only then answers or acts. If a record has changed in the
//! meantime, the commit conflicts, and the command is decided again on the new
//! records.
//!
//! | module | purpose |
//! |---|---|
//! | `start` | start a run |
//! | `adopt` | take over a run that only the JARVIS stores have |
//! | `rerun` | what of a run that is repeated stands for what |
//! | `bulk` | the steps of jobs that do the same to many runs |
//! | `decompose` | create the children of a composite, idempotently, within limits |
//! | `approval` | let nodes wait for an approval, and end that (D-08) |
//! | `begin` | hand a node to its executor, or put it back |
//! | `finish` | apply the result of an attempt; decide about a lost attempt |
//! | `placement` | which members of a pool of executors a node may go to, and where it may be |
//! | `retry` | whether and when a failed attempt is repeated |
//! | `silence` | decide about composites whose executor is silent |
//! | `hold` | hold nodes while the PDP is unavailable |
//! | `run_hold` | hold and release runs |
//! | `wake_now` | try now what waits for a time |
//! | `complete` | complete a node |
//! | `evaluate` | record an evaluation; carry out a reported abort |
//! | `cancel` | cancel a run; end what has passed its deadline; notify executors |
//! | `overdue` | what the error of a node says whose deadline has passed |
//! | `learn` | add facts about a node's type that arrive after its creation |
//! | `command` | what every command takes and returns |
//! | `attempt` | an attempt and its result |
//! | `audit` | the audit records of a decision |
//! | `refuse` | end a node that is not handed over |
//! | `ledger` | budgets over the tree: reserve, settle, release (contract §7.4) |
//! | `lifecycle` | the tables of allowed transitions (contract §5) |
//! | `bounds` | the operator's defaults and maxima (contract §7.3) |
//! | `constraints` | merge constraints and test against them (contract §7) |
//! | `extensions` | the coordinator's own extension keys (contract §12) |
//! | `failing` | what a failed run says it failed with |
//! | `recovery`, `history` | which recovery actions and evaluations a NodeRun keeps |
//! | `candidates` | what a child's type was chosen from |
//! | `outputs` | abridge large outputs |
//! | `new_node` | records of new nodes |
//! | `draft` | collect the changes of a decision |
//! | `bookkeeping` | changes without an event |
//! | `guard` | assert, in every build, that a change is allowed |
//!
//! **Architecture invariants.** Only this module makes a `ChangeSet`. A
//! terminal record never changes its state. Events are numbered here, without
//! gaps; those of an adopted run keep their numbers. The cost of a command does
//! not depend on the number of nodes in the run. Exceptions: an adoption, and a
//! cascade, whose cost grows with the number of live nodes.

mod adopt;
mod approval;
mod attempt;
mod audit;
mod begin;
mod bookkeeping;
mod bounds;
mod bulk;
mod cancel;
mod candidates;
mod command;
mod complete;
pub mod constraints;
mod decompose;
mod draft;
mod evaluate;
mod extensions;
mod failing;
mod finish;
mod guard;
mod history;
mod hold;
mod learn;
mod ledger;
pub mod lifecycle;
mod new_node;
mod outputs;
mod overdue;
mod placement;
mod recovery;
mod refuse;
mod rejection;
mod rerun;
mod retry;
mod run_hold;
mod silence;
mod start;
#[cfg(test)]
mod tests;
mod wake_now;

pub use crate::record::RetryRule;
pub use adopt::{StoredNode, StoredRun, run_adopt};
pub use approval::{
    ApprovalAnswer, ApprovalVerdict, DecideApproval, approval_asked_again, approval_decide, approval_expire,
    ask_pause,
};
pub use attempt::{Applied, Attempt, AttemptResult, FailedCall, Work};
pub use begin::{
    BeginAttempt, BeginOutcome, attempt_begin, attempt_claim, attempt_defer, attempt_is_irreversible,
    attempt_postpone, attempt_refusal, attempt_set_aside,
};
pub use bounds::BoundedStart;
pub use bulk::{
    BULK_LIVE_MAX, BULK_RUNS_MAX, BulkRuns, Listed, NewBulk, bulk_abort, bulk_list, bulk_record, bulk_start,
};
pub use cancel::{CancelNotification, Canceled, cancel_notified, node_expire, run_cancel, run_expire};
pub use candidates::{BadCandidateSet, CANDIDATE_SET, CANDIDATE_SET_BYTES, CandidateSet};
pub use command::{
    Approvals, Bounds, Cause, Claim, Cx, Decision, Gates, InputsNote, NodeTypeFacts, NodeView, PolicyDecided,
    PolicyOutcome, Rules,
};
pub use complete::node_complete;
pub use constraints::effective_constraints;
pub use decompose::{ChildSpec, CreateChildren, children_create, parent_check};
pub use evaluate::{Abort, abort_target, node_evaluate};
pub use extensions::{CANCELED, is_own_key};
pub use finish::{attempt_finish, attempt_lost};
pub use hold::attempt_hold;
pub use ledger::{Usage, with_allowance};
pub use outputs::{abridge, oversized};
pub use overdue::WaitsFor;
pub use placement::{Placement, hosts, placement};
pub use rejection::{Disagreement, Limit, Rejection};
pub use rerun::{FoundTwin, Sibling, twin_among};
pub use retry::retry_pause;
pub use run_hold::{HeldRun, HoldRun, hold_elapsed, run_hold, run_release};
pub use silence::{Contact, DueReason, SilenceOutcome, due_reason, silence_check};
pub use start::{PreparedStart, StartRun, run_repeated, run_start};
pub use wake_now::node_wake;
