//! Idempotency keys (contract §8).

use serde_json::{Value, json};

use super::support::{Child, ROOT, RUN, World, child, keyed, node_type};
use crate::{
    engine::{Disagreement, Limit, PolicyOutcome, Rejection},
    record::NodePath,
    types::{NodeRunState, RunEventType},
};

fn original() -> Child {
    child("")
        .key("k")
        .with("inputs", json!({"n": 1, "deep": {"list": [1, {"x": null}]}}))
        .with("constraints", json!({"budgets": {"max_cost": 2}}))
        .with("candidate_set_id", json!("set"))
        .with(
            "binding_decision",
            json!({"subtask_id": "S", "chosen_node_type_ref": node_type("atomic.echo")}),
        )
}

/// A world in which [`original`] has been created.
fn world() -> World {
    let mut world = World::composite(&Value::Null);
    world.create(ROOT, &[original()]).expect("the original");
    world
}

#[test]
fn conflicting_repetition_names_the_member_that_differs() {
    let binding = |subtask| json!({"subtask_id": subtask, "chosen_node_type_ref": node_type("atomic.echo")});
    let extended = json!({"node_type_id": "atomic.echo", "version": "1", "extensions": {"a.b": 1}});
    for (repetition, message) in [
        (original().of("atomic.other"), "for a different NodeTypeRef"),
        (original().with("node_type_ref", extended), "for a different NodeTypeRef"),
        (original().with("inputs", json!({})), "for different inputs"),
        (
            original().with("inputs", json!({"n": true, "deep": {"list": [1, {"x": null}]}})),
            "for different inputs",
        ),
        (
            original().with("inputs", json!({"n": 1, "deep": {"list": [{"x": null}, 1]}})),
            "for different inputs",
        ),
        (original().with("binding_decision", binding("T")), "with different binding_decision"),
        (original().with("candidate_set_id", json!("other")), "with different candidate_set_id"),
        (original().with("constraints", json!({"budgets": {"max_cost": 3}})), "with different constraints"),
        // Of several, the first in the order of the table is reported.
        (original().of("atomic.other").with("inputs", json!({})), "for a different NodeTypeRef"),
        (original().with("inputs", json!({})).with("binding_decision", binding("T")), "for different inputs"),
        (
            original().with("candidate_set_id", json!("other")).with("constraints", json!({"gates": {}})),
            "with different candidate_set_id",
        ),
    ] {
        let mut world = world();
        let before = world.clone();
        let rejection = world.create(ROOT, std::slice::from_ref(&repetition)).expect_err(message);
        let expected = format!("Idempotency key already used {message}");
        assert_eq!(
            (rejection.code(), rejection.message()),
            ("idempotency_conflict", expected),
            "{repetition:?}"
        );
        world.now = before.now;
        assert_eq!(world, before);
    }
}

#[test]
fn key_of_a_child_of_another_parent_is_a_conflict() {
    // `run-1:a:` + `b:k` and `run-1:a:b:` + `k` are the same words.
    let mut world = World::composite(&Value::Null);
    let composites = [child("a").of("composite.plan"), child("a:b").of("composite.plan")];
    world.create(ROOT, &composites).expect("two composites");
    world.create("a", &[child("").key("b:k")]).expect("the first");
    let conflict = world.create("a:b", &[child("").key("k")]);
    assert_eq!(conflict, Err(Rejection::Idempotency(Disagreement::Parent)));
}

#[test]
fn repetition_compares_only_the_members_that_matter() {
    for repetition in [
        original(),
        child("").key("k").with("inputs", json!({"n": 1, "deep": {"list": [1, {"x": null}]}})),
        original().with("extensions", json!({"acme.retry": 2})),
        original().with("metadata", json!({"labels": {"try": "2"}})),
        original().with("requested_executor_instance_id", json!("executor-2")),
        original().with("inputs", json!({"deep": {"list": [1.0, {"x": null}]}, "n": 1.0})),
        original().with("constraints", json!({"budgets": {"max_cost": 2.0}, "extensions": {"a.b": 1}})),
    ] {
        let mut world = world();
        let before = world.clone();
        let answer = world.create(ROOT, std::slice::from_ref(&repetition)).expect("a repetition");
        assert_eq!(answer, [world.node(&keyed(ROOT, "k")).node.clone()]);
        world.now = before.now;
        assert_eq!(world, before, "nothing is written: {repetition:?}");
    }
}

#[test]
fn numbers_are_compared_by_value_however_large() {
    let number = |number: Value| child("").key("n").with("inputs", json!({ "n": number }));
    for (first, second, same) in [
        (json!(1), json!(1.0), true),
        (json!(-3), json!(-3.0), true),
        (json!(0.5), json!(0.5), true),
        (json!(0.5), json!(0.25), false),
        (json!(1e300), json!(1e300), true),
        (json!(1), json!(1.5), false),
        (json!(1), json!("1"), false),
        (json!(0), json!(false), false),
        (json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992_u64), false),
        (json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992.0), false),
        (json!(u64::MAX), json!(u64::MAX), true),
        (json!(u64::MAX), json!(-1), false),
    ] {
        let mut world = World::composite(&Value::Null);
        world.create(ROOT, &[number(first.clone())]).expect("the original");
        assert_eq!(world.create(ROOT, &[number(second.clone())]).is_ok(), same, "{first} {second}");
    }
}

