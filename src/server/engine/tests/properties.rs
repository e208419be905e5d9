//! Random commands, in the world and in the model: after each, both must agree
//! and the invariants must hold.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    invariants,
    model::{Limits, Model, Outcome, Policy, Report, Sort, Step},
    support::{Child, ROOT, RUN, World, answered, binding, call_failed, child, keyed, node_type},
};
use crate::{
    engine::{Applied, Contact, NodeTypeFacts, PolicyOutcome, Work},
    record::{AttemptOutcome, AttemptRecord, Job, RetryRule},
    time::backoff,
    types::{Error, NodeKind, NodeRunState, SideEffectClass},
};

/// A world and its model, side by side.
struct Pair {
    world: World,
    model: Model,
    /// The ids of the model's nodes.
    ids: Vec<String>,
    start: Value,
}

impl Pair {
    fn start(root: Sort, policy: Policy, limits: Limits) -> Self {
        let mut world = World::new();
        world.types.insert("reader".into(), facts(NodeKind::Atomic, SideEffectClass::Read));
        world.types.insert("writer".into(), facts(NodeKind::Atomic, SideEffectClass::Write));
        let structural = json!({
            "max_depth": limits.depth, "max_children_per_composite": limits.children,
            "max_total_nodes_per_run": limits.total, "max_decomposition_rounds_per_node": limits.rounds
        });
        let start = json!({
            "root_node_type_ref": node_type(type_id(root)),
            "constraints": {"structural": structural}
        });
        let before = world.clone();
        world.start_as(RUN, ROOT, start.clone(), outcome(policy)).expect("a start");
        let (run_timeout, node_timeout) = (world.rules.run_timeout, world.rules.node_timeout);
        let mut model = Model::start(root, policy, limits, world.now, run_timeout, node_timeout);
        model.max_retries = world.rules.max_retries;
        model.silence = world.rules.composite_silence.expect("it is asked");
        let pair = Self { world, model, ids: vec![ROOT.into()], start };
        pair.compare(&before);
        pair
    }

    fn step(&mut self, step: &Step) {
        let before = self.world.clone();
        let step = self.aimed(step);
        let answer = self.act(&step);
        let (now, ids) = (self.world.now, &self.ids);
        let wait = |at: usize, retries| {
            backoff(retries, Duration::from_millis(250), Duration::from_secs(30), &ids[at])
        };
        assert_eq!(answer, self.model.step(&step, now, wait), "{step:?}");
        if answer.is_err() {
            let refused = World { now: before.now, ..self.world.clone() };
            assert_eq!(refused, before, "a refused command changes nothing: {step:?}");
        }
        self.compare(&before);
    }

    /// The step with its numbers brought into the range of what is there.
    fn aimed(&self, step: &Step) -> Step {
        let count = self.ids.len();
        match step.clone() {
            Step::Create { parent, specs } => Step::Create { parent: parent % count, specs },
            Step::Claim(at) => Step::Claim(at % count),
            Step::Begin(at, policy) => Step::Begin(at % count, policy),
            Step::Finish(at, back, outcome) => {
                let at = at % count;
                let attempt = self.model.nodes[at].attempt;
                let outcome = match (self.model.nodes[at].sort, outcome) {
                    // A composite's executor answers over the API.
                    (Sort::Composite, Outcome::Answered(_)) => Outcome::CallFailed(Work::Rejected),
                    (Sort::Composite | Sort::Reader | Sort::Writer | Sort::Odd, given) => given,
                };
                match attempt {
                    0 => Step::Wait(0),
                    // A call that has failed does not answer as well, later.
                    _ if back % attempt > 0 && self.has_failed(at, attempt - back % attempt) => Step::Wait(0),
                    _ => Step::Finish(at, back % attempt, outcome),
                }
            }
            Step::Retry(at) => Step::Retry(at % count),
            Step::Defer(at) => Step::Defer(at % count),
            Step::Lost(at) => Step::Lost(at % count),
            Step::Check(at, ago) => Step::Check(at % count, ago),
            Step::Hold(at) => Step::Hold(at % count),
            Step::Complete(at, state) => Step::Complete(at % count, state),
            Step::Evaluate(at, Report::AbortOf(other)) => {
                Step::Evaluate(at % count, Report::AbortOf(other % count))
            }
            Step::Evaluate(at, report) => Step::Evaluate(at % count, report),
            Step::Notify(at, again) => Step::Notify(at % count, again),
            Step::ExpireNode(at) => Step::ExpireNode(at % count),
            Step::SetAside(at) => Step::SetAside(at % count),
            plain @ (Step::HoldRun | Step::ReleaseRun | Step::Resume) => plain,
            Step::Cancel => Step::Cancel,
            Step::ExpireRun => Step::ExpireRun,
            Step::Wait(seconds) => Step::Wait(seconds),
            Step::StartAgain { same } => Step::StartAgain { same },
        }
    }

