//! Schemas of node types (contract §7.5), through a real server: inputs at creation,
//! outputs at completion.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use jarvis_run_coordinator::types::{NodeRunState, RunState};
use serde_json::{Value, json};

use crate::support::{FakeService, TestServer, spec, start_of};

const SCHEMAS: &str = "JARVIS_RUN_COORDINATOR_SCHEMAS";

/// A registry whose types demand a `goal` and answer with a number `calls`. The type
/// `…elsewhere` refers to another document.
fn registry(up: &Arc<AtomicBool>) -> FakeService {
    let up = Arc::clone(up);
    FakeService::start_with_status(move |path, _| {
        if !up.load(Ordering::SeqCst) {
            return (503, json!("<html>no upstream</html>"));
        }
        let id = path.rsplit('/').next().unwrap_or_default();
        let kind = id.split('.').next().unwrap_or_default();
        let input = match id.ends_with("elsewhere") {
            true => json!({"$ref": "http://127.0.0.1:1/schema.json"}),
            false => {
                json!({"type": "object", "required": ["goal"], "properties": {"goal": {"type": "string"}}})
            }
        };
        let output = json!({"properties": {"goal": {"maxLength": 5}}});
        (
            200,
            json!({"node_type_id": id, "version": "1.0.0", "kind": kind, "input_schema": input,
            "output_schema": output, "extensions": {"jarvis.side_effect": "read"}}),
        )
    })
}

fn with_inputs(node_type: &str, inputs: Value) -> Value {
    let mut spec = spec(node_type);
    spec["inputs"] = inputs;
    spec
}

fn note(node: &jarvis_run_coordinator::types::NodeRun, key: &str) -> Option<Value> {
    node.extensions.as_ref().and_then(|extensions| extensions.get(key))
}

#[tokio::test]
async fn inputs_that_violate_their_schema_are_refused_by_place() {
    let up = Arc::new(AtomicBool::new(true));
    let registry = registry(&up);
    let vars = [(SCHEMAS, "enforce"), ("JARVIS_NODE_REGISTRY_URL", registry.url())];
    let t = TestServer::start_with(&[&vars[..], &TestServer::IDLE].concat()).await;
    let mut start = start_of("atomic.echo");
    start["input"] = json!({"goal": ["SECRET"]});
    let before = t.journal_rows();
    let error = t.post("/v1/runs", &start).await.refused(422, "input_schema_violation");
    let errors = error["details"]["errors"].as_array().expect("errors");
    assert_eq!((errors.len(), &errors[0]["loc"]), (1, &json!(["body", "input", "goal"])));
    assert!(!error.to_string().contains("SECRET"), "{error}");
    assert_eq!(t.journal_rows(), before);

    let run = t.run_start("composite.accept", json!({"goal": "g"})).await;
    let create = |specs: Value| json!({"run_id": run.run_id, "parent_node_run_id": run.root_node_run_id, "node_runs": specs});
    let good = with_inputs("atomic.echo", json!({"goal": "g"}));
    let bad = with_inputs("atomic.echo", json!({"other": 1}));
    let answer = t.post("/v1/node-runs", &create(json!([good, bad]))).await;
    let error = answer.refused(422, "input_schema_violation");
    assert_eq!(error["details"]["errors"][0]["loc"], json!(["body", "node_runs", 1, "inputs"]));
    // A schema that cannot be used is no permission.
    let unusable = with_inputs("atomic.elsewhere", json!({"goal": "g"}));
    let answer = t.post("/v1/node-runs", &create(json!([unusable]))).await;
    let error = answer.refused(422, "schema_unusable");
    assert_eq!(error["details"]["errors"][0]["loc"], json!(["body", "node_runs", 0, "node_type_ref"]));
    t.post("/v1/node-runs", &create(json!([good]))).await.ok();
    t.stop().await;
}

#[tokio::test]
async fn a_repetition_is_not_judged_again() {
    let up = Arc::new(AtomicBool::new(true));
    let registry = registry(&up);
    let url = ("JARVIS_NODE_REGISTRY_URL", registry.url());
    let t = TestServer::start_with(&[&[url][..], &TestServer::IDLE].concat()).await;
    let run = t.run_start("composite.accept", json!({})).await;
    let mut keyed = with_inputs("atomic.echo", json!({}));
    keyed["idempotency_key"] = json!("k");
    let first = t.children(&run.run_id, &run.root_node_run_id, std::slice::from_ref(&keyed)).await;
    let (journal, executors) = t.stop().await;
    let vars = [&[url, (SCHEMAS, "enforce")][..], &TestServer::IDLE].concat();
    let t = TestServer::try_start(journal, executors, &vars).await.expect("the server starts");
    assert_eq!(t.children(&run.run_id, &run.root_node_run_id, &[keyed]).await, first);
    t.stop().await;
}

