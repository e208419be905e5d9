//! Offloading large outputs to the Artifact Store, if it is configured (FIX G34): a
//! failing store loses, delays and duplicates no result.

use futures::future::join_all;
use jarvis_run_coordinator::{
    journal::faulty::{Fault, Faults},
    types::{NodeRun, NodeRunId, NodeRunState, RunState},
};
use serde_json::{Value, json};

use crate::support::{ArtifactBehaviour, FakeArtifacts, FakeStores, TestServer};

const LIMIT: &str = "JARVIS_RUN_COORDINATOR_OFFLOAD_OUTPUTS_BYTES";
const CALL_TIMEOUT: &str = "JARVIS_RUN_COORDINATOR_CALL_TIMEOUT_SECS";

/// Starts a server that offloads outputs of more than 2 KiB, and the other stores
/// that it needs.
async fn server(artifacts: &FakeArtifacts, vars: &[(&str, &str)]) -> (TestServer, FakeStores) {
    server_with_faults(artifacts, &Faults::none(), vars).await
}

async fn server_with_faults(
    artifacts: &FakeArtifacts,
    faults: &Faults,
    vars: &[(&str, &str)],
) -> (TestServer, FakeStores) {
    let stores = FakeStores::start();
    let mut all = stores.vars().to_vec();
    all.extend([("JARVIS_ARTIFACT_STORE_URL", artifacts.url()), (LIMIT, "2k")]);
    all.extend(vars);
    (TestServer::start_with_faults(faults, &all).await, stores)
}

/// Outputs with one large member.
fn large() -> Value {
    json!({"answer": 42, "report": "ü".repeat(10_000), "title": "a report"})
}

/// The outputs that remain in the node run beside this artifact.
fn abridged(id: &str) -> Value {
    let stub = json!({"jarvis.artifact": {"type": "artifact", "id": id}});
    json!({"answer": 42, "report": stub, "title": "a report"})
}

fn outputs(node: &NodeRun) -> Value {
    json!(node.outputs)
}

/// Runs `atomic.echo` to its end; returns the root.
async fn echo(t: &TestServer, input: Value) -> NodeRun {
    let run = t.run_start("atomic.echo", input).await;
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
    t.node_run(&run.root_node_run_id).await
}

