//! Delivery to executors that fail (contract G29): which calls are retried, when, and
//! with what record; the circuit breaker; and fairness between runs.

use std::time::Duration;

use jarvis_run_coordinator::types::{NodeRun, NodeRunState, RunState};
use serde_json::{Value, json};

use crate::support::{FakeService, TestServer, soon, spec};

const ONE_RETRY: (&str, &str) = ("JARVIS_RUN_COORDINATOR_MAX_RETRIES", "1");

/// Starts a server whose registry gives every type this side effect.
async fn server(side_effect: &'static str) -> (TestServer, FakeService) {
    let registry = FakeService::registry_of_atomics(side_effect);
    let t = TestServer::start_with(&[ONE_RETRY, ("JARVIS_NODE_REGISTRY_URL", registry.url())]).await;
    (t, registry)
}

/// Runs a node of this type to its end; returns the root, and the events between the
/// first permission to execute it and the end of the run.
async fn ended(t: &TestServer, node_type: &str) -> (NodeRun, Vec<Value>) {
    let run = t.run_start(node_type, json!({})).await;
    let events = t.follow(&run.run_id).await;
    let events = events.iter().map(|event| serde_json::to_value(event).expect("JSON"));
    let between = events.skip(4).filter(|event| event["type"] != "run_completed").collect();
    (t.node_run(&run.root_node_run_id).await, between)
}

fn error_code(node: &NodeRun) -> String {
    let error = node.extensions.as_ref().and_then(|map| map.get("completion_error"));
    error.as_ref().and_then(|error| error["code"].as_str()).unwrap_or_default().to_owned()
}

async fn health(t: &TestServer, check: &str) -> Value {
    let health = t.get("/v1/health").await.ok();
    let checks = health["checks"].as_array().expect("checks");
    checks
        .iter()
        .find(|known| known["name"] == check)
        .unwrap_or_else(|| panic!("no {check}: {health}"))
        .clone()
}

