//! Budgets over the tree (contract §7.4), case by case.

use serde_json::{Value, json};

use super::{
    invariants,
    support::{ROOT, RUN, World, answered, call_failed, child, parse},
};
use crate::{
    engine::{Applied, AttemptResult, BeginOutcome, NodeTypeFacts, Usage, Work},
    record::{Estimate, Limits},
    types::{NodeKind, NodeRunState, SideEffectClass},
};

/// A run with these budgets whose composite root is at its executor.
fn limited(budgets: &Value) -> World {
    World::composite(&json!({ "budgets": budgets }))
}

fn used(calls: u64, cost_millionths: u64) -> AttemptResult {
    let usage =
        Usage { external_calls: Some(calls), cost_millionths: Some(cost_millionths), ..Usage::default() };
    match answered(NodeRunState::Succeeded) {
        AttemptResult::Answered { state, outputs, output_artifacts, error, usage: _, violations } => {
            AttemptResult::Answered {
                state,
                outputs,
                output_artifacts,
                error,
                usage: Some(usage),
                violations,
            }
        }
        AttemptResult::Failed(_) => unreachable!("it has answered"),
    }
}

fn add(world: &mut World, parent: &str, id: &str, budgets: &Value) {
    let child = child(id).with("constraints", json!({ "budgets": budgets }));
    world.create(parent, &[child]).expect("a child");
}

fn allowance(outcome: &BeginOutcome) -> Limits {
    match outcome {
        BeginOutcome::Started { allowance, .. } => *allowance,
        BeginOutcome::Failed | BeginOutcome::Waits(_) | BeginOutcome::Superseded => {
            panic!("not handed over: {outcome:?}")
        }
    }
}

/// The reserved and used amounts of the run, and of a node.
fn account(world: &World, node: Option<&str>) -> [Value; 2] {
    invariants::each_run(world);
    let account = match node {
        Some(node) => world.extension(node, "jarvis.budget"),
        None => world.run().run.extensions.as_ref().and_then(|own| own.get("jarvis.budget")),
    };
    let account = account.expect("an account");
    [account["reserved"].clone(), account["used"].clone()]
}

fn amounts(steps: u64, external_calls: u64, cost: f64) -> Value {
    json!({"steps": steps, "external_calls": external_calls, "cost": cost})
}

#[test]
fn run_without_budgets_has_no_account() {
    let mut world = World::with_child(&json!({"budgets": {"max_wall_time_ms": 1000}}));
    assert_eq!(allowance(&world.begin("a")), Limits::default());
    world.finish("a", 1, used(3, 5));
    invariants::each_run(&world);
    assert_eq!(world.extension("a", "jarvis.usage"), Some(json!({"external_calls": 3, "cost": 5e-6})));
    assert_eq!((world.run().account, world.extension("a", "jarvis.budget")), (None, None));
    assert_eq!(world.node("a").budget.reserved, None);
}

#[test]
fn steps_are_first_attempts_and_end_with_the_limit() {
    let mut world = limited(&json!({"max_steps": 3}));
    world.rules.default_usage = Estimate::default();
    assert_eq!(account(&world, None), [amounts(0, 0, 0.0), amounts(1, 0, 0.0)], "the root is a step");
    world.create(ROOT, &["a", "b", "c"].map(child)).expect("children");
    world.begin("a");
    world.finish("a", 1, call_failed(Work::NotStarted));
    world.begin("a");
    assert_eq!(world.node("a").attempt, 2);
    assert_eq!(account(&world, None)[1], amounts(2, 0, 0.0), "a retry is no step");
    world.begin("b");
    assert_eq!(world.begin("c"), BeginOutcome::Failed);
    let error = world.extension("c", "completion_error").expect("an error");
    assert_eq!((&error["code"], &error["retryable"]), (&json!("budget_exceeded"), &json!(false)));
    assert_eq!(error["message"], "max_steps of the run is exhausted");
    let account = json!({"limit": {"steps": 3}, "reserved": amounts(0, 0, 0.0), "used": amounts(3, 0, 0.0)});
    assert_eq!(error["details"], json!({"limit": "max_steps", "wanted": 1, "account": account}));
    invariants::each_run(&world);
}

