//! Creating children (§6.6).

use serde_json::{Value, json};

use crate::{
    bench::Bench,
    check::{Check, Need},
    executors::inputs,
    http::Answer,
    values::{count, id_of, ids_of, nodes_of, only, own},
    verdict::{Verdict, ensure, equal, equal_but_nulls, same_list},
};
use scripted_executor::Behaviour::{Echo, Hang};

const EXECUTORS: &[Need] = &[Need::Executors];

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "core/6.6/child-as-asked",
        "A child has what its spec says, its parent and its run",
        child_as_asked,
    )
    .needs(EXECUTORS),
    Check::new(
        "core/6.6/children-in-request-order",
        "Children are answered in request order, replays among them",
        order,
    )
    .needs(EXECUTORS)
    .differs("D-13"),
    Check::new("core/6.6/extensions-echoed", "The request's extensions come back in the answer", echoed)
        .needs(EXECUTORS),
    Check::new("core/6.6/at-least-one", "A create without specs is 400", at_least_one),
    Check::new("core/6.6/run-first", "An unknown run answers before an unknown parent", run_first),
    Check::new("core/6.6/parent-must-exist", "An unknown parent is 404", parent_exists),
    Check::new("core/6.6/parent-of-this-run", "A parent of another run is 409", parent_of_run)
        .needs(EXECUTORS),
    Check::new("core/6.6/parent-must-be-composite", "An atomic parent is 409", parent_composite)
        .needs(EXECUTORS),
    Check::new("core/6.6/run-over", "Children of a run that is over are 409 run_terminal", run_over)
        .needs(EXECUTORS)
        .differs("G04, D-06"),
    Check::new("core/6.6/parent-over", "Children of a NodeRun that is over are 409", parent_over)
        .needs(EXECUTORS)
        .differs("G04, D-06"),
    Check::new("core/6.6/max-depth", "max_depth holds, counted from 0 at the root", max_depth)
        .needs(EXECUTORS),
    Check::new("core/6.6/max-children", "max_children_per_composite holds over requests", max_children)
        .needs(EXECUTORS),
    Check::new("core/6.6/max-nodes", "max_total_nodes_per_run counts the root too", max_nodes)
        .needs(EXECUTORS),
    Check::new("core/6.6/max-rounds", "A round is a request, however many children it has", max_rounds)
        .needs(EXECUTORS),
    Check::new(
        "core/6.6/limits-in-order",
        "Of several limits the first of the table answers",
        limits_in_order,
    )
    .needs(EXECUTORS),
    Check::new("core/6.6/all-or-none", "One spec too many, and none of the request is created", all_or_none)
        .needs(EXECUTORS),
    Check::new("core/6.6/refused-leaves-no-trace", "A refused create leaves no event and no round", no_trace)
        .needs(EXECUTORS)
        .differs("G08"),
    Check::new("core/6.6/binding-agrees", "A binding decision about something else is 409", binding)
        .needs(EXECUTORS)
        .differs("G20"),
    Check::new("core/6.7/node-run", "A NodeRun is read as it was created, until it changes", read_node)
        .needs(EXECUTORS),
];

fn child_as_asked(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let set = b.fresh("set");
    let binding = json!({"subtask_id": "S1", "candidate_set_id": set, "chosen_node_type_ref": b.atomic_type(),
        "rationale": "it fits"});
    let more = json!({"binding_decision": binding, "extensions": {"conformance.key": [null]}});
    let child = b.children(&run, &[b.atomic_spec(Hang, more)])?.remove(0);
    for (member, wanted) in [
        ("run_id", json!(run.id)),
        ("parent_node_run_id", json!(run.root)),
        ("kind", json!("atomic")),
        ("state", json!("queued")),
        ("inputs", inputs(Hang)),
    ] {
        equal(member, &child[member], &wanted)?;
    }
    equal_but_nulls("node_type_ref", &child["node_type_ref"], &b.atomic_type())?;
    equal_but_nulls("binding_decision", own(&child, "binding_decision"), &binding)?;
    equal("candidate_set_id", own(&child, "candidate_set_id"), &json!(set))?;
    equal("the extension", &child["extensions"]["conformance.key"], &json!([null]))
}

