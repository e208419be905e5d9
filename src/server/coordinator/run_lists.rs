//! Runs, their nodes and attempts as operators look for them.
//!
//! ```text
//!   list, count ─▶ a caller at all? ─▶ journal: rows behind a place ─▶ may the caller read the run? ─▶ page
//!   tree ────────▶ authorize the run ─▶ journal: nodes behind a path ─────────────────────────────────▶ page
//! ```
//!
//! **Invariant:** what the caller may not read is neither listed nor counted, whatever
//! it filters by; and a page is bounded in its cost.

use std::sync::Arc;

use super::{Coordinator, error::CoordinatorError};
use crate::{
    auth::Principal,
    journal::{AttemptsPage, RunCounts, RunPlace, RunSelect, RunsFilter, RunsPage, TreePage, Visible},
    record::{NodePath, Operation},
    types::{NodeRunId, RunId},
};

/// The most runs, nodes or attempts on a page.
pub const LIST_PAGE_MAX: u32 = 500;

impl Coordinator {
    /// Of the selected runs those that the caller may read.
    pub(super) fn readable_by(&self, caller: &Principal, select: RunSelect) -> RunsFilter {
        let (authority, caller) = (Arc::clone(&self.authority), caller.clone());
        let visible = Visible(Arc::new(move |owner| authority.may_read(&caller, owner)));
        RunsFilter { visible, select, now: self.committer.clock.now() }
    }

    /// Lists runs, the newest first.
    pub async fn runs_list(
        &self,
        caller: &Principal,
        select: RunSelect,
        after: Option<&RunPlace>,
        limit: u32,
    ) -> Result<RunsPage, CoordinatorError> {
        self.list_authorize(caller, Operation::ListRuns).await?;
        let filter = self.readable_by(caller, select);
        let page = self.committer.journal.runs_page(after, &filter, limit.clamp(1, LIST_PAGE_MAX)).await;
        page.map_err(|failure| self.committer.read_failed(failure))
    }

    /// Counts runs by state, as far as a page goes.
    pub async fn runs_count(
        &self,
        caller: &Principal,
        select: RunSelect,
        after: Option<&RunPlace>,
    ) -> Result<RunCounts, CoordinatorError> {
        self.list_authorize(caller, Operation::CountRuns).await?;
        let filter = self.readable_by(caller, select);
        let page = self.committer.journal.runs_count(after, &filter).await;
        page.map_err(|failure| self.committer.read_failed(failure))
    }

    /// The nodes of a run in the order of their paths; with `under`, that node and its
    /// descendants.
    pub async fn run_tree(
        &self,
        caller: &Principal,
        run: &RunId,
        under: Option<&NodeRunId>,
        after: Option<&NodePath>,
        limit: u32,
    ) -> Result<TreePage, CoordinatorError> {
        self.run_authorize(caller, Operation::GetRunTree, run).await?;
        let under = match under {
            None => None,
            Some(node) => {
                let head = self.committer.head_find(node).await?.filter(|head| head.run_id == *run);
                Some(head.ok_or_else(|| CoordinatorError::NodeRunNotFound(node.clone()))?.path)
            }
        };
        let limit = limit.clamp(1, LIST_PAGE_MAX);
        let page = self.committer.journal.tree_page(run, under.as_ref(), after, limit).await;
        page.map_err(|failure| self.committer.read_failed(failure))
    }

    /// The logged attempts of a NodeRun.
    pub async fn attempts_list(
        &self,
        caller: &Principal,
        node: &NodeRunId,
        after: u32,
        limit: u32,
    ) -> Result<AttemptsPage, CoordinatorError> {
        self.node_authorize(caller, Operation::ListAttempts, node).await?;
        let page = self.committer.journal.attempts_page(node, after, limit.clamp(1, LIST_PAGE_MAX)).await;
        page.map_err(|failure| self.committer.read_failed(failure))
    }
}
