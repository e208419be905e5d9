//! Any sequence of commands on a tree with budgets: after each, `invariants` has nothing
//! to say about the accounts, and no executor that keeps to its allowance makes the
//! run pass a limit.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    invariants,
    support::{ROOT, RUN, World, answered, call_failed, child},
};
use crate::{
    engine::{AttemptResult, NodeTypeFacts, Usage, Work},
    record::{AttemptOutcome, Estimate, Job, Kind, RetryRule},
    types::{NodeKind, NodeRunState, SideEffectClass},
};

#[derive(Clone, Debug)]
enum Step {
    Create {
        parent: usize,
        sort: Sort,
        budgets: Value,
    },
    Begin(usize),
    /// The executor answers, some attempts ago; with a report or without.
    Finish {
        at: usize,
        back: u32,
        usage: Option<Report>,
        succeeds: bool,
    },
    Fail {
        at: usize,
        work: Work,
    },
    /// The process dies with the call open, and another begins.
    Crash(usize),
    Complete {
        at: usize,
        calls: Option<u64>,
    },
    Expire(usize),
    Cancel,
    Wait,
}

#[derive(Clone, Copy, Debug)]
enum Sort {
    Composite,
    Reader,
    Writer,
    Estimated,
    /// Its type becomes known at its dispatch.
    Odd,
}

#[derive(Clone, Copy, Debug)]
enum Report {
    /// So much of its allowance, in quarters.
    Within(u64),
    Beyond(u64),
}

struct Tree {
    world: World,
    ids: Vec<String>,
    /// Use was reported that nothing had reserved.
    overrun: bool,
}

impl Tree {
    fn start(budgets: &Value, default: Estimate) -> Self {
        let mut world = World::new();
        world.rules.default_usage = default;
        let atomic = |side_effect, estimated_usage| NodeTypeFacts {
            kind: Some(NodeKind::Atomic),
            side_effect: Some(side_effect),
            estimated_usage,
            retry: Some(RetryRule { max_attempts: 3, codes: None }),
            ..NodeTypeFacts::default()
        };
        let estimate = Estimate { external_calls: Some(2), cost_millionths: Some(300_000) };
        world.types.insert("reader".into(), atomic(SideEffectClass::Read, None));
        world.types.insert("writer".into(), atomic(SideEffectClass::Write, None));
        world.types.insert("estimated".into(), atomic(SideEffectClass::Read, Some(estimate)));
        world.start(json!({"constraints": {"budgets": budgets}})).expect("a start");
        Self { world, ids: vec![ROOT.into()], overrun: false }
    }

    fn step(&mut self, step: &Step) {
        let before = self.world.clone();
        let id = |at: usize| self.ids[at % self.ids.len()].clone();
        match *step {
            Step::Create { parent, sort, ref budgets } => {
                let (parent, new) = (id(parent), format!("node-{}", self.ids.len()));
                let kind = match sort {
                    Sort::Composite => "composite.plan",
                    Sort::Reader => "reader",
                    Sort::Writer => "writer",
                    Sort::Estimated => "estimated",
                    Sort::Odd => "odd",
                };
                let child = child(&new).of(kind).with("constraints", json!({ "budgets": budgets }));
                if self.world.create(&parent, &[child]).is_ok() {
                    self.ids.push(new);
                }
            }
            Step::Begin(at) => {
                let id = id(at);
                let odd = NodeTypeFacts {
                    kind: Some(NodeKind::Atomic),
                    constraints: serde_json::from_value(json!({"budgets": {"max_external_calls": 2}})).ok(),
                    ..NodeTypeFacts::default()
                };
                self.world.types.insert("odd".into(), odd);
                _ = self.world.begin(&id);
                self.world.types.remove("odd");
            }
            Step::Finish { at, back, usage, succeeds } => {
                let id = id(at);
                let node = self.world.node(&id);
                let (attempt, is_atomic) = (node.attempt, node.node.kind == Some(NodeKind::Atomic));
                // A call that has failed does not answer as well, later.
                let has_failed = self.world.attempts.iter().any(|entry| {
                    let is_failure = matches!(
                        entry.outcome,
                        AttemptOutcome::Failed { .. } | AttemptOutcome::FailedResult { .. }
                    );
                    is_failure && entry.node_run_id.as_str() == id && entry.attempt + back == attempt
                });
                if is_atomic && attempt > back && !has_failed {
                    let reserved = node.budget.reserved.unwrap_or_default();
                    let usage = usage.map(|report| match report {
                        Report::Within(quarters) => Usage {
                            external_calls: Some(reserved.external_calls * quarters / 4),
                            cost_millionths: Some(reserved.cost_millionths * quarters / 4),
                            ..Usage::default()
                        },
                        Report::Beyond(by) => {
                            self.overrun = true;
                            let external_calls = Some(reserved.external_calls.saturating_add(by));
                            Usage { external_calls, ..Usage::default() }
                        }
                    });
                    let state = if succeeds { NodeRunState::Succeeded } else { NodeRunState::Failed };
                    let result = match answered(state) {
                        AttemptResult::Answered {
                            state,
                            outputs,
                            output_artifacts,
                            error,
                            usage: _,
                            violations,
                        } => AttemptResult::Answered {
                            state,
                            outputs,
                            output_artifacts,
                            error,
                            usage,
                            violations,
                        },
                        failed @ AttemptResult::Failed(_) => failed,
                    };
                    self.world.finish(&id, attempt - back, result);
                }
            }
            Step::Fail { at, work } => {
                let id = id(at);
                let attempt = self.world.node(&id).attempt;
                if attempt > 0 {
                    self.world.finish(&id, attempt, call_failed(work));
                }
            }
            Step::Crash(at) => {
                let id = id(at);
                if self.world.job(&id) == Some(Job::Deadline) {
                    self.world.due(&id);
                    self.world.lost(&id);
                }
            }
            Step::Complete { at, calls } => {
                let id = id(at);
                let is_composite = self.world.node(&id).node.kind == Some(NodeKind::Composite);
                self.overrun |= is_composite && calls.is_some_and(|calls| calls > 0);
                let usage = calls.map(|calls| json!({"jarvis.usage": {"external_calls": calls}}));
                _ = self.world.complete(&id, json!({"state": "succeeded", "extensions": usage}));
            }
            Step::Expire(at) => {
                let id = id(at);
                self.world.expire_node(&id);
            }
            Step::Cancel => _ = self.world.cancel(RUN),
            Step::Wait => _ = self.world.wait(std::time::Duration::from_secs(45)),
        }
        invariants::check(&before, &self.world);
        self.holds();
    }

