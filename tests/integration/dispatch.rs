//! Nodes at their executors (contract §9, §17): what is sent, and what becomes of
//! the node for each answer.

use jarvis_run_coordinator::types::{NodeRun, NodeRunState, RunState};
use serde_json::{Value, json};

use crate::support::{ATOMIC_RUN, TestServer, UNREACHABLE};

pub(crate) fn spec(id: &str) -> Value {
    json!({"node_type_ref": {"node_type_id": id, "version": "1.0.0"}, "inputs": {"x": 1}})
}

/// Runs a node of this type to its end; returns the root, its error, and the events
/// after those of the start.
pub(crate) async fn ended(t: &TestServer, node_type: &str, more: Value) -> (NodeRun, Value, Vec<String>) {
    let run = t.run_start_with(node_type, json!({"x": 1}), more).await;
    let over = t.run_ended(&run.run_id).await;
    let root = t.node_run(&run.root_node_run_id).await;
    assert_eq!(over.state.to_string(), root.state.to_string(), "a run ends in the state of its root");
    let error = root.extensions.as_ref().and_then(|extensions| extensions.get("completion_error"));
    let types = t.event_types(&run.run_id).await.split_off(3);
    (root, error.unwrap_or_default(), types)
}

/// The first failure of a call is final.
const NO_RETRIES: (&str, &str) = ("JARVIS_RUN_COORDINATOR_MAX_RETRIES", "0");

/// The events after those of the start of a run whose root was executed.
const EXECUTED: &[&str] = ATOMIC_RUN.split_at(3).1;
const FAILED: [&str; 3] = ["policy_decided", "atomic_executed", "run_completed"];

#[tokio::test]
async fn atomic_executor_answer_decides_the_nodes_end() {
    let t = TestServer::start_with(&[NO_RETRIES]).await;
    let unavailable = || json!({"code": "atomic_executor_unavailable", "message": "Atomic Executor request failed", "retryable": false});
    let invalid = |message: &str| json!({"code": "atomic_executor_invalid_result", "message": message});
    for (node_type, state, expected, events) in [
        ("atomic.echo", NodeRunState::Succeeded, Value::Null, EXECUTED),
        ("atomic.full", NodeRunState::Succeeded, Value::Null, EXECUTED),
        (
            "atomic.fail",
            NodeRunState::Failed,
            json!({"code": "handler_error", "message": "it went wrong", "details": {"why": "on purpose"}}),
            EXECUTED,
        ),
        ("atomic.garbage", NodeRunState::Failed, unavailable(), &FAILED),
        (
            "atomic.break",
            NodeRunState::Failed,
            json!({
                "code": "executor_outcome_unknown", "retryable": false,
                "message": "The executor gave no response, and the node may not be executed twice",
                "details": {"attempt": 1, "error": "the answer broke off"},
            }),
            &FAILED,
        ),
        ("atomic.proxy", NodeRunState::Failed, unavailable(), &FAILED),
        (
            "atomic.break-after",
            NodeRunState::Failed,
            json!({
                "code": "executor_outcome_unknown", "retryable": false,
                "message": "The executor gave no response, and the node may not be executed twice",
                "details": {"attempt": 1, "error": "the connection broke off"},
            }),
            &FAILED,
        ),
        ("atomic.proxy", NodeRunState::Failed, unavailable(), &FAILED),
        (
            "atomic.other",
            NodeRunState::Failed,
            invalid("Atomic Executor answered for another NodeRun"),
            &FAILED,
        ),
        (
            "atomic.running",
            NodeRunState::Failed,
            invalid("Atomic Executor answered with a state that is not terminal"),
            &FAILED,
        ),
        (
            "atomic.busy",
            NodeRunState::Failed,
            json!({"code": "busy", "message": "come back later", "details": {"queue": 7}, "retryable": true}),
            &FAILED,
        ),
        (
            "atomic.unheard-of",
            NodeRunState::Failed,
            json!({"code": "unknown_node_type", "message": "atomic.unheard-of", "retryable": false}),
            &FAILED,
        ),
    ] {
        let (root, mut error, types) = ended(&t, node_type, json!({})).await;
        assert_eq!(root.state, state, "{node_type}");
        if error["code"] == "atomic_executor_unavailable" {
            let details = error["details"].take();
            let words: Vec<&String> = details.as_object().expect("details").keys().collect();
            let expected: &[&str] =
                if node_type == "atomic.proxy" { &["error", "outcome"] } else { &["error"] };
            assert_eq!(words, expected, "{node_type}");
            assert!(!details.to_string().contains("127.0.0.1"), "no internal address: {details}");
            error.as_object_mut().expect("an object").remove("details");
        }
        assert_eq!(error, expected, "{node_type}");
        assert_eq!(types, events, "{node_type}");
        assert_eq!(t.executors.executions(root.node_run_id.as_str()), 1, "{node_type}: no call is repeated");
    }
    t.stop().await;
}

