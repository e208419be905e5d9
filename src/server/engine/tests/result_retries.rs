//! Failed results that are repeated, as the node's type and constraints allow
//! (contract §9.2).

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    invariants,
    support::{ROOT, World, child, parse},
};
use crate::{
    engine::{Applied, AttemptResult, BeginOutcome, NodeTypeFacts, Usage},
    record::{AttemptOutcome, Job, RetryRule},
    types::{Error, NodeKind, NodeRunState, RunEventType, SideEffectClass},
};

fn failed(error: Option<Value>) -> AttemptResult {
    let error: Option<Error> = error.map(parse);
    let state = NodeRunState::Failed;
    AttemptResult::Answered {
        state,
        outputs: None,
        output_artifacts: None,
        error,
        usage: None,
        violations: None,
    }
}

/// A running child `a` whose type has this rule.
fn running(rule: Option<Value>, side_effect: SideEffectClass, constraints: &Value) -> World {
    let mut world = World::composite(&Value::Null);
    let retry = rule.map(|rule| RetryRule::parse(&rule.to_string()).expect("a rule"));
    let facts = NodeTypeFacts {
        kind: Some(NodeKind::Atomic),
        side_effect: Some(side_effect),
        retry,
        ..NodeTypeFacts::default()
    };
    world.types.insert("t".into(), facts);
    world.create(ROOT, &[child("a").of("t").with("constraints", constraints.clone())]).expect("a child");
    world.begin("a");
    world
}

#[test]
fn failed_result_is_repeated_where_type_and_constraints_allow() {
    use SideEffectClass::{Irreversible, Read};
    let rule = || Some(json!({"max_attempts": 3}));
    let busy = |retryable: Value| Some(json!({"code": "busy", "message": "m", "retryable": retryable}));
    let none = Value::Null;
    let limit = |limit: u64| json!({"extensions": {"jarvis.max_retries": limit}});
    for (rule, effect, error, constraints, repeated) in [
        (None, Read, busy(json!(true)), none.clone(), false),
        (rule(), Read, None, none.clone(), true),
        (rule(), Read, busy(json!(null)), none.clone(), true),
        (rule(), Read, busy(json!(false)), none.clone(), false),
        (rule(), Irreversible, None, none.clone(), false),
        (rule(), Irreversible, busy(json!(null)), none.clone(), false),
        (rule(), Irreversible, busy(json!(true)), none.clone(), true),
        (Some(json!({"max_attempts": 1})), Read, None, none.clone(), false),
        (Some(json!({"max_attempts": 0})), Read, None, none.clone(), false),
        (Some(json!({"max_attempts": 2, "codes": ["busy"]})), Read, busy(json!(null)), none.clone(), true),
        (Some(json!({"max_attempts": 2, "codes": ["other"]})), Read, busy(json!(null)), none.clone(), false),
        (Some(json!({"max_attempts": 2, "codes": []})), Read, None, none, false),
        (rule(), Read, None, limit(0), false),
        (rule(), Read, None, limit(1), true),
        // No time is left for another attempt.
        (rule(), Read, None, json!({"budgets": {"max_wall_time_ms": 5}}), false),
    ] {
        let mut world = running(rule.clone(), effect, &constraints);
        world.finish("a", 1, failed(error.clone()));
        let expected = match repeated {
            true => (NodeRunState::Running, Some(Job::Dispatch), 1),
            false => (NodeRunState::Failed, None, 0),
        };
        let node = world.node("a");
        let is = (node.node.state, world.job("a"), node.result_retries.made);
        assert_eq!(is, expected, "{rule:?} {effect} {error:?} {constraints}");
        invariants::each_run(&world);
    }
}

