//! Reported aborts (contract §6.8): what they end, and what is only recorded.

use serde_json::{Value, json};

use super::{
    invariants,
    support::{ROOT, World, child},
};
use crate::{
    record::Job,
    types::{
        NodeRunState::{self, Canceled, Queued, Running, Succeeded},
        RunState,
    },
};

/// root: plan (deep: leaf; busy), other.
fn tree() -> World {
    let mut world = World::composite(&Value::Null);
    world.create(ROOT, &[child("plan").of("composite.plan"), child("other")]).expect("children");
    world.begin("plan");
    world.create("plan", &[child("deep").of("composite.plan"), child("busy")]).expect("grandchildren");
    world.create("deep", &[child("leaf")]).expect("a leaf");
    world.begin("busy");
    world
}

fn states(world: &World) -> [NodeRunState; 6] {
    [ROOT, "plan", "deep", "leaf", "busy", "other"].map(|node| world.state(node))
}

fn abort(target: Option<&str>) -> Value {
    let action = json!({"type": "abort", "target_node_run_id": target, "message": "enough"});
    json!({"evaluation_result": {"status": "fail"}, "recovery_action": action})
}

#[test]
fn abort_cancels_the_subtree_of_its_target() {
    for (evaluated, target) in [
        ("plan", None),
        ("plan", Some("plan")),
        // Above, below and beside the evaluated node.
        ("busy", Some("plan")),
        ("leaf", Some("plan")),
        (ROOT, Some("plan")),
        ("other", Some("plan")),
    ] {
        let (mut world, case) = (tree(), format!("{target:?} on {evaluated}"));
        let mark = world.events.len();
        world.evaluate(evaluated, abort(target));
        let [root, plan, deep, leaf, busy, other] = states(&world);
        assert_eq!([plan, deep, leaf, busy], [Canceled; 4], "{case}");
        assert_eq!((root, other, world.run().run.state), (Running, Queued, RunState::Running), "{case}");
        // What is at an executor is called off; a composite's executor as well.
        assert_eq!(["plan", "busy"].map(|node| world.job(node)), [Some(Job::CancelExecutor); 2], "{case}");
        assert_eq!(["deep", "leaf"].map(|node| world.job(node)), [None; 2], "{case}");
        assert_eq!(world.failure("plan")[0], "aborted");
        let events = world.events_since(mark);
        let action = json!({"type": "abort", "target_node_run_id": target, "message": "enough",
            "extensions": {"jarvis.applied": true}});
        assert_eq!(events[0], json!(["node_evaluated", evaluated, {"status": "fail"}]));
        let applied = &events[1];
        assert_eq!([&applied[0], &applied[1]], [&json!("recovery_applied"), &json!(evaluated)]);
        assert_eq!(applied[2]["extensions"], action["extensions"]);
        let mut ended: Vec<&str> = events[2..].iter().filter_map(|event| event[1].as_str()).collect();
        ended.sort_unstable();
        assert_eq!(ended, ["busy", "leaf"], "{case}");
        let recorded = &json!(world.node(evaluated).node.recovery_actions)[0];
        assert_eq!(recorded, &applied[2]);
        invariants::each_run(&world);
    }
}

#[test]
fn abort_of_the_root_ends_the_run() {
    for (evaluated, target) in [(ROOT, None), ("busy", Some(ROOT))] {
        let mut world = tree();
        world.evaluate(evaluated, abort(target));
        assert_eq!(states(&world), [Canceled; 6]);
        assert_eq!(world.run().run.state, RunState::Canceled);
        invariants::each_run(&world);
        // Nothing is left to abort: recorded as reported.
        let mark = world.events.len();
        world.evaluate(evaluated, abort(target));
        let events = world.events_since(mark);
        assert_eq!((events.len(), &events[1][2]["extensions"]["jarvis.applied"]), (2, &json!(false)));
        invariants::each_run(&world);
    }
}

#[test]
fn other_actions_and_aborts_of_what_has_ended_are_recorded_only() {
    let mut world = tree();
    world.begin("other");
    world.answer("other", Succeeded);
    for (node, action) in [
        ("plan", json!({"type": "retry"})),
        ("plan", json!({"type": "remap", "target_node_type_ref": {"node_type_id": "t", "version": "1"}})),
        ("plan", json!({"type": "decompose_further"})),
        ("plan", json!({"type": "ask_user", "extensions": {"jarvis.applied": true, "acme.x": 1}})),
        ("other", json!({"type": "abort"})),
        ("plan", json!({"type": "abort", "target_node_run_id": "other"})),
        ("plan", json!({"type": "abort", "target_node_run_id": "of nothing"})),
    ] {
        let (before, mark) = (states(&world), world.events.len());
        let report = json!({"evaluation_result": {"status": "fail"}, "recovery_action": action});
        world.evaluate(node, report);
        assert_eq!(states(&world), before, "{action}");
        let events = world.events_since(mark);
        assert_eq!(events.len(), 2, "{action}");
        assert_eq!(events[1][2]["extensions"]["jarvis.applied"], false, "{action}");
        assert_eq!(events[1][2]["type"], action["type"]);
    }
    invariants::each_run(&world);
}
