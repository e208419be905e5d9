//! Evaluations over the API: what becomes of the verdict, and of the recovery
//! actions, however many are reported.

use serde_json::{Value, json};

use super::support::{ROOT, World, call_failed};
use crate::{
    engine::{NodeTypeFacts, Work},
    types::{NodeKind, NodeRunState, RunEventType, SideEffectClass},
};

const DROPPED: &str = "jarvis.recovery_actions_dropped";

fn report(message: &str) -> Value {
    json!({
        "evaluation_result": {"status": "fail"},
        "recovery_action": {"type": "retry", "message": message},
    })
}

fn messages(world: &World) -> Vec<String> {
    let actions = world.node(ROOT).node.recovery_actions.iter().flatten();
    actions.map(|action| action.message.clone().unwrap_or_default()).collect()
}

#[test]
fn node_keeps_newest_recovery_actions_and_counts_the_others() {
    let mut world = World::atomic();
    for n in 0..100 {
        world.evaluate(ROOT, report(&n.to_string()));
    }
    assert_eq!((messages(&world).len(), world.extension(ROOT, DROPPED)), (100, None), "all of them");
    for n in 100..175 {
        world.evaluate(ROOT, report(&n.to_string()));
    }
    let newest = |to: usize| (to - 100..to).map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(messages(&world), newest(175));
    assert_eq!(world.extension(ROOT, DROPPED), Some(json!(75)));

    // An ended node may be evaluated as well, within the same bounds.
    world.answer(ROOT, NodeRunState::Succeeded);
    for n in 175..250 {
        world.evaluate(ROOT, report(&n.to_string()));
    }
    assert_eq!(messages(&world), newest(250));
    assert_eq!(world.extension(ROOT, DROPPED), Some(json!(150)));
    assert_eq!(world.count(RunEventType::RecoveryApplied), 250, "the events have all");
}

#[test]
fn recovery_actions_are_bounded_in_bytes_too() {
    let mut world = World::atomic();
    let large = "x".repeat(100 << 10);
    for _ in 0..10 {
        world.evaluate(ROOT, report(&large));
    }
    let kept = world.node(ROOT).node.recovery_actions.clone().unwrap_or_default();
    let size = serde_json::to_vec(&kept).expect("JSON").len();
    assert!(size <= 256 << 10, "{} actions of {size} bytes", kept.len());
    assert_eq!(world.extension(ROOT, DROPPED), Some(json!(10 - kept.len())));
    // The newest is kept, however large it is.
    world.evaluate(ROOT, report(&"y".repeat(1 << 20)));
    assert_eq!(messages(&world), ["y".repeat(1 << 20)]);
}

#[test]
fn own_retries_are_bounded_with_the_rest() {
    let mut world = World::atomic();
    world.rules.max_retries = 300;
    for attempt in 1..=150 {
        world.finish(ROOT, attempt, call_failed(Work::NotStarted));
        world.wait(std::time::Duration::from_secs(0));
        world.begin(ROOT);
    }
    let node = world.node(ROOT);
    let retries = node.node.recovery_actions.as_ref().map_or(0, Vec::len) as u64;
    assert_eq!(retries, 100);
    assert_eq!(world.extension(ROOT, DROPPED), Some(json!(u64::from(node.retries) - retries)));
}

#[test]
fn callers_cannot_write_the_count_of_dropped_actions() {
    let mut world = World::new();
    world
        .start(json!({"extensions": {"jarvis.recovery_actions_dropped": -5, "jarvis.other": 1}}))
        .expect("a start");
    assert_eq!(
        (world.extension(ROOT, DROPPED), world.extension(ROOT, "jarvis.other")),
        (None, Some(json!(1)))
    );
}

#[test]
fn the_verdict_of_an_evaluator_stands_when_the_result_arrives() {
    let verdict = json!({"status": "fail", "reason_code": "hallucinated", "confidence": 0.9});
    let mut world = World::atomic();
    world.evaluate(ROOT, json!({"evaluation_result": verdict}));
    world.answer(ROOT, NodeRunState::Succeeded);
    assert_eq!(json!(world.node(ROOT).node.evaluation_result), verdict);
    // The coordinator's own evaluation is an event as always.
    assert_eq!(world.count(RunEventType::NodeEvaluated), 2);

    // A later one replaces it, as in any state.
    world.evaluate(ROOT, json!({"evaluation_result": {"status": "success"}}));
    assert_eq!(json!(world.node(ROOT).node.evaluation_result), json!({"status": "success"}));
}

#[test]
fn without_a_verdict_the_result_is_judged_by_its_state() {
    let facts = NodeTypeFacts {
        kind: Some(NodeKind::Atomic),
        side_effect: Some(SideEffectClass::Read),
        ..NodeTypeFacts::default()
    };
    for (state, status) in [(NodeRunState::Succeeded, "success"), (NodeRunState::Failed, "fail")] {
        let mut world = World::atomic();
        world.types.insert("atomic.echo".into(), facts.clone());
        world.answer(ROOT, state);
        let expected = json!({"status": status, "reason_code": "atomic_completed"});
        assert_eq!(json!(world.node(ROOT).node.evaluation_result), expected);
    }
}