#[test]
fn allowance_is_reserved_at_every_account_and_settled() {
    let mut world = limited(&json!({"max_external_calls": 10, "max_cost": 2.0}));
    world
        .create(
            ROOT,
            &[child("plan")
                .of("composite.plan")
                .with("constraints", json!({"budgets": {"max_external_calls": 6}}))],
        )
        .expect("a child");
    world.begin("plan");
    add(&mut world, "plan", "a", &json!({"max_external_calls": 4, "max_cost": 0.5}));
    let granted = allowance(&world.begin("a"));
    assert_eq!((granted.external_calls, granted.cost_millionths), (Some(4), Some(500_000)));
    for place in [None, Some("plan"), Some("a")] {
        assert_eq!(account(&world, place)[0], amounts(0, 4, 0.5), "{place:?}");
    }
    add(&mut world, "plan", "b", &json!({"max_external_calls": 4}));
    assert_eq!(allowance(&world.begin("b")).external_calls, Some(2), "what is left of its parent's");
    assert_eq!(world.begin_of_new("plan", "c"), BeginOutcome::Failed);
    let error = world.extension("c", "completion_error").expect("an error");
    assert_eq!(error["message"], "max_external_calls of the NodeRun 'plan' is exhausted");
    assert_eq!(error["details"]["node_run_id"], "plan");
    world.finish("a", 1, used(1, 250_000));
    assert_eq!(account(&world, None), [amounts(0, 2, 0.0), amounts(4, 1, 0.25)]);
    assert_eq!(account(&world, Some("plan")), [amounts(0, 2, 0.0), amounts(3, 1, 0.25)]);
    assert_ne!(world.begin_of_new("plan", "d"), BeginOutcome::Failed, "what was not used is free again");
}

#[test]
fn report_beyond_the_allowance_is_flagged_and_counts() {
    let mut world = limited(&json!({"max_external_calls": 4}));
    world.create(ROOT, &["a", "b"].map(child)).expect("children");
    world.begin("a");
    world.finish("a", 1, used(9, 0));
    assert_eq!(world.extension("a", "jarvis.usage").expect("a report")["overrun"], true);
    let account = world.run().account.expect("an account");
    assert_eq!((account.used.external_calls, account.unreserved.external_calls), (9, 8));
    assert_eq!(world.begin("b"), BeginOutcome::Failed, "nothing is left");
    invariants::each_run(&world);
}

#[test]
fn estimate_of_the_type_is_reserved_whole_or_not_at_all() {
    let mut world = limited(&json!({"max_external_calls": 5}));
    let estimate = Estimate { external_calls: Some(3), cost_millionths: None };
    let facts = NodeTypeFacts {
        kind: Some(NodeKind::Atomic),
        estimated_usage: Some(estimate),
        ..NodeTypeFacts::default()
    };
    world.types.insert("costly".into(), facts);
    world.create(ROOT, &["a", "b"].map(|id| child(id).of("costly"))).expect("children");
    assert_eq!(allowance(&world.begin("a")).external_calls, Some(3));
    assert_eq!(world.begin("b"), BeginOutcome::Failed, "2 are left");
    assert_eq!(account(&world, None), [amounts(0, 3, 0.0), amounts(2, 0, 0.0)]);
    world.answer("a", NodeRunState::Succeeded);
    assert_eq!(account(&world, None)[1], amounts(2, 3, 0.0), "no report: all of it");
}

#[test]
fn cost_without_an_estimate_is_what_is_left() {
    let mut world = limited(&json!({"max_cost": 1.0}));
    world.create(ROOT, &["a", "b", "c"].map(child)).expect("children");
    assert_eq!(allowance(&world.begin("a")).cost_millionths, Some(1_000_000));
    world.finish("a", 1, used(0, 400_000));
    assert_eq!(allowance(&world.begin("b")).cost_millionths, Some(600_000));
    world.finish("b", 1, used(0, 600_000));
    assert_eq!(world.begin("c"), BeginOutcome::Failed);
    invariants::each_run(&world);
}

#[test]
fn allowance_of_work_that_never_began_is_released() {
    let mut world = limited(&json!({"max_external_calls": 1}));
    world.rules.max_retries = 0;
    world.create(ROOT, &["a", "b", "c"].map(child)).expect("children");
    world.begin("a");
    world.finish("a", 1, call_failed(Work::NotStarted));
    assert_eq!(account(&world, None), [amounts(0, 0, 0.0), amounts(2, 0, 0.0)]);
    world.begin("b");
    world.finish("b", 1, call_failed(Work::Unanswered));
    assert_eq!(account(&world, None), [amounts(0, 0, 0.0), amounts(3, 1, 0.0)], "it may have been spent");
    assert_eq!(world.begin("c"), BeginOutcome::Failed);
}

