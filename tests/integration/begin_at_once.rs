//! New nodes that begin in the commit that creates them (contract §9.2): where a slot of
//! their executor is free, no caller sees them wait.

use jarvis_run_coordinator::types::{NodeRunState, RunState};
use serde_json::json;

use crate::support::{TestServer, spec};

const ONE_SLOT: (&str, &str) = ("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "1");

#[tokio::test]
async fn new_nodes_begin_with_their_creation() {
    let t = TestServer::start().await;
    let atomic = t.run_start("atomic.deaf", json!({})).await;
    let composite = t.run_start("composite.accept", json!({})).await;
    let specs = [spec("atomic.deaf"), spec("atomic.deaf")];
    let children = t.children(&composite.run_id, &composite.root_node_run_id, &specs).await;
    let created = children.iter().map(|child| &child.node_run_id);
    for node in [&atomic.root_node_run_id, &composite.root_node_run_id].into_iter().chain(created) {
        let node = t.node_run(node).await;
        assert_eq!((node.state, node.started_at), (NodeRunState::Running, node.created_at), "{node:?}");
        assert!(node.executor_binding.is_some());
    }
    t.executors.called(":execute", 3).await;
    t.executors.release(atomic.root_node_run_id.as_str());
    assert_eq!(t.run_ended(&atomic.run_id).await.state, RunState::Succeeded);
    assert_eq!(t.executors.executions(atomic.root_node_run_id.as_str()), 1);
    let types = t.event_types(&atomic.run_id).await;
    assert_eq!(types, crate::support::ATOMIC_RUN, "the same events in the same order");
    t.stop().await;
}

#[tokio::test]
async fn new_nodes_wait_where_no_slot_is_free() {
    let t = TestServer::start_with(&[ONE_SLOT]).await;
    let first = t.run_start("atomic.deaf", json!({})).await;
    let second = t.run_start("atomic.echo", json!({})).await;
    assert_eq!(t.node_run(&first.root_node_run_id).await.state, NodeRunState::Running);
    assert_eq!(t.node_run(&second.root_node_run_id).await.state, NodeRunState::Queued);
    t.executors.release(first.root_node_run_id.as_str());
    for run in [&first, &second] {
        assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
        assert_eq!(t.executors.executions(run.root_node_run_id.as_str()), 1);
    }
    t.stop().await;
}

#[tokio::test]
async fn node_that_began_at_once_is_canceled_at_its_executor() {
    let t = TestServer::start().await;
    let run = t.run_start("atomic.hang", json!({})).await;
    assert_eq!(t.cancel(&run.run_id).await.state, RunState::Canceled);
    assert_eq!(t.node_run(&run.root_node_run_id).await.state, NodeRunState::Canceled);
    t.executors.called(":cancel", 1).await;
    t.stop().await;
}
