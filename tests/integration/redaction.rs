//! Secrets in what executors and the PDP say about errors: they reach neither a
//! record nor an answer nor an event. (Logs: `runtime::log`.)

use jarvis_run_coordinator::types::RunState;
use serde_json::{Value, json};

use crate::support::{FakeService, TestServer, spec};

const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.hush";

/// Everything that there is about a run, and the journal itself.
async fn everything(t: &TestServer, run: &str, root: &str) -> String {
    let mut all = String::new();
    for path in [format!("/v1/runs/{run}"), format!("/v1/node-runs/{root}"), format!("/v1/runs/{run}/events")]
    {
        all.push_str(&t.get(&path).await.text);
    }
    for file in std::fs::read_dir(t.journal.path()).expect("the folder") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("its bytes");
        all.push_str(&String::from_utf8_lossy(&bytes));
    }
    all
}

async fn root_of(t: &TestServer, answer: &Value) -> (String, String, Value) {
    let member = |name: &str| answer[name].as_str().expect("an id").to_owned();
    let (run, root) = (member("run_id"), member("root_node_run_id"));
    let node = t.get(&format!("/v1/node-runs/{root}")).await.ok();
    (run, root, node["extensions"]["completion_error"].clone())
}

#[tokio::test]
async fn secrets_in_an_executors_error_are_not_stored() {
    let details = || {
        json!({
            "api_key": "hush", "n": 1, "customer": "hush",
            "request": {"headers": {"Authorization": "Basic hush"}, "url": "https://me:hush@db/x"},
            "log": format!("sent Bearer {JWT}"),
        })
    };
    let message = format!("401 with Authorization: Bearer {JWT}");
    let says = |text: &str| {
        let error = json!({"code": "no_access", "message": text, "details": details()});
        (error.clone(), json!({"error": error}))
    };
    let (error, envelope) = says(&message);
    // As a result, as an envelope, as text that a parser quotes, and at begin.
    for (node_type, status, answer) in [
        ("atomic.result", 200, json!({"state": "failed", "error": error})),
        ("atomic.envelope", 422, envelope.clone()),
        ("atomic.detail", 400, json!({"detail": message})),
        ("atomic.nonsense", 200, json!({"state": JWT})),
        ("composite.rejects", 200, json!({"accepted": false, "message": message})),
        ("composite.envelope", 422, envelope),
    ] {
        let executor = FakeService::start_with_status(move |_, body| {
            let mut answer = answer.clone();
            answer["node_run_id"] = body["node_run_id"].clone();
            (status, answer)
        });
        let t = TestServer::start_with(&[
            ("JARVIS_ATOMIC_EXECUTOR_URL", executor.url()),
            ("JARVIS_COMPOSITE_EXECUTOR_URL", executor.url()),
            ("JARVIS_RUN_COORDINATOR_REDACT", "customer"),
            ("JARVIS_RUN_COORDINATOR_MAX_RETRIES", "0"),
        ])
        .await;
        let run = t.run_start(node_type, json!({"password": "the caller's own"})).await;
        assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Failed, "{node_type}");
        let answer = json!({"run_id": run.run_id, "root_node_run_id": run.root_node_run_id});
        let (run, root, error) = root_of(&t, &answer).await;
        let all = everything(&t, &run, &root).await;
        assert!(!all.contains("hush"), "{node_type}: {error}");
        assert!(all.contains("the caller's own"), "inputs are not changed");
        if node_type != "atomic.nonsense" {
            assert!(all.contains("[redacted]"), "{node_type}: {error}");
        }
        if status == 422 {
            assert_eq!((&error["code"], &error["details"]["n"]), (&json!("no_access"), &json!(1)));
        }
        t.stop().await;
    }
}

#[tokio::test]
async fn secrets_in_a_reported_completion_are_not_stored() {
    let t = TestServer::idle().await;
    let run = t.run_start("composite.plan", json!({})).await;
    let child = t.children(&run.run_id, &run.root_node_run_id, &[spec("atomic.echo")]).await.remove(0);
    let error = json!({"code": "c", "message": "password=hush", "details": {"cookie": "hush", "n": 2}});
    let body = json!({"state": "failed", "error": error, "outputs": {"token": "the executor's own"}});
    t.post(&format!("/v1/node-runs/{}:complete", child.node_run_id), &body).await.no_content();
    let all = everything(&t, run.run_id.as_str(), child.node_run_id.as_str()).await;
    assert!(!all.contains("hush") && all.contains("password=[redacted]"));
    assert!(all.contains("the executor's own"), "outputs are not changed");
    t.stop().await;
}

#[tokio::test]
async fn secrets_in_a_policy_decision_are_not_stored() {
    let pdp = FakeService::start(|_, _| {
        json!({"decision": "deny", "reason_code": "r", "message": format!("no {JWT}"),
            "extensions": {"policy_hash": "Bearer hush1234"}})
    });
    let t = TestServer::start_with(&[("JARVIS_PDP_URL", pdp.url())]).await;
    let start = json!({"root_node_type_ref": {"node_type_id": "atomic.echo", "version": "1"}, "input": {}});
    let run = t.post("/v1/runs", &start).await.ok();
    let (run, root, _) = root_of(&t, &run).await;
    let all = everything(&t, &run, &root).await;
    assert!(!all.contains("hush") && all.contains("no [redacted]") && all.contains("Bearer [redacted]"));
    t.stop().await;
}
