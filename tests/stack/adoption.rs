//! Our program replaces the Python coordinator while runs are under way: it has the same
//! stores and the same port, and an empty journal.

use jarvis_run_coordinator::types::{NodeRunState, RunEvent, RunId, RunState};
use jarvis_stack::{Coordinator, Part, Profile};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    plans::TWO_STEPS,
    support::{TestStack, echo_type, in_both_profiles, sleep_type, soon, types, until},
};

in_both_profiles! {
    adopted_finished_run_is_answered_as_before
    adopted_step_at_its_executor_is_a_lost_attempt
}

/// A stack with the Python coordinator.
fn python(profile: Profile) -> TestStack {
    TestStack::beside(profile, &[Part::Coordinator, Part::Gateway], |mut blueprint| {
        blueprint.coordinator = Coordinator::Python;
        blueprint
    })
}

/// The state of a run in the Run Store, and its events in the Event Stream.
async fn stored(t: &TestStack, run: &RunId) -> (Value, Vec<RunEvent>) {
    let get = async |part, path: String| {
        let answer = t.caller(part).request(Method::GET, &path).send().await.expect("an answer");
        answer.text().await.expect("a body")
    };
    let run_store = get(Part::RunStore, format!("/v1/runs/{run}")).await;
    let run_store: Value = serde_json::from_str(&run_store).expect("JSON");
    let events = get(Part::EventStream, format!("/v1/runs/{run}/events")).await;
    let events = events.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    (run_store["run"]["state"].clone(), events)
}

async fn adopted_finished_run_is_answered_as_before(profile: Profile) {
    let mut t = python(profile);
    let run = t.coordinator.run_start(&echo_type(), json!({"echo": "hello"})).await;
    let before = until("the end of the run", async || {
        let (state, events) = stored(&t, &run.run_id).await;
        (state == "succeeded" && events.len() == 7).then_some(events)
    })
    .await;
    let root = t.coordinator.node(&run.root_node_run_id).await;

    t.replace_coordinator();
    let (run, root_now, events) = t.coordinator.run_ended(&run.run_id).await;
    assert_eq!((run.state, &root_now), (RunState::Succeeded, &root));
    assert_eq!(events, before);
    t.copies_agree(&run.run_id).await;
    let again = json!({"run_id": run.run_id, "root_node_type_ref": echo_type(), "input": {}});
    let (status, answer) = t.coordinator.post("/v1/runs", &again).await;
    assert_eq!((status.as_u16(), &answer["error"]["code"]), (409, &json!("run_already_exists")));
}

async fn adopted_step_at_its_executor_is_a_lost_attempt(profile: Profile) {
    let mut t = python(profile);
    let run = t.coordinator.run_start(&sleep_type(), json!({"seconds": 2, "duration_seconds": null})).await;
    t.executor_has(&run.root_node_run_id);

    t.replace_coordinator();
    assert_eq!(t.coordinator.run(&run.run_id).await.state, RunState::Running);
    let (run, root, events) = t.coordinator.run_ended(&run.run_id).await;
    assert_eq!((run.state, root.state), (RunState::Succeeded, NodeRunState::Succeeded));
    // According to the registry its type only reads: it may be executed again.
    t.executed(&root.node_run_id, 2);
    let types = types(&events);
    for once in ["run_started", "node_evaluated", "atomic_executed", "run_completed"] {
        assert_eq!(types.iter().filter(|name| *name == once).count(), 1, "{once}: {types:?}");
    }
    t.copies_agree(&run.run_id).await;
}

/// In the profile without tokens only: the Python coordinator gives the Composite
/// Executor no token, so a plan fails where tokens are required.
#[tokio::test]
async fn plan_under_way_is_adopted_by_its_executors_polls() {
    let mut t = python(Profile::DevInsecure);
    let run = t.coordinator.plan("echo one; sleep 2").await;
    let step = t.executes(&run.run_id, "jarvis.core.sleep");
    t.said(Part::CompositeExecutor, "HTTP Request: GET", &step);

    // Only the Composite Executor makes requests.
    t.replace_coordinator();
    t.logged("run adopted from the Run Store");
    let (run, root, events) = soon("the plan", t.coordinator.run_ended(&run.run_id)).await;
    assert_eq!((run.state, root.state), (RunState::Succeeded, NodeRunState::Succeeded));
    let mut expected = TWO_STEPS.to_vec();
    // The attempt at the second step is lost.
    let again = expected.len() - 4;
    expected.splice(again..again, ["recovery_applied", "policy_decided"]);
    assert_eq!(types(&events), expected);
    // The type of the step only reads.
    t.executed(&step, 2);
    t.copies_agree(&run.run_id).await;
}
