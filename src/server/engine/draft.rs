//! What a decision is going to change, while it is being made.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{
    Attempt, Lease, PolicyDecided, Rules, extensions,
    guard::{self, NodeBefore, RunBefore},
};
use crate::{
    record::{
        AttemptOutcome, AttemptRecord, ChangeSet, EventRecord, Job, NodeHead, NodePath, NodeRecord,
        RunRecord, Wake,
    },
    time::Timestamp,
    types::{
        Error, JsonObject, NodeKind, NodeRunId, NodeRunState, ResourceRef, RunEvent, RunEventType, RunState,
        json::canonical,
    },
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
    heads: Vec<NodeHead>,
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
    pub(super) outputs: Option<JsonObject>,
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
}

impl Draft {
    pub(super) fn new(run: RunRecord, now: Timestamp) -> Self {
        Self {
            now,
            run_before: RunBefore::of(&run),
            run,
            nodes_before: HashMap::new(),
            nodes: Vec::new(),
            heads: Vec::new(),
            events: Vec::new(),
            attempts: Vec::new(),
        }
    }

    /// Notes a stored record as it is before the command changes it.
    pub(super) fn loaded(&mut self, node: &NodeRecord) {
        self.nodes_before.insert(node.id().clone(), Before::Stored(Box::new(NodeBefore::of(node))));
    }

    /// Appends an event about `node`, or about the run as a whole.
    pub(super) fn event(
        &mut self,
        type_: RunEventType,
        node: Option<&NodeRecord>,
        data: impl Into<JsonObject>,
    ) {
        self.event_at(type_, node.map(|node| (node.id(), &node.path)), data);
    }

    /// The same, about the node of that name and place.
    fn event_at(
        &mut self,
        type_: RunEventType,
        node: Option<(&NodeRunId, &NodePath)>,
        data: impl Into<JsonObject>,
    ) {
        self.run.last_seq += 1;
        self.events.push(EventRecord {
            event: RunEvent {
                run_id: self.run.run.run_id.clone(),
                seq: self.run.last_seq,
                type_,
                time: self.now,
                node_run_id: node.map(|(id, _)| id.clone()),
                data: Some(data.into()),
                extensions: None,
            },
            path: node.map(|(_, path)| path.clone()),
        });
    }

    /// Appends `policy_decided` (contract §11).
    pub(super) fn policy_decided(&mut self, node: &NodeRecord, decided: &PolicyDecided) {
        let mut facts = vec![("action", Some(decided.action)), ("decision", Some(decided.outcome.as_str()))];
        facts.extend([
            ("reason_code", decided.reason_code.as_deref()),
            ("message", decided.message.as_deref()),
        ]);
        let text =
            |(name, value): (&str, Option<&str>)| Some((name.to_owned(), canonical::text_of(&value?)?));
        let data = decided.evidence.edited(|_| false, &facts.into_iter().filter_map(text).collect());
        self.event(RunEventType::PolicyDecided, Some(node), data);
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
        self.attempts.push(attempt.record(node.id(), &node.node.run_id, outcome, self.now));
    }

