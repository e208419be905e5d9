//! Budgets over the tree (contract §7.4), through a real server.

use futures::future::join_all;
use jarvis_run_coordinator::types::{NodeRun, NodeRunState};
use serde_json::{Value, json};

use crate::support::{FakeService, TestServer, spec};

fn budget(extensions: Option<&jarvis_run_coordinator::types::Extensions>) -> Value {
    extensions.expect("extensions").get("jarvis.budget").expect("an account")
}

/// Creates ten children of the composite root in parallel, and waits for their ends.
async fn ten_children(t: &TestServer, budgets: &Value) -> (jarvis_run_coordinator::types::Run, Vec<NodeRun>) {
    let constraints = json!({"constraints": {"budgets": budgets}});
    let run = t.run_start_with("composite.accept", json!({}), constraints).await;
    let root = &run.root_node_run_id;
    t.node_run_in(root, NodeRunState::Running).await;
    let spec = spec("atomic.echo");
    let created = join_all((0..10).map(|_| t.children(&run.run_id, root, std::slice::from_ref(&spec)))).await;
    let created: Vec<NodeRun> = created.into_iter().flatten().collect();
    let ended = created.iter().map(|child| {
        t.node_run_until(&child.node_run_id, |node| {
            [NodeRunState::Succeeded, NodeRunState::Failed].contains(&node.state)
        })
    });
    let ended = join_all(ended).await;
    (run, ended)
}

#[tokio::test]
async fn ten_parallel_children_keep_each_budget() {
    let usage = ("JARVIS_RUN_COORDINATOR_DEFAULT_USAGE", r#"{"external_calls": 1, "cost": 0.1}"#);
    let t = TestServer::start_with(&[usage]).await;
    for (budgets, limit, executed) in [
        // The root is a step as well.
        (json!({"max_steps": 4}), "max_steps", 3),
        (json!({"max_external_calls": 4}), "max_external_calls", 4),
        (json!({"max_cost": 0.45}), "max_cost", 4),
        (json!({"max_steps": 0}), "max_steps", 0),
    ] {
        if executed == 0 {
            let constraints = json!({"constraints": {"budgets": budgets}});
            let run = t.run_start_with("composite.accept", json!({}), constraints).await;
            let root = t.node_run_in(&run.root_node_run_id, NodeRunState::Failed).await;
            let error = root.extensions.expect("extensions").value("completion_error");
            assert_eq!(error["code"], "budget_exceeded");
            continue;
        }
        let (run, children) = ten_children(&t, &budgets).await;
        let (done, refused): (Vec<&NodeRun>, Vec<&NodeRun>) =
            children.iter().partition(|child| child.state == NodeRunState::Succeeded);
        assert_eq!((done.len(), refused.len()), (executed, 10 - executed), "{budgets}");
        let executions: usize =
            children.iter().map(|child| t.executors.executions(child.node_run_id.as_str())).sum();
        assert_eq!(executions, executed, "{budgets}");
        for child in refused {
            let error = child.extensions.as_ref().expect("extensions").value("completion_error");
            assert_eq!(
                (&error["code"], &error["details"]["limit"]),
                (&json!("budget_exceeded"), &json!(limit))
            );
        }
        let account = budget(t.run(&run.run_id).await.extensions.as_ref());
        assert_eq!(account["reserved"], json!({"steps": 0, "external_calls": 0, "cost": 0.0}));
        assert_eq!(account["used"]["steps"], executed + 1);
        t.complete(&run.root_node_run_id, "succeeded").await;
        t.run_ended(&run.run_id).await;
    }
    t.stop().await;
}

#[tokio::test]
async fn executor_gets_its_allowance_and_its_report_settles_it() {
    let executor = FakeService::start(|_, request| {
        json!({"node_run_id": request["node_run_id"], "state": "succeeded",
            "extensions": {"jarvis.usage": {"external_calls": 3, "cost": 0.25, "tokens_in": 7}}})
    });
    let t = TestServer::start_with(&[("JARVIS_ATOMIC_EXECUTOR_URL", executor.url())]).await;
    let constraints = json!({"constraints": {"budgets": {"max_external_calls": 3, "max_cost": 1.0}}});
    let run = t.run_start_with("composite.accept", json!({}), constraints).await;
    let root = &run.root_node_run_id;
    t.node_run_in(root, NodeRunState::Running).await;
    let mut wanted = spec("atomic.echo");
    wanted["constraints"] = json!({"budgets": {"max_external_calls": 2, "max_cost": 0.5}});
    let child = t.children(&run.run_id, root, &[wanted]).await.remove(0);
    let child = t.node_run_in(&child.node_run_id, NodeRunState::Succeeded).await;
    let sent = &executor.requests()[0];
    assert_eq!(sent["constraints"]["budgets"], json!({"max_external_calls": 2, "max_cost": 0.5}));
    let usage = child.extensions.as_ref().expect("extensions").value("jarvis.usage");
    let reported = json!({"external_calls": 3, "cost": 0.25, "tokens_in": 7, "overrun": true});
    assert_eq!(usage, reported);
    let account = budget(t.run(&run.run_id).await.extensions.as_ref());
    assert_eq!(account["used"], json!({"steps": 2, "external_calls": 3, "cost": 0.25}));
    assert_eq!(account["unreserved"], json!({"steps": 0, "external_calls": 1, "cost": 0.0}));
    // Everything after it is judged by what is left, which is nothing.
    let next = t.children(&run.run_id, root, &[spec("atomic.echo")]).await.remove(0);
    let next = t.node_run_in(&next.node_run_id, NodeRunState::Failed).await;
    let error = next.extensions.as_ref().expect("extensions").value("completion_error");
    assert_eq!(error["message"], "max_external_calls of the run is exhausted");
    t.stop().await;
}
