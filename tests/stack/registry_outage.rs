//! The Node Registry goes away and comes back: nobody guesses meanwhile (D-16).

use jarvis_run_coordinator::model::{NodeRunState, RunState};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Coordinator, Service, Surroundings, echo_type, sleep_type};

#[tokio::test]
async fn without_the_registry_nothing_unknown_begins_and_what_waits_goes_on_with_it() {
    // It knows no types at first. With its types it would tell the kind at the
    // start of the run, and dispatch had nothing to ask.
    let registry = Service::registry(0, false).await;
    let mut around = Surroundings::new().await;
    around.registry = registry.url.clone();
    let t = Coordinator::start_with(around, &[("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "false")]).await;
    let waiting = t.run_start(&echo_type(), json!({"echo": "at last"})).await;
    let root = t.root(&waiting.root_node_run_id).await;
    assert_eq!((root.state, root.kind), (NodeRunState::Queued, None));
    let composite = json!({"node_type_id": "composite.plan", "version": "1"});
    let parent = t.run_start(&composite, json!({})).await;

    let port = registry.port;
    drop(registry);
    let (status, refusal) =
        t.post("/v1/runs", &json!({"root_node_type_ref": sleep_type(), "input": {}})).await;
    assert_unavailable(status, &refusal);
    let children = json!({
        "run_id": parent.run_id,
        "parent_node_run_id": parent.root_node_run_id,
        "node_runs": [{"node_type_ref": sleep_type(), "inputs": {}}],
    });
    let (status, refusal) = t.post("/v1/node-runs", &children).await;
    assert_unavailable(status, &refusal);

    let t = Coordinator::start_with(t.kill(), &[]).await;
    t.logged("dispatch put off: the node registry does not answer").await;
    assert!(!t.root(&waiting.root_node_run_id).await.state.is_terminal());
    let _registry = Service::registry(port, true).await;
    let (run, root, _) = t.run_ended(&waiting.run_id).await;
    assert_eq!((run.state, root.state), (RunState::Succeeded, NodeRunState::Succeeded));
    assert_eq!(serde_json::to_value(&root.outputs).expect("JSON"), json!({"echo": "at last"}));
}

#[tokio::test]
async fn what_is_known_already_needs_no_registry() {
    let registry = Service::registry(0, true).await;
    let mut around = Surroundings::new().await;
    around.registry = registry.url.clone();
    let t = Coordinator::start_with(around, &[("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "false")]).await;
    let first = t.run_start(&echo_type(), json!({"echo": "one"})).await;
    drop(registry);
    // The type is remembered.
    let second = t.run_start(&echo_type(), json!({"echo": "two"})).await;
    // It is forgotten in a crash, but the records say what dispatch must know.
    let t = Coordinator::start_with(t.kill(), &[]).await;
    for run in [first, second] {
        let (run, ..) = t.run_ended(&run.run_id).await;
        assert_eq!(run.state, RunState::Succeeded);
    }
}

fn assert_unavailable(status: StatusCode, refusal: &Value) {
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{refusal}");
    let error = &refusal["error"];
    assert_eq!(error["code"], "node_registry_unavailable", "{refusal}");
    assert_eq!(error["retryable"], true, "{refusal}");
    // Where our services are is nobody's business (G45).
    assert!(!refusal.to_string().contains("127.0.0.1"), "{refusal}");
}
