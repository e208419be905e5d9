//! Who may do what (contract D-19). All of it is here: the methods that act
//! for a caller get their records from these functions, which answer 404 for
//! what does not exist and 403 for what is none of the caller's business. What
//! the journal does not know they look for elsewhere (`adopt`).
//!
//! | with the token of a NodeRun | |
//! |---|---|
//! | that NodeRun, or one below it | read, evaluate, complete, stream; create children under it |
//! | its run | read |
//! | anything else | nothing |
//!
//! Users and services may do everything. The token of a NodeRun that the journal
//! does not know, or knows elsewhere, is good for nothing: a journal that was
//! restored has forgotten it.
//!
//! Whoever is let through to a NodeRun here is a sign that the executors of the
//! composites above it live (`heard`).

use super::{Coordinator, CoordinatorError, heard::To};
use crate::{
    auth::{Principal, Scope, Subtree},
    record::{NodeRecord, RunRecord},
    types::{NodeRunId, RunId},
};

/// What a caller wants to have to do with.
#[derive(Clone, Copy)]
enum Business<'a> {
    /// What concerns no single NodeRun: beginning a run, or a run as a whole.
    Whole,
    /// What is known about a run.
    Run(&'a RunId),
    /// A NodeRun, in whatever way.
    Node(&'a NodeRecord),
}

fn admit(caller: &Principal, business: Business<'_>) -> Result<(), CoordinatorError> {
    let Scope::Subtree(own) = caller.scope() else { return Ok(()) };
    let admitted = match business {
        Business::Whole => false,
        Business::Run(run) => *run == own.run,
        Business::Node(node) => node.node.run_id == own.run && own.path.contains(&node.path),
    };
    if admitted { Ok(()) } else { Err(forbidden(own)) }
}

fn forbidden(own: &Subtree) -> CoordinatorError {
    CoordinatorError::Forbidden(own.node.clone())
}

/// For one who wants to begin a run.
pub(super) fn admit_to_start(caller: &Principal) -> Result<(), CoordinatorError> {
    admit(caller, Business::Whole)
}

impl Coordinator {
    /// For one who wants to know about a run.
    pub(super) async fn run_for(
        &self,
        caller: &Principal,
        run: &RunId,
    ) -> Result<RunRecord, CoordinatorError> {
        let record = self.run_sought(caller, run).await?;
        self.admit(caller, Business::Run(run)).await?;
        self.heard.asked(caller, self.parts.clock.now());
        Ok(record)
    }

    /// For one who wants to have to do with all of a run.
    pub(super) async fn whole_run_for(
        &self,
        caller: &Principal,
        run: &RunId,
    ) -> Result<RunRecord, CoordinatorError> {
        let record = self.run_sought(caller, run).await?;
        self.admit(caller, Business::Whole).await?;
        Ok(record)
    }

    /// For one who wants to have to do with a NodeRun.
    pub(super) async fn node_for(
        &self,
        caller: &Principal,
        node: &NodeRunId,
        to: To,
    ) -> Result<NodeRecord, CoordinatorError> {
        let found = self.node_find_or_adopt(caller, node).await?;
        let record = found.ok_or_else(|| CoordinatorError::NodeRunNotFound(node.clone()))?;
        self.admit(caller, Business::Node(&record)).await?;
        self.heard.named(caller, &record, to, self.parts.clock.now());
        Ok(record)
    }

    /// For one who wants to create NodeRuns under this one.
    pub(super) async fn parent_for(
        &self,
        caller: &Principal,
        parent: &NodeRunId,
    ) -> Result<NodeRecord, CoordinatorError> {
        let found = self.node_find_or_adopt(caller, parent).await?;
        let record = found.ok_or_else(|| CoordinatorError::ParentNotFound(parent.clone()))?;
        self.admit(caller, Business::Node(&record)).await?;
        self.heard.named(caller, &record, To::Act, self.parts.clock.now());
        Ok(record)
    }

    /// As the function of this name; and the NodeRun that the token is for must
    /// be where it was when the token was issued. In a journal that was restored
    /// another one may have its place.
    async fn admit(&self, caller: &Principal, business: Business<'_>) -> Result<(), CoordinatorError> {
        admit(caller, business)?;
        let Scope::Subtree(own) = caller.scope() else { return Ok(()) };
        match self.node_find(&own.node).await? {
            Some(found) if found.node.run_id == own.run && found.path == own.path => Ok(()),
            Some(_) | None => Err(forbidden(own)),
        }
    }

    async fn run_sought(&self, caller: &Principal, run: &RunId) -> Result<RunRecord, CoordinatorError> {
        self.run_find_or_adopt(caller, run).await?.ok_or_else(|| CoordinatorError::RunNotFound(run.clone()))
    }
}
