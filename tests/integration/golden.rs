//! Golden files of answers. After an intended change, rewrite them with
//! `EXPECTORATE=overwrite cargo test --test integration golden`.

use std::fmt::Write as _;

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{Answer, Sts, TestServer, UNREACHABLE, redacted};

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("JSON")
}

/// One error envelope of each code.
#[tokio::test]
async fn error_envelopes_match_the_golden_file() {
    let t = TestServer::start_with(&[
        ("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "off"),
        ("JARVIS_RUN_COORDINATOR_MAX_BODY_BYTES", "2000"),
    ])
    .await;
    let without_registry = TestServer::start_with(&[("JARVIS_NODE_REGISTRY_URL", UNREACHABLE)]).await;
    let sts = Sts::start();
    let vars = sts.variables();
    let vars: Vec<(&str, &str)> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let guarded = TestServer::start_with(&vars).await;

    let ref_ = json!({"node_type_id": "composite.accept", "version": "1"});
    let start = |more: Value| {
        let mut body = json!({"root_node_type_ref": ref_, "input": {}});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    let live = json!({"run_id": "live", "constraints": {"structural": {"max_children_per_composite": 1}}});
    t.post("/v1/runs", &start(live.clone())).await.ok();
    let root = t.run(&"live".into()).await.root_node_run_id;
    t.post("/v1/runs", &start(json!({"run_id": "over"}))).await.ok();
    let over = t.cancel(&"over".into()).await.root_node_run_id;
    let spec = json!({"node_type_ref": ref_, "inputs": {}, "idempotency_key": "k"});
    let create = |run: &str, parent: &str, specs: Value| json!({"run_id": run, "parent_node_run_id": parent, "node_runs": specs});
    let root = root.as_str();
    let child =
        t.children(&"live".into(), &root.into(), std::slice::from_ref(&spec)).await.remove(0).node_run_id;
    t.complete(&child, "failed").await;

    let post = |path: &str, body: Value| t.request("POST", path).json(&body);
    let json_of = |text: &'static str| {
        t.request("POST", "/v1/runs").header("content-type", "application/json").body(text)
    };
    let mut different = spec.clone();
    different["inputs"] = json!({"a": 1});
    let mut bound = spec.clone();
    bound["idempotency_key"] = json!("other");
    bound["binding_decision"] =
        json!({"subtask_id": "S", "chosen_node_type_ref": {"node_type_id": "x", "version": "1"}});
    let fresh = json!([{"node_type_ref": ref_, "inputs": {}}]);
    let requests: Vec<(&str, RequestBuilder)> = vec![
        ("no token", guarded.request("GET", "/v1/runs/a")),
        ("a bad token", guarded.request("GET", "/v1/runs/a").bearer_auth("garbage")),
        ("an unknown route", t.request("GET", "/v1/nothing")),
        ("a wrong method", t.request("DELETE", "/v1/runs/a")),
        ("a body that is too large", post("/v1/runs", json!({"input": "x".repeat(2_000)}))),
        ("a content type that is not JSON", t.request("POST", "/v1/runs").body("{}")),
        ("a body that is not JSON", json_of("{\"input\": nope}")),
        ("no body", json_of("")),
        ("a body with errors", post("/v1/runs", start(json!({"input": [], "odd": "a secret", "run_id": 1})))),
        ("a run id that does not fit into a URL", post("/v1/runs", start(json!({"run_id": "a/b"})))),
        ("a bad query", t.request("GET", "/v1/runs/live/events?limit=0")),
        ("an unknown run", t.request("GET", "/v1/runs/nowhere")),
        ("an unknown node run", t.request("GET", "/v1/node-runs/missing")),
        ("an unknown parent", post("/v1/node-runs", create("live", "missing", fresh.clone()))),
        ("a different start under a known id", post("/v1/runs", start(json!({"run_id": "live"})))),
        ("a parent of another run", post("/v1/node-runs", create("live", over.as_str(), fresh.clone()))),
        ("a terminal run", post("/v1/node-runs", create("over", over.as_str(), fresh.clone()))),
        ("a terminal parent", post("/v1/node-runs", create("live", child.as_str(), fresh.clone()))),
        (
            "a different child under a known key",
            post("/v1/node-runs", create("live", root, json!([different]))),
        ),
        ("a binding to another type", post("/v1/node-runs", create("live", root, json!([bound])))),
        ("a limit", post("/v1/node-runs", create("live", root, fresh))),
        (
            "a different completion",
            post(&format!("/v1/node-runs/{child}:complete"), json!({"state": "succeeded"})),
        ),
        ("no registry", without_registry.request("POST", "/v1/runs").json(&start(json!({})))),
    ];
    let mut golden = String::new();
    for (what, request) in requests {
        let answer = Answer::of(request).await;
        writeln!(golden, "{what}: {}\n{}\n", answer.status, pretty(&redacted(&answer.body()))).expect("text");
    }
    expectorate::assert_contents("tests/output/error-envelopes.txt", &golden);
    for server in [t, without_registry, guarded] {
        server.stop().await;
    }
}

/// A run of one atomic node: its events, then the Run and the NodeRun.
#[tokio::test]
async fn atomic_run_matches_the_golden_file() {
    let t = TestServer::start().await;
    let more = json!({"extensions": {"my.key": null}, "constraints": {"budgets": {"max_cost": 1}}});
    let run = t.run_start_with("atomic.echo", json!({"echo": "hello", "nothing": null}), more).await;
    t.run_ended(&run.run_id).await;
    let events = t.get(&format!("/v1/runs/{}/events", run.run_id)).await.text;
    let mut all: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    all.push(t.get(&format!("/v1/runs/{}", run.run_id)).await.ok());
    all.push(t.get(&format!("/v1/node-runs/{}", run.root_node_run_id)).await.ok());
    let Value::Array(all) = redacted(&json!(all)) else { unreachable!("a list stays one") };
    let mut golden = String::new();
    for mut line in all {
        if let Some(binding) = line.get_mut("executor_binding") {
            binding["endpoint"] = json!("ENDPOINT");
        }
        writeln!(golden, "{line}").expect("text");
    }
    expectorate::assert_contents("tests/output/atomic-run.ndjson", &golden);
    t.stop().await;
}