fn order(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let keyed = |index: usize| {
        b.atomic_spec(
            Hang,
            json!({"idempotency_key": format!("{} {index}", run.id), "extensions": {"conformance.index": index}}),
        )
    };
    b.children(&run, &[keyed(1), keyed(3)])?;
    let specs: Vec<Value> = (0..5).map(keyed).collect();
    let nodes = b.children(&run, &specs)?;
    let indexes: Vec<Value> =
        nodes.iter().map(|node| node["extensions"]["conformance.index"].clone()).collect();
    same_list("the children", &indexes, &[json!(0), json!(1), json!(2), json!(3), json!(4)])
}

fn echoed(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let body = json!({"run_id": run.id, "parent_node_run_id": run.root, "extensions": {"conformance.key": {"x": null}},
        "node_runs": [b.atomic_spec(Echo, json!({}))]});
    let answer = b.post("/v1/node-runs", &body)?;
    equal("extensions", &answer.ok()?["extensions"]["conformance.key"], &json!({"x": null}))
}

fn at_least_one(b: &Bench) -> Verdict {
    let body = json!({"run_id": "x", "parent_node_run_id": "y", "node_runs": []});
    b.post("/v1/node-runs", &body)?.refused(400, "invalid_request").map(|_| ())
}

/// Creates a child where none can be created.
fn create(b: &Bench, run: &str, parent: &str) -> Verdict<Answer> {
    let specs = json!([b.atomic_spec(Echo, json!({}))]);
    b.post("/v1/node-runs", &json!({"run_id": run, "parent_node_run_id": parent, "node_runs": specs}))
}

fn run_first(b: &Bench) -> Verdict {
    let id = b.fresh("nowhere");
    create(b, &id, "unknown")?.says(404, "run_not_found", &format!("Run '{id}' not found"))
}

fn parent_exists(b: &Bench) -> Verdict {
    let run = b.started(&b.composite_request(json!({})))?;
    let id = b.fresh("unknown");
    let message = format!("Parent NodeRun '{id}' not found");
    create(b, &run.id, &id)?.says(404, "parent_node_run_not_found", &message)
}

fn parent_of_run(b: &Bench) -> Verdict {
    let (run, other) = (b.composite(json!({}))?, b.composite(json!({}))?);
    let message = "Parent NodeRun does not belong to the requested run";
    create(b, &run.id, &other.root)?.says(409, "parent_node_run_mismatch", message)
}

fn parent_composite(b: &Bench) -> Verdict {
    let run = b.atomic(Hang)?;
    b.work(&run.root)?;
    let message = "Parent NodeRun must be composite to create child NodeRuns";
    create(b, &run.id, &run.root)?.says(409, "parent_node_run_invalid", message)
}

fn run_over(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    b.cancel(&run)?;
    create(b, &run.id, &run.root)?.refused(409, "run_terminal").map(|_| ())
}

fn parent_over(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let parent = id_of(&b.children(&run, &[b.composite_spec(json!({}))])?[0])?;
    b.complete(&parent, "succeeded")?.no_content()?;
    create(b, &run.id, &parent)?.refused(409, "parent_node_run_terminal").map(|_| ())
}

fn structural(limits: Value) -> Value {
    only("structural", limits)
}

fn violated(limit: &str) -> String {
    let of = if limit == "max_depth" { " for child NodeRuns" } else { "" };
    format!("{limit} constraint violated{of}")
}

fn max_depth(b: &Bench) -> Verdict {
    let run = b.composite(structural(json!({"max_depth": 1})))?;
    let child = id_of(&b.children(&run, &[b.composite_spec(json!({}))])?[0])?;
    let refused = b.create(&run, &child, &[b.atomic_spec(Echo, json!({}))])?;
    refused.says(409, "constraint_violation", &violated("max_depth"))
}

fn max_children(b: &Bench) -> Verdict {
    let run = b.composite(structural(json!({"max_children_per_composite": 3})))?;
    let spec = b.atomic_spec(Hang, json!({}));
    b.children(&run, &[spec.clone(), spec.clone()])?;
    let two = b.create(&run, &run.root, &[spec.clone(), spec.clone()])?;
    two.says(409, "constraint_violation", &violated("max_children_per_composite"))?;
    b.children(&run, &[spec]).map(|_| ())
}

