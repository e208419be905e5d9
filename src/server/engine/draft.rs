//! The changes of a decision while it is being made.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{
    attempt::Attempt,
    audit::{self, Audited},
    bookkeeping::wake,
    command::{Claim, Cx, PolicyDecided},
    extensions,
    failing::Failing,
    guard::{self, NodeBefore, RunBefore},
    ledger, run_hold,
};
use crate::{
    record::{
        AttemptOutcome, AttemptRecord, AuditRecord, ChangeSet, EventRecord, Job, NodeHead, NodePath,
        NodeRecord, RunRecord,
    },
    types::{
        Error, Extensions, JsonObject, NodeKind, NodeRun, NodeRunId, NodeRunState, ResourceRef, RunEvent,
        RunEventType, RunState, json::canonical,
    },
};

/// Collects changed records and numbers events, and becomes a [`ChangeSet`] at
/// the end. A stored record is noted with [`Draft::note_loaded`] before the command
/// changes it, so that `guard` can check the change.
pub(super) struct Draft<'c> {
    pub(super) cx: Cx<'c>,
    pub(super) run: RunRecord,
    run_before: RunBefore,
    nodes_before: HashMap<NodeRunId, Before>,
    nodes: Vec<NodeRecord>,
    heads: Vec<NodeHead>,
    events: Vec<EventRecord>,
    attempts: Vec<AttemptRecord>,
    /// For the audit record, if there is one.
    pub(super) audited: Audited,
    /// Audit records of nodes that were refused beside that.
    refusals: Vec<AuditRecord>,
    /// The extensions of the newest event, and its attempt: those of the next are
    /// usually the same.
    signed: Option<(u32, Extensions)>,
    /// The run's record has changed without an event.
    run_changed: bool,
    /// Whether the run is held from now on, if that changes.
    pub(super) held: Option<bool>,
}

/// What is known about a node before the decision.
enum Before {
    Stored(Box<NodeBefore>),
    /// It is in the draft, and must not be put twice.
    Put,
}

/// The node that an event is about.
#[derive(Clone, Copy)]
pub(super) struct Place<'n> {
    id: &'n NodeRunId,
    path: &'n NodePath,
    attempt: u32,
}

impl<'n> Place<'n> {
    pub(super) fn of(node: &'n NodeRecord) -> Self {
        Self { id: node.id(), path: &node.path, attempt: node.attempt }
    }

    pub(super) fn of_head(head: &'n NodeHead) -> Self {
        Self { id: &head.node_run_id, path: &head.path, attempt: head.attempt }
    }
}

/// The end of a node.
pub(super) struct End {
    pub(super) state: NodeRunState,
    pub(super) outputs: Option<JsonObject>,
    pub(super) output_artifacts: Option<Vec<ResourceRef>>,
    pub(super) error: Option<Error>,
    /// Its executor may still be at work and must be notified.
    pub(super) notify_executor: bool,
}

impl End {
    pub(super) fn failed(error: Error) -> Self {
        Self {
            state: NodeRunState::Failed,
            outputs: None,
            output_artifacts: None,
            error: Some(error),
            notify_executor: false,
        }
    }
}

impl<'c> Draft<'c> {
    pub(super) fn new(run: RunRecord, cx: Cx<'c>) -> Self {
        Self {
            cx,
            run_before: RunBefore::of(&run),
            run,
            nodes_before: HashMap::new(),
            nodes: Vec::new(),
            heads: Vec::new(),
            events: Vec::new(),
            attempts: Vec::new(),
            audited: Audited::default(),
            refusals: Vec::new(),
            signed: None,
            run_changed: false,
            held: None,
        }
    }

    /// A draft of a command that changes this stored node.
    pub(super) fn of(run: RunRecord, node: &NodeRecord, cx: Cx<'c>) -> Self {
        let mut draft = Self::new(run, cx);
        draft.note_loaded(node);
        draft
    }

    /// Notes a stored record as it is before the command changes it.
    pub(super) fn note_loaded(&mut self, node: &NodeRecord) {
        self.nodes_before.insert(node.id().clone(), Before::Stored(Box::new(NodeBefore::of(node))));
    }

    /// Notes that the run's record changes, which events do by themselves.
    pub(super) fn run_changed(&mut self) {
        self.run_changed = true;
    }

    /// Appends an event about `node`, or about the run as a whole.
    pub(super) fn event(
        &mut self,
        type_: RunEventType,
        node: Option<&NodeRecord>,
        data: impl Into<JsonObject>,
    ) {
        self.event_at(type_, node.map(Place::of), data, None);
    }

