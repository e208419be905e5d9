//! What is not dispatched, or only later (contract §9, §17): nodes that constraints
//! forbid, nodes whose deadline passes, and nodes that wait for a slot.

use futures::future::join_all;
use jarvis_run_coordinator::types::{NodeRunState, RunState};
use serde_json::{Value, json};

use super::dispatch::{ended, spec};
use crate::support::TestServer;

#[tokio::test]
async fn root_forbidden_by_constraints_is_not_executed() {
    let t = TestServer::start().await;
    let lists = |allowed: Value, denied: Value| json!({"candidates": {"allowed_node_type_ids": allowed, "denied_node_type_ids": denied}});
    let not_allowed = ("node_type_not_allowed", "NodeType is not in the allowed candidate set");
    let denied = ("node_type_denied", "NodeType is denied by candidate constraints");
    let write =
        ("side_effect_not_allowed", "NodeType may have irreversible effects; at most write is allowed");
    let approval = ("approval_required", "NodeRun requires an approval that it does not have");
    for (constraints, refused) in [
        (lists(json!([]), json!(null)), Some(not_allowed)),
        (lists(json!(["atomic.other"]), json!(["atomic.echo"])), Some(not_allowed)),
        (lists(json!(["atomic.echo"]), json!(["atomic.echo"])), Some(denied)),
        (lists(json!(null), json!(["atomic.echo"])), Some(denied)),
        (lists(json!(["atomic.echo"]), json!(["atomic.ech", "Atomic.Echo"])), None),
        (json!({"gates": {"side_effect_class": "write"}}), Some(write)),
        (json!({"gates": {"side_effect_class": "irreversible"}}), None),
        (json!({"gates": {"require_approval": true}}), Some(approval)),
        (json!({"gates": {"require_approval": false}}), None),
    ] {
        let calls = t.executors.calls().len();
        let (root, error, types) = ended(&t, "atomic.echo", json!({"constraints": constraints})).await;
        match refused {
            Some((code, message)) => {
                assert_eq!(error, json!({"code": code, "message": message}), "{constraints}");
                assert_eq!((root.state, root.started_at), (NodeRunState::Failed, None));
                assert_eq!(types, ["atomic_executed", "run_completed"], "policy is not asked");
                assert_eq!(t.executors.calls().len(), calls);
            }
            None => assert_eq!(root.state, NodeRunState::Succeeded, "{constraints}: {error}"),
        }
    }
    t.stop().await;
}

#[tokio::test]
async fn child_is_bound_by_the_runs_constraints() {
    let t = TestServer::start().await;
    let constraints = json!({"candidates": {"allowed_node_type_ids": ["composite.accept", "atomic.echo"]}});
    let run = t.run_start_with("composite.accept", json!({}), json!({"constraints": constraints})).await;
    let mut own = spec("atomic.echo");
    own["constraints"] = json!({"candidates": {"denied_node_type_ids": ["atomic.echo"]}});
    let mut wider = spec("atomic.fail");
    wider["constraints"] = json!({"candidates": {"allowed_node_type_ids": ["atomic.fail"]}});
    let children = t.children(&run.run_id, &run.root_node_run_id, &[spec("atomic.echo"), own, wider]).await;
    for (child, code) in children.iter().zip([None, Some("node_type_denied"), Some("node_type_not_allowed")])
    {
        let child = t.node_run_until(&child.node_run_id, |child| child.state.is_terminal()).await;
        let extensions = child.extensions.expect("extensions");
        assert_eq!(
            extensions.get("completion_error").map(|error| error["code"].clone()),
            code.map(|code| json!(code))
        );
    }
    assert_eq!(t.run(&run.run_id).await.state, RunState::Running, "a failed child does not end its run");
    t.stop().await;
}

#[tokio::test]
async fn node_past_its_deadline_fails_and_cancels_its_executor() {
    let t = TestServer::start().await;
    let run = t.run_start("composite.accept", json!({})).await;
    let mut slow = spec("atomic.deaf");
    slow["constraints"] = json!({"budgets": {"max_wall_time_ms": 1}});
    let slow = t.children(&run.run_id, &run.root_node_run_id, &[slow]).await.remove(0).node_run_id;
    let node = t.node_run_in(&slow, NodeRunState::Failed).await;
    let error = node.extensions.expect("extensions").value("completion_error");
    assert_eq!(error["code"], "deadline_exceeded");
    let message =
        "NodeRun exceeded its deadline: attempt 1 was at arp-jarvis-atomic-executor and gave no result";
    assert_eq!((&error["message"], &error["details"]["handed_over"]), (&json!(message), &json!(true)));
    let is_cancel = |path: &str| path == format!("/v1/atomic-node-runs/{slow}:cancel");
    t.executors.calls_until("its cancel", |calls| calls.iter().any(|call| is_cancel(&call.path))).await;
    assert_eq!(t.run(&run.run_id).await.state, RunState::Running);
    t.stop().await;
}

#[tokio::test]
async fn slow_nodes_delay_neither_reads_nor_other_runs() {
    let t = TestServer::start_with(&[("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "101")]).await;
    let slow = join_all((0..100).map(|_| t.run_start("atomic.deaf", json!({})))).await;
    t.executors.called(":execute", 100).await;
    for run in &slow {
        assert_eq!(t.run(&run.run_id).await.state, RunState::Running);
        assert_eq!(t.node_run(&run.root_node_run_id).await.state, NodeRunState::Running);
        assert_eq!(t.event_types(&run.run_id).await.len(), 4);
    }
    ended(&t, "atomic.echo", json!({})).await;
    t.cancel(&slow[0].run_id).await;
    for run in &slow[1..] {
        t.executors.release(run.root_node_run_id.as_str());
        assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
    }
    t.executors.release(slow[0].root_node_run_id.as_str());
    t.stop().await;
}

#[tokio::test]
async fn atomic_and_composite_nodes_wait_for_separate_slots() {
    let t = TestServer::start_with(&[("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "2")]).await;
    let runs = join_all((0..5).map(|_| t.run_start("atomic.hang", json!({})))).await;
    t.executors.called(":execute", 2).await;
    let composite = t.run_start("composite.accept", json!({})).await;
    t.node_run_in(&composite.root_node_run_id, NodeRunState::Running).await;
    let mut queued = 0;
    for run in &runs {
        queued += usize::from(t.node_run(&run.root_node_run_id).await.state == NodeRunState::Queued);
    }
    assert_eq!(queued, 3);
    for run in &runs {
        t.executors.release(run.root_node_run_id.as_str());
    }
    for run in &runs {
        assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
        assert_eq!(t.executors.executions(run.root_node_run_id.as_str()), 1);
    }
    t.stop().await;
}
