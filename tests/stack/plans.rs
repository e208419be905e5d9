//! Composites: the real Composite Executor plans, selects, and calls the coordinator,
//! with its assignment token where tokens are required.

use std::collections::BTreeSet;

use jarvis_run_coordinator::types::{NodeKind, NodeRunState, RunId, RunState};
use jarvis_stack::{Part, Profile};
use serde_json::{Value, json};

use crate::support::{TestStack, in_both_profiles, types};

in_both_profiles! {
    plan_of_two_steps_succeeds
    step_may_be_a_plan_of_its_own
    arp_jarvis_starts_a_plan_and_prints_each_event_once
    canceled_plan_stops_at_both_executors
}

/// The events of a plan of two steps (contract §2).
pub const TWO_STEPS: [&str; 20] = [
    "run_started",
    "node_run_assigned",
    "policy_decided",
    "policy_decided",
    // The first step.
    "composite_decomposed",
    "node_run_assigned",
    "subtask_mapped",
    "candidate_set_generated",
    "policy_decided",
    "node_evaluated",
    "atomic_executed",
    // The second step.
    "composite_decomposed",
    "node_run_assigned",
    "subtask_mapped",
    "candidate_set_generated",
    "policy_decided",
    "node_evaluated",
    "atomic_executed",
    "node_evaluated",
    "run_completed",
];

async fn plan_of_two_steps_succeeds(profile: Profile) {
    let t = TestStack::shared(profile);
    let run = t.gateway.plan("echo one; echo two").await;
    assert_eq!(run.state, RunState::Running);
    let (run, root, events) = t.coordinator.run_ended(&run.run_id).await;
    assert_eq!((run.state, root.state), (RunState::Succeeded, NodeRunState::Succeeded));
    assert_eq!(root.kind, Some(NodeKind::Composite));
    assert_eq!(types(&events), TWO_STEPS);
    assert_eq!(
        steps(&root.outputs),
        [("succeeded", json!({"echo": "one"})), ("succeeded", json!({"echo": "two"}))]
            .map(|(state, outputs)| (state.to_owned(), outputs))
    );
    assert_eq!(t.gateway.run(&run.run_id).await.state, RunState::Succeeded);
    t.copies_agree(&run.run_id).await;
}

async fn step_may_be_a_plan_of_its_own(profile: Profile) {
    let t = TestStack::shared(profile);
    let run = t.gateway.plan("echo one; echo two and echo three").await;
    let (run, root, events) = t.coordinator.run_ended(&run.run_id).await;
    assert_eq!((run.state, root.state), (RunState::Succeeded, NodeRunState::Succeeded));
    let nodes: BTreeSet<_> = events.iter().filter_map(|event| event.node_run_id.clone()).collect();
    assert_eq!(nodes.len(), 5, "two composites, three steps");
    let [_, (state, inner)] = steps(&root.outputs).try_into().expect("two steps");
    assert_eq!(state, "succeeded");
    assert_eq!(inner["planner_summary"], "2 steps", "{inner}");
    t.copies_agree(&run.run_id).await;
}

async fn arp_jarvis_starts_a_plan_and_prints_each_event_once(profile: Profile) {
    let t = TestStack::shared(profile);
    let started = t.cli(&["--json", "runs", "start", "--goal", "echo one; echo two"]).await;
    let started: Value = serde_json::from_str(&started).expect("JSON");
    let run: RunId = serde_json::from_value(started["run"]["run_id"].clone()).expect("an id");
    let (run, _, events) = t.coordinator.run_ended(&run).await;
    let id = run.run_id.as_str();
    let printed = t.cli(&["runs", "events", id]).await;
    let printed: Vec<Value> =
        printed.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    let ours: Vec<Value> = events.iter().map(|event| serde_json::to_value(event).expect("JSON")).collect();
    assert_eq!(printed, ours);
    assert_eq!(types(&events), TWO_STEPS);
    let got = t.cli(&["runs", "get", id]).await;
    assert!(got.contains("state: succeeded"), "{got}");
}

async fn canceled_plan_stops_at_both_executors(profile: Profile) {
    let t = TestStack::shared(profile);
    let run = t.gateway.plan("sleep 600; echo never").await;
    let root = run.root_node_run_id.clone();
    let child = t.executes(&run.run_id, "jarvis.core.sleep");

    let canceled = t.gateway.cancel(&run.run_id).await;
    assert_eq!(canceled.state, RunState::Canceled);
    t.said(Part::AtomicExecutor, "Atomic execute canceled", &child);
    t.said(Part::CompositeExecutor, "Composite cancel requested", &root);
    let (run, root, events) = t.coordinator.run_ended(&run.run_id).await;
    assert_eq!((run.state, root.state), (RunState::Canceled, NodeRunState::Canceled));
    let child = t.coordinator.node(&child).await;
    assert_eq!(child.state, NodeRunState::Canceled);
    let types = types(&events);
    assert_eq!(types.iter().filter(|name| *name == "run_completed").count(), 1, "{types:?}");
    assert_eq!(types.iter().filter(|name| *name == "composite_decomposed").count(), 1, "{types:?}");
    t.copies_agree(&run.run_id).await;
}

/// The state and outputs of each step, in the summary of the Composite Executor.
fn steps<T: serde::Serialize>(outputs: &T) -> Vec<(String, Value)> {
    let outputs = serde_json::to_value(outputs).expect("JSON");
    let steps = outputs["child_node_runs"].as_array().cloned().unwrap_or_default();
    steps
        .iter()
        .map(|step| (step["state"].as_str().unwrap_or_default().to_owned(), step["outputs"].clone()))
        .collect()
}
