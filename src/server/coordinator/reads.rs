//! What the coordinator reads to decide: each failed read goes into the journal's
//! health.
//!
//! **Invariant:** a run is never newer than what is read with it of its nodes: each
//! decision that changes what others depend on writes the run, so that one which was
//! made on an older run is a conflict.

use slog::error;

use super::{
    committer::{Committer, MAY_BE_OLD},
    error::CoordinatorError,
};
use crate::{
    engine::{Abort, NodeView},
    journal::{JournalError, Recent},
    record::{NodeHead, NodeRecord, RunRecord},
    types::{NodeRunId, RunId},
};

impl Committer {
    /// What is known of the run that is decided about now, and may be old. For everything
    /// else, and outside of decisions, there is only the latest.
    fn recent(&self) -> Option<(&Recent, RunId)> {
        let recent = self.journal.recent()?;
        MAY_BE_OLD.try_with(|run| (recent, run.clone())).ok()
    }

    fn recent_node(&self, node: &NodeRunId) -> Option<NodeRecord> {
        let (recent, run) = self.recent()?;
        recent.node(&run, node)
    }

    pub(super) async fn run_find(&self, run: &RunId) -> Result<Option<RunRecord>, CoordinatorError> {
        let known = self.recent().filter(|(_, decided)| decided == run);
        if let Some(found) = known.and_then(|(recent, run)| recent.run(&run)) {
            return Ok(Some(found));
        }
        self.journal.run_fetch(run).await.map_err(|failure| self.read_failed(failure))
    }

    pub(super) async fn run_fetch(&self, run: &RunId) -> Result<RunRecord, CoordinatorError> {
        self.run_find(run).await?.ok_or_else(|| CoordinatorError::RunNotFound(run.clone()))
    }

    pub(super) async fn node_find(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, CoordinatorError> {
        if let Some(found) = self.recent_node(node) {
            return Ok(Some(found));
        }
        self.journal.node_fetch(node).await.map_err(|failure| self.read_failed(failure))
    }

    pub(super) async fn head_find(&self, node: &NodeRunId) -> Result<Option<NodeHead>, CoordinatorError> {
        if let Some(found) = self.recent().and_then(|(recent, run)| recent.head(&run, node)) {
            return Ok(Some(found));
        }
        self.journal.head_fetch(node).await.map_err(|failure| self.read_failed(failure))
    }

    pub(super) async fn head_fetch(&self, node: &NodeRunId) -> Result<NodeHead, CoordinatorError> {
        self.head_find(node).await?.ok_or_else(|| CoordinatorError::NodeRunNotFound(node.clone()))
    }

    /// A node without its inputs and outputs, for a decision that does not need
    /// them.
    pub(super) async fn node_fetch_bare(&self, node: &NodeRunId) -> Result<NodeRecord, CoordinatorError> {
        let found = self.node_find_bare(node).await?;
        found.ok_or_else(|| CoordinatorError::NodeRunNotFound(node.clone()))
    }

    /// The same for the parent that a caller names.
    pub(super) async fn parent_fetch_bare(&self, parent: &NodeRunId) -> Result<NodeRecord, CoordinatorError> {
        let found = self.node_find_bare(parent).await?;
        found.ok_or_else(|| CoordinatorError::ParentNotFound(parent.clone()))
    }

    pub(super) async fn node_find_bare(
        &self,
        node: &NodeRunId,
    ) -> Result<Option<NodeRecord>, CoordinatorError> {
        if let Some(found) = self.recent_node(node) {
            return Ok(Some(found));
        }
        self.journal.node_fetch_bare(node).await.map_err(|failure| self.read_failed(failure))
    }

    /// A node with its run and, if it may have any, its live descendants.
    pub(super) async fn node_view(&self, node: &NodeRunId) -> Result<NodeView, CoordinatorError> {
        let found = self.node_find(node).await?;
        self.view_of(found.ok_or_else(|| CoordinatorError::NodeRunNotFound(node.clone()))?).await
    }

    /// The same without the node's inputs and outputs.
    pub(super) async fn bare_view(&self, node: &NodeRunId) -> Result<NodeView, CoordinatorError> {
        self.view_of(self.node_fetch_bare(node).await?).await
    }

    /// The run of a node that was read before. With other processes, the node may have
    /// changed since, and is then older than its run: a conflict, and all is read again.
    pub(super) async fn run_of(&self, node: &NodeRecord) -> Result<RunRecord, CoordinatorError> {
        let run = self.run_fetch(&node.node.run_id).await?;
        if self.journal.is_shared() && self.head_fetch(node.id()).await?.version != node.version {
            return Err(JournalError::Conflict.into());
        }
        Ok(run)
    }

    /// Adds to a node what else a decision about it needs.
    pub(super) async fn view_of(&self, node: NodeRecord) -> Result<NodeView, CoordinatorError> {
        let run = self.run_of(&node).await?;
        let live_below = if node.children > 0 && !node.is_terminal() {
            self.journal.nodes_live(run.id(), Some(&node.path)).await?
        } else {
            Vec::new()
        };
        Ok(NodeView { run, node, live_below, payers: Vec::new() })
    }

    /// What an abort ends that was reported with an evaluation of `node`: a live
    /// node of the same run, or nothing.
    pub(super) async fn abort_of(
        &self,
        node: &NodeRecord,
        target: &NodeRunId,
    ) -> Result<Option<Abort>, CoordinatorError> {
        let other = if target == node.id() { None } else { self.node_find_bare(target).await? };
        let ends = other.as_ref().unwrap_or(node);
        if ends.id() != target || ends.node.run_id != node.node.run_id || ends.is_terminal() {
            return Ok(None);
        }
        let live_below = match ends.children {
            0 => Vec::new(),
            _ => self.journal.nodes_live(&ends.node.run_id, Some(&ends.path)).await?,
        };
        Ok(Some(match other {
            None => Abort::Evaluated { live_below },
            Some(target) => Abort::Other { target: Box::new(target), live_below },
        }))
    }

    /// The same with the nodes above it whose accounts its use counts in. Few
    /// nodes have any.
    pub(super) async fn with_payers(&self, mut view: NodeView) -> Result<NodeView, CoordinatorError> {
        let mut next = view.node.budget.payer.clone();
        // There are no more of them than nodes above it.
        for _ in 0..view.node.path.depth() {
            let Some(payer) = next else { break };
            let payer = self.node_fetch_bare(&payer).await?;
            next = payer.budget.payer.clone();
            view.payers.push(payer);
        }
        Ok(view)
    }

    /// Notes what a failed read says about the journal's health.
    pub(crate) fn read_failed(&self, failure: JournalError) -> CoordinatorError {
        let now = self.clock.now();
        error!(self.log, "journal read failed"; "error" => %failure);
        match &failure {
            JournalError::Damaged(_) => self.health.damaged(now),
            JournalError::Failed(_) => self.health.not_read(now),
            // A read does not fail like this.
            JournalError::Conflict
            | JournalError::Fenced
            | JournalError::Full(_)
            | JournalError::Reserved
            | JournalError::TooBig(_) => {}
        }
        failure.into()
    }
}