    fn has_failed(&self, at: usize, attempt: u32) -> bool {
        let of_it =
            |entry: &&AttemptRecord| entry.node_run_id.as_str() == self.ids[at] && entry.attempt == attempt;
        let logged = self.world.attempts.iter().filter(of_it);
        logged.map(|entry| &entry.outcome).any(|outcome| match outcome {
            AttemptOutcome::Failed { .. } | AttemptOutcome::FailedResult { .. } => true,
            AttemptOutcome::Late { .. } | AttemptOutcome::Lost | AttemptOutcome::Fenced => false,
        })
    }

    fn act(&mut self, step: &Step) -> Result<(), &'static str> {
        let node = |at: usize| self.ids[at].clone();
        let world = &mut self.world;
        match *step {
            Step::Create { parent, ref specs } => {
                let parent = node(parent);
                let named = |(place, (key, sort)): (usize, &(Option<u8>, Sort))| {
                    let id = match key {
                        Some(key) => keyed(&parent, &key.to_string()),
                        None => format!("node-{}-{place}", world.now),
                    };
                    (id.clone(), wanted(&id, *key, *sort))
                };
                let (ids, children): (Vec<String>, Vec<Child>) = specs.iter().enumerate().map(named).unzip();
                let answer = world.create(&parent, &children).map_err(|rejection| rejection.code())?;
                let answered: Vec<&str> = answer.iter().map(|node| node.node_run_id.as_str()).collect();
                assert_eq!(answered, ids, "in the order of the request");
                for id in ids {
                    if !self.ids.contains(&id) {
                        self.ids.push(id);
                    }
                }
            }
            Step::Claim(at) => world.claim(&node(at)),
            Step::Begin(at, policy) => {
                let id = node(at);
                match (policy, world.node(&id).node.kind) {
                    (_, None) | (Policy::Allow, Some(_)) => _ = world.dispatch(&id),
                    (Policy::Unconfigured, Some(_)) => {
                        let unconfigured = Error::new("executor_unconfigured", "no executor");
                        world.begin_with(&id, PolicyOutcome::Allow, Err(unconfigured));
                    }
                    (Policy::Deny | Policy::RequireApproval, Some(_)) => {
                        world.begin_with(&id, outcome(policy), Ok(binding()));
                    }
                }
            }
            Step::Finish(at, back, outcome) => {
                let id = node(at);
                let late = back > 0 || world.node(&id).is_terminal();
                let attempt = world.node(&id).attempt - back;
                let result = match outcome {
                    Outcome::Answered(state) => answered(state),
                    Outcome::CallFailed(work) => call_failed(work),
                };
                let applied = world.finish(&id, attempt, result);
                assert_eq!(applied, if late { Applied::Late } else { Applied::Yes });
            }
            Step::Retry(at) => world.retry(&node(at), Duration::from_secs(1)),
            Step::Defer(at) => world.defer(&node(at), Duration::from_secs(1)),
            Step::Lost(at) => world.lost(&node(at)),
            Step::Check(at, ago) => {
                let live_below = !world.view(&node(at)).live_below.is_empty();
                let asked = world.now + Duration::from_millis(1);
                world.check(&node(at), Contact { last: asked - Duration::from_secs(ago), live_below });
            }
            Step::Hold(at) => _ = world.hold(&node(at), Duration::from_secs(1)),
            Step::Complete(at, state) => {
                let completed = world.complete(&node(at), json!({ "state": state }));
                completed.map_err(|rejection| rejection.code())?;
            }
            Step::Evaluate(at, report) => {
                let action = match report {
                    Report::None => json!(null),
                    Report::Retry => json!({"type": "retry"}),
                    Report::Abort => json!({"type": "abort"}),
                    Report::AbortOf(other) => json!({"type": "abort", "target_node_run_id": node(other)}),
                };
                let report = json!({"evaluation_result": {"status": "unknown"}, "recovery_action": action});
                world.evaluate(&node(at), report);
            }
            Step::Notify(at, again) => world.notify(&node(at), again.then_some(Duration::from_secs(1))),
            Step::HoldRun => _ = world.hold_run(None).map_err(|rejection| rejection.code())?,
            Step::ReleaseRun => _ = world.release_run().map_err(|rejection| rejection.code())?,
            Step::SetAside(at) => world.set_aside(&node(at)),
            Step::Resume => world.resume(),
            Step::Cancel => _ = world.cancel(RUN),
            Step::ExpireRun => world.expire_run(RUN),
            Step::ExpireNode(at) => world.expire_node(&node(at)),
            Step::Wait(seconds) => _ = world.wait(Duration::from_secs(seconds)),
            Step::StartAgain { same } => {
                let members = if same { self.start.clone() } else { json!({"input": {"other": true}}) };
                let again = world.start_as(RUN, "another-root", members, PolicyOutcome::Allow);
                assert_eq!(again.map_err(|rejection| rejection.code())?, world.run().run);
            }
        }
        Ok(())
    }

    /// The world is as the model says.
    fn compare(&self, before: &World) {
        invariants::check(before, &self.world);
        let (world, model) = (&self.world, &self.model);
        assert_eq!((world.run().run.state, world.run().run.ended_at), (model.run, model.ended_at));
        assert_eq!(world.run().hold.is_some(), model.held);
        assert_eq!((world.nodes.len(), world.attempts.len()), (model.nodes.len(), model.logged));
        for (at, (id, expected)) in self.ids.iter().zip(&model.nodes).enumerate() {
            let node = world.node(id);
            assert_eq!(
                (node.node.state, node.node.ended_at),
                (expected.state, expected.ended_at),
                "{node:?}"
            );
            assert_eq!((node.children, node.rounds), (expected.children, expected.rounds), "{node:?}");
            assert_eq!(
                (node.attempt, node.retries, node.deadline),
                (expected.attempt, expected.retries, Some(expected.deadline)),
                "{node:?}"
            );
            assert_eq!(world.job(id), expected.job, "{node:?}");
            if expected.job == Some(Job::Deadline) {
                assert_eq!(node.waits.check_at, expected.check_at, "{node:?}");
            }
            assert_eq!(node.waits.restarted, expected.restarted, "{node:?}");
            assert_eq!(node.path.depth(), model.depth(at));
            let parent = expected.parent.map(|parent| self.ids[parent].as_str());
            assert_eq!(node.node.parent_node_run_id.as_ref().map(|parent| parent.as_str()), parent);
        }
    }
}

