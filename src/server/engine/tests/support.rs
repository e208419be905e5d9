//! A world in memory: it loads views, calls the engine, and commits what that
//! decides, as a store does. Time passes by a millisecond a command.

use std::{collections::BTreeMap, time::Duration};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    engine::{
        self, Applied, Asked, Attempt, AttemptResult, BeginAttempt, Begun, Checked, ChildSpec,
        CreateChildren, Decision, FailedCall, Heard, Lease, NodeTypeFacts, NodeView, PolicyDecided,
        PolicyOutcome, Rejection, Rules, StartRun, Told, Work, lifecycle,
    },
    record::{AttemptRecord, ChangeSet, EventRecord, Job, NodeHead, NodePath, NodeRecord, RunRecord},
    time::Timestamp,
    types::{
        Error, ExecutorBinding, JsonObject, NodeKind, NodeRun, NodeRunCreateSpec, NodeRunId, NodeRunState,
        Run, RunEventType, RunId, RunStartRequest, WorkerId,
    },
};

/// The run that most tests are about, and its root.
pub(super) const RUN: &str = "run-1";
pub(super) const ROOT: &str = "root";

#[derive(Clone, Debug, PartialEq)]
pub(super) struct World {
    pub(super) rules: Rules,
    pub(super) lease: Lease,
    pub(super) now: Timestamp,
    /// What the registry would say; types not named here go by their prefix.
    pub(super) types: BTreeMap<String, NodeTypeFacts>,
    pub(super) runs: BTreeMap<RunId, RunRecord>,
    pub(super) nodes: BTreeMap<NodeRunId, NodeRecord>,
    pub(super) events: Vec<EventRecord>,
    pub(super) attempts: Vec<AttemptRecord>,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            rules: Rules {
                dotted_keys: false,
                max_retries: 2,
                node_timeout: Duration::from_secs(60),
                run_timeout: Duration::from_secs(3600),
                composite_silence: Some(Duration::from_secs(600)),
            },
            lease: Some(WorkerId::new("owner-1")),
            now: Timestamp::from_micros(1_800_000_000_000_000),
            types: BTreeMap::new(),
            runs: BTreeMap::new(),
            nodes: BTreeMap::new(),
            events: Vec::new(),
            attempts: Vec::new(),
        }
    }

    /// A world with one run, whose root is at the composite executor.
    pub(super) fn composite(constraints: &Value) -> Self {
        let mut world = Self::new();
        world.start(json!({"constraints": constraints})).expect("a start");
        world.begin(ROOT);
        world
    }

    /// The same for an atomic root.
    pub(super) fn atomic() -> Self {
        let mut world = Self::new();
        world.start(json!({"root_node_type_ref": node_type("atomic.echo")})).expect("a start");
        world.begin(ROOT);
        world
    }

    // ---- commands ----

    /// Starts `run-1` with a composite root, but for the members given.
    pub(super) fn start(&mut self, members: Value) -> Result<Run, Rejection> {
        self.start_as(RUN, ROOT, members, PolicyOutcome::Allow)
    }

    pub(super) fn start_as(
        &mut self,
        run: &str,
        root: &str,
        members: Value,
        outcome: PolicyOutcome,
    ) -> Result<Run, Rejection> {
        let base = json!({"root_node_type_ref": node_type("composite.plan"), "input": {"goal": "g"}});
        let request: RunStartRequest = parse(overlaid(base, members));
        let existing = self.runs.get(&RunId::new(run)).cloned();
        let facts = self.facts(&request.root_node_type_ref.node_type_id);
        let command = StartRun {
            run_id: run.into(),
            root_id: root.into(),
            digest: parse::<Value>(json!(request)).to_string(),
            owner: "somebody".into(),
            decided: decided("run.start", outcome),
            asked: Asked::of(request, &facts, &self.rules),
            facts,
        };
        let now = self.tick();
        let decision = engine::run_start(existing.as_ref(), &command, &self.rules, &self.lease, now);
        self.commit(decision)
    }

    /// Creates children of `parent` in its run.
    pub(super) fn create(&mut self, parent: &str, children: &[Child]) -> Result<Vec<NodeRun>, Rejection> {
        let run = self.node(parent).node.run_id.clone();
        self.create_in(run.as_str(), parent, children)
    }

    pub(super) fn create_in(
        &mut self,
        run: &str,
        parent: &str,
        children: &[Child],
    ) -> Result<Vec<NodeRun>, Rejection> {
        let run = self.runs[&RunId::new(run)].clone();
        let parent = self.node(parent).clone();
        let parent_facts = self.asked(&parent);
        let children = children.iter().map(|child| self.wanted(child, &run, &parent)).collect();
        let command = CreateChildren { parent, parent_facts, children };
        let now = self.tick();
        let decision = engine::children_create(run, command, &self.rules, &self.lease, now);
        self.commit(decision)
    }

    fn wanted(&self, child: &Child, run: &RunRecord, parent: &NodeRecord) -> ChildSpec {
        let id = match child.spec.idempotency_key.as_deref().filter(|key| !key.is_empty()) {
            Some(key) => NodeRunId::derived(run.id(), parent.id(), key),
            None => child.id.clone(),
        };
        ChildSpec {
            spec: child.spec.clone(),
            existing: self.nodes.get(&id).cloned(),
            id,
            facts: self.facts(&child.spec.node_type_ref.node_type_id),
        }
    }

    pub(super) fn claim(&mut self, node: &str) {
        let NodeView { run, node, .. } = self.view(node);
        self.tick();
        self.apply(engine::attempt_claim(&run, node, &self.lease, self.now));
    }

    /// Policy allows, an executor is there.
    pub(super) fn begin(&mut self, node: &str) -> Begun {
        self.begin_with(node, PolicyOutcome::Allow, Ok(binding()))
    }

    pub(super) fn begin_with(
        &mut self,
        node: &str,
        outcome: PolicyOutcome,
        executor: Result<ExecutorBinding, Error>,
    ) -> Begun {
        let view = self.view(node);
        let facts = self.asked(&view.node);
        let command = BeginAttempt { facts, decided: decided("node.run.execute", outcome), executor };
        let now = self.tick();
        self.apply(engine::attempt_begin(view, command, &self.rules, &self.lease, now))
    }

    /// What a dispatcher does: refuse what may not be executed, else begin.
    pub(super) fn dispatch(&mut self, node: &str) -> Begun {
        let view = self.view(node);
        let facts = self.asked(&view.node);
        match engine::attempt_refusal(&view.run, &view.node, &facts) {
            None => self.begin(node),
            Some(error) => {
                let now = self.tick();
                self.apply(engine::attempt_refuse(view, &facts, error, &self.rules, &self.lease, now));
                Begun::Refused
            }
        }
    }

    pub(super) fn finish(&mut self, node: &str, attempt: u32, result: AttemptResult) -> Applied {
        let view = self.view(node);
        let started_at = view.node.node.started_at.unwrap_or(self.now);
        let attempt = Attempt { number: attempt, started_at };
        let now = self.tick();
        self.apply(engine::attempt_finish(view, attempt, result, &self.rules, &self.lease, now))
    }

    /// Its executor answers the current attempt.
    pub(super) fn answer(&mut self, node: &str, state: NodeRunState) -> Applied {
        let attempt = self.node(node).attempt;
        self.finish(node, attempt, answered(state))
    }

    pub(super) fn retry(&mut self, node: &str, wait: Duration) {
        let NodeView { run, node, .. } = self.view(node);
        let at = self.tick() + wait;
        self.apply(engine::attempt_retry(&run, node, at, self.now));
    }

    /// Its wake-up is due at once and nobody's, as if its owner had died.
    pub(super) fn due(&mut self, node: &str) {
        let now = self.tick();
        let record = self.nodes.get_mut(&NodeRunId::new(node)).expect("a node");
        let wake = record.wake.as_mut().expect("a wake-up");
        (wake.at, wake.claimed_by) = (now, None);
    }

    pub(super) fn lost(&mut self, node: &str) {
        let (view, now) = (self.view(node), self.tick());
        self.apply(engine::attempt_lost(view, &self.rules, &self.lease, now));
    }

    /// Asks whether its executor is still there.
    pub(super) fn check(&mut self, node: &str, heard: Heard) -> Checked {
        let (view, now) = (self.view(node), self.tick());
        let view = NodeView { live_below: Vec::new(), ..view };
        self.apply(engine::silence_check(view, heard, &self.rules, &self.lease, now))
    }

    /// The policy point cannot be asked about it. Whether that is new.
    pub(super) fn hold(&mut self, node: &str, wait: Duration) -> bool {
        let (NodeView { run, node, .. }, now) = (self.view(node), self.tick());
        self.apply(engine::attempt_hold(run, node, now + wait, now))
    }

    /// Its executor was told, or is to be told again after that time.
    pub(super) fn told(&mut self, node: &str, again_in: Option<Duration>) {
        let now = self.tick();
        self.telling(node, again_in.map_or(Told::Yes, |wait| Told::Again(now + wait)));
    }

    pub(super) fn telling(&mut self, node: &str, told: Told) {
        let head = self.node(node).head();
        self.apply(engine::executor_told(head, told, self.now));
    }

    /// It is not handed over, since its executor is known to be down.
    pub(super) fn defer(&mut self, node: &str, wait: Duration) {
        let (view, now) = (self.view(node), self.tick());
        self.apply(engine::attempt_defer(view, now + wait, &self.rules, &self.lease, now));
    }

    pub(super) fn complete(&mut self, node: &str, completion: Value) -> Result<(), Rejection> {
        let (view, now) = (self.view(node), self.tick());
        let decision = engine::node_complete(view, parse(completion), &self.rules, &self.lease, now);
        self.commit(decision)
    }

    pub(super) fn evaluate(&mut self, node: &str, report: Value) {
        let NodeView { run, node, .. } = self.view(node);
        let now = self.tick();
        self.apply(engine::node_evaluate(run, node, parse(report), now));
    }

    pub(super) fn cancel(&mut self, run: &str) -> Run {
        let (run, now) = (self.runs[&RunId::new(run)].clone(), self.tick());
        let live = self.live(run.id(), None);
        self.apply(engine::run_cancel(run, live, &self.lease, now))
    }

    pub(super) fn expire_run(&mut self, run: &str) {
        let (run, now) = (self.runs[&RunId::new(run)].clone(), self.tick());
        let root = self.nodes.get(&run.run.root_node_run_id).cloned();
        self.expire_run_with(run, root, now);
    }

    /// The same where the record of the root cannot be read.
    pub(super) fn expire_run_without_root(&mut self, run: &str) {
        let (run, now) = (self.runs[&RunId::new(run)].clone(), self.tick());
        self.expire_run_with(run, None, now);
    }

    fn expire_run_with(&mut self, run: RunRecord, root: Option<NodeRecord>, now: Timestamp) {
        let live = self.live(run.id(), None);
        self.apply(engine::run_expire(run, root, live, &self.rules, &self.lease, now));
    }

    pub(super) fn expire_node(&mut self, node: &str) {
        let (view, now) = (self.view(node), self.tick());
        self.apply(engine::node_expire(view, &self.rules, &self.lease, now));
    }

    // ---- looking ----

    pub(super) fn node(&self, node: &str) -> &NodeRecord {
        &self.nodes[&NodeRunId::new(node)]
    }

    pub(super) fn run(&self) -> &RunRecord {
        &self.runs[&RunId::new(RUN)]
    }

    pub(super) fn state(&self, node: &str) -> NodeRunState {
        self.node(node).node.state
    }

    /// What the node still has to do.
    pub(super) fn job(&self, node: &str) -> Option<Job> {
        self.node(node).wake.as_ref().map(|wake| wake.job)
    }

    /// An extension of a node.
    pub(super) fn extension(&self, node: &str, key: &str) -> Option<Value> {
        self.node(node).node.extensions.as_ref()?.get(key)
    }

    /// The code and message of a node's completion error.
    pub(super) fn failure(&self, node: &str) -> Value {
        let error = self.extension(node, "completion_error").unwrap_or_default();
        json!([error["code"], error["message"]])
    }

    /// Events as `[type, node_run_id, data]`, after the first `skip`.
    pub(super) fn told_since(&self, skip: usize) -> Vec<Value> {
        let short = |record: &EventRecord| {
            let event = &record.event;
            json!([event.type_, event.node_run_id, event.data])
        };
        self.events.iter().skip(skip).map(short).collect()
    }

    pub(super) fn view(&self, node: &str) -> NodeView {
        let node = self.node(node).clone();
        let run = self.runs[&node.node.run_id].clone();
        let live_below = self.live(run.id(), Some(&node.path));
        NodeView { run, node, live_below }
    }

    /// Live nodes, deepest first, as the store lists them.
    fn live(&self, run: &RunId, under: Option<&NodePath>) -> Vec<NodeHead> {
        let below =
            |node: &NodeRecord| under.is_none_or(|path| path != &node.path && path.contains(&node.path));
        let of_run = self.nodes.values().filter(|node| node.node.run_id == *run);
        let mut live: Vec<NodeHead> =
            of_run.filter(|node| !node.is_terminal() && below(node)).map(NodeRecord::head).collect();
        live.sort_by_key(|node| std::cmp::Reverse(node.path.depth()));
        live
    }

    /// What is found out about a node's type: nothing, once its kind is known.
    fn asked(&self, node: &NodeRecord) -> NodeTypeFacts {
        match node.node.kind {
            Some(_) => NodeTypeFacts::default(),
            None => self.facts(&node.node.node_type_ref.node_type_id),
        }
    }

    fn facts(&self, node_type: &str) -> NodeTypeFacts {
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

    // ---- committing ----

    fn tick(&mut self) -> Timestamp {
        self.wait(Duration::from_millis(1))
    }

    pub(super) fn wait(&mut self, time: Duration) -> Timestamp {
        self.now = self.now + time;
        self.now
    }

    fn commit<T>(&mut self, decision: Result<Decision<T>, Rejection>) -> Result<T, Rejection> {
        decision.map(|decision| self.apply(decision))
    }

    pub(super) fn apply<T>(&mut self, decision: Decision<T>) -> T {
        if let Some(changes) = decision.changes {
            self.store(changes);
        }
        decision.answer
    }

    /// Writes an adopted run, which brings events with numbers of their own.
    pub(super) fn import(&mut self, changes: ChangeSet) {
        let ChangeSet { run_id, at: _, run, nodes, heads, events, attempts, outbox: _ } = changes;
        assert!(attempts.is_empty() && heads.is_empty());
        let run = run.expect("a whole run");
        self.runs.insert(run_id, RunRecord { version: 1, ..run });
        self.nodes
            .extend(nodes.into_iter().map(|node| (node.id().clone(), NodeRecord { version: 1, ..node })));
        self.events.extend(events);
    }

    /// Writes all of a change set, after the checks that a store makes, and
    /// those of the lifecycle tables.
    fn store(&mut self, changes: ChangeSet) {
        let ChangeSet { run_id, at: _, run, mut nodes, heads, events, attempts, outbox: _ } = changes;
        // Of a head counts what a cascade changes; the rest is as it was read.
        for head in heads {
            let mut node = self.nodes[&head.node_run_id].clone();
            assert!(nodes.iter().all(|other| other.id() != node.id()), "a node changes once in a decision");
            let NodeHead { version, state, ended_at, ref wake, .. } = head;
            (node.node.state, node.node.ended_at, node.wake) = (state, ended_at, wake.clone());
            node.version = version;
            assert_eq!(node.head(), head, "nothing else of a head changes");
            nodes.push(node);
        }
        let seq_before = self.runs.get(&run_id).map_or(0, |run| run.last_seq);
        for (event, seq) in events.iter().zip(seq_before + 1..) {
            assert_eq!(
                (&event.event.run_id, event.event.seq),
                (&run_id, seq),
                "events are numbered without gaps"
            );
            assert_eq!(event.event.time, self.now);
        }
        match &run {
            Some(run) => {
                assert_eq!(run.last_seq, seq_before + events.len() as u64, "the run counts its events")
            }
            None => assert!(events.is_empty(), "events change the run"),
        }
        if let Some(mut run) = run {
            assert_eq!(*run.id(), run_id);
            let stored = self.runs.get(&run_id);
            assert_eq!(run.version, stored.map_or(0, |stored| stored.version), "the version that was read");
            if let Some(stored) = stored {
                assert!(lifecycle::run_may(stored.run.state, run.run.state), "{stored:?} -> {run:?}");
                assert!(!stored.is_terminal() || stored.run == run.run, "a run that is over never changes");
            }
            run.version += 1;
            self.runs.insert(run_id.clone(), run);
        }
        for mut node in nodes {
            assert_eq!(node.node.run_id, run_id);
            let stored = self.nodes.get(node.id());
            assert_eq!(node.version, stored.map_or(0, |stored| stored.version), "the version that was read");
            if let Some(stored) = stored {
                let (from, to) = (&stored.node, &node.node);
                assert!(lifecycle::node_run_may(from.state, to.state), "{from:?} -> {to:?}");
                let end = |node: &NodeRun| {
                    let mut extensions = node.extensions.clone();
                    // The one that counts on: it may be evaluated still.
                    extensions.iter_mut().for_each(|map| map.remove("jarvis.recovery_actions_dropped"));
                    (
                        node.state,
                        node.ended_at,
                        node.outputs.clone(),
                        extensions.filter(|map| !map.is_empty()),
                    )
                };
                assert!(!stored.is_terminal() || end(from) == end(to), "a node that is over never changes");
            }
            node.version += 1;
            self.nodes.insert(node.id().clone(), node);
        }
        self.events.extend(events);
        self.attempts.extend(attempts);
    }
}