#[tokio::test]
async fn atomic_result_is_stored_with_all_its_members() {
    let t = TestServer::start().await;
    let (root, _, _) = ended(&t, "atomic.full", json!({})).await;
    let root = serde_json::to_value(root).expect("JSON");
    assert_eq!(root["outputs"], json!({"keep": null}));
    assert_eq!(
        root["output_artifacts"],
        json!([{"type": "artifact", "id": "a", "uri": "http://host.example/a"}])
    );
    assert_eq!(root["evaluation_result"], json!({"status": "success", "reason_code": "atomic_completed"}));
    let binding = json!({"executor_instance_id": "arp-jarvis-atomic-executor", "endpoint": format!("{}/", t.executors.url())});
    assert_eq!(root["executor_binding"], binding);
    assert!(
        root["started_at"].as_str().expect("a time") > "2026-01-01T00:00:01",
        "the coordinator's own times"
    );
    assert!(root["started_at"].as_str() <= root["ended_at"].as_str());
    let (root, _, _) = ended(&t, "atomic.fail", json!({})).await;
    let evaluation = json!({"status": "fail", "reason_code": "atomic_completed"});
    assert_eq!(serde_json::to_value(root.evaluation_result).expect("JSON"), evaluation);
    t.stop().await;
}

#[tokio::test]
async fn executor_is_canceled_after_an_answer_broke_off() {
    let t = TestServer::start().await;
    let (root, _, _) = ended(&t, "atomic.break", json!({})).await;
    let cancel = format!("/v1/atomic-node-runs/{}:cancel", root.node_run_id);
    let calls = t.executors.called(":cancel", 1).await;
    assert_eq!(calls.last().expect("a call").path, cancel);
    t.stop().await;
}

#[tokio::test]
async fn executor_request_has_all_members_of_the_node() {
    let t = TestServer::start().await;
    let context = json!({"tenant_id": "t", "identity": {"keep": null}});
    let constraints = json!({"structural": {"max_depth": 3}, "candidates": {"denied_node_type_ids": ["z"]}});
    let more = json!({"run_context": context, "constraints": constraints, "extensions": {"my.key": null}});
    let run = t.run_start_with("composite.accept", json!({"goal": null}), more).await;
    let call = t.executors.called(":begin", 1).await.remove(0);
    assert_eq!((&*call.path, call.authorization), ("/v1/composite-node-runs:begin", None));
    let mut begin = call.body;
    // There is none without authentication.
    begin.as_object_mut().expect("an object").remove("assignment_token");
    assert_eq!(
        begin,
        json!({
            "node_run_id": run.root_node_run_id, "run_id": run.run_id, "inputs": {"goal": null},
            "node_type_ref": {"node_type_id": "composite.accept", "version": "1.0.0"},
            "run_context": context, "constraints": constraints, "coordinator_endpoint": format!("{UNREACHABLE}/"),
            "extensions": {"my.key": null, "constraints": constraints, "jarvis.owner": {"subject": "dev"}},
        })
    );
    let root = t.node_run_in(&run.root_node_run_id, NodeRunState::Running).await;
    let binding = root.executor_binding.expect("a binding");
    assert_eq!(binding.executor_instance_id, "arp-jarvis-composite-executor");

    let mut child = spec("atomic.echo");
    child["constraints"] = json!({"structural": {"max_depth": 2}});
    child["idempotency_key"] = json!("k");
    let child = t.children(&run.run_id, &run.root_node_run_id, &[child]).await.remove(0);
    let call = t.executors.called(":execute", 1).await.remove(1);
    let merged = json!({"structural": {"max_depth": 2}, "candidates": {"denied_node_type_ids": ["z"]}});
    assert_eq!(call.path, "/v1/atomic-node-runs:execute");
    assert_eq!(
        call.body,
        json!({
            "node_run_id": child.node_run_id, "run_id": run.run_id, "inputs": {"x": 1},
            "node_type_ref": {"node_type_id": "atomic.echo", "version": "1.0.0"},
            "run_context": context, "constraints": merged,
            "extensions": {"idempotency_key": "k", "constraints": merged},
        })
    );
    // A run without optional members sends none of them, but its owner.
    let bare = t.run_start("atomic.echo", json!({})).await;
    let call = t.executors.called(":execute", 2).await.pop().expect("a call");
    let members: Vec<&String> = call.body.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["extensions", "inputs", "node_run_id", "node_type_ref", "run_id"]);
    assert_eq!(call.body["extensions"], json!({"jarvis.owner": {"subject": "dev"}}));
    t.run_ended(&bare.run_id).await;
    t.stop().await;
}