    fn holds(&self) {
        let run = self.world.run();
        let of_nodes = self.world.nodes.values().filter_map(|node| node.budget.account);
        for account in run.account.into_iter().chain(of_nodes) {
            for kind in Kind::ALL {
                let spent = account.used.get(kind) + account.reserved.get(kind);
                let within = account.limit.get(kind).is_none_or(|limit| spent <= limit);
                assert!(within || self.overrun, "{kind:?} of {account:?}");
            }
        }
    }
}

fn budgets() -> impl Strategy<Value = Value> {
    use proptest::option::weighted;
    (weighted(0.5, 0..8_u64), weighted(0.6, 0..8_u64), weighted(0.5, 0..2000_u64)).prop_map(
        |(steps, calls, cost)| {
            let cost = cost.map(|cost| f64::from(u32::try_from(cost).unwrap_or(0)) / 1000.0);
            let given = [
                ("max_steps", steps.map(|steps| json!(steps))),
                ("max_external_calls", calls.map(|calls| json!(calls))),
                ("max_cost", cost.map(|cost| json!(cost))),
            ];
            let given = given.into_iter().filter_map(|(name, limit)| Some((name.to_owned(), limit?)));
            Value::Object(given.collect())
        },
    )
}

fn steps() -> impl Strategy<Value = Step> {
    let at = || 0..1000_usize;
    let low = || prop_oneof![1 => Just(0_usize), 20 => 1..1000_usize];
    let sort = prop_oneof![
        3 => Just(Sort::Composite),
        2 => Just(Sort::Reader),
        2 => Just(Sort::Writer),
        2 => Just(Sort::Estimated),
        1 => Just(Sort::Odd),
    ];
    let report = prop_oneof![
        4 => (0..=4_u64).prop_map(Report::Within),
        1 => (1..5_u64).prop_map(Report::Beyond),
    ];
    let work = prop_oneof![
        Just(Work::NotStarted),
        Just(Work::Unanswered),
        Just(Work::Uncertain),
        Just(Work::Rejected),
    ];
    let calls = prop_oneof![4 => Just(None), 1 => (0..4_u64).prop_map(Some)];
    prop_oneof![
        10 => (at(), sort, budgets()).prop_map(|(parent, sort, budgets)| Step::Create { parent, sort, budgets }),
        16 => at().prop_map(Step::Begin),
        10 => (at(), 0..2_u32, proptest::option::of(report), any::<bool>())
            .prop_map(|(at, back, usage, succeeds)| Step::Finish { at, back, usage, succeeds }),
        6 => (at(), work).prop_map(|(at, work)| Step::Fail { at, work }),
        5 => at().prop_map(Step::Crash),
        3 => (low(), calls).prop_map(|(at, calls)| Step::Complete { at, calls }),
        1 => at().prop_map(Step::Expire),
        1 => Just(Step::Cancel),
        2 => Just(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn accounts_hold_whatever_happens(
        budgets in budgets(),
        calls in 0..3_u64,
        cost in prop_oneof![Just(0_u64), Just(200_000)],
        steps in proptest::collection::vec(steps(), 1..100),
    ) {
        let default = Estimate { external_calls: Some(calls), cost_millionths: Some(cost) };
        let mut tree = Tree::start(&budgets, default);
        for step in &steps {
            tree.step(step);
        }
        // The end of the run ends every reservation.
        tree.step(&Step::Cancel);
    }
}
