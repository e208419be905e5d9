//! Nodes of the real Atomic Executor wait for approvals, which operators give over the
//! operator API.

use std::net::TcpListener;

use jarvis_run_coordinator::types::{Run, RunState};
use jarvis_stack::Part;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestStack, completion_error, echo_type, until};

/// A coordinator whose nodes wait for approvals, and the URL of its operator API.
fn waiting() -> (TestStack, String) {
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let operators = format!("127.0.0.1:{port}");
    let t = TestStack::embedded_with(&[Part::Coordinator], |blueprint| {
        let blueprint = blueprint.with(Part::Coordinator, "JARVIS_RUN_COORDINATOR_APPROVALS", "park");
        blueprint.with(Part::Coordinator, "JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", &operators)
    });
    (t, format!("http://{operators}"))
}

/// Starts a run that must not be executed without an approval, and may take one step.
async fn start(t: &TestStack) -> Run {
    let constraints = json!({"gates": {"require_approval": true}, "budgets": {"max_steps": 1}});
    t.coordinator
        .run_start_with(&echo_type(), json!({"echo": "hello"}), json!({"constraints": constraints}))
        .await
}

/// The approval of this run that waits.
async fn listed(t: &TestStack, operators: &str, run: &Run) -> String {
    let page = async || {
        let operators = t.coordinator.at(operators);
        let path = format!("/x/approvals?run_id={}", run.run_id);
        let page: Value = operators.request(Method::GET, &path).send().await.ok()?.json().await.ok()?;
        page["items"][0]["approval_id"].as_str().map(str::to_owned)
    };
    until("an approval that waits", page).await
}

#[tokio::test]
async fn approved_node_is_executed_once_after_a_crash() {
    let (t, operators) = waiting();
    let run = start(&t).await;
    let approval = listed(&t, &operators, &run).await;
    let explain = async || {
        let path = format!("/x/runs/{}/explain", run.run_id);
        let explained =
            t.coordinator.at(&operators).request(Method::GET, &path).send().await.expect("an answer");
        explained.json::<Value>().await.expect("JSON")["nodes"][0]["reasons"][0].clone()
    };
    let reason = explain().await;
    assert_eq!(reason["cause"], json!({"code": "waiting_for_approval", "approval_id": approval}));
    t.stop(Part::Coordinator);
    t.start(Part::Coordinator);
    assert_eq!(listed(&t, &operators, &run).await, approval, "it waits on");
    t.executed(&run.root_node_run_id, 0);

    let path = format!("/x/approvals/{approval}:approve");
    let (status, decided) = t.coordinator.at(&operators).post(&path, &json!({"reason": "agreed"})).await;
    assert_eq!((status.as_u16(), &decided["decision"]["outcome"]), (200, &json!("approved")), "{decided}");
    let (ended, root, _) = t.coordinator.run_ended(&run.run_id).await;
    assert_eq!(ended.state, RunState::Succeeded, "{:?}", completion_error(&root));
    t.executed(&run.root_node_run_id, 1);
    let budget = ended.extensions.expect("extensions").value("jarvis.budget");
    assert_eq!((&budget["limit"]["steps"], &budget["used"]["steps"]), (&json!(1), &json!(1)), "{budget}");
    assert_eq!(explain().await["cause"]["code"], "over");
}

#[tokio::test]
async fn denied_node_is_not_executed() {
    let (t, operators) = waiting();
    let run = start(&t).await;
    let approval = listed(&t, &operators, &run).await;
    let path = format!("/x/approvals/{approval}:deny");
    let (status, _) = t.coordinator.at(&operators).post(&path, &json!({"reason": "not today"})).await;
    assert_eq!(status.as_u16(), 200);
    let (ended, root, _) = t.coordinator.run_ended(&run.run_id).await;
    assert_eq!(
        (ended.state, &completion_error(&root)["code"]),
        (RunState::Failed, &json!("approval_denied"))
    );
    t.executed(&run.root_node_run_id, 0);
}
