//! Who may do what (contract D-19). Methods that act for a caller get their
//! records from these functions, which answer 404 for what does not exist and 403
//! for what the caller may not access. What the journal does not know is looked up
//! in the Run Store (`adopt`).
//!
//! | with the assignment token of a NodeRun | allowed |
//! |---|---|
//! | that NodeRun, or one below it | read, evaluate, complete, stream; create children under it |
//! | its run | read |
//! | anything else | nothing |
//!
//! Users and services may do everything. An assignment token whose NodeRun has
//! ended, or that is not the one in the journal, allows nothing: `assignment`.
//!
//! A request that is admitted to a NodeRun is a sign of life of the executors of
//! the composites above it (`liveness`).

use super::{
    Coordinator,
    assignment::{self, forbidden},
    error::CoordinatorError,
    liveness::Use,
};
use crate::{
    auth::Principal,
    record::{NodeRecord, RunRecord},
    types::{NodeRunId, RunId},
};

/// The resource that a caller accesses.
#[derive(Clone, Copy)]
enum Resource<'a> {
    /// A run as a whole, or the right to start one.
    WholeRun,
    /// What there is to read about a run.
    Run(&'a RunId),
    /// A NodeRun.
    Node(&'a NodeRecord),
}

fn admit(caller: &Principal, resource: Resource<'_>) -> Result<(), CoordinatorError> {
    let Some(own) = assignment::of(caller) else { return Ok(()) };
    let admitted = match resource {
        Resource::WholeRun => false,
        Resource::Run(run) => *run == own.run,
        Resource::Node(node) => node.node.run_id == own.run && own.path.contains(&node.path),
    };
    if admitted { Ok(()) } else { Err(forbidden(own)) }
}

impl Coordinator {
    /// Authorizes the start of a run.
    pub(super) async fn start_authorize(&self, caller: &Principal) -> Result<(), CoordinatorError> {
        self.committer.assignment_check(caller).await?;
        admit(caller, Resource::WholeRun)
    }

    /// Authorizes reading a run.
    pub(super) async fn run_authorize_read(
        &self,
        caller: &Principal,
        run: &RunId,
    ) -> Result<RunRecord, CoordinatorError> {
        let record = self.run_authorize(caller, run, Resource::Run(run)).await?;
        self.committer.liveness.run_used(caller, self.committer.clock.now());
        Ok(record)
    }

    /// Authorizes an operation on a whole run.
    pub(super) async fn run_authorize_whole(
        &self,
        caller: &Principal,
        run: &RunId,
    ) -> Result<RunRecord, CoordinatorError> {
        self.run_authorize(caller, run, Resource::WholeRun).await
    }

    async fn run_authorize(
        &self,
        caller: &Principal,
        run: &RunId,
        resource: Resource<'_>,
    ) -> Result<RunRecord, CoordinatorError> {
        self.committer.assignment_check(caller).await?;
        let found = self.run_find_or_adopt(caller, run).await?;
        let record = found.ok_or_else(|| CoordinatorError::RunNotFound(run.clone()))?;
        admit(caller, resource)?;
        Ok(record)
    }

    /// Authorizes an operation on a NodeRun.
    pub(super) async fn node_authorize(
        &self,
        caller: &Principal,
        node: &NodeRunId,
        to: Use,
    ) -> Result<NodeRecord, CoordinatorError> {
        self.committer.assignment_check(caller).await?;
        let found = self.node_find_authorized(caller, node, to).await?;
        found.ok_or_else(|| CoordinatorError::NodeRunNotFound(node.clone()))
    }

    /// Authorizes the completion of a NodeRun.
    pub(super) async fn node_authorize_completion(
        &self,
        caller: &Principal,
        node: &NodeRunId,
    ) -> Result<NodeRecord, CoordinatorError> {
        self.committer.assignment_check_to_complete(caller, node).await?;
        let found = self.node_find_authorized(caller, node, Use::Report).await?;
        found.ok_or_else(|| CoordinatorError::NodeRunNotFound(node.clone()))
    }

    /// Authorizes the creation of NodeRuns under this one.
    pub(super) async fn parent_authorize(
        &self,
        caller: &Principal,
        parent: &NodeRunId,
    ) -> Result<NodeRecord, CoordinatorError> {
        self.committer.assignment_check(caller).await?;
        let found = self.node_find_authorized(caller, parent, Use::Report).await?;
        found.ok_or_else(|| CoordinatorError::ParentNotFound(parent.clone()))
    }

    async fn node_find_authorized(
        &self,
        caller: &Principal,
        node: &NodeRunId,
        to: Use,
    ) -> Result<Option<NodeRecord>, CoordinatorError> {
        let Some(record) = self.node_find_or_adopt(caller, node).await? else { return Ok(None) };
        admit(caller, Resource::Node(&record))?;
        self.committer.liveness.node_used(caller, &record, to, self.committer.clock.now());
        Ok(Some(record))
    }
}