fn wanted(id: &str, key: Option<u8>, sort: Sort) -> Child {
    let child = child(id).of(type_id(sort));
    match key {
        Some(key) => child.key(&key.to_string()),
        None => child,
    }
}

fn type_id(sort: Sort) -> &'static str {
    match sort {
        Sort::Composite => "composite.plan",
        Sort::Reader => "reader",
        Sort::Writer => "writer",
        Sort::Odd => "odd",
    }
}

fn facts(kind: NodeKind, side_effect: SideEffectClass) -> NodeTypeFacts {
    let is_read = side_effect == SideEffectClass::Read;
    let retry = is_read.then_some(RetryRule { max_attempts: 3, codes: None });
    NodeTypeFacts { kind: Some(kind), side_effect: Some(side_effect), retry, ..NodeTypeFacts::default() }
}

fn outcome(policy: Policy) -> PolicyOutcome {
    match policy {
        Policy::Allow | Policy::Unconfigured => PolicyOutcome::Allow,
        Policy::Deny => PolicyOutcome::Deny,
        Policy::RequireApproval => PolicyOutcome::RequireApproval,
    }
}

fn sorts() -> impl Strategy<Value = Sort> {
    prop_oneof![4 => Just(Sort::Composite), 2 => Just(Sort::Reader), 2 => Just(Sort::Writer), 1 => Just(Sort::Odd)]
}

