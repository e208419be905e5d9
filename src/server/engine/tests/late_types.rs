//! What a node's type says may become known only when the node is made, when a
//! child is created under it, or when it is dispatched; and it may not be
//! known again later.

use serde_json::{Value, json};

use super::support::{ROOT, World, child, keyed, node_type, parse};
use crate::{
    engine::{BeginOutcome, Disagreement, Limit, NodeTypeFacts, Rejection},
    types::NodeKind,
};

const PLANNER: &str = "jarvis.planner";

fn facts(kind: NodeKind, constraints: &Value) -> NodeTypeFacts {
    NodeTypeFacts { kind: Some(kind), constraints: parse(constraints.clone()), ..NodeTypeFacts::default() }
}

/// What the planner's type allows.
fn of_planner() -> Value {
    json!({
        "structural": {"max_children_per_composite": 2},
        "candidates": {"denied_node_type_ids": ["atomic.evil"]},
    })
}

/// A run whose root has a type that is not known yet.
fn unknown_root() -> World {
    let mut world = World::new();
    let constraints = json!({"structural": {"max_depth": 3, "max_children_per_composite": 9}});
    world
        .start(json!({"root_node_type_ref": node_type(PLANNER), "constraints": constraints}))
        .expect("a start");
    assert_eq!(world.node(ROOT).node.kind, None);
    world
}

/// The root and what is below it obey the type's constraints and the run's.
fn narrowed(world: &mut World) {
    let both = json!({
        "structural": {"max_depth": 3, "max_children_per_composite": 2},
        "candidates": {"denied_node_type_ids": ["atomic.evil"]},
    });
    assert_eq!(world.extension(ROOT, "constraints"), Some(both.clone()));
    // From now on the registry knows nothing.
    world.types.remove(PLANNER);
    world.create(ROOT, &[child("a").of("atomic.evil")]).expect("a child");
    assert_eq!(world.extension("a", "constraints"), Some(both));
    assert_eq!(world.failure("a")[0], "node_type_denied");
    world.create(ROOT, &[child("b")]).expect("the second child");
    let children = Rejection::Limit(Limit::MaxChildrenPerComposite);
    assert_eq!(world.create(ROOT, &[child("c")]), Err(children));
}

#[test]
fn type_learned_at_dispatch_narrows_node_and_children() {
    let mut world = unknown_root();
    world.types.insert(PLANNER.into(), facts(NodeKind::Composite, &of_planner()));
    assert!(matches!(world.dispatch(ROOT), BeginOutcome::Started { .. }));
    narrowed(&mut world);
}

#[test]
fn type_learned_by_a_create_narrows_node_and_children() {
    let mut world = unknown_root();
    world.types.insert(
        PLANNER.into(),
        facts(
            NodeKind::Composite,
            &json!({
                "structural": {"max_children_per_composite": 1},
                "candidates": {"denied_node_type_ids": ["atomic.evil"]},
            }),
        ),
    );
    let first = [child("x"), child("y")];
    let children = Rejection::Limit(Limit::MaxChildrenPerComposite);
    assert_eq!(world.create(ROOT, &first), Err(children), "its type counts at once");

    let mut world = unknown_root();
    world.types.insert(PLANNER.into(), facts(NodeKind::Composite, &of_planner()));
    world.create(ROOT, &[child("first").of("atomic.evil")]).expect("a child");
    assert_eq!(world.node(ROOT).node.kind, Some(NodeKind::Composite), "and is kept");
    assert_eq!(world.failure("first")[0], "node_type_denied");
}

#[test]
fn a_node_that_is_handed_over_again_still_obeys_its_type() {
    let mut world = World::new();
    world.start(json!({"root_node_type_ref": node_type(PLANNER)})).expect("a start");
    let limit = json!({"budgets": {"max_wall_time_ms": 5000}});
    world.types.insert(PLANNER.into(), facts(NodeKind::Composite, &limit));
    let BeginOutcome::Started { deadline, .. } = world.dispatch(ROOT) else { panic!("refused") };
    world.lost(ROOT);
    world.types.remove(PLANNER);
    let BeginOutcome::Started { deadline: second, .. } = world.dispatch(ROOT) else { panic!("refused") };
    assert_eq!(second, deadline, "its deadline stays");
    assert_eq!(world.extension(ROOT, "constraints"), Some(limit));
}

#[test]
fn repetition_is_compared_with_the_facts_of_the_creation() {
    let spec = json!({"structural": {"max_depth": 4}});
    let wanted = |constraints: &Value| child("").key("k").of("tool").with("constraints", constraints.clone());
    let with = || facts(NodeKind::Atomic, &json!({"candidates": {"denied_node_type_ids": ["z"]}}));
    let without = || facts(NodeKind::Atomic, &Value::Null);
    let other = json!({"candidates": {"denied_node_type_ids": ["a"]}});
    for (case, then, now) in [
        ("the registry is out, and the type is guessed", with(), without()),
        ("the type was guessed, and is known by now", without(), with()),
        ("another answer than then", with(), facts(NodeKind::Atomic, &other)),
    ] {
        let mut world = World::composite(&json!({"structural": {"max_depth": 5}}));
        world.types.insert("tool".into(), then);
        let made = world.create(ROOT, &[wanted(&spec)]).expect("the original");
        world.types.insert("tool".into(), now);
        assert_eq!(world.create(ROOT, &[wanted(&spec)]).as_ref(), Ok(&made), "{case}");
        assert!(world.create(ROOT, &[wanted(&Value::Null)]).is_err(), "{case}: left out is less");
        let different = Rejection::Idempotency(Disagreement::Constraints);
        for constraints in [json!({"structural": {"max_depth": 3}}), other.clone()] {
            assert_eq!(world.create(ROOT, &[wanted(&constraints)]), Err(different.clone()), "{case}");
        }
    }
}

#[test]
fn repetition_finds_a_child_with_a_type_learned_later() {
    let mut world = World::composite(&Value::Null);
    let wanted =
        || child("").key("k").of(PLANNER).with("constraints", json!({"structural": {"max_depth": 4}}));
    world.create(ROOT, &[wanted()]).expect("the original");
    world.types.insert(PLANNER.into(), facts(NodeKind::Composite, &of_planner()));
    let id = keyed(ROOT, "k");
    assert!(matches!(world.dispatch(&id), BeginOutcome::Started { .. }));
    for now in [facts(NodeKind::Composite, &of_planner()), facts(NodeKind::Composite, &Value::Null)] {
        world.types.insert(PLANNER.into(), now);
        let found = world.create(ROOT, &[wanted()]).expect("a repetition");
        assert_eq!(found[0].node_run_id.as_str(), id);
    }
}
