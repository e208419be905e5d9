//! Idempotent children (§8), and the extension keys of the coordinator (§12).

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    bench::{Bench, Run},
    check::{Check, Need},
    executors::inputs,
    values::{count, id_of, ids_of, own, with},
    verdict::{Verdict, ensure, equal, same, same_list},
};
use scripted_executor::Behaviour::{Echo, Hang};

const EXECUTORS: &[Need] = &[Need::Executors];

pub(super) const CHECKS: &[Check] = &[
    Check::new("core/8/derived-id", "A key makes the child's id: SHA-256 of run, parent and key", derived)
        .needs(EXECUTORS),
    Check::new("core/8/replay", "The same spec under the same key is the child that there is", replay)
        .needs(EXECUTORS),
    Check::new(
        "core/8/replay-costs-nothing",
        "A replay emits nothing, is no round and no new child",
        costs_nothing,
    )
    .needs(EXECUTORS),
    Check::new(
        "core/8/replay-is-not-executed",
        "A replay of a child that is over is not executed again",
        not_again,
    )
    .needs(EXECUTORS),
    Check::new("core/8/replay-may-leave-out", "What a replay leaves out is not compared", may_leave_out)
        .needs(EXECUTORS),
    Check::new(
        "core/8/conflicts",
        "Another type, input, binding, set or constraint under a key is 409",
        conflicts,
    )
    .needs(EXECUTORS),
    Check::new("core/8/true-is-not-one", "Inputs are compared as JSON: true is not 1", true_is_not_one)
        .needs(EXECUTORS)
        .differs("§8"),
    Check::new("core/8/runs-share-keys", "Two runs, or two parents, may use the same key", shared)
        .needs(EXECUTORS)
        .differs("G07"),
    Check::new("core/8/twice-in-one-request", "The same key twice in one request is one child", twice)
        .needs(EXECUTORS)
        .differs("G02"),
    Check::new("core/12/unknown-keys-kept", "Extensions of others are copied as they are, nulls kept", kept)
        .needs(EXECUTORS),
    Check::new("core/12/own-keys-not-taken", "Callers cannot write the coordinator's own keys", not_taken)
        .needs(EXECUTORS)
        .differs("G13, D-15"),
];

/// A spec with a key. The checks use the id of their run as the key, which is
/// unique.
fn keyed(b: &Bench, key: &str, more: Value) -> Value {
    b.atomic_spec(Hang, with(json!({ "idempotency_key": key }), more))
}

fn derived(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    for key in [b.fresh("k:1"), b.fresh("Schlüssel")] {
        let seen = id_of(&b.children(&run, &[keyed(b, &key, json!({}))])?[0])?;
        let digest = Sha256::digest(format!("{}:{}:{key}", run.id, run.root));
        let digits = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        same("the child's id", &seen, &format!("node_run_{digits}"))?;
    }
    Ok(())
}

fn replay(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let spec = keyed(b, &run.id, json!({}));
    let first = id_of(&b.children(&run, std::slice::from_ref(&spec))?[0])?;
    b.node_in(&first, "running")?;
    let again = b.children(&run, &[spec])?.remove(0);
    equal("the child", &again, &b.node(&first)?)?;
    equal("its state, as it is now", &again["state"], &json!("running"))
}

fn costs_nothing(b: &Bench) -> Verdict {
    let limits = json!({"structural": {"max_children_per_composite": 1, "max_total_nodes_per_run": 2,
        "max_decomposition_rounds_per_node": 1}});
    let run = b.composite(limits)?;
    let spec = keyed(b, &run.id, json!({}));
    let first = id_of(&b.children(&run, std::slice::from_ref(&spec))?[0])?;
    b.node_in(&first, "running")?;
    let events = b.events(&run)?;
    for _ in 0..3 {
        same("the child", &id_of(&b.children(&run, std::slice::from_ref(&spec))?[0])?, &first)?;
    }
    same_list("the events", &b.events(&run)?, &events)?;
    equal("decomposition_rounds", own(&b.node(&run.root)?, "decomposition_rounds"), &json!(1))
}

fn not_again(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let spec = b.atomic_spec(Echo, json!({"idempotency_key": run.id}));
    let first = id_of(&b.children(&run, std::slice::from_ref(&spec))?[0])?;
    b.node_ended(&first)?;
    let again = b.children(&run, &[spec])?.remove(0);
    equal("the state of the replay", &again["state"], &json!("succeeded"))?;
    // A child that was created later is over: a second execution would have come.
    let later = id_of(&b.children(&run, &[b.atomic_spec(Echo, json!({}))])?[0])?;
    b.node_ended(&later)?;
    same("executions", &b.executors()?.executions(&first), &1)
}

