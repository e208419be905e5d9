//! Creating, reading, evaluating and completing NodeRuns (contract §6.6 to
//! §6.9).

use slog::debug;

use super::{Coordinator, CoordinatorError, heard::To};
use crate::{
    auth::Principal,
    engine::{self, ChildSpec, CreateChildren, NodeTypeFacts, NodeView},
    record::NodeRecord,
    types::{
        NodeRun, NodeRunCompleteRequest, NodeRunCreateSpec, NodeRunEvaluationReportRequest, NodeRunId,
        NodeRunsCreateRequest, NodeRunsCreateResponse,
    },
};

impl Coordinator {
    /// Creates the children of a composite, or finds those that the request's
    /// idempotency keys stand for.
    pub async fn node_runs_create(
        &self,
        caller: &Principal,
        request: NodeRunsCreateRequest,
    ) -> Result<NodeRunsCreateResponse, CoordinatorError> {
        let NodeRunsCreateRequest { run_id, parent_node_run_id, node_runs, extensions } = request;
        // What is wrong with the parent is reported before the registry is asked
        // about the children.
        let run = self.run_for(caller, &run_id).await?;
        engine::constraints::stored(run.run.extensions.as_ref())?;
        let parent = self.parent_for(caller, &parent_node_run_id).await?;
        let parent_facts = &self.facts_if_unknown(&parent).await?;
        engine::parent_check(&run, &parent, parent.node.kind.or(parent_facts.kind))?;
        let node_runs = Vec::from(node_runs);
        self.warn_of_own_keys(node_runs.iter().map(|spec| spec.extensions.as_ref()));
        let mut wanted: Vec<(NodeRunCreateSpec, NodeRunId, NodeTypeFacts)> = Vec::new();
        for (at, spec) in node_runs.into_iter().enumerate() {
            let place = ["body".into(), "node_runs".into(), at.into(), "node_type_ref".into()];
            let facts = self.facts_for(&spec.node_type_ref, &place).await?;
            let id = match spec.idempotency_key.as_deref().filter(|key| !key.is_empty()) {
                Some(key) => NodeRunId::derived(&run_id, &parent_node_run_id, key),
                None => self.parts.ids.node_run_id(),
            };
            wanted.push((spec, id, facts));
        }
        let (run_ref, parent_ref, wanted) = (&run_id, &parent_node_run_id, &wanted);
        let node_runs = self
            .request(run_ref, |now| async move {
                let run = self.run_fetch(run_ref).await?;
                let parent = self.parent_fetch(parent_ref).await?;
                let mut children = Vec::with_capacity(wanted.len());
                for (spec, id, facts) in wanted {
                    let existing = match spec.idempotency_key {
                        Some(_) => self.node_find(id).await?,
                        None => None,
                    };
                    children.push(ChildSpec {
                        spec: spec.clone(),
                        id: id.clone(),
                        existing,
                        facts: facts.clone(),
                    });
                }
                if children.iter().any(|child| child.existing.is_none()) {
                    self.room_for_new_work()?;
                }
                let command = CreateChildren { parent, parent_facts: parent_facts.clone(), children };
                let kinds = wanted.iter().map(|(_, _, facts)| facts.kind);
                let (rules, lease) = (&self.parts.rules, &self.parts.queue.lease(run_ref, kinds));
                Ok(engine::children_create(run, command, rules, lease, now)?)
            })
            .await?;
        debug!(self.parts.log, "node runs created"; "run_id" => %run_id, "parent" => %parent_node_run_id,
            "count" => node_runs.len(), "caller" => caller.subject());
        Ok(NodeRunsCreateResponse { node_runs, extensions })
    }

    pub async fn node_run_get(
        &self,
        caller: &Principal,
        node: &NodeRunId,
    ) -> Result<NodeRun, CoordinatorError> {
        Ok(self.node_for(caller, node, To::Ask).await?.node)
    }

    /// Records an evaluation, and the recovery that was chosen.
    pub async fn node_run_evaluate(
        &self,
        caller: &Principal,
        node: &NodeRunId,
        report: NodeRunEvaluationReportRequest,
    ) -> Result<(), CoordinatorError> {
        let run_id = self.node_for(caller, node, To::Act).await?.node.run_id;
        // It ends nothing, and any number of them may come.
        self.room_for_new_work()?;
        let report = &report;
        self.request(&run_id, |now| async move {
            let node = self.node_fetch_bare(node).await?;
            let run = self.run_fetch(&node.node.run_id).await?;
            Ok(engine::node_evaluate(run, node, report.clone(), now))
        })
        .await?;
        debug!(self.parts.log, "node run evaluated"; "run_id" => %run_id, "node_run_id" => %node, "caller" => caller.subject());
        Ok(())
    }

    /// Ends a NodeRun as reported.
    pub async fn node_run_complete(
        &self,
        caller: &Principal,
        node: &NodeRunId,
        completion: NodeRunCompleteRequest,
    ) -> Result<(), CoordinatorError> {
        let run_id = self.node_for(caller, node, To::Act).await?.node.run_id;
        let (completion, _turn) = self.completion_offload(node, completion).await;
        let completion = &completion;
        self.request(&run_id, |now| async move {
            let view = self.bare_view(node).await?;
            let (rules, lease) = (&self.parts.rules, &self.parts.queue.always());
            Ok(engine::node_complete(view, completion.clone(), rules, lease, now)?)
        })
        .await?;
        // As after a cancel.
        self.parts.queue.node_over(node);
        debug!(self.parts.log, "node run completed"; "run_id" => %run_id, "node_run_id" => %node,
            "state" => %completion.state, "caller" => caller.subject());
        Ok(())
    }

    /// A node with its run and, if it may have any, its live descendants.
    pub(super) async fn node_view(&self, node: &NodeRunId) -> Result<NodeView, CoordinatorError> {
        self.view_of(self.node_fetch(node).await?).await
    }

    /// The same for a decision that inputs and outputs do not matter to.
    pub(super) async fn bare_view(&self, node: &NodeRunId) -> Result<NodeView, CoordinatorError> {
        self.view_of(self.node_fetch_bare(node).await?).await
    }

    /// A node that has been read, with what else a decision about it needs.
    pub(super) async fn view_of(&self, node: NodeRecord) -> Result<NodeView, CoordinatorError> {
        let run = self.run_fetch(&node.node.run_id).await?;
        let live_below = match node.children > 0 && !node.is_terminal() {
            true => self.parts.journal.nodes_live(run.id(), Some(&node.path)).await?,
            false => Vec::new(),
        };
        Ok(NodeView { run, node, live_below })
    }

    /// What is known about a node's type, if its record does not say what kind of
    /// node it is (§9.1).
    async fn facts_if_unknown(&self, node: &NodeRecord) -> Result<NodeTypeFacts, CoordinatorError> {
        match node.node.kind {
            Some(_) => Ok(NodeTypeFacts::default()),
            // One that the registry refuses is of a kind that nobody knows.
            None => Ok(self.facts_of(&node.node.node_type_ref).await?.unwrap_or_default()),
        }
    }

    pub(super) async fn parent_fetch(&self, parent: &NodeRunId) -> Result<NodeRecord, CoordinatorError> {
        let found = self.parts.journal.node_fetch_bare(parent).await;
        let found = found.map_err(|failure| self.read_failed(failure))?;
        found.ok_or_else(|| CoordinatorError::ParentNotFound(parent.clone()))
    }
}