#[test]
fn a_repetition_gets_the_node_as_it_is_now() {
    let mut world = world();
    let id = keyed(ROOT, "k");
    world.begin(&id);
    world.answer(&id, NodeRunState::Succeeded);
    let answer = world.create(ROOT, &[original()]).expect("a repetition");
    assert_eq!(answer[0].state, NodeRunState::Succeeded);
    assert_eq!(answer[0].outputs, world.node(&id).node.outputs);
}

#[test]
fn a_repetition_counts_for_no_limit() {
    let limits = json!({"structural": {"max_children_per_composite": 2, "max_total_nodes_per_run": 3,
        "max_decomposition_rounds_per_node": 2}});
    let mut world = World::composite(&limits);
    world.create(ROOT, &[child("").key("k")]).expect("the original");
    for _ in 0..3 {
        world.create(ROOT, &[child("").key("k")]).expect("a repetition");
    }
    world.create(ROOT, &[child("").key("k"), child("a")]).expect("one repetition, one new");
    assert_eq!((world.node(ROOT).children, world.node(ROOT).rounds, world.run().nodes), (2, 2, 3));
    assert_eq!(world.events.last().map(|event| event.event.type_), Some(RunEventType::NodeRunAssigned));
    world.create(ROOT, &[child("").key("k")]).expect("even when every limit is reached");
}

#[test]
fn the_depth_is_checked_even_if_nothing_is_new() {
    let mut world = World::composite(&json!({"structural": {"max_depth": 1}}));
    world.create(ROOT, &[child("").key("k")]).expect("the original");
    world.nodes.get_mut(&ROOT.into()).expect("the root").path = NodePath::root().child(7);
    let refused = world.create(ROOT, &[child("").key("k")]);
    assert_eq!(refused, Err(Rejection::Limit(Limit::MaxDepth)));
}

#[test]
fn the_answer_has_one_entry_for_each_spec_in_their_order() {
    let mut world = World::composite(&Value::Null);
    world.create(ROOT, &[child("").key("old")]).expect("the original");
    let mark = world.events.len();
    let request = [child("b"), child("").key("old"), child("").key("new"), child("a"), child("").key("new")];
    let answer = world.create(ROOT, &request).expect("all of them");
    let ids: Vec<&str> = answer.iter().map(|node| node.node_run_id.as_str()).collect();
    let (old, new) = (keyed(ROOT, "old"), keyed(ROOT, "new"));
    assert_eq!(ids, ["b", &old, &new, "a", &new]);
    let assigned = |id: &str| json!(["node_run_assigned", id, {"parent_node_run_id": ROOT}]);
    let decomposed = json!(["composite_decomposed", ROOT, {"node_run_count": 3}]);
    assert_eq!(world.events_since(mark), [decomposed, assigned("b"), assigned(&new), assigned("a")]);
}

#[test]
fn the_same_key_twice_in_one_request_makes_one_node() {
    let mut world = World::composite(&json!({"structural": {"max_children_per_composite": 1}}));
    let answer = world.create(ROOT, &[child("").key("k"), child("").key("k")]).expect("one child");
    assert_eq!(answer[0], answer[1]);
    assert_eq!((world.nodes.len(), world.node(ROOT).children), (2, 1));
    assert_eq!(world.count(RunEventType::NodeRunAssigned), 2, "the root's and the child's");

    let mut world = World::composite(&Value::Null);
    let differing = [child("").key("k"), child("").key("k").with("inputs", json!({"x": 1}))];
    assert_eq!(world.create(ROOT, &differing), Err(Rejection::Idempotency(Disagreement::Inputs)));
    assert_eq!(world.nodes.len(), 1);
}

#[test]
fn an_empty_key_is_no_key() {
    let mut world = World::composite(&Value::Null);
    world.create(ROOT, &[child("a").key(""), child("b").key("")]).expect("two children");
    assert_eq!((world.nodes.len(), world.extension("a", "idempotency_key")), (3, None));
    world.create(ROOT, &[child("").key("k")]).expect("a keyed one");
    assert_eq!(world.extension(&keyed(ROOT, "k"), "idempotency_key"), Some(json!("k")));
}

#[test]
fn two_runs_may_use_the_same_key() {
    let mut world = World::composite(&Value::Null);
    world.start_as("run-2", "root-2", Value::Null, PolicyOutcome::Allow).expect("another run");
    let [first] = <[_; 1]>::try_from(world.create(ROOT, &[child("").key("k")]).expect("one")).expect("one");
    let [second] =
        <[_; 1]>::try_from(world.create("root-2", &[child("").key("k")]).expect("two")).expect("one");
    assert_ne!(first.node_run_id, second.node_run_id);
    assert_eq!((first.run_id.as_str(), second.run_id.as_str()), (RUN, "run-2"));
}