fn works() -> impl Strategy<Value = Work> {
    prop_oneof![Just(Work::NotStarted), Just(Work::Unanswered), Just(Work::Uncertain), Just(Work::Rejected)]
}

fn policies() -> impl Strategy<Value = Policy> {
    prop_oneof![
        12 => Just(Policy::Allow),
        1 => Just(Policy::Deny),
        1 => Just(Policy::RequireApproval),
        1 => Just(Policy::Unconfigured),
    ]
}

fn ends() -> impl Strategy<Value = NodeRunState> {
    use NodeRunState::{Canceled, Failed, Succeeded};
    prop_oneof![Just(Succeeded), Just(Failed), Just(Canceled)]
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => ends().prop_map(Outcome::Answered),
        2 => works().prop_map(Outcome::CallFailed),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    use proptest::option::weighted;
    let half = 0.5;
    (weighted(half, 0..4_u64), weighted(half, 0..6_u64), weighted(half, 0..12_u64), weighted(half, 0..5_u64))
        .prop_map(|(depth, children, total, rounds)| Limits { depth, children, total, rounds })
}

fn reports() -> impl Strategy<Value = Report> {
    prop_oneof![
        3 => Just(Report::None),
        3 => Just(Report::Retry),
        1 => Just(Report::Abort),
        1 => (1..1000_usize).prop_map(Report::AbortOf),
    ]
}

/// Most steps are about nodes somewhere in the tree; those that end the run are
/// rare, so that there is something to end.
fn steps() -> impl Strategy<Value = Step> {
    let at = || 0..1000_usize;
    // The root ends the run: less often.
    let low = || prop_oneof![1 => Just(0), 30 => 1..1000_usize];
    let specs = proptest::collection::vec((proptest::option::of(0..3_u8), sorts()), 1..4);
    prop_oneof![
        12 => (at(), specs).prop_map(|(parent, specs)| Step::Create { parent, specs }),
        4 => at().prop_map(Step::Claim),
        14 => (low(), policies()).prop_map(|(at, policy)| Step::Begin(at, policy)),
        8 => (low(), 0..3_u32, outcomes()).prop_map(|(at, back, outcome)| Step::Finish(at, back, outcome)),
        2 => at().prop_map(Step::Retry),
        2 => at().prop_map(Step::Defer),
        4 => at().prop_map(Step::Lost),
        3 => (low(), 0..1200_u64).prop_map(|(at, ago)| Step::Check(at, ago)),
        1 => at().prop_map(Step::Hold),
        2 => Just(Step::HoldRun),
        4 => Just(Step::ReleaseRun),
        2 => at().prop_map(Step::SetAside),
        1 => Just(Step::Resume),
        3 => (low(), ends()).prop_map(|(at, state)| Step::Complete(at, state)),
        4 => (low(), reports()).prop_map(|(at, report)| Step::Evaluate(at, report)),
        2 => (at(), any::<bool>()).prop_map(|(at, again)| Step::Notify(at, again)),
        1 => prop_oneof![Just(Step::Cancel), Just(Step::ExpireRun)],
        2 => at().prop_map(Step::ExpireNode),
        2 => prop_oneof![8 => Just(30), 4 => Just(600), 1 => Just(4000)].prop_map(Step::Wait),
        1 => any::<bool>().prop_map(|same| Step::StartAgain { same }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn engine_does_as_the_model_and_keeps_the_invariants(
        root in prop_oneof![9 => Just(Sort::Composite), 1 => sorts()],
        policy in policies(),
        limits in limits(),
        steps in proptest::collection::vec(steps(), 1..80),
    ) {
        let mut pair = Pair::start(root, policy, limits);
        for step in &steps {
            pair.step(step);
        }
    }
}
