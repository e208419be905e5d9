//! Constraints (§7): merging, and the lists that dispatch checks.

use serde_json::{Value, json};

use crate::{
    bench::Bench,
    check::{Check, Need},
    values::{id_of, only, own},
    verdict::{Verdict, ensure, equal},
};
use scripted_executor::Behaviour::{Echo, Hang};

const EXECUTORS: &[Need] = &[Need::Executors];

pub(super) const CHECKS: &[Check] = &[
    Check::new("core/7.1/limits-take-the-least", "Of limits and budgets the least holds", least)
        .needs(EXECUTORS),
    Check::new(
        "core/7.1/lists",
        "Allow-lists intersect, deny-lists unite; both sorted, without repeats",
        lists,
    )
    .needs(EXECUTORS),
    Check::new("core/7.1/approval", "An approval that one level requires is required", approval)
        .needs(EXECUTORS),
    Check::new("core/7.1/side-effects", "Of side-effect ceilings the lowest holds (D-04)", side_effects)
        .needs(EXECUTORS)
        .differs("D-04, G11"),
    Check::new("core/7.1/inherited", "What limits the parent limits its children (D-14)", inherited)
        .needs(EXECUTORS)
        .differs("D-14, G10"),
    Check::new("core/7.1/own-limits-hold", "A child's own limits hold for its children", own_limits)
        .needs(EXECUTORS),
    Check::new("core/7.2/denied-type", "A node whose type is denied fails and is never executed", denied)
        .needs(EXECUTORS),
    Check::new("core/7.2/not-allowed-type", "A node whose type is not on the allow-list fails", not_allowed)
        .needs(EXECUTORS),
    Check::new("core/7.2/empty-allow-list", "An empty allow-list forbids everything (D-05)", nothing_allowed)
        .needs(EXECUTORS),
    Check::new(
        "core/7.2/deny-beats-allow",
        "A type on both lists is denied; version does not matter",
        deny_wins,
    )
    .needs(EXECUTORS),
    Check::new("core/7.2/root-too", "The lists hold for the root as well (D-10)", root_denied)
        .needs(EXECUTORS),
];

/// The recorded constraints of a child with these, in a run with those.
fn merged(b: &Bench, run: &Value, child: Value) -> Verdict<Value> {
    let run = b.composite(run.clone())?;
    let node = b.children(&run, &[b.atomic_spec(Hang, only("constraints", child))])?.remove(0);
    Ok(own(&node, "constraints").clone())
}

fn least(b: &Bench) -> Verdict {
    let run = json!({"structural": {"max_depth": 5, "max_total_nodes_per_run": 50},
        "budgets": {"max_cost": 1, "max_steps": 3, "max_wall_time_ms": 600_000}});
    let child = json!({"structural": {"max_depth": 7, "max_children_per_composite": 2},
        "budgets": {"max_cost": 0.5, "max_steps": 9}, "candidates": {"max_candidates_per_subtask": 4}});
    let seen = merged(b, &run, child)?;
    for (part, limit, wanted) in [
        ("structural", "max_depth", json!(5)),
        ("structural", "max_total_nodes_per_run", json!(50)),
        ("structural", "max_children_per_composite", json!(2)),
        ("budgets", "max_cost", json!(0.5)),
        ("budgets", "max_steps", json!(3)),
        ("budgets", "max_wall_time_ms", json!(600_000)),
        ("candidates", "max_candidates_per_subtask", json!(4)),
    ] {
        equal(limit, &seen[part][limit], &wanted)?;
    }
    Ok(())
}

fn lists(b: &Bench) -> Verdict {
    let type_id = |reference: &Value| reference["node_type_id"].as_str().unwrap_or_default().to_owned();
    let (atomic, composite) = (type_id(&b.atomic_type()), type_id(&b.composite_type()));
    let run = json!({"candidates": {"allowed_node_type_ids": [composite, "b", atomic, atomic],
        "denied_node_type_ids": ["y", "x"]}});
    let child = json!({"candidates": {"allowed_node_type_ids": [atomic, "c"], "denied_node_type_ids": ["z", "x", "w"]}});
    let seen = merged(b, &run, child)?;
    equal("allowed", &seen["candidates"]["allowed_node_type_ids"], &json!([atomic]))?;
    equal("denied", &seen["candidates"]["denied_node_type_ids"], &json!(["w", "x", "y", "z"]))
}