/// The health status of the Artifact Store.
async fn health(t: &TestServer) -> String {
    let health = t.get("/v1/health").await.ok();
    let checks = health["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["name"] == "artifact_store").expect("a check");
    if check["status"] != "ok" {
        assert_eq!(health["status"], check["status"]);
    }
    check["status"].as_str().expect("a status").to_owned()
}

#[tokio::test]
async fn large_outputs_are_offloaded_and_small_ones_are_not() {
    let store = FakeArtifacts::start();
    let (t, stores) = server(&store, &[]).await;
    let small = echo(&t, json!({"answer": 42})).await;
    assert_eq!((outputs(&small), small.output_artifacts), (json!({"answer": 42}), None));
    assert_eq!(store.calls().len(), 0);

    let root = echo(&t, large()).await;
    let artifacts = store.artifacts();
    let (id, artifact) = artifacts.first_key_value().expect("an artifact");
    assert_eq!((artifact.json(), artifact.content_type.as_deref()), (large(), Some("application/json")));
    assert_eq!(outputs(&root), abridged(id));
    let key = format!("node-runs/{}", root.node_run_id);
    stores.have_state(&key, "succeeded").await;
    assert_eq!(stores.object(&key), Some(json!(root)), "the Run Store has the same node run");
    let references = json!(root.output_artifacts);
    assert_eq!(references.as_array().map(Vec::len), Some(1));
    assert_eq!(references[0]["type"], "artifact");
    assert_eq!(references[0]["id"], **id);
    assert_eq!(references[0]["uri"], Value::Null, "the store's URI is a path of its machine");
    assert_eq!(references[0]["extensions"]["jarvis.size_bytes"], artifact.bytes.len());
    assert_eq!(store.calls(), ["POST /v1/artifacts"]);
    assert_eq!(health(&t).await, "ok");
    t.stop().await;
}

#[tokio::test]
async fn outputs_are_not_offloaded_unless_configured() {
    let store = FakeArtifacts::start();
    let (t, _stores) = server(&store, &[(LIMIT, "")]).await;
    assert_eq!(outputs(&echo(&t, large()).await), large());
    assert_eq!(store.calls().len(), 0);
    t.stop().await;
}

/// Starts a composite; returns it when it is running.
async fn composite(t: &TestServer) -> NodeRunId {
    let run = t.run_start("composite.accept", json!({})).await;
    t.node_run_in(&run.root_node_run_id, NodeRunState::Running).await;
    run.root_node_run_id
}

#[tokio::test]
async fn repeated_completion_is_offloaded_once() {
    let store = FakeArtifacts::start();
    let (t, _stores) = server(&store, &[]).await;
    let node = composite(&t).await;
    let path = format!("/v1/node-runs/{node}:complete");
    let own = json!({"type": "picture", "id": "p"});
    let completion = json!({"state": "succeeded", "outputs": large(), "output_artifacts": [own]});
    // Concurrently, and then once more.
    for _ in 0..2 {
        for answer in join_all((0..8).map(|_| t.post(&path, &completion))).await {
            answer.no_content();
        }
    }
    let other = json!({"state": "failed", "outputs": large()});
    t.post(&path, &other).await.refused(409, "node_run_terminal");

    let artifacts = store.artifacts();
    assert_eq!(artifacts.len(), 1);
    let (id, artifact) = artifacts.first_key_value().expect("an artifact");
    assert_eq!(artifact.json(), large());
    let node = t.node_run(&node).await;
    assert_eq!(outputs(&node), abridged(id));
    let references = json!(node.output_artifacts);
    assert_eq!((&references[0], &references[1]["id"]), (&own, &json!(id)), "the reported ones come first");
    t.stop().await;
}

#[tokio::test]
async fn outputs_the_store_refuses_stay_in_the_journal() {
    for behaviour in [
        ArtifactBehaviour::Refuses(500),
        ArtifactBehaviour::Refuses(401),
        ArtifactBehaviour::Proxy,
        ArtifactBehaviour::Garbage,
        ArtifactBehaviour::WrongChecksum,
    ] {
        let store = FakeArtifacts::start();
        let (t, _stores) = server(&store, &[]).await;
        store.behave(behaviour);
        for _ in 0..3 {
            let root = echo(&t, large()).await;
            assert_eq!((outputs(&root), root.output_artifacts), (large(), None), "{behaviour:?}");
        }
        assert_eq!(store.calls().len(), 1, "{behaviour:?}: later outputs fall into the cool-down");
        assert_eq!(health(&t).await, "degraded", "{behaviour:?}");
        t.stop().await;
    }
}

#[tokio::test]
async fn too_large_outputs_do_not_degrade_the_store() {
    let store = FakeArtifacts::start();
    let (t, _stores) = server(&store, &[]).await;
    store.behave(ArtifactBehaviour::Refuses(413));
    for calls in 1..=2 {
        assert_eq!(outputs(&echo(&t, large()).await), large());
        assert_eq!(store.calls().len(), calls);
    }
    assert_eq!(health(&t).await, "ok");
    store.behave(ArtifactBehaviour::Sound);
    assert_ne!(outputs(&echo(&t, large()).await), large());
    t.stop().await;
}

#[tokio::test]
async fn silent_store_is_given_up_after_the_call_timeout() {
    let store = FakeArtifacts::start();
    store.behave(ArtifactBehaviour::Silent);
    let (t, _stores) = server(&store, &[(CALL_TIMEOUT, "0.1")]).await;
    assert_eq!(outputs(&echo(&t, large()).await), large());
    assert_eq!(store.calls().len(), 1);
    t.stop().await;
}

#[tokio::test]
async fn silent_store_does_not_cost_a_node_its_deadline() {
    let store = FakeArtifacts::start();
    store.behave(ArtifactBehaviour::Silent);
    let (t, _stores) = server(&store, &[(CALL_TIMEOUT, "600")]).await;
    let constraints = json!({"constraints": {"budgets": {"max_wall_time_ms": 2000}}});
    let run = t.run_start_with("atomic.echo", large(), constraints).await;
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
    let root = t.node_run(&run.root_node_run_id).await;
    assert_eq!((root.state, outputs(&root)), (NodeRunState::Succeeded, large()));
    assert_eq!(store.calls().len(), 1);
    t.stop().await;
}

#[tokio::test]
async fn canceled_run_does_not_wait_for_the_artifact_store() {
    let store = FakeArtifacts::start();
    store.behave(ArtifactBehaviour::Silent);
    let (t, _stores) = server(&store, &[]).await;
    let run = t.run_start("atomic.echo", large()).await;
    store.called(1).await;
    assert_eq!(t.cancel(&run.run_id).await.state, RunState::Canceled);
    store.behave(ArtifactBehaviour::Sound);
    // The result arrives after the cancel.
    let late = t.attempts_until(&run.root_node_run_id, 1).await;
    assert_eq!(late[0]["outcome"]["late"]["state"], "succeeded", "{late:?}");
    let root = t.node_run(&run.root_node_run_id).await;
    assert_eq!((root.state, root.outputs, root.output_artifacts), (NodeRunState::Canceled, None, None));
    t.stop().await;
}

#[tokio::test]
async fn late_result_is_not_offloaded() {
    let store = FakeArtifacts::start();
    let (t, _stores) = server(&store, &[]).await;
    let run = t.run_start("atomic.hang", large()).await;
    t.executors.called(":execute", 1).await;
    t.cancel(&run.run_id).await;
    // The canceled executor answers with its large outputs, which are ignored.
    t.executors.called(":cancel", 1).await;
    t.at_rest().await;
    assert_eq!(store.calls().len(), 0);
    t.stop().await;
}

#[tokio::test]
async fn repeated_commit_does_not_repeat_the_artifact() {
    for fault in [Fault::FailBefore, Fault::FailAfter, Fault::Twice] {
        let (store, faults) = (FakeArtifacts::start(), Faults::none());
        let (t, _stores) = server_with_faults(&store, &faults, &[]).await;
        // The commits of a run: its start, with the beginning of the attempt, and its end.
        faults.script_commit(None);
        faults.script_commit(fault);
        let root = echo(&t, large()).await;
        assert_eq!(faults.injected(), 1, "{fault:?}");
        let artifacts = store.artifacts();
        assert_eq!(artifacts.len(), 1, "{fault:?}");
        let (id, _) = artifacts.first_key_value().expect("an artifact");
        assert_eq!(outputs(&root), abridged(id), "{fault:?}");
        t.stop().await;
    }
}
