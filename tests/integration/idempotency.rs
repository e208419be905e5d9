//! Creating children under idempotency keys (contract §8, G02, G07): a repeated create
//! returns the node that exists, and a key stands for one spec.

use futures::future::join_all;
use jarvis_run_coordinator::types::{NodeRunId, NodeRunState, Run};
use serde_json::{Value, json};

use crate::support::{self, Answer, TestServer};

/// A spec under the key `k`, with further members.
fn spec(more: Value) -> Value {
    let mut spec = json!({"node_type_ref": {"node_type_id": "atomic.echo", "version": "1"}, "inputs": {"a": [1, 2.5]},
        "idempotency_key": "k"});
    let Value::Object(more) = more else { panic!("an object") };
    spec.as_object_mut().expect("an object").extend(more);
    spec
}

fn create(run: &Run, specs: Value) -> Value {
    json!({"run_id": run.run_id, "parent_node_run_id": run.root_node_run_id, "node_runs": specs})
}

async fn post(t: &TestServer, run: &Run, specs: Value) -> Answer {
    t.post("/v1/node-runs", &create(run, specs)).await
}

fn ids(answer: &Answer) -> Vec<String> {
    let created = answer.ok();
    let nodes = created["node_runs"].as_array().expect("a list");
    nodes.iter().map(|node| node["node_run_id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn concurrent_creates_under_one_key_make_one_node() {
    let t = TestServer::start().await;
    let run = t.run_start("composite.accept", json!({})).await;
    let binding = json!({"subtask_id": "S1", "candidate_set_id": "set",
        "chosen_node_type_ref": {"node_type_id": "atomic.echo", "version": "1"}});
    let specs = json!([spec(json!({"binding_decision": binding}))]);
    let answers = join_all((0..10).map(|_| post(&t, &run, specs.clone()))).await;
    let id = NodeRunId::derived(&run.run_id, &run.root_node_run_id, "k");
    for answer in &answers {
        assert_eq!(ids(answer), [id.as_str()]);
    }
    t.node_run_in(&id, NodeRunState::Succeeded).await;
    t.complete(&run.root_node_run_id, "succeeded").await;
    assert_eq!(t.executors.executions(id.as_str()), 1);
    let mut types: Vec<_> = t.follow(&run.run_id).await.iter().map(|event| event.type_.to_string()).collect();
    // The events of the root's own dispatch may stand anywhere among them.
    types.sort();
    assert_eq!(
        types,
        [
            "atomic_executed",
            "candidate_set_generated",
            "composite_decomposed",
            "node_evaluated",
            "node_run_assigned",
            "node_run_assigned",
            "policy_decided",
            "policy_decided",
            "policy_decided",
            "run_completed",
            "run_started",
            "subtask_mapped",
        ]
    );
    let rounds = t
        .node_run(&run.root_node_run_id)
        .await
        .extensions
        .expect("extensions")
        .value("decomposition_rounds")
        .clone();
    assert_eq!(rounds, 1);
    t.stop().await;
}

#[tokio::test]
async fn two_runs_may_use_the_same_key() {
    let t = TestServer::start().await;
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let run = t.run_start("composite.accept", json!({})).await;
        nodes.extend(ids(&post(&t, &run, json!([spec(json!({}))])).await));
    }
    assert_ne!(nodes[0], nodes[1]);
    for node in &nodes {
        t.node_run_in(&node.as_str().into(), NodeRunState::Succeeded).await;
        assert_eq!(t.executors.executions(node), 1);
    }
    t.stop().await;
}

#[tokio::test]
async fn two_parents_may_use_the_same_key() {
    let t = TestServer::idle().await;
    let run = t.run_start("composite.accept", json!({})).await;
    let inner = support::spec("composite.accept");
    let inner = t.children(&run.run_id, &run.root_node_run_id, &[inner]).await.remove(0).node_run_id;
    let below_root = t.children(&run.run_id, &run.root_node_run_id, &[spec(json!({}))]).await.remove(0);
    let below_inner = t.children(&run.run_id, &inner, &[spec(json!({}))]).await.remove(0);
    assert_ne!(below_root.node_run_id, below_inner.node_run_id);
    t.stop().await;
}

#[tokio::test]
async fn replayed_create_returns_the_node_and_changes_nothing() {
    let t = TestServer::idle().await;
    let tight = json!({"structural": {"max_children_per_composite": 1, "max_decomposition_rounds_per_node": 1,
        "max_total_nodes_per_run": 2, "max_depth": 1}, "candidates": {"denied_node_type_ids": ["b", "a"]}});
    let run = t.run_start_with("composite.accept", json!({}), json!({"constraints": tight})).await;
    let full = spec(json!({
        "binding_decision": {"subtask_id": "S1", "chosen_node_type_ref": {"node_type_id": "atomic.echo", "version": "1"}},
        "candidate_set_id": "set", "constraints": {"budgets": {"max_steps": 3}}, "metadata": {"labels": {"a": "b"}},
        "extensions": {"x.y": 1}, "requested_executor_instance_id": "me",
    }));
    let first = post(&t, &run, json!([full])).await;
    let id = ids(&first).remove(0);
    t.complete(&id.as_str().into(), "succeeded").await;
    let before = t.journal_rows();
    // Members that the replay omits are not compared, nor are metadata, extensions and
    // the requested executor. A replay is not subject to limits.
    let sparse = spec(json!({"constraints": {"budgets": {"max_steps": 3}}}));
    let other =
        spec(json!({"constraints": {"budgets": {"max_steps": 3}}, "metadata": {"labels": {"other": "x"}},
        "extensions": {"x.y": 2}, "requested_executor_instance_id": "you"}));
    // Numbers are equal by value.
    let floats = spec(json!({"constraints": {"budgets": {"max_steps": 3}}, "inputs": {"a": [1.0, 2.5e0]}}));
    for replay in [full, sparse, other, floats] {
        let answer = post(&t, &run, json!([replay])).await.ok();
        let now = t.get(&format!("/v1/node-runs/{id}")).await.ok();
        assert_eq!(answer["node_runs"], json!([now]), "{replay}");
        assert_eq!(now["state"], "succeeded");
        assert_eq!(t.journal_rows(), before, "{replay}");
    }
    t.stop().await;
}

#[tokio::test]
async fn key_reused_for_another_spec_is_a_conflict() {
    let t = TestServer::idle().await;
    let run = t.run_start("composite.accept", json!({})).await;
    let binding = |subtask: &str| json!({"subtask_id": subtask, "chosen_node_type_ref": {"node_type_id": "atomic.echo", "version": "1"}});
    let own = json!({"binding_decision": binding("S1"), "candidate_set_id": "set",
        "constraints": {"budgets": {"max_steps": 3}}});
    post(&t, &run, json!([spec(own.clone())])).await.ok();
    let before = t.journal_rows();
    let type_of = |id: &str, version: &str| json!({"node_type_id": id, "version": version});
    let extended = json!({"node_type_id": "atomic.echo", "version": "1", "extensions": {"a.b": 1}});
    for (different, message) in [
        (
            json!({"node_type_ref": type_of("atomic.fail", "1"), "binding_decision": null}),
            "for a different NodeTypeRef",
        ),
        (
            json!({"node_type_ref": type_of("atomic.echo", "2"), "binding_decision": null}),
            "for a different NodeTypeRef",
        ),
        (json!({"node_type_ref": extended}), "for a different NodeTypeRef"),
        (json!({"inputs": {}}), "for different inputs"),
        (json!({"inputs": {"a": [2.5, 1]}}), "for different inputs"),
        (json!({"inputs": {"a": [true, 2.5]}}), "for different inputs"),
        (json!({"inputs": {"a": [1, 2.5], "b": null}}), "for different inputs"),
        (json!({"binding_decision": binding("S2")}), "with different binding_decision"),
        (json!({"candidate_set_id": "another"}), "with different candidate_set_id"),
        (json!({"constraints": {"budgets": {"max_steps": 4}}}), "with different constraints"),
        // Of two differences the first one in the contract's order is reported.
        (json!({"inputs": {}, "candidate_set_id": "another"}), "for different inputs"),
    ] {
        let mut again = spec(own.clone());
        again.as_object_mut().expect("an object").extend(different.as_object().expect("an object").clone());
        // The new child of the same request must not be created either.
        let fresh = spec(json!({"idempotency_key": null}));
        let error = post(&t, &run, json!([fresh, again])).await.refused(409, "idempotency_conflict");
        assert_eq!(error["message"], format!("Idempotency key already used {message}"), "{different}");
        assert_eq!(t.journal_rows(), before, "{different}");
    }
    t.stop().await;
}

/// A run id with a colon makes `run_id:parent:key` ambiguous.
#[tokio::test]
async fn derived_id_of_another_runs_node_is_a_conflict() {
    let t = TestServer::idle().await;
    let victim = t.run_start_with("composite.accept", json!({}), json!({"run_id": "r"})).await;
    let name = format!("r:{}", victim.root_node_run_id);
    let other = t.run_start_with("composite.accept", json!({}), json!({"run_id": name})).await;
    let key = format!("{}:k", other.root_node_run_id);
    let node = post(&t, &victim, json!([spec(json!({"idempotency_key": key}))])).await;
    let before = t.journal_rows();
    let error = post(&t, &other, json!([spec(json!({}))])).await.refused(409, "idempotency_conflict");
    assert_eq!(error["message"], "Idempotency key already used for a different parent/run");
    assert_eq!(NodeRunId::derived(&other.run_id, &other.root_node_run_id, "k").as_str(), ids(&node)[0]);
    assert_eq!(t.journal_rows(), before);
    t.stop().await;
}

#[tokio::test]
async fn key_conflicts_are_checked_before_limits() {
    let t = TestServer::idle().await;
    let tight = json!({"constraints": {"structural": {"max_children_per_composite": 1}}});
    let run = t.run_start_with("composite.accept", json!({}), tight).await;
    post(&t, &run, json!([spec(json!({}))])).await.ok();
    let fresh = spec(json!({"idempotency_key": "new"}));
    let conflicting = spec(json!({"inputs": {}}));
    post(&t, &run, json!([fresh, conflicting])).await.refused(409, "idempotency_conflict");
    post(&t, &run, json!([fresh])).await.refused(409, "constraint_violation");
    t.stop().await;
}

#[tokio::test]
async fn request_may_repeat_keys_and_mix_old_and_new() {
    let t = TestServer::idle().await;
    let two = json!({"constraints": {"structural": {"max_children_per_composite": 3}}});
    let run = t.run_start_with("composite.accept", json!({}), two).await;
    let key = |key: &str| spec(json!({"idempotency_key": key}));
    let a = ids(&post(&t, &run, json!([key("a"), key("a")])).await);
    assert_eq!(a[0], a[1]);
    let mixed = ids(&post(&t, &run, json!([key("b"), key("a"), key("c"), key("b")])).await);
    let derived = |key: &str| NodeRunId::derived(&run.run_id, &run.root_node_run_id, key).to_string();
    assert_eq!(mixed, [derived("b"), derived("a"), derived("c"), derived("b")], "in request order");
    let events = t.events(&run.run_id).await;
    let decomposed: Vec<_> =
        events.iter().filter(|event| event.type_.to_string() == "composite_decomposed").collect();
    let counts: Vec<Value> = decomposed.iter().map(|event| json!(event.data)).collect();
    assert_eq!(counts, [json!({"node_run_count": 1}), json!({"node_run_count": 2})], "new ones only");
    // Within one request, too, a key stands for one spec.
    let twins = json!([key("d"), spec(json!({"idempotency_key": "d", "inputs": {}}))]);
    post(&t, &run, twins).await.refused(409, "idempotency_conflict");
    // An empty key is no key.
    let run = t.run_start("composite.accept", json!({})).await;
    let fresh = ids(&post(&t, &run, json!([key(""), key("")])).await);
    assert_ne!(fresh[0], fresh[1]);
    t.stop().await;
}

/// Inputs are stored and read again before they are compared: numbers must not change.
#[tokio::test]
async fn replay_with_long_numbers_is_recognized() {
    let t = TestServer::idle().await;
    let run = t.run_start("composite.accept", json!({})).await;
    let inputs = r#"{"x": [6.626070150000001e-34, 0.00012345678901234567, 100004059201495.82, 1.7976931348623157e308]}"#;
    let body =
        create(&run, json!([spec(json!({"inputs": "INPUTS"}))])).to_string().replace("\"INPUTS\"", inputs);
    let first = ids(&t.post_raw("/v1/node-runs", "application/json", body.clone()).await);
    assert_eq!(ids(&t.post_raw("/v1/node-runs", "application/json", body).await), first);
    t.stop().await;
}
