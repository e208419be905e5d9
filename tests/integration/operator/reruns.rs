//! Runs that are repeated: the same request, and what had succeeded is not executed again.

use jarvis_run_coordinator::types::{NodeRun, NodeRunId, NodeRunState, Run, RunId, RunState};
use serde_json::{Value, json};

use super::{LISTEN, get, post};
use crate::support::TestServer;

fn spec(name: &str, key: Option<&str>, n: u32) -> Value {
    let mut spec = json!({
        "node_type_ref": {"node_type_id": format!("atomic.{name}"), "version": "1.0.0"},
        "inputs": {"n": n},
    });
    if let Some(key) = key {
        spec["idempotency_key"] = json!(key);
    }
    spec
}

/// Plays the composite at the root of a run: it creates these children, one after the
/// other, waits for them, and fails.
async fn play(t: &TestServer, run: &Run, specs: &[Value]) -> Vec<NodeRun> {
    t.node_run_in(&run.root_node_run_id, NodeRunState::Running).await;
    let mut children = Vec::new();
    for spec in specs {
        let created = t.children(&run.run_id, &run.root_node_run_id, std::slice::from_ref(spec)).await;
        let id = &created[0].node_run_id;
        children.push(t.node_run_until(id, |node| node.ended_at.is_some()).await);
    }
    t.complete(&run.root_node_run_id, "failed").await;
    t.run_ended(&run.run_id).await;
    children
}

async fn rerun(t: &TestServer, run: &str, more: Value) -> Run {
    let mut body = json!({"reason": "the executor was broken"});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let answer = post(t, &format!("/x/runs/{run}:rerun"), &body).await.ok();
    assert_eq!(answer["rerun_of"], run);
    t.run(&RunId::new(answer["run_id"].as_str().expect("an id"))).await
}

fn extension(node: &NodeRun, key: &str) -> Option<Value> {
    node.extensions.as_ref()?.get(key)
}

#[tokio::test]
async fn rerun_executes_only_what_had_not_succeeded() {
    let t = TestServer::start_with(&[LISTEN]).await;
    let first = t.run_start_with("composite.accept", json!({"goal": 1}), json!({"run_id": "first"})).await;
    // With keys, and without: of two that are the same one has failed.
    let specs = [
        spec("echo", Some("good"), 1),
        spec("fail", Some("bad"), 2),
        spec("echo", None, 3),
        spec("fail", None, 4),
        spec("echo", None, 3),
    ];
    let old = play(&t, &first, &specs).await;
    let before = t.run(&first.run_id).await;
    let again = rerun(&t, "first", json!({"from": "succeeded"})).await;
    assert_eq!(again.extensions.as_ref().and_then(|own| own.get("jarvis.rerun_of")), Some(json!("first")));
    let new = play(&t, &again, &specs).await;
    for (old, new) in old.iter().zip(&new) {
        let is_reused = old.state == NodeRunState::Succeeded;
        let from = is_reused.then(|| json!(old.node_run_id));
        assert_eq!(extension(new, "jarvis.reused_from"), from);
        assert_eq!((new.state, &new.outputs), (old.state, &old.outputs));
        let calls = t.executors.executions(new.node_run_id.as_str());
        assert_eq!(calls, usize::from(!is_reused), "{}", new.node_run_id);
        assert_eq!(new.started_at.is_some(), !is_reused);
    }
    assert_eq!(t.run(&first.run_id).await, before, "what has ended stays as it is");
    // Operators see it: in the list, in the tree and in the explanation.
    let listed = get(&t, "/x/runs").await.ok();
    assert_eq!(
        (&listed["items"][0]["run_id"], &listed["items"][0]["rerun_of"]),
        (&json!(again.run_id), &json!("first"))
    );
    let tree = get(&t, &format!("/x/runs/{}/tree", again.run_id)).await.ok();
    assert_eq!(tree["items"][1]["reused_from"], json!(old[0].node_run_id));
    assert_eq!(tree["items"][2]["reused_from"], Value::Null);
    let explained = get(&t, &format!("/x/node-runs/{}/explain", new[0].node_run_id)).await.ok();
    assert!(explained.to_string().contains("\"code\":\"reused\""), "{explained}");
    // The repetition can be repeated: what it reused is in it.
    let third = rerun(&t, again.run_id.as_str(), json!({"from": "succeeded"})).await;
    let newest = play(&t, &third, &specs[..1]).await;
    assert_eq!(extension(&newest[0], "jarvis.reused_from"), Some(json!(new[0].node_run_id)));
    assert_eq!(newest[0].outputs, old[0].outputs);
    t.stop().await;
}

