//! The places for new nodes that begin in the commit that creates them
//! (`coordinator`, at_once): a slot of an executor that is free now.
//!
//! ```text
//!   reserve ──▶ slot ──▶ (commit) ──▶ call: a job in a task of its own, as from the queue
//! ```
//!
//! A commit in doubt may still be under way in a database that others use, too: it is looked
//! for until that is over. Otherwise a node that has begun late would wait for its deadline.

use std::{sync::Arc, time::Duration};

use super::{
    Dispatcher, Parts,
    poison::is_damaged,
    slots::{Slot, Wish},
};
use crate::{
    coordinator::{Assignment, ClaimedJob, CoordinatorError, Place, Places},
    engine::Placement,
    journal::JournalError,
    types::{ExecutorBinding, NodeKind, RunId},
};

/// How long a commit in doubt is looked for where several processes write: longer than the
/// journal waits for one.
const DOUBT: Duration = Duration::from_secs(15);
/// The time between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// A slot that is held for a new node.
struct Reserved {
    dispatcher: Arc<Dispatcher>,
    binding: ExecutorBinding,
    member: Option<String>,
    kind: NodeKind,
    slot: Slot,
}

/// The call of an attempt that has begun.
pub(super) struct BegunCall {
    kind: NodeKind,
    slot: Slot,
    assignment: Box<Assignment>,
    in_doubt: bool,
}

impl Places for Dispatcher {
    fn reserve(
        self: Arc<Self>,
        run: &RunId,
        kind: NodeKind,
        placement: &Placement,
    ) -> Option<Box<dyn Place>> {
        let parts = &self.parts;
        if !parts.auto_dispatch || parts.tasks.stopping().is_cancelled() || self.may_begin().is_err() {
            return None;
        }
        // An error of these is the node's, and is found again when its turn comes.
        let target = parts.executors.choose(Some(kind)).ok()?;
        let gate = target.gate();
        let wish = if gate.is_pool() { gate.wish(placement).ok()? } else { Wish::default() };
        let slot = gate.slot_now(run, wish)?;
        let (binding, member) = (gate.binding(slot.member()).clone(), gate.name_of(slot.member()));
        Some(Box::new(Reserved { binding, member, kind, slot, dispatcher: self }))
    }
}

impl Place for Reserved {
    fn binding(&self) -> &ExecutorBinding {
        &self.binding
    }

    fn member(&self) -> Option<String> {
        self.member.clone()
    }

    fn call(self: Box<Self>, job: ClaimedJob, assignment: Assignment, in_doubt: bool) {
        let Self { dispatcher, kind, slot, .. } = *self;
        let tasks = dispatcher.parts.tasks.clone();
        let begun = BegunCall { kind, slot, assignment: Box::new(assignment), in_doubt };
        tasks.spawn("job", async move { dispatcher.run_job(job, Some(begun)).await });
    }
}

impl Dispatcher {
    pub(super) async fn call_begun(
        &self,
        job: &ClaimedJob,
        begun: BegunCall,
    ) -> Result<(), CoordinatorError> {
        let BegunCall { kind, slot, assignment, in_doubt } = begun;
        if in_doubt && !self.has_begun_after_all(job, assignment.attempt.number).await? {
            return Ok(());
        }
        // The slot is of one of these executors, which never change.
        let target = self.parts.executors.choose(Some(kind));
        let target = target.map_err(|error| JournalError::Failed(error.message))?;
        self.see_through(job, target, slot, assignment).await
    }

    /// Whether an attempt has begun whose commit was reported as failed. Of the only process
    /// of a journal, that is known once it can be read. (A job that fails counts its attempt
    /// as lost, which may be another process's: what cannot be read is read again.)
    async fn has_begun_after_all(&self, job: &ClaimedJob, attempt: u32) -> Result<bool, CoordinatorError> {
        let Parts { attempts, clock, journal, tasks, .. } = &self.parts;
        let until = clock.now() + DOUBT;
        loop {
            let found = attempts.has_begun(job, attempt).await;
            let is_over = match found {
                Ok(Some(has_begun)) => return Ok(has_begun),
                Ok(None) => !journal.is_shared() || clock.now() >= until,
                Err(failure) if is_damaged(&failure) => return Err(failure),
                Err(_) => false,
            };
            if is_over || tasks.stopping().is_cancelled() {
                return Ok(false);
            }
            clock.sleep(LOOK).await;
        }
    }
}