#[test]
fn repetition_is_recorded_and_ends() {
    let mut world = running(Some(json!({"max_attempts": 3})), SideEffectClass::Read, &Value::Null);
    let mark = world.events.len();
    let error = json!({"code": "busy", "message": "later"});
    world.finish("a", 1, failed(Some(error.clone())));
    let at = world.node("a").wake.as_ref().expect("a wake-up").at;
    let entry = world.attempts.last().expect("an entry");
    let outcome = AttemptOutcome::FailedResult { error: Some(parse(error.clone())), retry_at: at };
    assert_eq!((entry.attempt, &entry.outcome), (1, &outcome));
    let events = world.events_since(mark);
    assert_eq!(
        (events.len(), &events[0][0], &events[1][0]),
        (2, &json!("node_evaluated"), &json!("recovery_applied"))
    );
    let facts = &events[1][2]["extensions"];
    assert_eq!([&facts["jarvis.code"], &facts["jarvis.applied"]], [&json!("busy"), &json!(true)]);
    // The commit's answer was lost, and the result comes once more.
    let before = world.clone();
    assert_eq!(world.finish("a", 1, failed(Some(error.clone()))), Applied::Yes);
    assert_eq!((&world.nodes, &world.events), (&before.nodes, &before.events));

    for attempt in 2..=3 {
        let BeginOutcome::Started { attempt: begun, .. } = world.begin("a") else { panic!("an attempt") };
        assert_eq!(begun.number, attempt);
        world.finish("a", attempt, failed(Some(error.clone())));
    }
    assert_eq!((world.state("a"), world.node("a").retries), (NodeRunState::Failed, 2));
    assert_eq!(world.failure("a"), json!(["busy", "later"]));
    assert_eq!(world.count(RunEventType::AtomicExecuted), 1);
    assert_eq!(world.count(RunEventType::NodeEvaluated), 3);
    invariants::each_run(&world);
}

#[test]
fn own_retries_and_the_setting_bound_both_kinds_together() {
    let mut world = running(Some(json!({"max_attempts": 9})), SideEffectClass::Read, &Value::Null);
    world.rules.max_retries = 2;
    world.finish("a", 1, super::support::call_failed(crate::engine::Work::Unanswered));
    world.begin("a");
    world.finish("a", 2, failed(None));
    world.begin("a");
    world.finish("a", 3, failed(None));
    assert_eq!((world.state("a"), world.node("a").retries), (NodeRunState::Failed, 2));
    invariants::each_run(&world);
}

#[test]
fn each_execution_is_paid_for_but_is_no_further_step() {
    let mut world = World::composite(&json!({"budgets": {"max_steps": 2, "max_external_calls": 5}}));
    let facts = NodeTypeFacts {
        kind: Some(NodeKind::Atomic),
        side_effect: Some(SideEffectClass::Read),
        retry: Some(RetryRule { max_attempts: 9, codes: None }),
        ..NodeTypeFacts::default()
    };
    world.types.insert("t".into(), facts);
    world.create(ROOT, &[child("a").of("t")]).expect("a child");
    let used = |calls: u64| {
        let usage = Some(Usage { external_calls: Some(calls), ..Usage::default() });
        let state = NodeRunState::Failed;
        AttemptResult::Answered {
            state,
            outputs: None,
            output_artifacts: None,
            error: None,
            usage,
            violations: None,
        }
    };
    let account = |world: &World| {
        let account = world.run().account.expect("an account");
        (account.used.steps, account.used.external_calls, account.reserved.external_calls)
    };
    world.begin("a");
    assert_eq!(account(&world), (2, 0, 1));
    world.finish("a", 1, used(3));
    assert_eq!(account(&world), (2, 3, 0), "settled, and nothing is reserved while it waits");
    world.wait(Duration::from_secs(1));
    world.begin("a");
    assert_eq!(account(&world), (2, 3, 1));
    invariants::each_run(&world);
    world.finish("a", 2, used(2));
    world.wait(Duration::from_secs(1));
    assert_eq!(world.begin("a"), BeginOutcome::Failed);
    assert_eq!(world.failure("a")[0], "budget_exceeded");
    assert_eq!(account(&world), (2, 5, 0));
    invariants::each_run(&world);
}

#[test]
fn evaluator_cannot_repeat_a_node() {
    let mut world = running(Some(json!({"max_attempts": 3})), SideEffectClass::Read, &Value::Null);
    let report = json!({"evaluation_result": {"status": "fail"}, "recovery_action": {"type": "retry"}});
    world.evaluate("a", report.clone());
    assert_eq!((world.job("a"), world.node("a").retries), (Some(Job::Deadline), 0));
    world.answer("a", NodeRunState::Succeeded);
    world.evaluate("a", report);
    assert_eq!(world.state("a"), NodeRunState::Succeeded, "what has ended has ended");
    invariants::each_run(&world);
}