#[tokio::test]
async fn rerun_continues_after_a_restart() {
    let t = TestServer::start_with(&[LISTEN]).await;
    let first = t.run_start_with("composite.accept", json!({}), json!({"run_id": "first"})).await;
    let specs = [spec("echo", None, 1), spec("echo", None, 1)];
    let old = play(&t, &first, &specs).await;
    let again = rerun(&t, "first", json!({"from": "succeeded"})).await;
    t.node_run_in(&again.root_node_run_id, NodeRunState::Running).await;
    let child = t.children(&again.run_id, &again.root_node_run_id, &specs[..1]).await;
    assert_eq!(extension(&child[0], "jarvis.reused_from"), Some(json!(old[0].node_run_id)));
    let (journal, executors) = t.stop().await;
    let t = TestServer::try_start(journal, executors, &[LISTEN]).await.expect("it starts");
    let child = t.children(&again.run_id, &again.root_node_run_id, &specs[1..]).await;
    assert_eq!(extension(&child[0], "jarvis.reused_from"), Some(json!(old[1].node_run_id)));
    t.stop().await;
}

#[tokio::test]
async fn rerun_has_the_request_of_the_original() {
    let t = TestServer::start_with(&[LISTEN]).await;
    let more = json!({
        "run_id": "first",
        "run_context": {"tenant_id": "acme", "trace": {"trace_id": "t"}},
        "constraints": {"structural": {"max_depth": 3}, "budgets": {"max_steps": 9}},
        "metadata": {"labels": {"team": "blue"}},
        "extensions": {"acme.note": {"kept": null}},
    });
    let input = json!({"password": "hunter2", "text": "é"});
    let first = t.run_start_with("atomic.echo", input.clone(), more).await;
    t.run_ended(&first.run_id).await;
    let again = rerun(&t, "first", json!({"from": "start"})).await;
    let again = t.run_ended(&again.run_id).await;
    assert_eq!(again.state, RunState::Succeeded);
    let first = t.run(&first.run_id).await;
    assert_eq!(again.run_context, first.run_context);
    let (root, old) = (t.node_run(&again.root_node_run_id).await, t.node_run(&first.root_node_run_id).await);
    // Nothing of it is masked.
    assert_eq!(json!(root.inputs), input);
    assert_eq!((&root.node_type_ref, &root.outputs), (&old.node_type_ref, &old.outputs));
    let shown = |run: &Run| {
        let own = run.extensions.clone().unwrap_or_default();
        ["acme.note", "jarvis.metadata", "constraints", "jarvis.owner", "jarvis.budget"]
            .map(|key| own.get(key))
    };
    assert_eq!(shown(&again), shown(&first));
    assert_eq!(t.executors.executions(root.node_run_id.as_str()), 1);
    t.stop().await;
}

#[tokio::test]
async fn rerun_with_a_key_makes_one_run() {
    let t = TestServer::start_with(&[LISTEN]).await;
    let first = t.run_start_with("atomic.echo", json!({}), json!({"run_id": "first"})).await;
    t.run_ended(&first.run_id).await;
    let keyed = json!({"idempotency_key": "k"});
    let again = rerun(&t, "first", keyed.clone()).await;
    assert_eq!(rerun(&t, "first", keyed).await.run_id, again.run_id);
    assert_ne!(rerun(&t, "first", json!({"idempotency_key": "l"})).await.run_id, again.run_id);
    assert_ne!(rerun(&t, "first", json!({})).await.run_id, again.run_id);
    let path = "/x/runs/first:rerun";
    let other = json!({"reason": "r", "from": "succeeded", "idempotency_key": "k"});
    post(&t, path, &other).await.refused(409, "idempotency_conflict");
    for bad in [
        json!({}),
        json!({"reason": " "}),
        json!({"reason": "r", "from": "end"}),
        json!({"reason": "r", "idempotency_key": "x".repeat(501)}),
        json!({"reason": "r", "more": 1}),
    ] {
        post(&t, path, &bad).await.refused(400, "invalid_request");
    }
    let body = json!({"reason": "r"});
    post(&t, "/x/runs/nowhere:rerun", &body).await.refused(404, "run_not_found");
    t.run_start_with("composite.accept", json!({}), json!({"run_id": "live"})).await;
    post(&t, "/x/runs/live:rerun", &body).await.refused(409, "run_not_terminal");
    let _: NodeRunId = again.root_node_run_id;
    t.stop().await;
}
