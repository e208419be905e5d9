//! An outage of the Node Registry, during which node kinds are not guessed (D-16).

use jarvis_run_coordinator::types::{NodeRunState, RunState};
use jarvis_stack::{Part, Profile};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{TestStack, echo_type, in_both_profiles, sleep_type};

const AUTO_DISPATCH: &str = "JARVIS_RUN_COORDINATOR_AUTO_DISPATCH";
const PLANNER: &str = "jarvis.composite.planner.general";
const SEED: &str = "JARVIS_NODE_REGISTRY_SEED";

in_both_profiles! {
    registry_outage_refuses_new_types_and_holds_queued_nodes
}

async fn registry_outage_refuses_new_types_and_holds_queued_nodes(profile: Profile) {
    let own = [Part::NodeRegistry, Part::Coordinator, Part::Gateway];
    let mut t = TestStack::beside(profile, &own, |blueprint| {
        // The registry has no types at first. Otherwise the start would learn the kind,
        // and dispatch would make no request.
        let blueprint = blueprint.with(Part::NodeRegistry, SEED, "false");
        blueprint.with(Part::Coordinator, AUTO_DISPATCH, "false")
    });
    let waiting = t.gateway.run_start(&echo_type(), json!({"echo": "at last"})).await;
    let root = t.coordinator.node(&waiting.root_node_run_id).await;
    assert_eq!((root.state, root.kind), (NodeRunState::Queued, None));
    let planner = TestStack::shared(profile)
        .registry()
        .get_node_type(PLANNER, None)
        .await
        .expect("a type")
        .into_inner();
    let publication = serde_json::from_value(json!({"node_type": planner})).expect("a publication");
    t.registry().publish_node_type(&publication).await.expect("it is published");
    let parent = t.gateway.plan("nothing, yet").await;

    t.stop(Part::NodeRegistry);
    let request = json!({"root_node_type_ref": sleep_type(), "input": {}});
    // The gateway passes on our code, but not whether to retry.
    let (status, refusal) = t.gateway.post("/v1/runs", &request).await;
    assert_eq!(
        (status, &refusal["error"]["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("node_registry_unavailable"))
    );
    let (status, refusal) = t.coordinator.post("/v1/runs", &request).await;
    assert_unavailable(status, &refusal);
    let children = json!({
        "run_id": parent.run_id,
        "parent_node_run_id": parent.root_node_run_id,
        "node_runs": [{"node_type_ref": sleep_type(), "inputs": {}}],
    });
    let (status, refusal) = t.coordinator.post("/v1/node-runs", &children).await;
    assert_unavailable(status, &refusal);

    t.set(Part::Coordinator, AUTO_DISPATCH, "true");
    t.start(Part::Coordinator);
    t.logged("the node registry does not answer");
    assert!(!t.coordinator.node(&waiting.root_node_run_id).await.state.is_terminal());
    t.set(Part::NodeRegistry, SEED, "true");
    t.start(Part::NodeRegistry);
    let (run, root, _) = t.coordinator.run_ended(&waiting.run_id).await;
    assert_eq!((run.state, root.state), (RunState::Succeeded, NodeRunState::Succeeded));
    assert_eq!(serde_json::to_value(&root.outputs).expect("JSON"), json!({"echo": "at last"}));
}

#[tokio::test]
async fn known_node_type_needs_no_registry() {
    let mut t = TestStack::embedded_with(&[Part::NodeRegistry, Part::Coordinator], |blueprint| {
        blueprint.with(Part::Coordinator, AUTO_DISPATCH, "false")
    });
    let first = t.coordinator.run_start(&echo_type(), json!({"echo": "one"})).await;
    t.stop(Part::NodeRegistry);
    // The type is in the cache.
    let second = t.coordinator.run_start(&echo_type(), json!({"echo": "two"})).await;
    // A crash empties the cache, but the records have what dispatch needs.
    t.set(Part::Coordinator, AUTO_DISPATCH, "true");
    t.start(Part::Coordinator);
    for run in [first, second] {
        let (run, ..) = t.coordinator.run_ended(&run.run_id).await;
        assert_eq!(run.state, RunState::Succeeded);
    }
}

fn assert_unavailable(status: StatusCode, refusal: &Value) {
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{refusal}");
    let error = &refusal["error"];
    assert_eq!(error["code"], "node_registry_unavailable", "{refusal}");
    assert_eq!(error["retryable"], true, "{refusal}");
    // Errors do not reveal the addresses of services (G45).
    assert!(!refusal.to_string().contains("127.0.0.1"), "{refusal}");
}
