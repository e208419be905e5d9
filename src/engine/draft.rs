//! What a decision is going to change, while it is being made.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{
    Attempt, Lease, PolicyDecided, Rules, extensions,
    guard::{self, NodeBefore, RunBefore},
};
use crate::{
    ids::NodeRunId,
    model::{Error, NodeKind, NodeRunState, ResourceRef, RunEvent, RunEventType, RunState},
    record::{
        Adopted, AttemptOutcome, AttemptRecord, ChangeSet, EventRecord, Job, NodeRecord, RunRecord, Wake,
    },
    time::Timestamp,
};

/// Collects changed records and numbers events. Turned into a [`ChangeSet`]
/// when the decision stands. A record that is stored already is noted with
/// [`Draft::loaded`] before anything changes it: what becomes of it is checked
/// against that (`guard`).
pub(super) struct Draft {
    pub(super) now: Timestamp,
    pub(super) run: RunRecord,
    run_before: RunBefore,
    nodes_before: HashMap<NodeRunId, Before>,
    nodes: Vec<NodeRecord>,
    events: Vec<EventRecord>,
    attempts: Vec<AttemptRecord>,
}

/// Where a node of the draft comes from.
enum Before {
    Stored(Box<NodeBefore>),
    /// It is in the draft: once is enough.
    Put,
}

/// How a node ends.
pub(super) struct End {
    pub(super) state: NodeRunState,
    pub(super) outputs: Option<Map<String, Value>>,
    pub(super) output_artifacts: Option<Vec<ResourceRef>>,
    pub(super) error: Option<Error>,
    /// Its executor is still at it and must be told to stop.
    pub(super) tell_executor: bool,
}

impl End {
    pub(super) fn failed(error: Error) -> Self {
        Self {
            state: NodeRunState::Failed,
            outputs: None,
            output_artifacts: None,
            error: Some(error),
            tell_executor: false,
        }
    }
    fn canceled(tell_executor: bool) -> Self {
        Self {
            state: NodeRunState::Canceled,
            outputs: None,
            output_artifacts: None,
            error: None,
            tell_executor,
        }
    }
}

impl Draft {
    pub(super) fn new(run: RunRecord, now: Timestamp) -> Self {
        Self {
            now,
            run_before: RunBefore::of(&run),
            run,
            nodes_before: HashMap::new(),
            nodes: Vec::new(),
            events: Vec::new(),
            attempts: Vec::new(),
        }
    }

    /// Notes a stored record as it is before the command changes it.
    pub(super) fn loaded(&mut self, node: &NodeRecord) {
        self.nodes_before.insert(node.id().clone(), Before::Stored(Box::new(NodeBefore::of(node))));
    }

    /// Appends an event about `node`, or about the run as a whole.
    pub(super) fn event(&mut self, type_: RunEventType, node: Option<&NodeRecord>, data: Value) {
        self.run.last_seq += 1;
        let data = match data {
            Value::Object(data) => Some(data),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
        };
        self.events.push(EventRecord {
            event: RunEvent {
                run_id: self.run.run.run_id.clone(),
                seq: self.run.last_seq,
                type_,
                time: self.now,
                node_run_id: node.map(|node| node.id().clone()),
                data,
                extensions: None,
            },
            path: node.map(|node| node.path.clone()),
        });
    }

    /// Appends `policy_decided` (contract §11).
    pub(super) fn policy_decided(&mut self, node: &NodeRecord, decided: &PolicyDecided) {
        let mut data = decided.evidence.clone();
        data.insert("action".into(), decided.action.into());
        data.insert("decision".into(), decided.outcome.as_str().into());
        for (member, value) in [("reason_code", &decided.reason_code), ("message", &decided.message)] {
            if let Some(value) = value {
                data.insert(member.into(), value.as_str().into());
            }
        }
        self.event(RunEventType::PolicyDecided, Some(node), Value::Object(data));
    }

    /// Stores a node, new or changed. Each node at most once a decision.
    pub(super) fn put(&mut self, node: NodeRecord) {
        let name = node.id().as_str().escape_debug();
        match self.nodes_before.insert(node.id().clone(), Before::Put) {
            Some(Before::Stored(before)) => before.may_become(&node),
            Some(Before::Put) => panic!("node run {name}: one decision would store it twice"),
            None => {
                assert!(node.version == 0, "node run {name}: it was not noted as it was loaded");
                guard::wakes(&node);
            }
        }
        self.nodes.push(node);
    }

