//! A world in memory: it loads views, calls the engine, and commits what that
//! decides, as a journal does. Time passes by a millisecond a command.
//!
//! - here: the commands; `approvals`, `steering`: those of operators; `queries`: what there is
//!   now; `commit`: the journal.
//! - `values`: children, answers and errors for tests.

mod approvals;
mod commit;
mod queries;
mod reruns;
mod steering;
mod values;

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

pub(super) use self::values::*;
use crate::{
    engine::{
        self, Abort, Applied, Attempt, AttemptResult, BeginAttempt, BeginOutcome, BoundedStart, Bounds,
        CancelNotification, CandidateSet, Cause, ChildSpec, Contact, CreateChildren, Cx, Decision, Gates,
        InputsNote, NodeTypeFacts, NodeView, PolicyDecided, PolicyOutcome, PreparedStart, Rejection, Rules,
        SilenceOutcome, StartRun, WaitsFor,
    },
    record::{
        Actor, AttemptRecord, AuditRecord, Estimate, EventRecord, Identity, NodeRecord, Operation, RerunOf,
        RunRecord,
    },
    time::Timestamp,
    types::{
        Error, ExecutorBinding, NodeRun, NodeRunId, NodeRunState, Run, RunId, RunStartRequest, WorkerId,
    },
};

/// The run that most tests are about, and its root.
pub(super) const RUN: &str = "run-1";
pub(super) const ROOT: &str = "root";

