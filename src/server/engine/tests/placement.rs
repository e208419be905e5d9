//! Nodes at a pool of executors: where the next attempt may be made, and where
//! earlier ones may still run (contract §9.2 step 6).

use serde_json::{Value, json};

use super::support::{ROOT, RUN, World, call_failed, child, parse};
use crate::{
    engine::{self, BeginOutcome, Contact, NodeTypeFacts, PolicyOutcome, SilenceOutcome, Work},
    types::{ExecutorBinding, NodeKind, SideEffectClass},
};

fn member(id: &str) -> ExecutorBinding {
    parse(json!({"executor_instance_id": id, "endpoint": format!("http://{id}:8082")}))
}

/// A world whose atomic child `a` may be repeated, and was begun at `m1`.
fn repeatable() -> World {
    let mut world = World::composite(&Value::Null);
    let facts = NodeTypeFacts {
        estimated_usage: None,
        kind: Some(NodeKind::Atomic),
        side_effect: Some(SideEffectClass::Read),
        idempotent: false,
        constraints: None,
        retry: None,
    };
    world.types.insert("t".into(), facts);
    world.create(ROOT, &[child("a").of("t")]).expect("a child");
    begin_at(&mut world, "a", "m1");
    world
}

fn begin_at(world: &mut World, node: &str, id: &str) {
    let begun = world.begin_with(node, PolicyOutcome::Allow, Ok(member(id)));
    assert!(matches!(begun, BeginOutcome::Started { .. }), "{begun:?}");
}

#[test]
fn repeated_node_keeps_the_members_where_it_may_run() {
    let mut world = repeatable();
    assert_eq!(engine::hosts(world.node("a")), [member("m1")]);
    world.finish("a", 1, call_failed(Work::Unanswered));
    let placement = engine::placement(world.node("a"));
    assert_eq!((placement.last, placement.pinned), (Some(member("m1")), false));
    begin_at(&mut world, "a", "m2");
    assert_eq!(engine::hosts(world.node("a")), [member("m2"), member("m1")]);
    // It ends: the cancel has to reach both.
    world.cancel(RUN);
    assert_eq!(engine::hosts(world.node("a")), [member("m2"), member("m1")]);
}

#[test]
fn node_that_was_not_started_leaves_nothing_behind() {
    let mut world = repeatable();
    world.finish("a", 1, call_failed(Work::NotStarted));
    begin_at(&mut world, "a", "m2");
    assert_eq!(engine::hosts(world.node("a")), [member("m2")]);
}

#[test]
fn composite_is_pinned_once_it_may_have_begun() {
    for (work, pinned) in [(Work::NotStarted, false), (Work::Unanswered, true), (Work::Uncertain, true)] {
        let mut world = World::composite(&Value::Null);
        assert!(!engine::placement(world.node(ROOT)).pinned);
        world.finish(ROOT, 1, call_failed(work));
        assert_eq!(engine::placement(world.node(ROOT)).pinned, pinned, "{work:?}");
        // A later failure does not set it free.
        begin_at(&mut world, ROOT, "m2");
        world.finish(ROOT, 2, call_failed(Work::NotStarted));
        assert_eq!(engine::placement(world.node(ROOT)).pinned, pinned, "{work:?}");
    }
}

#[test]
fn lost_or_silent_composite_is_pinned() {
    let mut world = World::composite(&Value::Null);
    world.lost(ROOT);
    assert!(engine::placement(world.node(ROOT)).pinned);

    let mut world = World::composite(&Value::Null);
    let last = world.now;
    world.now = world.node(ROOT).wake.as_ref().expect("a wake-up").at;
    let outcome = world.check(ROOT, Contact { last, live_below: false });
    assert_eq!(outcome, SilenceOutcome::Restarted);
    assert!(engine::placement(world.node(ROOT)).pinned);
}

#[test]
fn requested_instance_is_the_string_of_the_create_spec() {
    let mut world = World::composite(&Value::Null);
    let asked = child("a").with("requested_executor_instance_id", json!("m2"));
    let odd = child("b").with("extensions", json!({"jarvis.requested_executor_instance_id": {"not": "one"}}));
    world.create(ROOT, &[asked, odd]).expect("children");
    assert_eq!(engine::placement(world.node("a")).requested.as_deref(), Some("m2"));
    assert_eq!(engine::placement(world.node("b")).requested, None);
}