#[tokio::test]
async fn outputs_that_violate_their_schema_fail_the_node() {
    let up = Arc::new(AtomicBool::new(true));
    let registry = registry(&up);
    let url = ("JARVIS_NODE_REGISTRY_URL", registry.url());
    for (mode, state) in [("off", "succeeded"), ("record", "succeeded"), ("enforce", "failed")] {
        let t = TestServer::start_with(&[url, (SCHEMAS, mode)]).await;
        // It answers with its inputs: the goal is too long for its outputs.
        let run = t.run_start("atomic.echo", json!({"goal": "too long"})).await;
        t.run_ended(&run.run_id).await;
        let root = t.node_run(&run.root_node_run_id).await;
        assert_eq!(root.state.to_string(), state, "{mode}");
        assert!(root.outputs.is_some(), "the evidence stays");
        let noted = note(&root, "jarvis.output_schema_violations");
        assert_eq!(noted.is_some(), mode == "record", "{mode}");
        let error = note(&root, "completion_error").unwrap_or_default();
        let details = &error["details"]["violations"][0];
        if mode == "enforce" {
            assert_eq!(error["code"], "output_schema_violation");
            assert_eq!(details["path"], "/goal");
        }
        // The same for what is completed over the API, as often as it is.
        let run = t.run_start("composite.accept", json!({"goal": "g"})).await;
        t.node_run_in(&run.root_node_run_id, NodeRunState::Running).await;
        let path = format!("/v1/node-runs/{}:complete", run.root_node_run_id);
        for _ in 0..2 {
            let done = json!({"state": "succeeded", "outputs": {"goal": "too long"}});
            t.post(&path, &done).await.no_content();
        }
        assert_eq!(t.run(&run.run_id).await.state.to_string(), state, "{mode}");
        t.stop().await;
    }
}

#[tokio::test]
async fn record_mode_refuses_nothing_and_notes_it() {
    let up = Arc::new(AtomicBool::new(true));
    let registry = registry(&up);
    let t =
        TestServer::start_with(&[(SCHEMAS, "record"), ("JARVIS_NODE_REGISTRY_URL", registry.url())]).await;
    let run = t.run_start("composite.accept", json!({"goal": 1})).await;
    let root = t.node_run(&run.root_node_run_id).await;
    let noted = note(&root, "jarvis.input_schema_violations").expect("a note");
    assert_eq!(noted["violations"][0]["path"], "/goal");
    let wanted = [with_inputs("atomic.echo", json!({})), with_inputs("atomic.elsewhere", json!({}))];
    let children = t.children(&run.run_id, &run.root_node_run_id, &wanted).await;
    assert!(note(&children[0], "jarvis.input_schema_violations").is_some());
    assert!(note(&children[1], "jarvis.input_schema_violations").is_none(), "it could not be judged");
    t.node_run_in(&children[0].node_run_id, NodeRunState::Succeeded).await;
    t.stop().await;
}

#[tokio::test]
async fn inputs_of_a_guessed_type_are_judged_at_the_dispatch() {
    let up = Arc::new(AtomicBool::new(false));
    let registry = registry(&up);
    let vars = [
        (SCHEMAS, "enforce"),
        ("JARVIS_NODE_REGISTRY_URL", registry.url()),
        ("JARVIS_RUN_COORDINATOR_REGISTRY_OUTAGE", "open"),
    ];
    let t = TestServer::start_with(&[&vars[..], &TestServer::IDLE].concat()).await;
    let run = t.run_start("atomic.echo", json!({"goal": 1})).await;
    assert_eq!(run.state, RunState::Running, "it could not be judged");
    let (journal, executors) = t.stop().await;
    up.store(true, Ordering::SeqCst);
    let t = TestServer::try_start(journal, executors, &vars).await.expect("the server starts");
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Failed);
    let error = note(&t.node_run(&run.root_node_run_id).await, "completion_error").expect("an error");
    assert_eq!(
        (&error["code"], &error["details"]["violations"][0]["path"]),
        (&json!("input_schema_violation"), &json!("/goal"))
    );
    assert!(t.executors.calls().is_empty());
    t.stop().await;
}
