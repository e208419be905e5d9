//! The operator's bounds on runs (contract §7.3).

use serde_json::{Value, json};

use super::support::{ROOT, RUN, World, child, node_type, parse};
use crate::{
    engine::{Bounds, NodeTypeFacts},
    types::{NodeKind, StructuralConstraints},
};

fn bounded(defaults: &Value, maxima: &Value) -> World {
    let mut world = World::new();
    let ceilings = StructuralConstraints {
        max_depth: Some(2),
        max_total_nodes_per_run: Some(4),
        ..StructuralConstraints::default()
    };
    world.rules.bounds =
        Bounds { defaults: parse(defaults.clone()), maxima: parse(maxima.clone()), ceilings };
    world
}

fn stored(world: &World) -> Value {
    let constraints = world.run().run.extensions.as_ref().and_then(|own| own.get("constraints"));
    assert_eq!(constraints, world.extension(ROOT, "constraints"), "the type adds nothing");
    constraints.unwrap_or_default()
}

#[test]
fn run_gets_the_defaults_within_the_maxima() {
    let defaults =
        json!({"budgets": {"max_steps": 5, "max_cost": 1.5}, "gates": {"side_effect_class": "write"}});
    let maxima = json!({"budgets": {"max_steps": 7}, "candidates": {"denied_node_type_ids": ["z"]}});
    for (defaults, maxima, given, expected) in [
        (&Value::Null, &Value::Null, Value::Null, Value::Null),
        (&json!({}), &Value::Null, Value::Null, Value::Null),
        (&json!({"gates": {}}), &Value::Null, Value::Null, Value::Null),
        (&json!({}), &Value::Null, json!({"gates": {}}), json!({"gates": {}})),
        (&defaults, &Value::Null, Value::Null, defaults.clone()),
        (
            &defaults,
            &Value::Null,
            json!({"budgets": {"max_steps": 9}}),
            json!({"budgets": {"max_steps": 9, "max_cost": 1.5}, "gates": {"side_effect_class": "write"}}),
        ),
        (&Value::Null, &maxima, Value::Null, maxima.clone()),
        (
            &defaults,
            &maxima,
            json!({"budgets": {"max_steps": 9}, "candidates": {"denied_node_type_ids": ["a"]}}),
            json!({"budgets": {"max_steps": 7, "max_cost": 1.5}, "gates": {"side_effect_class": "write"},
                "candidates": {"denied_node_type_ids": ["a", "z"]}}),
        ),
    ] {
        let mut world = bounded(defaults, maxima);
        world.start(json!({"constraints": given})).expect("a start");
        assert_eq!(stored(&world), expected, "{given}");
    }
}

#[test]
fn default_gives_way_to_the_type_of_the_root() {
    let mut world = bounded(&json!({"budgets": {"max_steps": 5, "max_external_calls": 6}}), &Value::Null);
    let constraints = Some(parse(json!({"budgets": {"max_steps": 50}})));
    let facts = NodeTypeFacts { kind: Some(NodeKind::Composite), constraints, ..NodeTypeFacts::default() };
    world.types.insert("own".into(), facts);
    world.start(json!({"root_node_type_ref": node_type("own")})).expect("a start");
    assert_eq!(
        world.extension(ROOT, "constraints"),
        Some(json!({"budgets": {"max_steps": 50, "max_external_calls": 6}}))
    );
}

#[test]
fn wall_time_follows_the_bounds() {
    let mut world = bounded(&json!({"budgets": {"max_wall_time_ms": 2000}}), &Value::Null);
    world.start(json!({})).expect("a start");
    assert_eq!(world.run().deadline, Some(world.now + std::time::Duration::from_secs(2)));
}

#[test]
fn ceilings_limit_a_tree_without_limits() {
    let mut world = bounded(&Value::Null, &Value::Null);
    world.start(json!({})).expect("a start");
    assert_eq!(stored(&world), Value::Null, "executors do not see them");
    world.begin(ROOT);
    // A child cannot widen what its run has.
    let wide = json!({"structural": {"max_depth": 9, "max_total_nodes_per_run": 9}});
    let wide = |id: &str| child(id).of("composite.plan").with("constraints", wide.clone());
    world.create(ROOT, &[wide("a")]).expect("a child");
    world.begin("a");
    world.create("a", &[wide("b")]).expect("a child");
    world.begin("b");
    let error = world.create("b", &[child("c")]).expect_err("too deep");
    assert_eq!(error.message(), "max_depth constraint violated for child NodeRuns");
    world.create("a", &[child("d")]).expect("a child");
    let error = world.create("a", &[child("e")]).expect_err("too many");
    assert_eq!(error.message(), "max_total_nodes_per_run constraint violated");
}

#[test]
fn ceiling_gives_way_to_a_limit_of_the_run() {
    let mut world = bounded(&Value::Null, &Value::Null);
    world.start(json!({"constraints": {"structural": {"max_total_nodes_per_run": 6}}})).expect("a start");
    let ceilings = world.run().ceilings.clone().expect("of the depth");
    assert_eq!((ceilings.max_depth, ceilings.max_total_nodes_per_run), (Some(2), None));
    world.begin(ROOT);
    world.create(ROOT, &["a", "b", "c", "d", "e"].map(child)).expect("five children");
    world.create(ROOT, &[child("f")]).expect_err("a seventh node");
}

#[test]
fn other_settings_change_no_run_that_exists() {
    let mut world = bounded(&json!({"budgets": {"max_steps": 5}}), &Value::Null);
    world.start(json!({})).expect("a start");
    world.begin(ROOT);
    let keyed = child("a").key("k").with("constraints", json!({"budgets": {"max_steps": 3}}));
    let first = world.create(ROOT, std::slice::from_ref(&keyed)).expect("a child");
    let settings =
        bounded(&json!({"budgets": {"max_steps": 1}}), &json!({"budgets": {"max_steps": 2}})).rules;
    world.rules = settings;
    let before = (world.run().run.clone(), world.node(ROOT).clone());
    let again = world.start(json!({})).expect("the same request");
    assert_eq!((again, world.node(ROOT).clone()), before, "{RUN}");
    assert_eq!(world.create(ROOT, &[keyed]).expect("a replay"), first);
    let new = world.create(ROOT, &[child("b")]).expect("a child");
    let constraints = new[0].extensions.as_ref().and_then(|own| own.get("constraints"));
    assert_eq!(constraints, Some(json!({"budgets": {"max_steps": 5}})));
}
