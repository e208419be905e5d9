//! The real Policy Decision Point decides, and nobody in its place.

use std::fs;

use jarvis_run_coordinator::model::{RunEventType, RunState};
use serde_json::{Value, json};

use crate::support::{Coordinator, Provider, Service, Surroundings, completion_error, echo_type, sleep_type};

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

#[tokio::test]
async fn a_policy_sees_who_asks_for_what_and_its_hash_is_in_the_events() {
    let around = Surroundings::new().await;
    let policy = around.journal.path().join("policy.json");
    let statements = json!([
        {"Sid": "all", "Effect": "Allow", "Action": "*", "Resource": "*"},
        {
            "Sid": "alice-waits", "Effect": "Deny", "Action": "node.run.execute",
            "Resource": "node_type:jarvis.core.echo",
            "Condition": {"StringEquals": {"principal": "alice", "kind": "atomic"}},
        },
    ]);
    fs::write(&policy, json!({"Version": "7", "Statement": statements}).to_string()).expect("a policy");
    let provider = Provider::start("key", 300).await;
    let pdp = Service::pdp_with_policy(&policy, &around.registry, &provider).await;
    let t =
        Coordinator::start_with(around, &[("JARVIS_PDP_URL", &pdp.url), ("ARP_AUTH_DEV_SUBJECT", "alice")])
            .await;

    let run = t.run_start(&echo_type(), json!({"echo": "hello"})).await;
    let (run, _, events) = t.run_ended(&run.run_id).await;
    assert_eq!(run.state, RunState::Failed);
    let decided: Vec<Value> = events
        .iter()
        .filter(|event| event.type_ == RunEventType::PolicyDecided)
        .map(|event| serde_json::to_value(&event.data).expect("JSON"))
        .collect();
    let members = |name: &str| decided.iter().map(|data| data[name].clone()).collect::<Vec<_>>();
    assert_eq!(members("message"), ["all", "alice-waits"]);
    assert_eq!(members("reason_code"), ["explicit_allow", "explicit_deny"]);
    assert_eq!(members("policy_version"), ["7", "7"]);
    let hash = decided[0]["policy_hash"].as_str().expect("a hash");
    assert!(!hash.is_empty() && decided[1]["policy_hash"] == hash, "{decided:?}");

    let run = t.run_start(&sleep_type(), json!({"duration_seconds": 0.01})).await;
    let (run, root, _) = t.run_ended(&run.run_id).await;
    assert_eq!(run.state, RunState::Succeeded, "{}", completion_error(&root));
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
