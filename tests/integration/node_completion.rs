//! Evaluating and completing NodeRuns (contract §6.8, §6.9), and what the end of a
//! node does to the nodes around it.

use futures::future::join_all;
use jarvis_run_coordinator::types::{NodeRunState, RunEventType, RunState};
use serde_json::{Value, json};

use crate::support::{TestServer, spec};

#[tokio::test]
async fn evaluation_is_replaced_and_recovery_actions_accumulate() {
    let t = TestServer::idle().await;
    let run = t.run_start("atomic.echo", json!({})).await;
    let node = &run.root_node_run_id;
    let path = format!("/v1/node-runs/{node}:evaluation");
    let first = json!({"status": "fail", "reason_code": "r", "message": "m", "details": {"keep": null}, "confidence": 1});
    let mut retry = json!({"type": "retry", "target_node_run_id": node, "message": "again"});
    let mut abort = json!({"type": "abort"});
    t.post(&path, &json!({"evaluation_result": first, "recovery_action": retry})).await.no_content();
    t.post(&path, &json!({"evaluation_result": {"status": "unknown"}, "recovery_action": null}))
        .await
        .no_content();
    t.complete(node, "succeeded").await;
    // An evaluation is accepted in every state, and changes none.
    t.post(&path, &json!({"evaluation_result": {"status": "success"}, "recovery_action": abort}))
        .await
        .no_content();
    let stored = t.get(&format!("/v1/node-runs/{node}")).await.ok();
    assert_eq!(stored["evaluation_result"], json!({"status": "success"}));
    for action in [&mut retry, &mut abort] {
        action["extensions"] = json!({"jarvis.applied": false});
    }
    assert_eq!(stored["recovery_actions"], json!([retry, abort]));
    assert_eq!(stored["state"], "succeeded");

    let seen: Vec<Value> = t.events(&run.run_id).await[3..]
        .iter()
        .filter(|event| matches!(event.type_, RunEventType::NodeEvaluated | RunEventType::RecoveryApplied))
        .map(|event| json!([event.type_, event.data]))
        .collect();
    let mut first = first;
    first["confidence"] = json!(1.0);
    assert_eq!(
        seen,
        [
            json!(["node_evaluated", first]),
            json!(["recovery_applied", retry]),
            json!(["node_evaluated", {"status": "unknown"}]),
            json!(["node_evaluated", {"status": "success"}]),
            json!(["recovery_applied", abort]),
        ]
    );
    t.stop().await;
}

#[tokio::test]
async fn completion_is_stored_once_and_is_final() {
    let t = TestServer::idle().await;
    let run = t.run_start("composite.accept", json!({})).await;
    let path = format!("/v1/node-runs/{}", run.root_node_run_id);
    let error = json!({"code": "child_failed", "message": "m", "details": {"keep": null}, "retryable": true,
        "cause": {"message": "c"}});
    let done = json!({"state": "failed", "outputs": {"partial": null}, "error": error,
        "output_artifacts": [{"type": "artifact", "id": "a"}], "extensions": {"dropped.here": 1}});
    t.post(&format!("{path}:complete"), &done).await.no_content();
    let node = t.get(&path).await.ok();
    assert_eq!(node["outputs"], json!({"partial": null}));
    assert_eq!(node["output_artifacts"], json!([{"type": "artifact", "id": "a"}]));
    assert_eq!(node["extensions"], json!({"completion_error": error, "jarvis.owner": {"subject": "dev"}}));
    assert!(node["ended_at"].is_string() && node.get("started_at").is_none());
    let ended = t.run(&run.run_id).await;
    assert_eq!(ended.state, RunState::Failed);
    let last = t.events(&run.run_id).await.pop().expect("an event");
    assert_eq!(
        (last.type_, last.node_run_id),
        (RunEventType::RunCompleted, Some(run.root_node_run_id.clone()))
    );

    let before = t.journal_rows();
    t.complete(&run.root_node_run_id, "failed").await;
    t.post(&format!("{path}:complete"), &json!({"state": "failed", "outputs": {"other": 1}}))
        .await
        .no_content();
    for state in ["succeeded", "canceled"] {
        let answer = t.post(&format!("{path}:complete"), &json!({ "state": state })).await;
        assert_eq!(answer.refused(409, "node_run_terminal")["message"], "NodeRun is already failed");
    }
    assert_eq!(t.journal_rows(), before);
    t.stop().await;
}