    /// Ends a node: its live descendants first, deepest first (D-17), then
    /// the node, then, if it is the root, the run.
    pub(super) fn end(
        &mut self,
        rules: &Rules,
        node: NodeRecord,
        live_below: Vec<NodeHead>,
        end: End,
        lease: &Lease,
    ) -> NodeRecord {
        self.cancel_all(live_below, lease);
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
            self.end_run(state, Some((node.id(), &node.path)));
        }
        self.put(node.clone());
        node
    }

    /// Cancels nodes that are alive, in the order given.
    pub(super) fn cancel_all(&mut self, live: Vec<NodeHead>, lease: &Lease) {
        for head in live {
            self.end_head(head, NodeRunState::Canceled, lease);
        }
    }

    /// Cancels nodes that come to the journal only now, in the order given.
    pub(super) fn cancel_new(&mut self, rules: &Rules, live: Vec<NodeRecord>) {
        for node in live {
            let tell_executor = is_at_executor(&node);
            self.loaded(&node);
            let end = End {
                state: NodeRunState::Canceled,
                outputs: None,
                output_artifacts: None,
                error: None,
                tell_executor,
            };
            let node = self.end_one(rules, node, end, &None);
            self.put(node);
        }
    }

    /// Ends a node of which nothing but its head is known.
    pub(super) fn end_head(&mut self, mut head: NodeHead, state: NodeRunState, lease: &Lease) {
        let tell_executor = state_is_at_executor(head.state);
        self.over(&mut head, state, tell_executor, lease);
        let before = self.nodes_before.insert(head.node_run_id.clone(), Before::Put);
        let name = head.node_run_id.as_str().escape_debug();
        assert!(before.is_none(), "node run {name}: one decision would store it twice");
        self.heads.push(head);
    }

    fn end_one(&mut self, rules: &Rules, mut node: NodeRecord, end: End, lease: &Lease) -> NodeRecord {
        let mut head = node.head();
        self.over(&mut head, end.state, end.tell_executor, lease);
        (node.node.state, node.node.ended_at, node.wake) = (head.state, head.ended_at, head.wake);
        node.node.outputs = end.outputs;
        node.unread.outputs = false;
        node.node.output_artifacts = end.output_artifacts;
        node.node.extensions = extensions::Writer::update(rules, node.node.extensions.take())
            .own(extensions::COMPLETION_ERROR, end.error.as_ref())
            .done();
        node
    }

    /// What the end of any node is, whatever it carries.
    fn over(&mut self, head: &mut NodeHead, state: NodeRunState, tell_executor: bool, lease: &Lease) {
        guard::node_ends(&head.node_run_id, head.state, state);
        head.state = state;
        head.ended_at = Some(self.now);
        let tell_executor = tell_executor || head.superseded_attempt_may_run;
        head.wake = tell_executor.then(|| wake(Job::CancelExecutor, self.now, lease));
        match head.kind {
            Some(NodeKind::Atomic) => {
                let mut data = Map::from_iter([("state".to_owned(), Value::from(state.to_string()))]);
                if head.started_at.is_none() {
                    // Consumers count one such event per atomic node (D-11).
                    data.insert("executed".into(), false.into());
                }
                if head.attempt > 1 {
                    data.insert("attempts".into(), head.attempt.into());
                }
                let about = Some((&head.node_run_id, &head.path));
                self.event_at(RunEventType::AtomicExecuted, about, data);
            }
            Some(NodeKind::Composite) | None => {}
        }
    }

    /// Ends the run; `root` if it ends because its root did.
    pub(super) fn end_run(&mut self, state: RunState, root: Option<(&NodeRunId, &NodePath)>) {
        guard::run_ends(self.run.id(), self.run.run.state, state);
        self.run.run.state = state;
        self.run.run.ended_at = Some(self.now);
        self.run.deadline = None;
        self.event_at(RunEventType::RunCompleted, root, [("state", state.to_string().into())]);
    }

    pub(super) fn into_changes(self) -> ChangeSet {
        self.run_before.may_become(&self.run, self.events.len());
        let run_changed = !self.events.is_empty() || self.run.version == 0;
        let empty = ChangeSet::new(self.run.id().clone(), self.now);
        ChangeSet {
            run: run_changed.then_some(self.run),
            nodes: self.nodes,
            heads: self.heads,
            events: self.events,
            attempts: self.attempts,
            ..empty
        }
        .owing_all()
    }
}

/// A wake-up that begins a job, taken by `lease` if that can act at once.
pub(super) fn wake(job: Job, at: Timestamp, lease: &Lease) -> Wake {
    Wake { job, at, claimed_by: lease.clone(), tries: 0 }
}

/// An executor may be working on it.
pub(super) fn is_at_executor(node: &NodeRecord) -> bool {
    state_is_at_executor(node.node.state)
}

fn state_is_at_executor(state: NodeRunState) -> bool {
    match state {
        NodeRunState::Running => true,
        NodeRunState::Queued
        | NodeRunState::Assigned
        | NodeRunState::Succeeded
        | NodeRunState::Failed
        | NodeRunState::Canceled => false,
    }
}
