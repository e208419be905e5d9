//! Whether the assignment that a token stands for still stands (contract §9.4,
//! D-19).
//!
//! ```text
//!   token ──▶ its NodeRun, by id ─┬─ none, elsewhere, or made at another time ──▶ 403
//!                                 ├─ ended ──▶ 401, but its own completion is answered
//!                                 └─ live  ──▶ `access`
//! ```
//!
//! The token names a NodeRun by its id, its place, and the time of its creation. In
//! a journal that was restored to an earlier state, another NodeRun may have the
//! place, and even the id, which an idempotency key determines.
//!
//! An executor whose completion was answered, but did not get the answer, asks
//! again with a token that has ended by its own deed: it gets the answer that it
//! missed. Nothing else is possible with such a token, not even reading.
//!
//! **Invariant.** A decision is made on what the journal says while the run is
//! locked, and not on what it said when the request arrived. There, a NodeRun that
//! is live has only live NodeRuns above it. So what a decision changes in a live
//! NodeRun, the assignment of its caller allows; and creating children and
//! completing change nothing else. An evaluation does, and looks again
//! ([`Committer::assignment_recheck`]).

use super::{committer::Committer, error::CoordinatorError};
use crate::{
    auth::{Principal, Scope, Subtree},
    record::{NodeRecord, Operation},
    types::NodeRunId,
};

/// The assignment of a caller, if it has come with an assignment token.
pub(super) fn of(caller: &Principal) -> Option<&Subtree> {
    match caller.scope() {
        Scope::Identity | Scope::Anonymous => None,
        Scope::Subtree(own) => Some(own),
    }
}

/// How far an assignment has got.
enum Standing {
    Live,
    Ended,
}

impl Committer {
    /// Refuses a caller whose assignment has ended, unless it completes the NodeRun
    /// of its assignment. `node`: the NodeRun that the operation is about, if it is
    /// about one.
    pub(super) async fn assignment_check(
        &self,
        caller: &Principal,
        operation: Operation,
        node: Option<&NodeRunId>,
    ) -> Result<(), CoordinatorError> {
        let Some(own) = of(caller) else { return Ok(()) };
        match self.standing(own).await? {
            Standing::Live => Ok(()),
            Standing::Ended if operation == Operation::CompleteNodeRun && node == Some(&own.node) => Ok(()),
            Standing::Ended => Err(CoordinatorError::AssignmentEnded),
        }
    }

    /// Checks again when a decision about `node` is made that its end does not
    /// prevent.
    pub(super) async fn assignment_recheck(
        &self,
        caller: &Principal,
        operation: Operation,
        node: &NodeRecord,
    ) -> Result<(), CoordinatorError> {
        if node.is_terminal() {
            self.assignment_check(caller, operation, Some(node.id())).await
        } else {
            Ok(())
        }
    }

    async fn standing(&self, own: &Subtree) -> Result<Standing, CoordinatorError> {
        let another = || CoordinatorError::OutsideAssignment(own.node.clone());
        let found = self.node_find_bare(&own.node).await?.ok_or_else(another)?;
        let is_the_same = found.node.run_id == own.run
            && found.path == own.path
            // A token of an earlier version does not say when.
            && own.created_at.is_none_or(|then| found.node.created_at == Some(then));
        if !is_the_same {
            return Err(another());
        }
        Ok(if found.is_terminal() { Standing::Ended } else { Standing::Live })
    }
}
