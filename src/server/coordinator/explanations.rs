//! Why a run or a node does not move (contract §25): what the journal and this
//! process know about it, for `explain`.
//!
//! ```text
//!   node ─▶ authorize ─▶ record · parked? · last attempt · live below · in hand? · executor ─▶ reasons
//!   run ──▶ authorize ─▶ its live nodes ─▶ those that hold it up, a few ────────────────────▶ reasons of each
//! ```

use std::{collections::BTreeMap, sync::Arc};

use super::{Coordinator, error::CoordinatorError};
use crate::{
    auth::Principal,
    explain::{self, Below, ExecutorFacts, Facts, ParkedFacts, Reason},
    health::DispatchStatus,
    journal::Parked,
    record::{NodeHead, NodePath, NodeRecord, Operation},
    types::{NodeKind, NodeRunId, NodeRunState, RunId, RunState},
};

/// The nodes of a run that are explained.
const EXPLAINED_MAX: usize = 20;

/// The live nodes that are looked at, so that the cost does not grow with the run.
const EXAMINED_MAX: u32 = 1000;

/// What dispatch says of itself.
#[derive(Clone)]
pub struct DispatchFacts {
    pub status: Arc<DispatchStatus>,
    /// If off, nodes stay queued.
    pub is_on: bool,
}

/// Why a node is where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeExplanation {
    pub run_id: RunId,
    pub node_run_id: NodeRunId,
    pub state: NodeRunState,
    /// The first is the most important; never empty.
    pub reasons: Vec<Reason>,
}

/// Why a run is where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct RunExplanation {
    pub run_id: RunId,
    pub state: RunState,
    /// Its live nodes by state, of those that were looked at.
    pub live: BTreeMap<NodeRunState, u64>,
    /// There may be more than were looked at.
    pub more: bool,
    /// The nodes that hold it up, at most a few; of a run that has ended, its root.
    pub nodes: Vec<NodeExplanation>,
}

impl Coordinator {
    pub async fn run_explain(
        &self,
        caller: &Principal,
        run: &RunId,
    ) -> Result<RunExplanation, CoordinatorError> {
        let run = self.run_authorize(caller, Operation::ExplainRun, run).await?.run;
        let (live, more) = match run.state.is_terminal() {
            true => (Vec::new(), false),
            false => self.live(&run.run_id, None).await?,
        };
        let mut chosen: Vec<&NodeRunId> =
            explain::stuck_first(&live, EXPLAINED_MAX).into_iter().map(|head| &head.node_run_id).collect();
        if chosen.is_empty() {
            chosen.push(&run.root_node_run_id);
        }
        let mut nodes = Vec::with_capacity(chosen.len());
        for id in chosen {
            // A node that has ended meanwhile is explained by that.
            nodes.push(self.explanation(self.committer.node_fetch_bare(id).await?).await?);
        }
        let live = explain::by_state(&live);
        Ok(RunExplanation { run_id: run.run_id, state: run.state, live, more, nodes })
    }

    pub async fn node_run_explain(
        &self,
        caller: &Principal,
        node: &NodeRunId,
    ) -> Result<NodeExplanation, CoordinatorError> {
        let node = self.node_authorize(caller, Operation::ExplainNodeRun, node).await?;
        self.explanation(node).await
    }

    /// The first live nodes of a run, or below one, and whether there may be more.
    async fn live(
        &self,
        run: &RunId,
        under: Option<&NodePath>,
    ) -> Result<(Vec<NodeHead>, bool), CoordinatorError> {
        let live = self.committer.journal.nodes_live_first(run, under, EXAMINED_MAX).await;
        let live = live.map_err(|failure| self.committer.read_failed(failure))?;
        let more = live.len() == EXAMINED_MAX as usize;
        Ok((live, more))
    }

    async fn explanation(&self, node: NodeRecord) -> Result<NodeExplanation, CoordinatorError> {
        let committer = &*self.committer;
        let read_failed = |failure| committer.read_failed(failure);
        let (run, id) = (&node.node.run_id, node.id());
        let below = if node.children > 0 && !node.is_terminal() {
            let (live, more) = self.live(run, Some(&node.path)).await?;
            explain::below(&live, more)
        } else {
            Below::default()
        };
        let parked = committer.journal.parked_find(run, id).await.map_err(read_failed)?;
        let before_last = node.attempt.saturating_sub(2);
        let attempts = committer.journal.attempts_page(id, before_last, 2).await.map_err(read_failed)?;
        let job = node.wake.as_ref().map(|wake| wake.job);
        let facts = Facts {
            now: committer.clock.now(),
            worker: committer.queue.worker(),
            is_in_hand: job.is_some_and(|job| committer.queue.has(id, job)),
            below,
            parked: parked.map(|Parked { job, error, since, until, .. }| ParkedFacts {
                job,
                error,
                since,
                until,
            }),
            last_attempt: attempts.attempts.last(),
            executor: self.dispatch.executor(node.node.kind),
            auto_dispatch: self.dispatch.is_on,
        };
        let reasons = explain::node_reasons(&node, &facts);
        let (run_id, node_run_id) = (run.clone(), id.clone());
        Ok(NodeExplanation { run_id, node_run_id, state: node.node.state, reasons })
    }
}

impl DispatchFacts {
    /// The name of the executor of these nodes.
    pub(super) fn executor_name(&self, kind: Option<NodeKind>) -> &'static str {
        match kind {
            Some(NodeKind::Composite) => "composite_executor",
            Some(NodeKind::Atomic) | None => "atomic_executor",
        }
    }

    pub(super) fn executor(&self, kind: Option<NodeKind>) -> ExecutorFacts {
        let name = self.executor_name(kind);
        let (is_breaker_open, is_queue_full) = self.status.obstacles(name);
        ExecutorFacts { name: Some(name.into()), is_breaker_open, is_queue_full }
    }
}
