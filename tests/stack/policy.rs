//! The real Policy Decision Point decides, and nobody in its place.

use jarvis_run_coordinator::model::{RunEventType, RunState};
use serde_json::{Value, json};

use crate::support::{Coordinator, Service, Surroundings, completion_error, echo_type};

#[tokio::test]
async fn the_pdp_decides_and_its_absence_is_a_no() {
    let pdp = Service::pdp(0, "dev-allow").await;
    // Our own profile allows everything, but counts only without a PDP.
    let t = Coordinator::start_with(Surroundings::new().await, &[("JARVIS_PDP_URL", &pdp.url)]).await;
    let (state, error, decisions) = run(&t).await;
    assert_eq!((state, &error), (RunState::Succeeded, &Value::Null));
    assert_eq!(decisions, ["run.start allow dev_allow", "node.run.execute allow dev_allow"]);

    let port = pdp.port;
    drop(pdp);
    let (state, error, decisions) = run(&t).await;
    assert_eq!((state, &error["code"]), (RunState::Failed, &json!("policy_denied")));
    assert_eq!(decisions, ["run.start deny pdp_unavailable"]);

    let _pdp = Service::pdp(port, "").await;
    let (state, error, decisions) = run(&t).await;
    assert_eq!((state, &error["code"]), (RunState::Failed, &json!("policy_denied")));
    assert_eq!(decisions, ["run.start deny policy_unconfigured"]);
}

/// How a run ended, and the policy decisions on its way.
async fn run(t: &Coordinator) -> (RunState, Value, Vec<String>) {
    let run = t.run_start(&echo_type(), json!({"echo": "hello"})).await;
    let (run, root, events) = t.run_ended(&run.run_id).await;
    let decisions = events
        .iter()
        .filter(|event| event.type_ == RunEventType::PolicyDecided)
        .map(|event| {
            let data = serde_json::to_value(&event.data).expect("JSON");
            let word = |name: &str| data[name].as_str().unwrap_or("-").to_owned();
            [word("action"), word("decision"), word("reason_code")].join(" ")
        })
        .collect();
    (run.state, completion_error(&root), decisions)
}
