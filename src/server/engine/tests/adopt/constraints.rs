//! The constraints of adopted nodes.

use serde_json::{Value, json};

use super::*;
use crate::{engine::Bounds, types::StructuralConstraints};

fn bounded(node: Value, constraints: &Value) -> Value {
    merged(node, json!({"extensions": {"constraints": constraints, "a.b": 1}}))
}

/// (Another coordinator does not narrow children by their parents, and lets the
/// highest side effect win.)
#[test]
fn live_nodes_are_narrowed_by_the_run_and_their_ancestors() {
    let of_run = json!({"gates": {"side_effect_class": "write"}, "structural": {"max_depth": 4}});
    let of_root = json!({"candidates": {"denied_node_type_ids": ["atomic.x"]}});
    let of_plan = json!({"structural": {"max_depth": 2}, "gates": {"side_effect_class": "read"}});
    let wide = json!({"gates": {"side_effect_class": "irreversible"}, "structural": {"max_depth": 9}});
    let narrow = json!({"structural": {"max_depth": 1}, "gates": {"side_effect_class": "read"},
        "candidates": {"denied_node_type_ids": ["atomic.x"]}});
    let nodes = [
        bounded(node(ROOT, None, "composite", "running"), &of_root),
        // Children first: the order of a store says nothing.
        bounded(node("deep", Some("plan"), "atomic", "queued"), &wide),
        bounded(node("fits", Some("plan"), "atomic", "queued"), &narrow),
        bounded(node("plan", Some(ROOT), "composite", "running"), &of_plan),
        node("bare", Some(ROOT), "composite", "queued"),
        bounded(node("done", Some(ROOT), "atomic", "succeeded"), &wide),
    ];
    let run = run(json!({"extensions": {"constraints": of_run}}));
    let (mut world, changes) = adopted(&stored(&run, &nodes, &[]));
    let denied = json!(["atomic.x"]);
    for (id, depth, effect) in [
        (ROOT, 4, "write"),
        ("bare", 4, "write"),
        ("plan", 2, "read"),
        ("deep", 2, "read"),
        ("fits", 1, "read"),
    ] {
        let expected = json!({"structural": {"max_depth": depth}, "gates": {"side_effect_class": effect},
            "candidates": {"denied_node_type_ids": denied}});
        assert_eq!(world.extension(id, "constraints"), Some(expected.clone()), "{id}");
        assert_eq!(owes_node(&changes, &id.into()), id != "fits", "{id}: in the outbox if changed");
    }
    assert_eq!(world.extension("done", "constraints"), Some(wide.clone()), "an ended node stays as it is");
    assert_eq!(world.extension("deep", "a.b"), Some(json!(1)), "and so does all else");

    assert_eq!(world.dispatch("deep"), BeginOutcome::Failed);
    assert_eq!(world.failure("deep")[0], "node_type_denied");
    assert_eq!(world.create("plan", &[child("c")]).map(|made| made.len()), Ok(1), "depth 2");
    assert!(world.create("bare", &[child("d").with("constraints", wide)]).is_ok());
    assert_eq!(
        world.extension("d", "constraints").map(|own| own["gates"].clone()),
        Some(json!({"side_effect_class": "write"}))
    );
}

#[test]
fn unreadable_constraints_stop_the_execution_below_them() {
    let nonsense = json!({"structural": {"max_depth": "deep"}});
    for (of_run, of_root) in [(nonsense.clone(), json!({})), (json!({}), nonsense)] {
        let nodes = [
            bounded(node(ROOT, None, "composite", "running"), &of_root),
            bounded(node("a", Some(ROOT), "atomic", "queued"), &json!({"structural": {"max_depth": 3}})),
            node("b", Some(ROOT), "atomic", "queued"),
        ];
        let run = run(json!({"extensions": {"constraints": of_run}}));
        let (mut world, _) = adopted(&stored(&run, &nodes, &[]));
        for id in ["a", "b"] {
            assert_eq!(world.dispatch(id), BeginOutcome::Failed, "{id} {of_run} {of_root}");
            assert_eq!(world.failure(id)[0], "constraint_invalid");
        }
    }
}

#[test]
fn constraints_of_the_run_hold_at_dispatch() {
    let mut world = World::new();
    let denied = json!({"candidates": {"denied_node_type_ids": ["atomic.echo"]}});
    let start = json!({"root_node_type_ref": {"node_type_id": "atomic.echo", "version": "1"}});
    world.start(start).expect("a start");
    let run = world.runs.get_mut(&super::super::support::RUN.into()).expect("the run");
    run.run.extensions.get_or_insert_default().insert("constraints".into(), denied);
    let root = world.nodes.get_mut(&ROOT.into()).expect("the root");
    let wide = json!({"candidates": {"denied_node_type_ids": []}});
    root.node.extensions.get_or_insert_default().insert("constraints".into(), wide);
    assert_eq!(world.dispatch(ROOT), BeginOutcome::Failed);
    assert_eq!(world.failure(ROOT)[0], "node_type_denied");
}

#[test]
fn adopted_run_gets_the_bounds_of_new_runs() {
    let mut world = World::new();
    let defaults = json!({"budgets": {"max_steps": 5}});
    world.rules.bounds = Bounds {
        defaults: parse(defaults),
        maxima: parse(json!({"structural": {"max_depth": 3}})),
        ceilings: StructuralConstraints { max_depth: Some(2), ..StructuralConstraints::default() },
    };
    let nodes = [node(ROOT, None, "composite", "running"), node("a", Some(ROOT), "atomic", "queued")];
    let ended = stored(&run(json!({"state": "succeeded"})), &nodes, &[]);
    let bounded = json!({"budgets": {"max_steps": 5}, "structural": {"max_depth": 3}});
    let live = stored(&run(json!({})), &nodes, &[]);
    let of = |stored: &StoredRun| engine::run_adopt(stored.clone(), world.cx()).changes.expect("a change");
    let (changes, ended) = (of(&live), of(&ended).run.expect("the run"));
    let record = changes.run.as_ref().expect("the run");
    let constraints = record.run.extensions.as_ref().and_then(|own| own.get("constraints"));
    assert_eq!(constraints, Some(bounded.clone()));
    assert_eq!(record.ceilings, None, "its depth is limited already");
    world.import(*changes);
    assert_eq!(world.extension("a", "constraints"), Some(bounded));
    assert_eq!((ended.run.extensions, ended.ceilings), (None, None), "a run that has ended stays as it is");
}