/// A child that a test asks for.
#[derive(Clone, Debug)]
pub(super) struct Child {
    id: NodeRunId,
    spec: NodeRunCreateSpec,
}

/// A child of that id (unless it gets a key), of type `atomic.echo`.
pub(super) fn child(id: &str) -> Child {
    Child { id: id.into(), spec: parse(json!({"node_type_ref": node_type("atomic.echo"), "inputs": {}})) }
}

impl Child {
    pub(super) fn of(self, type_id: &str) -> Self {
        self.with("node_type_ref", node_type(type_id))
    }
    pub(super) fn key(self, key: &str) -> Self {
        self.with("idempotency_key", json!(key))
    }
    pub(super) fn with(mut self, member: &str, value: Value) -> Self {
        let spec = serde_json::to_value(&self.spec).expect("serializes");
        self.spec = parse(overlaid(spec, JsonObject::from([(member, value)]).into()));
        self
    }
}

/// The id of the child of `parent` in `run-1` that `key` stands for.
pub(super) fn keyed(parent: &str, key: &str) -> String {
    NodeRunId::derived(&RUN.into(), &parent.into(), key).to_string()
}

pub(super) fn node_type(id: &str) -> Value {
    json!({"node_type_id": id, "version": "1"})
}

pub(super) fn binding() -> ExecutorBinding {
    parse(json!({"executor_instance_id": "executor-1", "endpoint": "http://executor:8082"}))
}