#[tokio::test]
async fn rejected_composite_fails() {
    let t = TestServer::start_with(&[NO_RETRIES]).await;
    for (node_type, code, message) in [
        ("composite.reject", "composite_rejected", "no room"),
        ("composite.silent", "composite_rejected", "Composite assignment rejected"),
        ("composite.proxy", "composite_executor_unavailable", "Composite Executor request failed"),
        ("composite.unheard-of", "unknown_node_type", "composite.unheard-of"),
    ] {
        let (root, error, types) = ended(&t, node_type, json!({})).await;
        assert_eq!(root.state, NodeRunState::Failed, "{node_type}");
        assert_eq!((&error["code"], &error["message"]), (&json!(code), &json!(message)), "{node_type}");
        assert_eq!(types, ["policy_decided", "run_completed"], "{node_type}");
    }
    t.stop().await;
}

#[tokio::test]
async fn accepted_composite_runs_until_it_is_completed() {
    let t = TestServer::start().await;
    let run = t.run_start("composite.accept", json!({})).await;
    let root = t.node_run_in(&run.root_node_run_id, NodeRunState::Running).await;
    assert!(root.started_at.is_some() && root.ended_at.is_none());
    assert_eq!(t.run(&run.run_id).await.state, RunState::Running);
    t.complete(&run.root_node_run_id, "canceled").await;
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Canceled);
    t.stop().await;
}

#[tokio::test]
async fn unreachable_executors_fail_their_nodes() {
    let t = TestServer::start_with(&[
        NO_RETRIES,
        ("JARVIS_ATOMIC_EXECUTOR_URL", UNREACHABLE),
        ("JARVIS_COMPOSITE_EXECUTOR_URL", UNREACHABLE),
    ])
    .await;
    for (node_type, code, message) in [
        ("atomic.echo", "atomic_executor_unavailable", "Atomic Executor request failed"),
        ("composite.accept", "composite_executor_unavailable", "Composite Executor request failed"),
    ] {
        let (_, error, _) = ended(&t, node_type, json!({})).await;
        let details = json!({"error": "the connection could not be made"});
        assert_eq!(error, json!({"code": code, "message": message, "details": details, "retryable": true}));
    }
    t.stop().await;
}

#[tokio::test]
async fn unconfigured_executors_fail_their_nodes() {
    for (unset, node_type, code, message) in [
        (
            "JARVIS_ATOMIC_EXECUTOR_URL",
            "atomic.echo",
            "atomic_executor_unconfigured",
            "Atomic Executor is not configured",
        ),
        (
            "JARVIS_COMPOSITE_EXECUTOR_URL",
            "composite.accept",
            "composite_executor_unconfigured",
            "Composite Executor is not configured",
        ),
        (
            "JARVIS_RUN_COORDINATOR_PUBLIC_URL",
            "composite.accept",
            "coordinator_url_unconfigured",
            "Coordinator URL is required to dispatch composites",
        ),
    ] {
        let t = TestServer::start_with(&[(unset, "")]).await;
        let (root, error, types) = ended(&t, node_type, json!({})).await;
        assert_eq!(error, json!({"code": code, "message": message}));
        assert_eq!((root.started_at, root.executor_binding), (None, None));
        assert_eq!(types[0], "policy_decided", "policy is asked before the executor is chosen");
        assert!(t.executors.calls().is_empty());
        t.stop().await;
    }
}

#[tokio::test]
async fn node_of_unknown_kind_fails() {
    let t = TestServer::start().await;
    for node_type in ["jarvis.core.echo", "atomic", "", "ATOMIC"] {
        let (root, error, types) = ended(&t, node_type, json!({})).await;
        assert_eq!(error, json!({"code": "unknown_node_kind", "message": "Unable to resolve node kind"}));
        assert_eq!((root.kind, types), (None, vec!["run_completed".to_owned()]), "{node_type}");
    }
    let (root, _, _) = ended(&t, "Atomic.Echo", json!({})).await;
    assert_eq!(root.kind.expect("a kind").to_string(), "atomic", "the prefix counts in any case");
    t.stop().await;
}

#[tokio::test]
async fn executor_is_canceled_after_a_proxy_gave_up() {
    let t = TestServer::start().await;
    let run = t.run_start("atomic.proxy", json!({})).await;
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Failed);
    t.executors.called(&format!("{}:cancel", run.root_node_run_id), 1).await;
    t.stop().await;
}
