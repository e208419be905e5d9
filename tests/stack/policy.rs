//! The real Policy Decision Point decides, and nothing replaces it during an outage.

use std::fs;

use jarvis_run_coordinator::types::{Run, RunEventType, RunState};
use jarvis_stack::{Part, Profile};
use serde_json::{Value, json};

use crate::support::{TestStack, completion_error, echo_type, in_both_profiles, sleep_type};

in_both_profiles! {
    run_denied_by_policy_is_not_begun
    node_denied_by_policy_is_not_executed
}

async fn run_denied_by_policy_is_not_begun(profile: Profile) {
    let t = TestStack::shared(profile);
    let context = json!({"run_context": {"tenant_id": "suspended"}});
    let run = t.gateway.run_start_with(&echo_type(), json!({"echo": "hello"}), context).await;
    // A denied start is not an error, but a failed run.
    assert_eq!(run.state, RunState::Failed);
    let (error, decisions) = decided(&t, &run).await;
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!("policy_denied"), &json!("Run start denied by policy"))
    );
    assert_eq!(decisions, ["run.start deny explicit_deny suspended-tenants"]);
    t.executed(&run.root_node_run_id, 0);
}

async fn node_denied_by_policy_is_not_executed(profile: Profile) {
    let t = TestStack::shared(profile);
    let fetch = json!({"node_type_id": "jarvis.web.fetch", "version": "0.3.8"});
    let run = t.gateway.run_start(&fetch, json!({"url": "http://127.0.0.1/"})).await;
    assert_eq!(run.state, RunState::Running);
    let (error, decisions) = decided(&t, &run).await;
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!("policy_denied"), &json!("NodeRun denied by policy"))
    );
    let [allowed, denied] = decisions.as_slice() else { panic!("two decisions: {decisions:?}") };
    assert_eq!(allowed, "run.start allow explicit_allow everything");
    assert_eq!(denied, "node.run.execute deny explicit_deny no-network");
    t.executed(&run.root_node_run_id, 0);
}

#[tokio::test]
async fn pdp_decides_and_its_absence_denies() {
    // Our own profile allows everything, but is used only without a PDP.
    let mut t = TestStack::embedded_with(&[Part::Pdp, Part::Coordinator], |blueprint| {
        let url = blueprint.url(Part::Pdp);
        let blueprint = blueprint.with(Part::Coordinator, "JARVIS_PDP_URL", &url);
        blueprint.with(Part::Pdp, "JARVIS_POLICY_PROFILE", "dev-allow")
    });
    let echo = async |t: &TestStack| {
        let run = t.coordinator.run_start(&echo_type(), json!({"echo": "hello"})).await;
        decided(t, &run).await
    };
    let (error, decisions) = echo(&t).await;
    assert_eq!(error, Value::Null);
    assert_eq!(decisions, ["run.start allow dev_allow -", "node.run.execute allow dev_allow -"]);

    t.stop(Part::Pdp);
    let (error, decisions) = echo(&t).await;
    assert_eq!(error["code"], "policy_denied");
    assert_eq!(decisions.len(), 1);
    assert!(decisions[0].starts_with("run.start deny pdp_unavailable"), "{decisions:?}");

    for name in ["JARVIS_POLICY_PROFILE", "JARVIS_POLICY_PATH"] {
        t.set(Part::Pdp, name, "");
    }
    t.start(Part::Pdp);
    let (error, decisions) = echo(&t).await;
    assert_eq!(error["code"], "policy_denied");
    assert_eq!(decisions.len(), 1);
    assert!(decisions[0].starts_with("run.start deny policy_unconfigured"), "{decisions:?}");
}

#[tokio::test]
async fn policy_sees_the_principal_and_its_hash_is_in_the_events() {
    let statements = json!([
        {"Sid": "all", "Effect": "Allow", "Action": "*", "Resource": "*"},
        {
            "Sid": "alice-waits", "Effect": "Deny", "Action": "node.run.execute",
            "Resource": "node_type:jarvis.core.echo",
            "Condition": {"StringEquals": {"principal": "alice", "kind": "atomic"}},
        },
    ]);
    let t = TestStack::embedded_with(&[Part::Pdp, Part::Coordinator], |blueprint| {
        let policy = blueprint.folder.join("policy.json");
        fs::write(&policy, json!({"Version": "7", "Statement": statements}).to_string()).expect("a policy");
        let url = blueprint.url(Part::Pdp);
        let blueprint = blueprint.with(Part::Coordinator, "JARVIS_PDP_URL", &url);
        let blueprint = blueprint.with(Part::Coordinator, "ARP_AUTH_DEV_SUBJECT", "alice");
        blueprint.with(Part::Pdp, "JARVIS_POLICY_PATH", &policy.display().to_string())
    });
    let run = t.coordinator.run_start(&echo_type(), json!({"echo": "hello"})).await;
    let (_, decisions) = decided(&t, &run).await;
    let [allowed, denied] = decisions.as_slice() else { panic!("two decisions: {decisions:?}") };
    assert_eq!(allowed, "run.start allow explicit_allow all");
    assert_eq!(denied, "node.run.execute deny explicit_deny alice-waits");

    let (.., events) = t.coordinator.run_ended(&run.run_id).await;
    let evidence: Vec<_> = events
        .iter()
        .filter(|event| event.type_ == RunEventType::PolicyDecided)
        .map(|event| {
            let data = serde_json::to_value(&event.data).expect("JSON");
            (data["policy_hash"].clone(), data["policy_version"].clone())
        })
        .collect();
    assert!(evidence[0].0.as_str().is_some_and(|hash| !hash.is_empty()), "{evidence:?}");
    assert_eq!(evidence[0].1, "7");
    assert_eq!(evidence[0], evidence[1]);

    let run = t.coordinator.run_start(&sleep_type(), json!({"seconds": 0.01})).await;
    decided(&t, &run).await;
}

/// Follows a run to its end; returns the error of its root and the policy decisions.
/// The run must have failed if and only if a decision denies.
async fn decided(t: &TestStack, run: &Run) -> (Value, Vec<String>) {
    let (run, root, events) = t.coordinator.run_ended(&run.run_id).await;
    let decisions: Vec<String> = events
        .iter()
        .filter(|event| event.type_ == RunEventType::PolicyDecided)
        .map(|event| {
            let data = serde_json::to_value(&event.data).expect("JSON");
            ["action", "decision", "reason_code", "message"]
                .map(|name| data[name].as_str().unwrap_or("-"))
                .join(" ")
        })
        .collect();
    let denied = decisions.iter().any(|decision| decision.contains(" deny "));
    assert_eq!(run.state, if denied { RunState::Failed } else { RunState::Succeeded });
    (completion_error(&root), decisions)
}