fn approval(b: &Bench) -> Verdict {
    let gate = |required: bool| json!({"gates": {"require_approval": required}});
    let seen = merged(b, &gate(false), gate(true))?;
    equal("require_approval", &seen["gates"]["require_approval"], &json!(true))
}

fn side_effects(b: &Bench) -> Verdict {
    let gate = |class: &str| json!({"gates": {"side_effect_class": class}});
    for (run, child) in [("read", "irreversible"), ("write", "read")] {
        // A write ceiling lets a composite begin as well.
        let seen = merged(b, &gate(run), gate(child))?;
        equal("side_effect_class", &seen["gates"]["side_effect_class"], &json!("read"))?;
    }
    Ok(())
}

fn inherited(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let narrow = json!({"constraints": {"candidates": {"denied_node_type_ids": ["conformance.denied"]}}});
    let parent = id_of(&b.children(&run, &[b.composite_spec(narrow)])?[0])?;
    let below = b.children_of(&run, &parent, &[b.atomic_spec(Hang, json!({}))])?.remove(0);
    let denied = &own(&below, "constraints")["candidates"]["denied_node_type_ids"];
    equal("what is denied below", denied, &json!(["conformance.denied"]))
}

fn own_limits(b: &Bench) -> Verdict {
    let run = b.composite(json!({"structural": {"max_children_per_composite": 3}}))?;
    let narrow = json!({"constraints": {"structural": {"max_children_per_composite": 1}}});
    let parent = id_of(&b.children(&run, &[b.composite_spec(narrow)])?[0])?;
    let spec = b.atomic_spec(Hang, json!({}));
    b.create(&run, &parent, &[spec.clone(), spec.clone()])?.refused(409, "constraint_violation")?;
    b.children_of(&run, &parent, &[spec]).map(|_| ())
}

/// Checks that a child with these candidate constraints fails with this code and
/// is not dispatched.
fn fails(b: &Bench, candidates: &Value, code: &str) -> Verdict {
    let run = b.composite(json!({}))?;
    let more = json!({"constraints": {"candidates": candidates}});
    let child = id_of(&b.children(&run, &[b.atomic_spec(Echo, more)])?[0])?;
    never_ran(b, &child, code)
}

fn never_ran(b: &Bench, node: &str, code: &str) -> Verdict {
    let ended = b.node_ended(node)?;
    equal("state", &ended["state"], &json!("failed"))?;
    equal("completion_error.code", &own(&ended, "completion_error")["code"], &json!(code))?;
    let executions = b.executors()?.executions(node);
    ensure(executions == 0, || format!("{node} was executed {executions} times"))
}

fn denied(b: &Bench) -> Verdict {
    let id = &b.atomic_type()["node_type_id"];
    fails(b, &json!({"denied_node_type_ids": ["x", id]}), "node_type_denied")
}

fn not_allowed(b: &Bench) -> Verdict {
    fails(b, &json!({"allowed_node_type_ids": ["conformance.other"]}), "node_type_not_allowed")
}

fn nothing_allowed(b: &Bench) -> Verdict {
    fails(b, &json!({"allowed_node_type_ids": []}), "node_type_not_allowed")
}

fn deny_wins(b: &Bench) -> Verdict {
    let id = &b.atomic_type()["node_type_id"];
    let both = json!({"allowed_node_type_ids": [id], "denied_node_type_ids": [id]});
    fails(b, &both, "node_type_denied")
}

fn root_denied(b: &Bench) -> Verdict {
    let id = &b.atomic_type()["node_type_id"];
    let more = json!({"constraints": {"candidates": {"denied_node_type_ids": [id]}}});
    let run = b.started(&b.atomic_request(Echo, more))?;
    equal("the run's state", &b.run_ended(&run)?["state"], &json!("failed"))?;
    never_ran(b, &run.root, "node_type_denied")
}