#[test]
fn retry_after_an_unknown_attempt_keeps_its_allowance() {
    let mut world = limited(&json!({"max_external_calls": 1}));
    let reader = NodeTypeFacts {
        kind: Some(NodeKind::Atomic),
        side_effect: Some(SideEffectClass::Read),
        ..NodeTypeFacts::default()
    };
    world.types.insert("reader".into(), reader);
    world.create(ROOT, &[child("a").of("reader")]).expect("a child");
    world.begin("a");
    world.due("a");
    world.lost("a");
    assert_eq!(account(&world, None)[0], amounts(0, 1, 0.0), "after a crash");
    assert_eq!(allowance(&world.begin("a")).external_calls, Some(1));
    world.finish("a", 2, call_failed(Work::Rejected));
    assert_eq!(account(&world, None), [amounts(0, 0, 0.0), amounts(2, 1, 0.0)]);
}

#[test]
fn late_result_settles_what_a_complete_left_reserved() {
    let mut world = limited(&json!({"max_external_calls": 5}));
    add(&mut world, ROOT, "a", &json!({"max_external_calls": 3}));
    add(&mut world, ROOT, "b", &json!({"max_external_calls": 2}));
    world.begin("a");
    world.begin("b");
    for id in ["a", "b"] {
        world.complete(id, json!({"state": "failed"})).expect("completed");
    }
    assert_eq!(account(&world, None)[0], amounts(0, 5, 0.0), "its executor may have spent it");
    assert_eq!(world.finish("a", 1, used(1, 0)), Applied::Late);
    assert_eq!(world.finish("a", 1, used(1, 0)), Applied::Late, "counted once");
    assert_eq!(account(&world, None), [amounts(0, 2, 0.0), amounts(3, 1, 0.0)]);
    world.cancel(RUN);
    assert_eq!(account(&world, None), [amounts(0, 0, 0.0), amounts(3, 3, 0.0)], "the end of the run charges");
    let ended = world.run().clone();
    assert_eq!(world.finish("b", 1, used(0, 0)), Applied::Late);
    assert_eq!(*world.run(), ended);
}

#[test]
fn composite_reports_its_own_use() {
    let mut world = limited(&json!({"max_external_calls": 5, "max_steps": 4}));
    let plan = child("plan").of("composite.plan");
    world.create(ROOT, &[plan, child("a")]).expect("children");
    let granted = allowance(&world.begin("plan"));
    assert_eq!((granted.steps, granted.external_calls), (Some(2), None), "it plans with what is left");
    let usage = json!({"state": "succeeded", "extensions": {"jarvis.usage": {"external_calls": 4}}});
    world.complete("plan", usage.clone()).expect("completed");
    assert_eq!(account(&world, None), [amounts(0, 0, 0.0), amounts(2, 4, 0.0)]);
    assert_eq!(world.extension("plan", "jarvis.usage"), Some(json!({"external_calls": 4})));
    // Another's word about an atomic node counts nothing.
    world.begin("a");
    world.complete("a", usage).expect("completed");
    assert_eq!(account(&world, None)[0], amounts(0, 1, 0.0));
}

#[test]
fn budget_as_wide_as_the_parents_is_no_budget_of_its_own() {
    let mut world = limited(&json!({"max_external_calls": 5}));
    // As the Composite Executor does, which sends on what it was given.
    add(&mut world, ROOT, "a", &json!({"max_external_calls": 5}));
    assert_eq!(world.node("a").budget.account, None);
    assert_eq!(allowance(&world.begin("a")).external_calls, Some(1), "the default");
}

#[test]
fn type_that_is_learned_late_opens_an_account() {
    let mut world = limited(&json!({"max_external_calls": 5}));
    world.create(ROOT, &[child("a").of("odd")]).expect("a child");
    let constraints = Some(parse(json!({"budgets": {"max_external_calls": 2}})));
    let facts = NodeTypeFacts { kind: Some(NodeKind::Atomic), constraints, ..NodeTypeFacts::default() };
    world.types.insert("odd".into(), facts);
    assert_eq!(allowance(&world.begin("a")).external_calls, Some(2));
    assert_eq!(account(&world, Some("a"))[0], amounts(0, 2, 0.0));
}
