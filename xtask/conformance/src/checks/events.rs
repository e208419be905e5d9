//! The events of a run, and their order (§11).

use serde_json::{Value, json};

use crate::{
    bench::{Bench, Run},
    check::{Check, Need},
    values::{id_of, types},
    verdict::{Verdict, ensure, equal, equal_but_nulls, fail, same_list},
};
use scripted_executor::Behaviour::{Echo, Fail, Hang};

const EXECUTORS: &[Need] = &[Need::Executors];

pub(super) const CHECKS: &[Check] = &[
    Check::new("core/11/atomic-run", "An atomic run has seven events, in order", atomic_run)
        .needs(&[Need::Atomic]),
    Check::new(
        "core/11/composite-run",
        "A two-step composite run has twenty events, in order",
        composite_run,
    )
    .needs(EXECUTORS),
    Check::new("core/11/seq", "seq counts from 1, without gaps, in the order of the stream", seq)
        .needs(&[Need::Atomic]),
    Check::new("core/11/data", "Each event has exactly the data that §11 says", data).needs(EXECUTORS),
    Check::new("core/11/run-level-events", "Events of the run as a whole have no node_run_id", run_level)
        .differs("§11"),
    Check::new(
        "core/11/one-end",
        "However a run ends, it has one run_completed, and it is the last",
        one_end,
    )
    .needs(EXECUTORS)
    .differs("G04"),
    Check::new(
        "core/11/binding-in-events",
        "The events of a bound child have its decision and its set",
        bound,
    )
    .needs(EXECUTORS),
];

const ATOMIC_RUN: [&str; 7] = [
    "run_started",
    "node_run_assigned",
    "policy_decided",
    "policy_decided",
    "node_evaluated",
    "atomic_executed",
    "run_completed",
];

fn atomic_run(b: &Bench) -> Verdict {
    let run = b.atomic(Echo)?;
    let events = b.ended_events(&run)?;
    same_list("the events", &types(&events), &ATOMIC_RUN)
}

/// One child that is bound and succeeds.
fn step(b: &Bench, run: &Run, name: &str) -> Verdict<String> {
    let binding = json!({"subtask_id": name, "candidate_set_id": format!("set {name}"),
        "chosen_node_type_ref": b.atomic_type()});
    let more = json!({"binding_decision": binding, "candidate_set_id": format!("set {name}")});
    let child = id_of(&b.children(run, &[b.atomic_spec(Echo, more)])?[0])?;
    b.node_ended(&child)?;
    Ok(child)
}

fn composite_run(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    for name in ["S1", "S2"] {
        step(b, &run, name)?;
    }
    let report = json!({"evaluation_result": {"status": "success"}});
    b.post(&format!("{}:evaluation", run.root_path()), &report)?.no_content()?;
    b.complete(&run.root, "succeeded")?.no_content()?;
    let step = [
        "composite_decomposed",
        "node_run_assigned",
        "subtask_mapped",
        "candidate_set_generated",
        "policy_decided",
        "node_evaluated",
        "atomic_executed",
    ];
    let start = ["run_started", "node_run_assigned", "policy_decided", "policy_decided"];
    let wanted = [&start[..], &step, &step, &["node_evaluated", "run_completed"]].concat();
    let events = b.ended_events(&run)?;
    same_list("the events", &types(&events), &wanted)
}

fn seq(b: &Bench) -> Verdict {
    let run = b.atomic(Echo)?;
    in_sequence(&b.ended_events(&run)?)
}

pub(super) fn in_sequence(events: &[Value]) -> Verdict {
    let seqs: Vec<u64> = events.iter().filter_map(|event| event["seq"].as_u64()).collect();
    let wanted: Vec<u64> = (1..).take(events.len()).collect();
    same_list("seq", &seqs, &wanted)
}

/// The data of the first event of this type, about this node if given.
fn of(events: &[Value], name: &str, node: Option<&str>) -> Verdict<Value> {
    let found = events
        .iter()
        .find(|event| event["type"] == name && node.is_none_or(|node| event["node_run_id"] == node));
    match found {
        Some(event) => Ok(event["data"].clone()),
        None => fail(format!("no {name} in {:?}", types(events))),
    }
}

fn data(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let child = id_of(&b.children(&run, &[b.atomic_spec(Fail, json!({}))])?[0])?;
    b.node_ended(&child)?;
    b.complete(&run.root, "failed")?.no_content()?;
    let events = b.ended_events(&run)?;
    for (name, node, wanted) in [
        ("run_started", None, json!({"root_node_run_id": run.root})),
        ("node_run_assigned", Some(&run.root), json!({"root": true})),
        ("node_run_assigned", Some(&child), json!({"parent_node_run_id": run.root})),
        ("composite_decomposed", Some(&run.root), json!({"node_run_count": 1})),
        ("node_evaluated", Some(&child), json!({"status": "fail", "reason_code": "atomic_completed"})),
        ("atomic_executed", Some(&child), json!({"state": "failed"})),
        ("run_completed", Some(&run.root), json!({"state": "failed"})),
    ] {
        equal(name, &of(&events, name, node.map(String::as_str))?, &wanted)?;
    }
    Ok(())
}

fn run_level(b: &Bench) -> Verdict {
    let run = b.started(&b.atomic_request(Echo, json!({})))?;
    let events = b.events(&run)?;
    let Some(first) = events.first() else { return fail("no events") };
    equal("the first event", &first["type"], &json!("run_started"))?;
    ensure(first.get("node_run_id").is_none(), || format!("it has a node_run_id: {first}"))
}

fn one_end(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let child = id_of(&b.children(&run, &[b.atomic_spec(Hang, json!({}))])?[0])?;
    b.work(&child)?;
    b.cancel(&run)?;
    // All of these come too late.
    b.executors()?.release(&child);
    b.complete(&child, "failed")?;
    b.complete(&run.root, "succeeded")?;
    b.cancel(&run)?;
    let events = b.events(&run)?;
    let seen = types(&events);
    let ends = seen.iter().filter(|name| **name == "run_completed").count();
    ensure(ends == 1 && seen.last() == Some(&"run_completed"), || format!("{seen:?}"))
}

fn bound(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let child = step(b, &run, "S1")?;
    let loose = b.atomic_spec(Echo, json!({"candidate_set_id": "set 2"}));
    let other = id_of(&b.children(&run, &[loose])?[0])?;
    let events = b.events(&run)?;
    let binding = of(&events, "subtask_mapped", Some(&child))?;
    let wanted =
        json!({"subtask_id": "S1", "candidate_set_id": "set S1", "chosen_node_type_ref": b.atomic_type()});
    equal_but_nulls("subtask_mapped", &binding, &wanted)?;
    let set = of(&events, "candidate_set_generated", Some(&child))?;
    equal("candidate_set_generated", &set, &json!({"candidate_set_id": "set S1", "subtask_id": "S1"}))?;
    let set = of(&events, "candidate_set_generated", Some(&other))?;
    equal("without a binding", &set, &json!({"candidate_set_id": "set 2", "subtask_id": null}))
}
