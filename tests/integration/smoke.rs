//! One run from its start to its end.

use jarvis_run_coordinator::types::RunState;
use serde_json::json;

use crate::support::{ATOMIC_RUN, TestServer};

#[tokio::test]
async fn atomic_run_succeeds_with_the_executors_outputs() {
    let t = TestServer::start().await;
    let run = t.run_start("atomic.echo", json!({"echo": "hello"})).await;
    assert_eq!(run.state, RunState::Running);

    let run = t.run_ended(&run.run_id).await;
    assert_eq!(run.state, RunState::Succeeded);
    let root = t.client.get_node_run(&run.root_node_run_id).await.expect("the root").into_inner();
    assert_eq!(serde_json::to_value(root.outputs).expect("JSON"), json!({"echo": "hello"}));
    assert_eq!(t.event_types(&run.run_id).await, ATOMIC_RUN);
    t.stop().await;
}
