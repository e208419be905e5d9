//! Evaluations over the API: what becomes of the verdict, and of the recovery
//! actions, however many are reported.

use serde_json::{Value, json};

use super::{
    invariants,
    support::{ROOT, World, call_failed},
};
use crate::{
    engine::{NodeTypeFacts, Work},
    types::{NodeKind, NodeRunState, RunEventType, SideEffectClass},
};

const DROPPED: &str = "jarvis.recovery_actions_dropped";
const HISTORY: &str = "jarvis.evaluations";

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
fn history_has_every_evaluation_with_its_time_and_actor() {
    let caller = json!({"kind": "caller", "subject": "caller"});
    let executor = json!({"kind": "coordinator"});
    let by =
        |at, actor: &Value, result: Value| json!({"at": at, "actor": actor, "evaluation_result": result});
    let automatic = json!({"status": "success", "reason_code": "atomic_completed"});
    // The first evaluation is the coordinator's own: there is no history yet.
    let mut world = World::atomic();
    world.answer(ROOT, NodeRunState::Succeeded);
    assert_eq!(world.extension(ROOT, HISTORY), None);
    world.evaluate(ROOT, json!({"evaluation_result": {"status": "unknown"}}));
    let unknown = by(world.now, &caller, json!({"status": "unknown"}));
    assert_eq!(world.extension(ROOT, HISTORY), Some(json!([{"evaluation_result": automatic}, unknown])));
    // An evaluator was first.
    let mut world = World::atomic();
    world.evaluate(ROOT, json!({"evaluation_result": {"status": "fail"}}));
    let first = by(world.now, &caller, json!({"status": "fail"}));
    assert_eq!(world.extension(ROOT, HISTORY), Some(json!([first])));
    world.answer(ROOT, NodeRunState::Succeeded);
    let second = by(world.now, &executor, automatic);
    assert_eq!(world.extension(ROOT, HISTORY), Some(json!([first, second])));
    invariants::each_run(&world);
}

#[test]
fn history_keeps_the_newest_evaluations_and_counts_the_others() {
    let mut world = World::atomic();
    let evaluate = |world: &mut World, message: &str| {
        world.evaluate(ROOT, json!({"evaluation_result": {"status": "fail", "message": message}}));
    };
    let kept = |world: &World| {
        let history = world.extension(ROOT, HISTORY).unwrap_or_default();
        let messages = history.as_array().cloned().unwrap_or_default();
        messages.iter().map(|entry| entry["evaluation_result"]["message"].clone()).collect::<Vec<_>>()
    };
    for n in 0..130 {
        evaluate(&mut world, &n.to_string());
    }
    assert_eq!(kept(&world), (30..130).map(|n| json!(n.to_string())).collect::<Vec<_>>());
    assert_eq!(world.extension(ROOT, "jarvis.evaluations_dropped"), Some(json!(30)));
    invariants::each_run(&world);
    for _ in 0..4 {
        evaluate(&mut world, &"x".repeat(100 << 10));
    }
    assert_eq!(kept(&world).len(), 2, "256 KiB at most");
    assert_eq!(world.extension(ROOT, "jarvis.evaluations_dropped"), Some(json!(132)));
    assert_eq!(world.count(RunEventType::NodeEvaluated), 134, "the events have all");
    // Callers cannot write it.
    let mut world = World::new();
    world
        .start(json!({"extensions": {"jarvis.evaluations": [], "jarvis.evaluations_dropped": 7}}))
        .expect("a start");
    assert_eq!(world.extension(ROOT, HISTORY), None);
    assert_eq!(world.extension(ROOT, "jarvis.evaluations_dropped"), None);
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