    /// The same, with the node's place, and what has failed.
    fn event_at(
        &mut self,
        type_: RunEventType,
        node: Option<Place<'_>>,
        data: impl Into<JsonObject>,
        failing: Option<&Failing>,
    ) {
        let extensions = self.signature(node.map_or(0, |node| node.attempt));
        let extensions = match failing {
            Some(failing) => extensions.with(extensions::ERROR, failing),
            None => extensions,
        };
        self.run.last_seq += 1;
        self.events.push(EventRecord {
            event: RunEvent {
                run_id: self.run.run.run_id.clone(),
                seq: self.run.last_seq,
                type_,
                time: self.cx.now,
                node_run_id: node.map(|node| node.id.clone()),
                data: Some(data.into()),
                extensions: Some(extensions),
            },
            path: node.map(|node| node.path.clone()),
        });
    }

    /// The extensions of an event: its actor, and the attempt of its node.
    fn signature(&mut self, attempt: u32) -> Extensions {
        match &self.signed {
            Some((signed, extensions)) if *signed == attempt => extensions.clone(),
            Some(_) | None => {
                let extensions = extensions::signature(self.cx.cause.actor(), attempt);
                self.signed = Some((attempt, extensions.clone()));
                extensions
            }
        }
    }

    /// Appends `policy_decided` (contract §11), for each checkpoint.
    pub(super) fn policy_decided(&mut self, node: &NodeRecord, decided: &PolicyDecided) {
        if let Some(before) = &decided.after {
            self.policy_decided(node, before);
        }
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

    /// Stores a node, new or changed; each node at most once per decision. Of a held
    /// run, it is not dispatched.
    pub(super) fn put(&mut self, mut node: NodeRecord) {
        run_hold::set_aside_if_held(&self.run, &mut node, self.cx.now);
        let name = node.id().as_str().escape_debug();
        match self.nodes_before.insert(node.id().clone(), Before::Put) {
            Some(Before::Stored(before)) => before.may_become(&node),
            Some(Before::Put) => panic!("node run {name}: one decision would store it twice"),
            None => {
                assert!(node.version == 0, "node run {name}: it was changed without having been noted");
                guard::wakes(&node);
            }
        }
        self.nodes.push(node);
    }

    /// Adds an attempt that did not end the node to the attempt log.
    pub(super) fn attempt(&mut self, node: &NodeRecord, attempt: Attempt, outcome: AttemptOutcome) {
        let record = attempt.record(node.id(), &node.node.run_id, outcome, self.cx.now);
        // The node's note is about its current attempt.
        let note = node.note.clone().filter(|_| attempt.number == node.attempt);
        self.attempts.push(AttemptRecord { note, ..record });
    }

    /// Ends a node: its live descendants first, deepest first (D-17), then
    /// the node, then, if it is the root, the run.
    pub(super) fn end(&mut self, node: NodeRecord, live_below: Vec<NodeHead>, end: End) {
        self.cancel_all(live_below);
        let failing = Failing::by(end.state, end.error.as_ref(), node.id());
        let node = self.end_one(node, end, self.cx.claim);
        if self.run.run.root_node_run_id == *node.id() {
            let state = match node.node.state {
                NodeRunState::Succeeded => RunState::Succeeded,
                NodeRunState::Failed => RunState::Failed,
                NodeRunState::Canceled => RunState::Canceled,
                live @ (NodeRunState::Queued | NodeRunState::Assigned | NodeRunState::Running) => {
                    unreachable!("a node does not end as {live}")
                }
            };
            self.end_run(state, Some(Place::of(&node)), failing.as_ref());
        }
        self.put(node);
    }

    /// Ends a new node that constraints forbid, with its own audit record, and
    /// returns it as it is then.
    pub(super) fn refuse(&mut self, node: NodeRecord, error: Error) -> NodeRun {
        self.refusals.extend(audit::refused_child(self.run.id(), node.id(), &error, self.cx));
        let node = self.end_one(node, End::failed(error), self.cx.claim);
        let answer = node.node.clone();
        self.put(node);
        answer
    }

    /// The events so far.
    pub(super) fn events_made(&mut self) -> &mut [EventRecord] {
        &mut self.events
    }

    /// Cancels live nodes, in the order given.
    pub(super) fn cancel_all(&mut self, live: Vec<NodeHead>) {
        for head in live {
            self.end_head(head, NodeRunState::Canceled);
        }
    }

    /// Cancels nodes that are new to the journal, in the order given.
    pub(super) fn cancel_new(&mut self, live: Vec<NodeRecord>) {
        for node in live {
            self.note_loaded(&node);
            self.cancel_one(node, None);
        }
    }

    /// Cancels a node that has changed before.
    pub(super) fn cancel(&mut self, node: NodeRecord) {
        self.cancel_one(node, self.cx.claim);
    }

    fn cancel_one(&mut self, node: NodeRecord, claim: Claim<'_>) {
        let end = End {
            state: NodeRunState::Canceled,
            outputs: None,
            output_artifacts: None,
            error: None,
            notify_executor: node.is_at_executor(),
        };
        let node = self.end_one(node, end, claim);
        self.put(node);
    }

    /// Ends a node of which only the head was read.
    pub(super) fn end_head(&mut self, mut head: NodeHead, state: NodeRunState) {
        let notify_executor = head.is_at_executor();
        self.end_of(&mut head, (state, None), notify_executor, self.cx.claim);
        self.put_head(head);
    }

    /// Stores a head, each at most once per decision.
    pub(super) fn put_head(&mut self, head: NodeHead) {
        let before = self.nodes_before.insert(head.node_run_id.clone(), Before::Put);
        let name = head.node_run_id.as_str().escape_debug();
        assert!(before.is_none(), "node run {name}: one decision would store it twice");
        self.heads.push(head);
    }

    pub(super) fn end_one(&mut self, mut node: NodeRecord, end: End, claim: Claim<'_>) -> NodeRecord {
        let mut head = node.head();
        let failing = Failing::by(end.state, end.error.as_ref(), node.id());
        self.end_of(&mut head, (end.state, failing.as_ref()), end.notify_executor, claim);
        (node.node.state, node.node.ended_at, node.wake) = (head.state, head.ended_at, head.wake);
        node.node.outputs = end.outputs;
        node.unread.outputs = false;
        node.node.output_artifacts = end.output_artifacts;
        node.node.extensions = extensions::Writer::update(self.cx.rules, node.node.extensions.take())
            .own(extensions::COMPLETION_ERROR, end.error.as_ref())
            .done();
        node
    }

    /// Ends a head, with the event if there is one.
    fn end_of(
        &mut self,
        head: &mut NodeHead,
        (state, failing): (NodeRunState, Option<&Failing>),
        notify_executor: bool,
        claim: Claim<'_>,
    ) {
        guard::node_ends(&head.node_run_id, head.state, state);
        head.state = state;
        head.ended_at = Some(self.cx.now);
        let notify_executor = notify_executor || head.superseded_attempt_may_run;
        head.wake = notify_executor.then(|| wake(Job::CancelExecutor, self.cx.now, claim));
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
                let about = Some(Place::of_head(head));
                self.event_at(RunEventType::AtomicExecuted, about, data, failing);
            }
            Some(NodeKind::Composite) | None => {}
        }
    }

    /// Ends the run. `root`: the root, if the run ends with it; `failing`: what it
    /// failed with.
    pub(super) fn end_run(&mut self, state: RunState, root: Option<Place<'_>>, failing: Option<&Failing>) {
        guard::run_ends(self.run.id(), self.run.run.state, state);
        self.run.run.state = state;
        self.run.run.ended_at = Some(self.cx.now);
        self.run.deadline = None;
        self.run.subject_token = None;
        if self.run.hold.is_some() {
            run_hold::mark(self, None);
        }
        ledger::close(&mut self.run, self.cx.rules);
        if let Some(failing) = failing {
            let extensions = extensions::Writer::update(self.cx.rules, self.run.run.extensions.take());
            self.run.run.extensions = extensions.exactly(extensions::ERROR, failing).done();
        }
        self.event_at(RunEventType::RunCompleted, root, [("state", state.to_string().into())], failing);
    }

    pub(super) fn into_changes(mut self) -> ChangeSet {
        self.run_before.may_become(&self.run, self.events.len());
        let run_changed = self.run_changed || !self.events.is_empty() || self.run.version == 0;
        self.run.changed_at = Some(self.cx.now);
        let audit = self.audited.record(self.run.id(), &self.events, self.cx);
        let empty = ChangeSet::new(self.run.id().clone(), self.cx.now);
        ChangeSet {
            run: run_changed.then_some(self.run),
            held: self.held,
            nodes: self.nodes,
            heads: self.heads,
            events: self.events,
            attempts: self.attempts,
            audit: audit.into_iter().chain(self.refusals).collect(),
            ..empty
        }
        .owing_all()
    }
}
