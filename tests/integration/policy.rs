//! What a Policy Decision Point is asked, and what comes of its answers
//! (contract §10, G22).

use jarvis_run_coordinator::model::{RunEvent, RunEventType, RunState};
use serde_json::{Value, json};

use crate::support::{FakeService, TestServer};

fn decisions(events: &[RunEvent]) -> Vec<Value> {
    let decided = events.iter().filter(|event| event.type_ == RunEventType::PolicyDecided);
    decided.map(|event| serde_json::to_value(&event.data).expect("JSON")).collect()
}

#[tokio::test]
async fn a_pdp_is_told_what_it_must_know_and_its_evidence_is_kept() {
    let pdp = FakeService::start(|_, _| {
        json!({
            "decision": "allow", "reason_code": "explicit_allow", "message": "statement-1",
            "extensions": {"policy_hash": "sha256:1", "policy_version": "7"},
        })
    });
    let registry = FakeService::start(|_, _| {
        json!({
            "node_type_id": "jarvis.echo", "version": "1.0.0", "kind": "atomic",
            "constraints": {"structural": {"max_depth": 2}},
            "extensions": {"jarvis.side_effect": "write"},
        })
    });
    let t = TestServer::start_with(&[
        ("JARVIS_PDP_URL", pdp.url()),
        ("JARVIS_NODE_REGISTRY_URL", registry.url()),
        ("ARP_AUTH_DEV_SUBJECT", "alice"),
    ])
    .await;
    let more = json!({
        "run_context": {"tenant_id": "acme"},
        "constraints": {"structural": {"max_depth": 5}, "gates": {"side_effect_class": "write"}},
    });
    let run = t.run_start_with("jarvis.echo", json!({"secret": "s", "b": [1], "a": null}), more).await;
    let events = t.follow(&run.run_id).await;

    let mut questions = pdp.questions();
    for question in &mut questions {
        // Of {"a":null,"b":[1],"secret":"s"}.
        let digest = question["context"]["inputs_sha256"].take();
        assert_eq!(digest, "f4af62eb22e6199ebc191336b11fbbff582a9cdd3e05fd5b28e944ddd76868d2");
    }
    let asked = |action: &str, more: Value| {
        let mut context = json!({
            "principal": "alice", "tenant_id": "acme", "kind": "atomic", "depth": 0, "side_effect": "write",
            "inputs_sha256": null,
        });
        context.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        json!({
            "action": action, "run_id": run.run_id, "node_run_id": run.root_node_run_id,
            "node_type_ref": {"node_type_id": "jarvis.echo", "version": "1.0.0"},
            "run_context": {"tenant_id": "acme"},
            "constraints": {"structural": {"max_depth": 2}, "gates": {"side_effect_class": "write"}},
            "context": context,
        })
    };
    assert_eq!(questions[0], asked("run.start", json!({})));
    assert_eq!(questions[1], asked("node.run.execute", json!({"parent_node_run_id": null, "attempt": 1})));
    assert_eq!(questions.len(), 2);

    let decided = |action: &str| {
        json!({
            "action": action, "decision": "allow", "reason_code": "explicit_allow", "message": "statement-1",
            "policy_hash": "sha256:1", "policy_version": "7",
        })
    };
    assert_eq!(decisions(&events), [decided("run.start"), decided("node.run.execute")]);
    t.stop().await;
}

#[tokio::test]
async fn whatever_is_no_allow_is_a_no() {
    // A PDP that is configured decides: the profile that allows everything is on.
    for (answer, decision, reason) in [
        (json!({"decision": "deny", "reason_code": "r", "message": "m"}), "deny", "r"),
        (json!({"decision": "require_approval", "reason_code": "r"}), "require_approval", "r"),
        (json!({"decision": "Allow"}), "deny", "pdp_unavailable"),
        (json!({"decision": true}), "deny", "pdp_unavailable"),
        (json!({}), "deny", "pdp_unavailable"),
        (json!("allow"), "deny", "pdp_unavailable"),
        (json!(null), "deny", "pdp_unavailable"),
    ] {
        let pdp = FakeService::start({
            let answer = answer.clone();
            move |_, _| answer.clone()
        });
        let t = TestServer::start_with(&[("JARVIS_PDP_URL", pdp.url())]).await;
        let run = t.run_start("atomic.echo", json!({})).await;
        assert_eq!(run.state, RunState::Failed, "{answer}");
        let decided = decisions(&t.follow(&run.run_id).await);
        assert_eq!(decided.len(), 1, "{answer}");
        assert_eq!((&decided[0]["decision"], &decided[0]["reason_code"]), (&json!(decision), &json!(reason)));
        if reason == "pdp_unavailable" {
            assert_eq!(decided[0]["message"], "PDP request failed");
        }
        assert!(t.executors.calls().is_empty());
        t.stop().await;
    }
}