#[derive(Clone, Debug, PartialEq)]
pub(super) struct World {
    pub(super) rules: Rules,
    pub(super) worker: Option<WorkerId>,
    /// Who starts runs, creates children and reports about them.
    pub(super) caller: Actor,
    pub(super) now: Timestamp,
    /// What the registry would say; types not named here go by their prefix.
    pub(super) types: BTreeMap<String, NodeTypeFacts>,
    pub(super) runs: BTreeMap<RunId, RunRecord>,
    pub(super) nodes: BTreeMap<NodeRunId, NodeRecord>,
    pub(super) events: Vec<EventRecord>,
    pub(super) attempts: Vec<AttemptRecord>,
    pub(super) audit: Vec<AuditRecord>,
    /// The run that the next start repeats.
    pub(super) repeats: Option<(RerunOf, NodeRunId)>,
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
                bounds: Bounds::default(),
                default_usage: Estimate { external_calls: Some(1), cost_millionths: Some(0) },
                gates: Gates::default(),
            },
            worker: Some(WorkerId::new("worker-1")),
            caller: Actor::Caller(Identity::bare("caller")),
            now: Timestamp::from_micros(1_800_000_000_000_000),
            types: BTreeMap::new(),
            runs: BTreeMap::new(),
            nodes: BTreeMap::new(),
            events: Vec::new(),
            attempts: Vec::new(),
            audit: Vec::new(),
            repeats: None,
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

    /// A world with one run, whose composite root has an atomic child `a`.
    pub(super) fn with_child(constraints: &Value) -> Self {
        let mut world = Self::composite(constraints);
        world.create(ROOT, &[child("a")]).expect("a child");
        world
    }

    /// What the next decision depends on.
    pub(super) fn cx(&self) -> Cx<'_> {
        Cx { rules: &self.rules, cause: Cause::Rule, claim: self.worker.as_ref(), now: self.now }
    }

    /// The same for a caller's request.
    pub(super) fn cx_of_caller(&self, operation: Operation) -> Cx<'_> {
        Cx { cause: Cause::asked(&self.caller, operation), ..self.cx() }
    }

    /// Starts `run-1` with a composite root, but for the members given.
    pub(super) fn start(&mut self, members: Value) -> Result<Run, Rejection> {
        self.start_as(RUN, ROOT, members, PolicyOutcome::Allow)
    }

    /// Starts a run that repeats `run-1`, with the same request.
    pub(super) fn rerun(&mut self, run: &str, root: &str, reuses: bool, members: Value) -> Run {
        self.repeats = Some((RerunOf { run_id: RUN.into(), reuses }, ROOT.into()));
        let started = self.start_as(run, root, members, PolicyOutcome::Allow);
        self.repeats = None;
        started.expect("a start")
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
            decided: decided("run.start", outcome),
            prepared: PreparedStart::of(
                BoundedStart::of(request, &facts, &self.rules),
                Identity::bare("caller"),
                &facts,
                &self.rules,
            ),
            facts,
            subject_token: None,
            rerun: self.repeats.clone(),
            trace: None,
        };
        self.tick();
        let decision = match existing {
            Some(existing) => engine::run_repeated(existing, &command.digest).map(Decision::unchanged),
            None => Ok(engine::run_start(&command, self.cx_of_caller(Operation::StartRun))),
        };
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
        self.tick();
        let decision = engine::children_create(run, command, self.cx_of_caller(Operation::CreateNodeRuns));
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
            inputs: InputsNote::default(),
            candidates: CandidateSet::of(child.spec.extensions.as_ref()).expect("a candidate set"),
            twin: self.twin(&child.spec, run, parent),
        }
    }

    pub(super) fn claim(&mut self, node: &str) {
        let NodeView { run, node, .. } = self.view(node);
        self.tick();
        self.apply(engine::attempt_claim(&run, node, self.cx()));
    }

    /// Policy allows, an executor is there.
    pub(super) fn begin(&mut self, node: &str) -> BeginOutcome {
        self.begin_with(node, PolicyOutcome::Allow, Ok(binding()))
    }

    pub(super) fn begin_with(
        &mut self,
        node: &str,
        outcome: PolicyOutcome,
        executor: Result<ExecutorBinding, Error>,
    ) -> BeginOutcome {
        self.begin_as(node, Ok(decided("node.run.execute", outcome)), executor)
    }

    pub(super) fn begin_as(
        &mut self,
        node: &str,
        verdict: Result<PolicyDecided, Error>,
        executor: Result<ExecutorBinding, Error>,
    ) -> BeginOutcome {
        let view = self.view(node);
        let facts = self.asked(&view.node);
        let command = BeginAttempt { facts, verdict, executor };
        self.tick();
        self.apply(engine::attempt_begin(view, command, self.cx()))
    }

    /// Creates an atomic child and begins it.
    pub(super) fn begin_of_new(&mut self, parent: &str, id: &str) -> BeginOutcome {
        self.create(parent, &[child(id)]).expect("a child");
        self.begin(id)
    }

    /// What a dispatcher does: refuse what may not be executed, else begin.
    pub(super) fn dispatch(&mut self, node: &str) -> BeginOutcome {
        let view = self.view(node);
        let facts = self.asked(&view.node);
        match engine::attempt_refusal(&view.run, &view.node, &facts, self.rules.gates) {
            None => self.begin(node),
            Some(error) => self.begin_as(node, Err(error), Ok(binding())),
        }
    }

    pub(super) fn finish(&mut self, node: &str, attempt: u32, result: AttemptResult) -> Applied {
        let view = self.view(node);
        let started_at = view.node.node.started_at.unwrap_or(self.now);
        let attempt = Attempt { number: attempt, started_at };
        self.tick();
        self.apply(engine::attempt_finish(view, attempt, result, self.cx()))
    }

    /// Its executor answers the current attempt.
    pub(super) fn answer(&mut self, node: &str, state: NodeRunState) -> Applied {
        let attempt = self.node(node).attempt;
        self.finish(node, attempt, answered(state))
    }

    pub(super) fn retry(&mut self, node: &str, wait: Duration) {
        let NodeView { run, node, .. } = self.view(node);
        let at = self.tick() + wait;
        self.apply(engine::attempt_postpone(&run, node, at, self.cx()));
    }

    /// Its wake-up is due at once and unclaimed, as if its worker had died.
    pub(super) fn due(&mut self, node: &str) {
        let now = self.tick();
        let record = self.nodes.get_mut(&NodeRunId::new(node)).expect("a node");
        let wake = record.wake.as_mut().expect("a wake-up");
        (wake.at, wake.claimed_by) = (now, None);
    }

    pub(super) fn lost(&mut self, node: &str) {
        let view = self.view(node);
        self.tick();
        self.apply(engine::attempt_lost(view, self.cx()));
    }

    /// Asks whether its executor is still there.
    pub(super) fn check(&mut self, node: &str, contact: Contact) -> SilenceOutcome {
        let view = NodeView { live_below: Vec::new(), ..self.view(node) };
        self.tick();
        self.apply(engine::silence_check(view, contact, self.cx()))
    }

    /// The policy point cannot be asked about it. Whether that is new.
    pub(super) fn hold(&mut self, node: &str, wait: Duration) -> bool {
        let (NodeView { run, node, .. }, now) = (self.view(node), self.tick());
        self.apply(engine::attempt_hold(run, node, now + wait, self.cx()))
    }

    /// Its executor was notified, or is to be notified again after that time.
    pub(super) fn notify(&mut self, node: &str, again_in: Option<Duration>) {
        let now = self.tick();
        let retry = |wait| CancelNotification::RetryAt(now + wait);
        self.notified(node, again_in.map_or(CancelNotification::Acknowledged, retry));
    }

    pub(super) fn notified(&mut self, node: &str, result: CancelNotification) {
        let head = self.node(node).head();
        self.apply(engine::cancel_notified(head, result, self.cx()));
    }

    /// It is not dispatched, because the circuit breaker of its executor is open.
    pub(super) fn defer(&mut self, node: &str, wait: Duration) {
        let (view, now) = (self.view(node), self.tick());
        self.apply(engine::attempt_defer(view, now + wait, WaitsFor::Breaker, self.cx()));
    }

    pub(super) fn complete(&mut self, node: &str, completion: Value) -> Result<(), Rejection> {
        let view = self.view(node);
        self.tick();
        let decision = engine::node_complete(
            view,
            parse(completion),
            None,
            self.cx_of_caller(Operation::CompleteNodeRun),
        );
        self.commit(decision)
    }

    pub(super) fn evaluate(&mut self, node: &str, report: Value) {
        let NodeView { run, node, live_below, .. } = self.view(node);
        let report = parse(report);
        let target = engine::abort_target(&report, node.id()).and_then(|id| self.nodes.get(id));
        let target =
            target.filter(|target| !target.is_terminal() && target.node.run_id == *run.id()).cloned();
        let abort = target.map(|target| match target.id() == node.id() {
            true => Abort::Evaluated { live_below },
            false => {
                let live_below = self.live(run.id(), Some(&target.path));
                Abort::Other { target: Box::new(target), live_below }
            }
        });
        self.tick();
        let cx = self.cx_of_caller(Operation::ReportNodeRunEvaluation);
        self.apply(engine::node_evaluate(run, node, report, abort, cx));
    }

    pub(super) fn cancel(&mut self, run: &str) -> Run {
        let run = self.runs[&RunId::new(run)].clone();
        self.tick();
        let live = self.live(run.id(), None);
        self.apply(engine::run_cancel(run, live, None, self.cx_of_caller(Operation::CancelRun)))
    }

    pub(super) fn expire_run(&mut self, run: &str) {
        let run = self.runs[&RunId::new(run)].clone();
        let root = self.nodes.get(&run.run.root_node_run_id).cloned();
        self.expire_run_with(run, root);
    }

    /// The same where the record of the root cannot be read.
    pub(super) fn expire_run_without_root(&mut self, run: &str) {
        let run = self.runs[&RunId::new(run)].clone();
        self.expire_run_with(run, None);
    }

    fn expire_run_with(&mut self, run: RunRecord, root: Option<NodeRecord>) {
        self.tick();
        let live = self.live(run.id(), None);
        self.apply(engine::run_expire(run, root, live, self.cx()));
    }

    pub(super) fn expire_node(&mut self, node: &str) {
        let view = self.view(node);
        self.tick();
        self.apply(engine::node_expire(view, WaitsFor::Slot, self.cx()));
    }
}
