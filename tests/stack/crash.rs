//! kill -9 while a node is at the executor. Whether it may run twice, its type
//! says in the registry.

use jarvis_run_coordinator::{
    clients::node_registry::types::NodeTypePublishRequest,
    model::{NodeRunState, RunState},
};
use serde_json::json;

use crate::support::{Coordinator, completion_error, sleep_type, types};

#[tokio::test]
async fn what_only_reads_is_executed_again_after_a_crash() {
    let t = Coordinator::start().await;
    let seconds = 3.0;
    let inputs = json!({"seconds": seconds, "duration_seconds": null});
    let run = t.run_start(&sleep_type(), inputs).await;
    t.services().executor.said("Atomic execute requested", &run.root_node_run_id).await;

    let t = Coordinator::start_with(t.kill(), &[]).await;
    let (run, root, events) = t.run_ended(&run.run_id).await;
    assert_eq!((run.state, root.state), (RunState::Succeeded, NodeRunState::Succeeded));
    assert_eq!(serde_json::to_value(&root.outputs).expect("JSON"), json!({"slept_seconds": seconds}));
    assert_eq!(t.services().executor.executions(&root.node_run_id), 2);
    let last = types(&events);
    assert_eq!(last[last.len() - 3..], ["node_evaluated", "atomic_executed", "run_completed"]);
    for once in ["run_started", "node_evaluated", "atomic_executed", "run_completed"] {
        assert_eq!(last.iter().filter(|name| *name == once).count(), 1, "{once}");
    }
}

#[tokio::test]
async fn what_writes_is_never_executed_twice_and_the_executor_is_told_to_stop() {
    let t = Coordinator::start().await;
    // The same handler under a version that says otherwise; not the newest one.
    let registry = t.services().registry.as_registry();
    let sleeper = registry.get_node_type("jarvis.core.sleep", None).await.expect("a type").into_inner();
    let mut writer = serde_json::to_value(sleeper).expect("JSON");
    writer["version"] = json!("0.0.1");
    writer["extensions"]["jarvis.side_effect"] = json!("write");
    let publication: NodeTypePublishRequest =
        serde_json::from_value(json!({"node_type": writer})).expect("a publication");
    registry.publish_node_type(&publication).await.expect("it is published");

    let node_type = json!({"node_type_id": "jarvis.core.sleep", "version": "0.0.1"});
    let inputs = json!({"seconds": 600, "duration_seconds": null});
    let run = t.run_start(&node_type, inputs).await;
    t.services().executor.said("Atomic execute requested", &run.root_node_run_id).await;

    let t = Coordinator::start_with(t.kill(), &[]).await;
    let (run, root, _) = t.run_ended(&run.run_id).await;
    assert_eq!((run.state, root.state), (RunState::Failed, NodeRunState::Failed));
    assert_eq!(completion_error(&root)["code"], "executor_outcome_unknown");
    t.services().executor.said("Atomic execute canceled", &root.node_run_id).await;
    assert_eq!(t.services().executor.executions(&root.node_run_id), 1);
}