#[tokio::test]
async fn concurrent_completions_end_the_node_once() {
    let t = TestServer::idle().await;
    let run = t.run_start("atomic.echo", json!({})).await;
    let path = format!("/v1/node-runs/{}:complete", run.root_node_run_id);
    let states = ["succeeded", "failed", "canceled"];
    let bodies: Vec<Value> = (0..9).map(|index| json!({"state": states[index % 3]})).collect();
    let answers = join_all(bodies.iter().map(|body| t.post(&path, body))).await;
    let state = t.node_run(&run.root_node_run_id).await.state.to_string();
    for (answer, body) in answers.iter().zip(&bodies) {
        assert_eq!(answer.status, if body["state"] == state { 204 } else { 409 }, "{body}");
    }
    assert_eq!(t.event_types(&run.run_id).await[3..], ["atomic_executed", "run_completed"]);
    t.stop().await;
}

#[tokio::test]
async fn nested_composites_complete_from_the_bottom_up() {
    let t = TestServer::start().await;
    let run = t.run_start("composite.accept", json!({})).await;
    let mut path = vec![run.root_node_run_id.clone()];
    for _ in 0..3 {
        let parent = path.last().expect("a parent");
        let child = t.children(&run.run_id, parent, &[spec("composite.accept")]).await.remove(0);
        path.push(child.node_run_id);
    }
    let leaf =
        t.children(&run.run_id, path.last().expect("a parent"), &[spec("atomic.echo")]).await.remove(0);
    t.node_run_in(&leaf.node_run_id, NodeRunState::Succeeded).await;
    for node in path.iter().rev() {
        assert_eq!(t.run(&run.run_id).await.state, RunState::Running);
        t.complete(node, "succeeded").await;
        assert_eq!(t.node_run(node).await.state, NodeRunState::Succeeded);
    }
    assert_eq!(t.run(&run.run_id).await.state, RunState::Succeeded);
    assert!(t.executors.calls().iter().all(|call| !call.path.ends_with(":cancel")));
    t.stop().await;
}

#[tokio::test]
async fn completed_parent_cancels_only_its_live_descendants() {
    let t = TestServer::start().await;
    let run = t.run_start("composite.accept", json!({})).await;
    let root = &run.root_node_run_id;
    let children = t.children(&run.run_id, root, &[spec("composite.accept"), spec("atomic.hang")]).await;
    let [parent, sibling] = [0, 1].map(|index| children[index].node_run_id.clone());
    let below = t.children(&run.run_id, &parent, &[spec("composite.accept"), spec("atomic.hang")]).await;
    let deep = t.children(&run.run_id, &below[0].node_run_id, &[spec("atomic.hang")]).await.remove(0);
    t.executors.called(":execute", 3).await;
    t.executors.called(":begin", 3).await;

    t.complete(&parent, "succeeded").await;
    for node in [&below[0], &below[1], &deep] {
        assert_eq!(t.node_run(&node.node_run_id).await.state, NodeRunState::Canceled);
    }
    assert_eq!(t.node_run(&parent).await.state, NodeRunState::Succeeded);
    assert_eq!(t.node_run(&sibling).await.state, NodeRunState::Running);
    assert_eq!(t.run(&run.run_id).await.state, RunState::Running);
    t.at_rest().await;
    let calls = t.executors.calls();
    for node in [&below[0], &below[1], &deep] {
        assert!(
            calls
                .iter()
                .any(|call| call.path.contains(node.node_run_id.as_str()) && call.path.ends_with(":cancel"))
        );
    }
    t.executors.release(sibling.as_str());
    t.node_run_in(&sibling, NodeRunState::Succeeded).await;
    t.complete(root, "succeeded").await;
    assert_eq!(t.run(&run.run_id).await.state, RunState::Succeeded);
    t.stop().await;
}

#[tokio::test]
async fn atomic_node_completed_by_a_caller_cancels_its_executor() {
    let t = TestServer::start().await;
    let run = t.run_start("atomic.deaf", json!({})).await;
    let node = &run.root_node_run_id;
    t.executors.called(":execute", 1).await;
    t.complete(node, "failed").await;
    let calls = t.executors.called(":cancel", 1).await;
    assert_eq!(calls[1].path, format!("/v1/atomic-node-runs/{node}:cancel"));
    // The executor's answer is ignored now.
    t.executors.release(node.as_str());
    t.at_rest().await;
    assert_eq!(t.node_run(node).await.state, NodeRunState::Failed);
    t.stop().await;
}
