//! What the world has, in the words of tests.

use serde_json::{Value, json};

use super::{RUN, World};
use crate::{
    engine::{NodeTypeFacts, NodeView},
    record::{EventRecord, Job, NodeHead, NodePath, NodeRecord, RunRecord},
    types::{NodeKind, NodeRunId, NodeRunState, RunEventType, RunId},
};

impl World {
    pub(crate) fn node(&self, node: &str) -> &NodeRecord {
        &self.nodes[&NodeRunId::new(node)]
    }

    pub(crate) fn run(&self) -> &RunRecord {
        &self.runs[&RunId::new(RUN)]
    }

    pub(crate) fn state(&self, node: &str) -> NodeRunState {
        self.node(node).node.state
    }

    /// What the node still has to do.
    pub(crate) fn job(&self, node: &str) -> Option<Job> {
        self.node(node).wake.as_ref().map(|wake| wake.job)
    }

    /// An extension of a node.
    pub(crate) fn extension(&self, node: &str, key: &str) -> Option<Value> {
        self.node(node).node.extensions.as_ref()?.get(key)
    }

    /// The code and message of a node's completion error.
    pub(crate) fn failure(&self, node: &str) -> Value {
        let error = self.extension(node, "completion_error").unwrap_or_default();
        json!([error["code"], error["message"]])
    }

    /// Events as `[type, node_run_id, data]`, after the first `skip`.
    pub(crate) fn events_since(&self, skip: usize) -> Vec<Value> {
        let short = |record: &EventRecord| {
            let event = &record.event;
            json!([event.type_, event.node_run_id, event.data])
        };
        self.events.iter().skip(skip).map(short).collect()
    }

    pub(crate) fn view(&self, node: &str) -> NodeView {
        let node = self.node(node).clone();
        let run = self.runs[&node.node.run_id].clone();
        let live_below = self.live(run.id(), Some(&node.path));
        let mut payers: Vec<NodeRecord> = Vec::new();
        let mut next = node.budget.payer.clone();
        while let Some(payer) = next {
            payers.push(self.nodes[&payer].clone());
            next = self.nodes[&payer].budget.payer.clone();
        }
        NodeView { run, node, live_below, payers }
    }

    /// Live nodes, deepest first, as the store lists them.
    pub(crate) fn live(&self, run: &RunId, under: Option<&NodePath>) -> Vec<NodeHead> {
        let below =
            |node: &NodeRecord| under.is_none_or(|path| path != &node.path && path.contains(&node.path));
        let of_run = self.nodes.values().filter(|node| node.node.run_id == *run);
        let mut live: Vec<NodeHead> =
            of_run.filter(|node| !node.is_terminal() && below(node)).map(NodeRecord::head).collect();
        live.sort_by_key(|node| std::cmp::Reverse(node.path.depth()));
        live
    }

    /// What is found out about a node's type: nothing, once its kind is known.
    pub(super) fn asked(&self, node: &NodeRecord) -> NodeTypeFacts {
        match node.node.kind {
            Some(_) => NodeTypeFacts::default(),
            None => self.facts(&node.node.node_type_ref.node_type_id),
        }
    }

    pub(super) fn facts(&self, node_type: &str) -> NodeTypeFacts {
        let by_prefix = || {
            let kind = match node_type.split('.').next() {
                Some("atomic") => Some(NodeKind::Atomic),
                Some("composite") => Some(NodeKind::Composite),
                Some(_) | None => None,
            };
            NodeTypeFacts { kind, ..NodeTypeFacts::default() }
        };
        self.types.get(node_type).cloned().unwrap_or_else(by_prefix)
    }

    /// The number of events of this type.
    pub(crate) fn count(&self, type_: RunEventType) -> usize {
        self.events.iter().filter(|record| record.event.type_ == type_).count()
    }
}
