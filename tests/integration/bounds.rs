//! The operator's bounds on runs (contract §7.3).

use jarvis_run_coordinator::types::NodeRunId;
use serde_json::{Value, json};

use crate::support::{TestServer, spec};

fn start(constraints: Value) -> Value {
    let node_type = json!({"node_type_id": "composite.accept", "version": "1"});
    json!({"root_node_type_ref": node_type, "input": {}, "constraints": constraints})
}

#[tokio::test]
async fn depth_of_a_run_without_constraints_is_limited() {
    let t = TestServer::idle().await;
    let run = t.run_start_with("composite.accept", json!({}), json!({})).await;
    assert!(run.extensions.is_none_or(|own| !own.contains_key("constraints")));
    let mut parent = run.root_node_run_id.clone();
    for _ in 0..32 {
        let [child] = <[_; 1]>::try_from(t.children(&run.run_id, &parent, &[spec("composite.accept")]).await)
            .expect("one child");
        assert!(
            child.extensions.is_none_or(|own| !own.contains_key("constraints")),
            "nor do executors get it"
        );
        parent = child.node_run_id;
    }
    let wider = json!({"node_type_ref": {"node_type_id": "atomic.echo", "version": "1"}, "inputs": {},
        "constraints": {"structural": {"max_depth": 99}}});
    let request = json!({"run_id": run.run_id, "parent_node_run_id": parent, "node_runs": [wider]});
    let refused = t.post("/v1/node-runs", &request).await.refused(409, "constraint_violation");
    assert_eq!(refused["message"], "max_depth constraint violated for child NodeRuns");
    t.stop().await;
}

#[tokio::test]
async fn bounds_hold_and_later_settings_change_no_run() {
    let vars = |default: &'static str, max: &'static str| {
        let mut vars = TestServer::IDLE.to_vec();
        vars.push(("JARVIS_RUN_COORDINATOR_DEFAULT_CONSTRAINTS", default));
        vars.push(("JARVIS_RUN_COORDINATOR_MAX_CONSTRAINTS", max));
        vars
    };
    let t = TestServer::start_with(&vars(
        r#"{"budgets": {"max_steps": 5}}"#,
        r#"{"structural": {"max_depth": 3}, "budgets": {"max_steps": 50}}"#,
    ))
    .await;
    let mut request = start(json!({"structural": {"max_depth": 9}}));
    request["run_id"] = json!("r");
    let run = t.post("/v1/runs", &request).await.ok();
    let bounded = json!({"structural": {"max_depth": 3}, "budgets": {"max_steps": 5}});
    assert_eq!(run["extensions"]["constraints"], bounded);
    let root: NodeRunId = serde_json::from_value(run["root_node_run_id"].clone()).expect("an id");
    let keyed = json!({"node_type_ref": {"node_type_id": "atomic.echo", "version": "1"}, "inputs": {},
        "idempotency_key": "k", "constraints": {"budgets": {"max_steps": 4}}});
    let children = json!({"run_id": "r", "parent_node_run_id": root, "node_runs": [keyed]});
    let child = t.post("/v1/node-runs", &children).await.ok()["node_runs"][0].clone();
    let of_child = json!({"structural": {"max_depth": 3}, "budgets": {"max_steps": 4}});
    assert_eq!(child["extensions"]["constraints"], of_child);
    let huge = t.post("/v1/runs", &start(json!({"budgets": {"max_steps": 1000}}))).await.ok();
    assert_eq!(huge["extensions"]["constraints"]["budgets"], json!({"max_steps": 50}));

    let (journal, executors) = t.stop().await;
    let vars = vars(r#"{"budgets": {"max_steps": 1}}"#, r#"{"structural": {"max_depth": 0}}"#);
    let t = TestServer::try_start(journal, executors, &vars).await.expect("the server starts");
    assert_eq!(t.post("/v1/runs", &request).await.ok(), run, "the same request");
    let again: Value = t.post("/v1/node-runs", &children).await.ok();
    assert_eq!(again["node_runs"], json!([child]));
    let new = json!({"run_id": "r", "parent_node_run_id": root, "node_runs": [spec("atomic.echo")]});
    let new = t.post("/v1/node-runs", &new).await.ok();
    assert_eq!(new["node_runs"][0]["extensions"]["constraints"], bounded);
    t.stop().await;
}