    /// Notes an attempt that did not become the node's end.
    pub(super) fn attempt(&mut self, node: &NodeRecord, attempt: Attempt, outcome: AttemptOutcome) {
        self.attempts.push(attempt.record(node, outcome, self.now));
    }

    /// Ends a node: its live descendants first, deepest first (D-17), then
    /// the node, then, if it is the root, the run.
    pub(super) fn end(
        &mut self,
        rules: &Rules,
        node: NodeRecord,
        live_below: Vec<NodeRecord>,
        end: End,
        lease: &Lease,
    ) -> NodeRecord {
        self.cancel_all(rules, live_below, lease);
        let node = self.end_one(rules, node, end, lease);
        if self.run.run.root_node_run_id == *node.id() {
            let state = match node.node.state {
                NodeRunState::Succeeded => RunState::Succeeded,
                NodeRunState::Failed => RunState::Failed,
                NodeRunState::Canceled => RunState::Canceled,
                live @ (NodeRunState::Queued | NodeRunState::Assigned | NodeRunState::Running) => {
                    unreachable!("a node does not end as {live}")
                }
            };
            self.end_run(state, Some(&node));
        }
        self.put(node.clone());
        node
    }

    /// Cancels nodes that are alive, in the order given.
    pub(super) fn cancel_all(&mut self, rules: &Rules, live: Vec<NodeRecord>, lease: &Lease) {
        for node in live {
            let tell_executor = is_at_executor(&node);
            self.loaded(&node);
            let node = self.end_one(rules, node, End::canceled(tell_executor), lease);
            self.put(node);
        }
    }

    fn end_one(&mut self, rules: &Rules, mut node: NodeRecord, end: End, lease: &Lease) -> NodeRecord {
        guard::node_ends(node.id(), node.node.state, end.state);
        node.node.state = end.state;
        node.node.ended_at = Some(self.now);
        node.node.outputs = end.outputs;
        node.node.output_artifacts = end.output_artifacts;
        node.node.extensions = extensions::Writer::update(rules, node.node.extensions.take())
            .own(extensions::COMPLETION_ERROR, end.error.as_ref())
            .done();
        let tell_executor = end.tell_executor || node.astray;
        node.wake = tell_executor.then(|| wake(Job::CancelExecutor, self.now, lease));
        match node.node.kind {
            Some(NodeKind::Atomic) => {
                let mut data = Map::from_iter([("state".into(), end.state.to_string().into())]);
                if node.node.started_at.is_none() {
                    // Consumers count one such event per atomic node (D-11).
                    data.insert("executed".into(), false.into());
                }
                if node.attempt > 1 {
                    data.insert("attempts".into(), node.attempt.into());
                }
                self.event(RunEventType::AtomicExecuted, Some(&node), Value::Object(data));
            }
            Some(NodeKind::Composite) | None => {}
        }
        node
    }

    /// Ends the run; `root` if it ends because its root did.
    pub(super) fn end_run(&mut self, state: RunState, root: Option<&NodeRecord>) {
        guard::run_ends(self.run.id(), self.run.run.state, state);
        self.run.run.state = state;
        self.run.run.ended_at = Some(self.now);
        self.run.deadline = None;
        let data = Map::from_iter([("state".into(), state.to_string().into())]);
        self.event(RunEventType::RunCompleted, root, Value::Object(data));
    }

    pub(super) fn into_changes(self) -> ChangeSet {
        self.run_before.may_become(&self.run, self.events.len());
        let run_changed = !self.events.is_empty() || self.run.version == 0;
        ChangeSet {
            run_id: self.run.run.run_id.clone(),
            at: self.now,
            run: run_changed.then_some(self.run),
            nodes: self.nodes,
            events: self.events,
            attempts: self.attempts,
            adopted: Adopted::default(),
        }
    }
}

/// A wake-up that begins a job, taken by `lease` if that can act at once.
pub(super) fn wake(job: Job, at: Timestamp, lease: &Lease) -> Wake {
    Wake { job, at, owner: lease.clone(), tries: 0 }
}

/// An executor may be working on it.
pub(super) fn is_at_executor(node: &NodeRecord) -> bool {
    match node.node.state {
        NodeRunState::Running => true,
        NodeRunState::Queued
        | NodeRunState::Assigned
        | NodeRunState::Succeeded
        | NodeRunState::Failed
        | NodeRunState::Canceled => false,
    }
}