/// Waits until a health check has this status; returns the check.
async fn health_is(t: &TestServer, check: &str, status: &str) -> Value {
    soon("the health check", async {
        loop {
            let check = health(t, check).await;
            if check["status"] == status {
                return check;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn busy_executor_is_retried_after_its_retry_after() {
    let (t, _registry) = server("irreversible").await;
    let (root, events) = ended(&t, "atomic.busy-once").await;
    assert_eq!((root.state, t.executors.executions(root.node_run_id.as_str())), (NodeRunState::Succeeded, 2));
    let types: Vec<&Value> = events.iter().map(|event| &event["type"]).collect();
    assert_eq!(types, ["recovery_applied", "policy_decided", "node_evaluated", "atomic_executed"]);
    assert_eq!(events[3]["data"], json!({"state": "succeeded", "attempts": 2}));
    // The NodeRun records the retry as the event does, and the retry is not before the
    // time that the executor named.
    let action = &events[0]["data"];
    assert_eq!(json!(root.recovery_actions), json!([action]));
    assert_eq!((&action["type"], &action["message"]), (&json!("retry"), &json!("come back later")));
    let facts = &action["extensions"];
    assert_eq!((&facts["jarvis.attempt"], &facts["jarvis.code"]), (&json!(1), &json!("busy")));
    let at =
        |value: &Value| value.as_str().expect("a time").parse::<jarvis_run_coordinator::time::Timestamp>();
    let (failed, again) =
        (at(&events[0]["time"]).expect("a time"), at(&facts["jarvis.retry_at"]).expect("a time"));
    assert_eq!(again.since(failed), Duration::from_secs(1));
    assert!(at(&events[1]["time"]).expect("a time") >= again);
    let attempts = t.attempts_until(&root.node_run_id, 1).await;
    assert_eq!(attempts[0]["outcome"]["failed"]["error"]["code"], "busy");
    t.stop().await;
}

#[tokio::test]
async fn broken_answer_is_retried_only_for_harmless_nodes() {
    for (side_effect, state, executions) in [
        ("read", NodeRunState::Succeeded, 2),
        ("write", NodeRunState::Failed, 1),
        ("irreversible", NodeRunState::Failed, 1),
    ] {
        let (t, _registry) = server(side_effect).await;
        let (root, _) = ended(&t, "atomic.break-once").await;
        let found = (root.state, t.executors.executions(root.node_run_id.as_str()));
        assert_eq!(found, (state, executions), "{side_effect}");
        if state == NodeRunState::Failed {
            assert_eq!(error_code(&root), "executor_outcome_unknown", "{side_effect}");
            t.executors.called(&format!("{}:cancel", root.node_run_id), 1).await;
        }
        t.stop().await;
    }
}

#[tokio::test]
async fn node_fails_with_the_executors_error_after_max_retries() {
    let (t, _registry) = server("read").await;
    let (root, events) = ended(&t, "atomic.busy").await;
    assert_eq!((root.state, error_code(&root).as_str()), (NodeRunState::Failed, "busy"));
    assert_eq!(t.executors.executions(root.node_run_id.as_str()), 2);
    assert_eq!(events.last().map(|event| &event["data"]), Some(&json!({"state": "failed", "attempts": 2})));
    t.stop().await;
}

#[tokio::test]
async fn begin_with_a_lost_answer_is_repeated() {
    let t = TestServer::start().await;
    let run = t.run_start("composite.lost", json!({})).await;
    t.executors.called(":begin", 2).await;
    t.complete(&run.root_node_run_id, "succeeded").await;
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
    let children = json!(t.node_run(&run.root_node_run_id).await.recovery_actions);
    assert_eq!(children[0]["extensions"]["jarvis.code"], "composite_executor_unavailable");
    t.stop().await;
}

#[tokio::test]
async fn cancel_does_not_wait_for_the_next_attempt() {
    let t = TestServer::start().await;
    t.executors.overload(true);
    let run = t.run_start("atomic.echo", json!({})).await;
    t.node_run_until(&run.root_node_run_id, |node| node.recovery_actions.is_some()).await;
    assert_eq!(t.cancel(&run.run_id).await.state, RunState::Canceled);
    t.executors.overload(false);
    t.at_rest().await;
    let (node, events) = (t.node_run(&run.root_node_run_id).await, t.events(&run.run_id).await);
    assert_eq!(node.state, NodeRunState::Canceled);
    let calls = t.executors.executions(run.root_node_run_id.as_str());
    let permissions = events.iter().filter(|event| event.type_.to_string() == "policy_decided").count() - 1;
    assert_eq!(calls, permissions, "nothing was sent after the cancel");
    t.stop().await;
}

#[tokio::test]
async fn breaker_opens_for_a_refusing_executor_and_closes_again() {
    let t = TestServer::start().await;
    assert_eq!(health(&t, "atomic_executor").await["status"], "ok");
    t.executors.overload(true);
    let mut runs = Vec::new();
    for _ in 0..20 {
        runs.push(t.run_start("atomic.echo", json!({})).await);
    }
    health_is(&t, "atomic_executor", "degraded").await;
    t.executors.overload(false);
    for run in &runs {
        assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
    }
    health_is(&t, "atomic_executor", "ok").await;
    // Each node was refused at most once or twice: with the breaker open, nodes are not
    // sent.
    let refused = t.executors.calls().len() - runs.len();
    assert!(refused < 2 * runs.len(), "{refused} calls were refused");
    t.stop().await;
}

#[tokio::test]
async fn large_run_leaves_slots_for_other_runs() {
    let t = TestServer::start_with(&[("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "4")]).await;
    let big = t.run_start("composite.accept", json!({})).await;
    let spec = spec("atomic.hang");
    // These are more jobs than one run may have in memory.
    for _ in 0..2 {
        t.children(&big.run_id, &big.root_node_run_id, &vec![spec.clone(); 1000]).await;
    }
    t.executors.called(":execute", 3).await;
    for _ in 0..3 {
        let small = t.run_start("atomic.echo", json!({})).await;
        assert_eq!(t.run_ended(&small.run_id).await.state, RunState::Succeeded);
    }
    assert_eq!(
        t.executors.calls().iter().filter(|call| call.body["run_id"] == *big.run_id.as_str()).count(),
        4
    );
    t.cancel(&big.run_id).await;
    t.at_rest().await;
    t.stop().await;
}

#[tokio::test]
async fn refusal_by_a_proxy_leaves_the_outcome_unknown() {
    let (t, _registry) = server("irreversible").await;
    for node_type in ["atomic.mesh", "atomic.mesh-429"] {
        let (root, _) = ended(&t, node_type).await;
        assert_eq!(
            t.executors.executions(root.node_run_id.as_str()),
            1,
            "{node_type}: the node may have been executed"
        );
        assert_eq!((root.state, &*error_code(&root)), (NodeRunState::Failed, "atomic_executor_unavailable"));
        let error = &root.extensions.as_ref().expect("extensions").value("completion_error");
        assert_eq!((&error["details"]["outcome"], &error["retryable"]), (&json!("unknown"), &json!(false)));
        t.executors.called(&format!("{}:cancel", root.node_run_id), 1).await;
    }
    // A refusal with `Retry-After` means that the node was not executed.
    let (root, _) = ended(&t, "atomic.mesh-wait").await;
    assert_eq!((root.state, t.executors.executions(root.node_run_id.as_str())), (NodeRunState::Succeeded, 2));
    t.stop().await;
    let (t, _registry) = server("read").await;
    let (root, _) = ended(&t, "atomic.mesh").await;
    assert_eq!(t.executors.executions(root.node_run_id.as_str()), 2, "a read may be repeated");
    t.stop().await;
}

#[tokio::test]
async fn nodes_held_by_an_open_breaker_spend_no_retries() {
    let t = TestServer::start_with(&[("JARVIS_RUN_COORDINATOR_MAX_RETRIES", "0")]).await;
    t.executors.overload(true);
    for _ in 0..5 {
        let run = t.run_start("atomic.echo", json!({})).await;
        assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Failed);
    }
    // The breaker is open for a moment: further nodes are not sent.
    t.executors.overload(false);
    let sent = t.executors.calls().len();
    let mut runs = Vec::new();
    for _ in 0..10 {
        runs.push(t.run_start("atomic.echo", json!({})).await);
    }
    for run in &runs {
        assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
    }
    assert_eq!(t.executors.calls().len(), sent + runs.len());
    t.stop().await;
}
