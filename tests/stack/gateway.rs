//! Atomic runs through the real Run Gateway.

use jarvis_run_coordinator::types::{NodeRunState, RunState};
use jarvis_stack::{Part, Profile};
use reqwest::StatusCode;
use serde_json::json;

use crate::support::{TestStack, echo_type, in_both_profiles, sleep_type, types};

in_both_profiles! {
    atomic_run_succeeds_through_the_gateway
    cancel_through_the_gateway_stops_the_executor
}

async fn atomic_run_succeeds_through_the_gateway(profile: Profile) {
    let t = TestStack::shared(profile);
    let run = t.gateway.run_start(&echo_type(), json!({"echo": "hello"})).await;
    let (run, root, events) = t.coordinator.run_ended(&run.run_id).await;
    assert_eq!((run.state, root.state), (RunState::Succeeded, NodeRunState::Succeeded));
    assert_eq!(serde_json::to_value(&root.outputs).expect("JSON"), json!({"echo": "hello"}));
    assert_eq!(types(&events), crate::runs::ATOMIC_RUN);
    t.executed(&root.node_run_id, 1);
    assert_eq!(t.gateway.run(&run.run_id).await, run);
    t.copies_agree(&run.run_id).await;
}

async fn cancel_through_the_gateway_stops_the_executor(profile: Profile) {
    let t = TestStack::shared(profile);
    let run = t.gateway.run_start(&sleep_type(), json!({"seconds": 600, "duration_seconds": null})).await;
    let root = run.root_node_run_id.clone();
    t.executor_has(&root);

    let canceled = t.gateway.cancel(&run.run_id).await;
    assert_eq!(canceled.state, RunState::Canceled);
    t.said(Part::AtomicExecutor, "Atomic execute canceled", &root);
    let (run, root, events) = t.coordinator.run_ended(&run.run_id).await;
    assert_eq!((run.state, root.state), (RunState::Canceled, NodeRunState::Canceled));
    assert_eq!(types(&events).iter().filter(|name| *name == "run_completed").count(), 1);
    t.copies_agree(&run.run_id).await;
}

#[tokio::test]
async fn requests_without_a_valid_token_are_refused() {
    let t = TestStack::shared(Profile::Jwt);
    let request = json!({"root_node_type_ref": echo_type(), "input": {"echo": "hello"}});
    for caller in [&t.gateway, &t.coordinator] {
        let (status, refusal) = caller.anonymous().post("/v1/runs", &request).await;
        assert_eq!((status, &refusal["error"]["code"]), (StatusCode::UNAUTHORIZED, &json!("unauthorized")));
        // A token for another audience is refused, too.
        let other = t.caller(Part::RunStore).at(&caller.url);
        let (status, refusal) = other.post("/v1/runs", &request).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(refusal["error"]["message"], "Invalid token audience");
    }
}
