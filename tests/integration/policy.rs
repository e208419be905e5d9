//! Policy (contract §10, G22): the requests to the Policy Decision Point, its answers,
//! and the behaviour during an outage.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jarvis_run_coordinator::types::{NodeRunId, NodeRunState, RunEvent, RunEventType, RunState};
use serde_json::{Value, json};

use crate::support::{FakeService, TestMachine, TestServer, UNREACHABLE, soon, spec, start_of};

fn decisions(events: &[RunEvent]) -> Vec<Value> {
    let decided = events.iter().filter(|event| event.type_ == RunEventType::PolicyDecided);
    decided.map(|event| serde_json::to_value(&event.data).expect("JSON")).collect()
}

#[tokio::test]
async fn pdp_request_is_complete_and_its_evidence_is_kept() {
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

    let mut requests = pdp.requests();
    for request in &mut requests {
        // Of {"a":null,"b":[1],"secret":"s"}.
        let digest = request["context"]["inputs_sha256"].take();
        assert_eq!(digest, "f4af62eb22e6199ebc191336b11fbbff582a9cdd3e05fd5b28e944ddd76868d2");
    }
    let expected_request = |action: &str, more: Value| {
        let mut context = json!({
            "principal": "alice", "owner": {"subject": "alice"}, "tenant_id": "acme", "kind": "atomic", "depth": 0, "side_effect": "write",
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
    assert_eq!(requests[0], expected_request("run.start", json!({})));
    assert_eq!(
        requests[1],
        expected_request("node.run.execute", json!({"parent_node_run_id": null, "attempt": 1}))
    );
    assert_eq!(requests.len(), 2);

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
async fn pdp_answers_other_than_allow_deny() {
    // A configured PDP decides, although the profile that allows everything is set.
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

const HOLD: (&str, &str) = ("JARVIS_RUN_COORDINATOR_PDP_OUTAGE", "hold");

/// A PDP that allows everything while it is up, and answers 503 while it is not. The
/// action `always` is always allowed.
fn pdp(up: &Arc<AtomicBool>, always: &'static str) -> FakeService {
    let up = Arc::clone(up);
    FakeService::start_with_status(move |_, request| {
        match up.load(Ordering::SeqCst) || request["action"] == always {
            true => (200, json!({"decision": "allow"})),
            false => (503, json!("<html>no upstream</html>")),
        }
    })
}

async fn pdp_check(t: &TestServer) -> Value {
    let health = t.get("/v1/health").await.ok();
    let checks = health["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["name"] == "pdp").unwrap_or_else(|| panic!("{health}"))["status"].clone()
}

/// The recorded holds of a node.
async fn holds(t: &TestServer, node: &NodeRunId) -> Vec<Value> {
    let actions = t.node_run(node).await.recovery_actions.unwrap_or_default();
    actions.iter().map(|action| serde_json::to_value(action).expect("JSON")).collect()
}

#[tokio::test]
async fn held_node_waits_until_the_pdp_answers() {
    let (up, machine) = (Arc::new(AtomicBool::new(true)), TestMachine::default());
    let pdp = pdp(&up, "");
    let vars = [HOLD, ("JARVIS_PDP_URL", pdp.url()), ("JARVIS_RUN_COORDINATOR_CALL_TIMEOUT_SECS", "80000")];
    let t = TestServer::start_with_clock(machine.clone(), &vars).await;
    assert_eq!(pdp_check(&t).await, "ok");
    let run = t.run_start("composite.accept", json!({})).await;
    t.executors.called(":begin", 1).await;
    t.at_rest().await;

    up.store(false, Ordering::SeqCst);
    let spec = spec("atomic.echo");
    let child = t.children(&run.run_id, &run.root_node_run_id, &[spec]).await.remove(0).node_run_id;
    let about = |request: &Value| request["node_run_id"] == child.as_str();
    t.node_run_until(&child, |node| node.recovery_actions.is_some()).await;
    assert_eq!(pdp_check(&t).await, "degraded");
    for tries in 2..6 {
        soon("the next request", async {
            while pdp.requests().iter().filter(|request| about(request)).count() < tries {
                machine.pass(Duration::from_millis(200));
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    let held = holds(&t, &child).await;
    assert_eq!((held.len(), &held[0]["extensions"]["jarvis.code"]), (1, &json!("pdp_unavailable")));
    assert_eq!(t.node_run(&child).await.state, NodeRunState::Assigned);

    // A refused start writes nothing: its caller can repeat it.
    let before =
        t.journal_rows().iter().filter(|row| row.starts_with("runs") || row.starts_with("events")).count();
    let start = start_of("atomic.echo");
    let refused = t.post("/v1/runs", &start).await.refused(503, "pdp_unavailable");
    assert_eq!((&refused["message"], &refused["retryable"]), (&json!("PDP request failed"), &json!(true)));
    let after =
        t.journal_rows().iter().filter(|row| row.starts_with("runs") || row.starts_with("events")).count();
    assert_eq!(before, after);

    up.store(true, Ordering::SeqCst);
    soon("the end of the child", async {
        while !t.node_run(&child).await.state.is_terminal() {
            machine.pass(Duration::from_millis(200));
        }
    })
    .await;
    assert_eq!(t.node_run(&child).await.state, NodeRunState::Succeeded);
    assert_eq!(holds(&t, &child).await.len(), 1, "a hold is recorded once");
    assert_eq!(pdp_check(&t).await, "ok");
    let of_child = |event: &RunEvent| event.node_run_id.as_ref() == Some(&child);
    let seen = t.events(&run.run_id).await;
    let seen: Vec<String> =
        seen.iter().filter(|event| of_child(event)).map(|event| event.type_.to_string()).collect();
    let expected =
        ["node_run_assigned", "recovery_applied", "policy_decided", "node_evaluated", "atomic_executed"];
    assert_eq!(seen, expected);
    t.stop().await;
}

#[tokio::test]
async fn held_node_fails_at_its_deadline_with_the_reason() {
    let (up, machine) = (Arc::new(AtomicBool::new(false)), TestMachine::default());
    let pdp = pdp(&up, "run.start");
    let t = TestServer::start_with_clock(machine.clone(), &[HOLD, ("JARVIS_PDP_URL", pdp.url())]).await;
    let more = json!({"constraints": {"budgets": {"max_wall_time_ms": 120_000}}});
    let run = t.run_start_with("atomic.echo", json!({}), more).await;
    let root = &run.root_node_run_id;
    t.node_run_until(root, |node| node.recovery_actions.is_some()).await;
    let node = soon("the end of the node", async {
        loop {
            let node = t.node_run(root).await;
            if node.state.is_terminal() {
                return node;
            }
            machine.pass(Duration::from_millis(500));
        }
    })
    .await;
    let error = node.extensions.as_ref().expect("the error").value("completion_error");
    assert_eq!(
        (&error["code"], &error["details"]["code"]),
        (&json!("deadline_exceeded"), &json!("pdp_unavailable"))
    );
    assert!(error["details"]["held_since"].is_string(), "{error}");
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Failed);
    assert!(t.executors.calls().is_empty());
    t.stop().await;
}

#[tokio::test]
async fn held_node_survives_a_restart_and_continues_with_the_pdp() {
    let up = Arc::new(AtomicBool::new(false));
    let pdp = pdp(&up, "run.start");
    let t = TestServer::start_with(&[HOLD, ("JARVIS_PDP_URL", pdp.url())]).await;
    let run = t.run_start("atomic.echo", json!({})).await;
    t.node_run_until(&run.root_node_run_id, |node| node.recovery_actions.is_some()).await;
    let (journal, executors) = t.stop().await;

    let t = TestServer::try_start(journal, executors, &[HOLD, ("JARVIS_PDP_URL", pdp.url())]).await;
    let t = t.expect("the server starts");
    up.store(true, Ordering::SeqCst);
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
    assert_eq!(holds(&t, &run.root_node_run_id).await.len(), 1);
    assert_eq!(t.executors.executions(run.root_node_run_id.as_str()), 1);
    t.stop().await;
}

#[tokio::test]
async fn hold_obeys_decisions_and_treats_the_rest_as_outage() {
    for (status, answer, decided) in [
        (200, json!({"decision": "deny", "reason_code": "r"}), true),
        (200, json!({"decision": "require_approval"}), true),
        (400, json!({"error": {"code": "invalid_request", "message": "what is that"}}), true),
        (200, json!({"decision": "Allow"}), false),
        (200, json!(null), false),
        (404, json!("<html>nothing here</html>"), false),
        (403, json!({"error": {"code": "forbidden", "message": "not you"}}), false),
        (500, json!({"error": {"code": "internal_error", "message": "oh"}}), false),
    ] {
        let pdp = FakeService::start_with_status({
            let answer = answer.clone();
            move |_, _| (status, answer.clone())
        });
        let t = TestServer::start_with(&[HOLD, ("JARVIS_PDP_URL", pdp.url())]).await;
        let start = start_of("atomic.echo");
        let started = t.post("/v1/runs", &start).await;
        match decided {
            true => assert_eq!(started.ok()["state"], "failed", "{answer}"),
            false => _ = started.refused(503, "pdp_unavailable"),
        }
        assert!(t.executors.calls().is_empty());
        t.stop().await;
    }
    let t = TestServer::start_with(&[HOLD, ("JARVIS_PDP_URL", UNREACHABLE)]).await;
    let start = start_of("atomic.echo");
    t.post("/v1/runs", &start).await.refused(503, "pdp_unavailable");
    t.stop().await;
}