/// A child with all members that are compared.
fn full(b: &Bench, key: &str) -> Value {
    let more = json!({
        "binding_decision": {"subtask_id": "S1", "chosen_node_type_ref": b.atomic_type()},
        "candidate_set_id": "set",
        "constraints": {"budgets": {"max_steps": 3}},
        "extensions": {"conformance.key": 1},
    });
    keyed(b, key, more)
}

fn with_full_child(b: &Bench) -> Verdict<(Run, String)> {
    let run = b.composite(json!({}))?;
    let child = id_of(&b.children(&run, &[full(b, &run.id)])?[0])?;
    Ok((run, child))
}

fn may_leave_out(b: &Bench) -> Verdict {
    let (run, child) = with_full_child(b)?;
    same("the child", &id_of(&b.children(&run, &[keyed(b, &run.id, json!({}))])?[0])?, &child)?;
    let other =
        keyed(b, &run.id, json!({"extensions": {"conformance.key": 2}, "metadata": {"labels": {"a": "b"}}}));
    same("the child", &id_of(&b.children(&run, &[other])?[0])?, &child)
}

fn conflicts(b: &Bench) -> Verdict {
    let (run, child) = with_full_child(b)?;
    let before = b.node_in(&child, "running")?;
    for (more, what) in [
        (json!({"node_type_ref": b.composite_type()}), "for a different NodeTypeRef"),
        (json!({"inputs": {"a": 2}}), "for different inputs"),
        (
            json!({"binding_decision": {"subtask_id": "S2", "chosen_node_type_ref": b.atomic_type()}}),
            "with different binding_decision",
        ),
        (json!({"candidate_set_id": "another"}), "with different candidate_set_id"),
        (json!({"constraints": {"budgets": {"max_steps": 2}}}), "with different constraints"),
    ] {
        let answer = b.create(&run, &run.root, &[keyed(b, &run.id, more)])?;
        answer.says(409, "idempotency_conflict", &format!("Idempotency key already used {what}"))?;
    }
    equal("the child", &b.node(&child)?, &before)
}

fn true_is_not_one(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let inputs = |value: Value| json!({"inputs": with(inputs(Hang), json!({ "x": value }))});
    b.children(&run, &[keyed(b, &run.id, inputs(json!(1)))])?;
    let answer = b.create(&run, &run.root, &[keyed(b, &run.id, inputs(json!(true)))])?;
    answer.refused(409, "idempotency_conflict").map(|_| ())
}

fn shared(b: &Bench) -> Verdict {
    let key = b.fresh("key");
    let mut ids = Vec::new();
    for _ in 0..2 {
        let run = b.composite(json!({}))?;
        let inner = id_of(&b.children(&run, &[b.composite_spec(json!({}))])?[0])?;
        for parent in [&run.root, &inner] {
            ids.extend(ids_of(&b.children_of(&run, parent, &[keyed(b, &key, json!({}))])?)?);
        }
    }
    ids.sort();
    ids.dedup();
    same("children under one key", &ids.len(), &4)
}

fn twice(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let spec = keyed(b, &run.id, json!({}));
    let ids = ids_of(&b.children(&run, &[spec.clone(), spec])?)?;
    ensure(ids.len() == 2 && ids[0] == ids[1], || format!("{ids:?}"))?;
    b.work(&ids[0])?;
    let seen = count(&b.events(&run)?, "node_run_assigned");
    same("times node_run_assigned, with the root's", &seen, &2)?;
    same("executions", &b.executors()?.executions(&ids[0]), &1)
}

fn kept(b: &Bench) -> Verdict {
    let extensions = json!({"conformance.deep": {"x": null, "y": [1, {}]}, "undotted": true});
    let run = b.composite_with(json!({ "extensions": extensions }))?;
    let child = b.children(&run, &[b.atomic_spec(Hang, json!({ "extensions": extensions }))])?.remove(0);
    for object in [b.run(&run)?, b.node(&run.root)?, child] {
        for key in ["conformance.deep", "undotted"] {
            equal(key, &object["extensions"][key], &extensions[key])?;
        }
    }
    Ok(())
}

fn not_taken(b: &Bench) -> Verdict {
    let forged = json!({"decomposition_rounds": -5, "idempotency_key": "x", "completion_error": "abc"});
    let constraints = json!({"structural": {"max_decomposition_rounds_per_node": 1}});
    let run = b.composite_with(json!({"extensions": forged, "constraints": constraints}))?;
    let spec = b.atomic_spec(Hang, json!({ "extensions": forged }));
    let child = b.children(&run, std::slice::from_ref(&spec))?.remove(0);
    for key in ["idempotency_key", "completion_error"] {
        equal(key, own(&child, key), &Value::Null)?;
    }
    equal("decomposition_rounds", own(&b.node(&run.root)?, "decomposition_rounds"), &json!(1))?;
    b.create(&run, &run.root, &[spec])?.refused(409, "constraint_violation").map(|_| ())
}