pub(super) fn decided(action: &'static str, outcome: PolicyOutcome) -> PolicyDecided {
    PolicyDecided { action, outcome, reason_code: None, message: None, evidence: JsonObject::new() }
}

pub(super) fn answered(state: NodeRunState) -> AttemptResult {
    let outputs = JsonObject::from([("answer", json!(42))]);
    AttemptResult::Answered { state, outputs: Some(outputs), output_artifacts: None, error: None }
}

pub(super) fn call_failed(work: Work) -> AttemptResult {
    AttemptResult::Failed(failed_call(work))
}

pub(super) fn failed_call(work: Work) -> FailedCall {
    let error = Error::new("atomic_executor_unavailable", "no answer");
    FailedCall { error, work, retry_after: None }
}

pub(super) fn parse<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a value of the type")
}

/// `base` with the members of `over`, but for nulls.
fn overlaid(mut base: Value, over: Value) -> Value {
    if let (Value::Object(base), Value::Object(over)) = (&mut base, over) {
        base.extend(over.into_iter().filter(|(_, value)| !value.is_null()));
    }
    base
}

/// How often an event of this type is in the log.
pub(super) fn count(world: &World, type_: RunEventType) -> usize {
    world.events.iter().filter(|record| record.event.type_ == type_).count()
}
