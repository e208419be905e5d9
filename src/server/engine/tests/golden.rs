//! The event log of a composite run with two steps, in the order of the
//! contract's drawing (§2). `EXPECTORATE=overwrite` updates it; read the diff.

use serde_json::{Value, json};

use super::support::{Child, ROOT, RUN, World, child, node_type};
use crate::types::{NodeRunState, RunState};

/// A step as the composite executor asks for it (§21.2).
fn step(id: &str, number: u32) -> Child {
    let (subtask, set) = (format!("S{number}"), format!("set-{number}"));
    let binding = json!({"subtask_id": subtask, "candidate_set_id": set, "rationale": "the best",
        "chosen_node_type_ref": node_type("atomic.echo")});
    child(id).with("binding_decision", binding).with("candidate_set_id", json!(set))
}

#[test]
fn composite_run_has_events_in_the_order_of_the_contract() {
    let mut world = World::new();
    world.start(Value::Null).expect("a start");
    world.dispatch(ROOT);
    for (id, number) in [("step-1", 1), ("step-2", 2)] {
        world.create(ROOT, &[step(id, number)]).expect("a step");
        world.dispatch(id);
        world.answer(id, NodeRunState::Succeeded);
    }
    let judged = json!({"status": "success", "reason_code": "composite_evaluation"});
    world.evaluate(ROOT, json!({ "evaluation_result": judged }));
    world
        .complete(ROOT, json!({"state": "succeeded", "outputs": {"child_node_runs": []}}))
        .expect("completed");

    let types: Vec<String> = world.events.iter().map(|event| event.event.type_.to_string()).collect();
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
    let end = ["node_evaluated", "run_completed"];
    assert_eq!(types, [&start[..], &step, &step, &end].concat());
    assert_eq!((types.len(), world.run().run.state), (20, RunState::Succeeded));

    let lines = world.events.iter().map(|event| {
        assert_eq!(event.event.run_id.as_str(), RUN);
        serde_json::to_string(&event.event).expect("serializes") + "\n"
    });
    expectorate::assert_contents("tests/output/composite-run.ndjson", &lines.collect::<String>());
}
