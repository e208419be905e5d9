//! Canceling runs (contract §6.5, D-21, G03).

use futures::future::join_all;
use jarvis_run_coordinator::types::{NodeRunState, RunEventType, RunState};
use serde_json::json;

use crate::support::{TestServer, spec};

#[tokio::test]
async fn repeated_cancel_changes_nothing() {
    let t = TestServer::start().await;
    let run = t.run_start("atomic.hang", json!({})).await;
    t.executors.called(":execute", 1).await;
    let canceled = t.cancel(&run.run_id).await;
    assert_eq!(canceled.state, RunState::Canceled);
    assert!(canceled.ended_at.is_some());
    let events = t.events(&run.run_id).await;
    let last = events.last().expect("an event");
    assert_eq!((last.type_, json!(last.data)), (RunEventType::RunCompleted, json!({"state": "canceled"})));
    assert_eq!(last.node_run_id, None, "the request ended the run, not its root");
    assert_eq!(t.cancel(&run.run_id).await, canceled);
    assert_eq!(t.events(&run.run_id).await, events);

    // A run that ended otherwise is unchanged.
    let run = t.run_start("atomic.echo", json!({})).await;
    let ended = t.run_ended(&run.run_id).await;
    assert_eq!(t.cancel(&run.run_id).await, ended);
    assert_eq!(ended.state, RunState::Succeeded);
    t.stop().await;
}

#[tokio::test]
async fn concurrent_cancels_end_the_run_once() {
    let t = TestServer::start().await;
    let run = t.run_start("atomic.hang", json!({})).await;
    let canceled = join_all((0..10).map(|_| t.cancel(&run.run_id))).await;
    assert!(canceled.iter().all(|run| *run == canceled[0] && run.state == RunState::Canceled));
    let types = t.event_types(&run.run_id).await;
    assert_eq!(types.iter().filter(|type_| *type_ == "run_completed").count(), 1);
    assert_eq!(types.last().map(String::as_str), Some("run_completed"));
    t.stop().await;
}

#[tokio::test]
async fn cancel_ends_the_tree_deepest_first_and_stops_executors() {
    let t = TestServer::start().await;
    let run = t.run_start("composite.accept", json!({})).await;
    let root = &run.root_node_run_id;
    let below = t
        .children(&run.run_id, root, &[spec("composite.accept"), spec("atomic.hang"), spec("atomic.echo")])
        .await;
    let [inner, hang, done] = [0, 1, 2].map(|index| below[index].node_run_id.clone());
    let deep = t.children(&run.run_id, &inner, &[spec("atomic.hang")]).await.remove(0).node_run_id;
    t.node_run_in(&done, NodeRunState::Succeeded).await;
    t.executors.called(":begin", 2).await;
    t.executors.called(":execute", 3).await;
    let events_before = t.events(&run.run_id).await.len();

    t.cancel(&run.run_id).await;
    for node in [root, &inner, &hang, &deep] {
        let node = t.node_run(node).await;
        assert_eq!((node.state, node.ended_at.is_some()), (NodeRunState::Canceled, true));
    }
    assert_eq!(t.node_run(&done).await.state, NodeRunState::Succeeded);
    let events = t.events(&run.run_id).await;
    let ended: Vec<_> =
        events[events_before..].iter().map(|event| (event.type_, event.node_run_id.clone())).collect();
    assert_eq!(
        ended,
        [
            (RunEventType::AtomicExecuted, Some(deep.clone())),
            (RunEventType::AtomicExecuted, Some(hang.clone())),
            (RunEventType::RunCompleted, None),
        ]
    );
    t.at_rest().await;
    let calls = t.executors.calls();
    let mut cancels: Vec<&str> =
        calls.iter().map(|call| &*call.path).filter(|path| path.ends_with(":cancel")).collect();
    cancels.sort_unstable();
    // Executors whose calls have just been sent receive the cancel twice.
    cancels.dedup();
    let mut expected = [
        format!("/v1/atomic-node-runs/{deep}:cancel"),
        format!("/v1/atomic-node-runs/{hang}:cancel"),
        format!("/v1/composite-node-runs/{inner}:cancel"),
        format!("/v1/composite-node-runs/{root}:cancel"),
    ];
    expected.sort();
    assert_eq!(cancels, expected);
    t.stop().await;
}

#[tokio::test]
async fn canceled_run_cannot_be_revived() {
    let t = TestServer::start_with(&[("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "1")]).await;
    let run = t.run_start("composite.accept", json!({})).await;
    let root = &run.root_node_run_id;
    let deaf = t.children(&run.run_id, root, &[spec("atomic.deaf")]).await.remove(0).node_run_id;
    t.executors.called(":execute", 1).await;
    // The executor has no free slot for this node.
    let waiting = t.children(&run.run_id, root, &[spec("atomic.echo")]).await.remove(0).node_run_id;
    let canceled = t.cancel(&run.run_id).await;
    let (events, node) = (t.events(&run.run_id).await, t.node_run(&deaf).await);

    // The result arrives after the cancel, and is ignored.
    t.executors.release(deaf.as_str());
    t.at_rest().await;
    // No request changes a canceled node or run.
    for (node, state, status) in [
        (root, "succeeded", 409),
        (root, "canceled", 204),
        (&deaf, "failed", 409),
        (&waiting, "succeeded", 409),
    ] {
        let answer = t.post(&format!("/v1/node-runs/{node}:complete"), &json!({"state": state})).await;
        match status {
            204 => answer.no_content(),
            _ => {
                let error = answer.refused(409, "node_run_terminal");
                assert_eq!(error["message"], "NodeRun is already canceled");
            }
        }
    }
    let create =
        json!({"run_id": run.run_id, "parent_node_run_id": root, "node_runs": [spec("atomic.echo")]});
    let error = t.post("/v1/node-runs", &create).await.refused(409, "run_terminal");
    assert_eq!(error["message"], "Run is already canceled");
    // Another run gets the slot, so the node that waited has been passed over.
    let other = t.run_start("atomic.echo", json!({})).await;
    t.run_ended(&other.run_id).await;

    assert_eq!(t.run(&run.run_id).await, canceled);
    assert_eq!((t.events(&run.run_id).await, t.node_run(&deaf).await), (events, node));
    assert_eq!(t.executors.executions(waiting.as_str()), 0);
    let calls = t.executors.calls().iter().filter(|call| call.path.contains(waiting.as_str())).count();
    assert_eq!(calls, 0, "an executor without the node receives no cancel");
    t.stop().await;
}