fn max_nodes(b: &Bench) -> Verdict {
    let run = b.composite(structural(json!({"max_total_nodes_per_run": 3})))?;
    let inner = id_of(&b.children(&run, &[b.composite_spec(json!({}))])?[0])?;
    let spec = b.atomic_spec(Hang, json!({}));
    b.children_of(&run, &inner, std::slice::from_ref(&spec))?;
    for parent in [&run.root, &inner] {
        let refused = b.create(&run, parent, std::slice::from_ref(&spec))?;
        refused.says(409, "constraint_violation", &violated("max_total_nodes_per_run"))?;
    }
    Ok(())
}

fn max_rounds(b: &Bench) -> Verdict {
    let run = b.composite(structural(json!({"max_decomposition_rounds_per_node": 2})))?;
    let spec = b.atomic_spec(Hang, json!({}));
    for round in 1..=2 {
        b.children(&run, &[spec.clone(), spec.clone()])?;
        equal("decomposition_rounds", own(&b.node(&run.root)?, "decomposition_rounds"), &json!(round))?;
    }
    let third = b.create(&run, &run.root, &[spec])?;
    third.says(409, "constraint_violation", &violated("max_decomposition_rounds_per_node"))
}

fn limits_in_order(b: &Bench) -> Verdict {
    let mut limits = json!({"max_depth": 0, "max_children_per_composite": 0, "max_total_nodes_per_run": 1,
        "max_decomposition_rounds_per_node": 0});
    // Each step lifts the limit that answered before.
    for limit in [
        "max_depth",
        "max_children_per_composite",
        "max_total_nodes_per_run",
        "max_decomposition_rounds_per_node",
    ] {
        let run = b.composite(structural(limits.clone()))?;
        let refused = b.create(&run, &run.root, &[b.atomic_spec(Echo, json!({}))])?;
        refused.says(409, "constraint_violation", &violated(limit))?;
        limits[limit] = json!(9);
    }
    Ok(())
}

fn all_or_none(b: &Bench) -> Verdict {
    let run = b.composite(structural(json!({"max_children_per_composite": 2})))?;
    let spec = b.atomic_spec(Hang, json!({}));
    b.create(&run, &run.root, &[spec.clone(), spec.clone(), spec.clone()])?
        .refused(409, "constraint_violation")?;
    // There is still room for both.
    let nodes = nodes_of(&b.create(&run, &run.root, &[spec.clone(), spec])?)?;
    ensure(ids_of(&nodes)?.len() == 2, || format!("{nodes:?}"))
}

fn no_trace(b: &Bench) -> Verdict {
    let run = b.composite(structural(json!({"max_decomposition_rounds_per_node": 1})))?;
    let spec = b.atomic_spec(Hang, json!({}));
    b.children(&run, std::slice::from_ref(&spec))?;
    b.create(&run, &run.root, &[spec])?.refused(409, "constraint_violation")?;
    let events = b.events(&run)?;
    let seen = count(&events, "composite_decomposed");
    ensure(seen == 1, || format!("{seen} times composite_decomposed after one accepted create"))?;
    equal("decomposition_rounds", own(&b.node(&run.root)?, "decomposition_rounds"), &json!(1))
}

fn binding(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let chosen = |chosen: Value, set: &str| {
        json!({"candidate_set_id": "set", "binding_decision":
        {"subtask_id": "S1", "chosen_node_type_ref": chosen, "candidate_set_id": set}})
    };
    for more in [chosen(b.composite_type(), "set"), chosen(b.atomic_type(), "another")] {
        b.create(&run, &run.root, &[b.atomic_spec(Echo, more)])?.refused(409, "binding_mismatch")?;
    }
    Ok(())
}

fn read_node(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let child = b.children(&run, &[b.atomic_spec(Hang, json!({}))])?.remove(0);
    let read = b.node(&id_of(&child)?)?;
    for member in
        ["node_run_id", "run_id", "parent_node_run_id", "node_type_ref", "inputs", "created_at", "kind"]
    {
        equal(member, &read[member], &child[member])?;
    }
    Ok(())
}
