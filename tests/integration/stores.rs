//! The JARVIS stores get every change, in order, once, however they behave; and
//! callers never wait for long (contract §14, §15, design §2).

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{FakeStores, StoreFault, TestServer, soon};

async fn start(stores: &FakeStores, more: &[(&str, &str)]) -> TestServer {
    let mut vars = stores.vars().to_vec();
    vars.extend(more);
    TestServer::start_with(&vars).await
}

/// The checks of health by name.
async fn check(t: &TestServer, name: &str) -> Value {
    let health: Value = t.get("/v1/health").await.ok();
    let checks = health["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["name"] == name);
    check.unwrap_or_else(|| panic!("no check {name} in {health}")).clone()
}

#[tokio::test]
async fn an_answer_comes_when_the_stores_have_what_it_says() {
    let stores = FakeStores::start();
    // Longer than the test: that is not what ends the waiting.
    let t = start(&stores, &[("JARVIS_RUN_COORDINATOR_STORE_WAIT_SECS", "600")]).await;
    let run = t.run_start("atomic.hang", json!({"x": 1})).await;
    let root = &run.root_node_run_id;
    assert!(stores.object(&format!("runs/{}", run.run_id)).is_some());
    assert_eq!(stores.key_of(&format!("node-runs/{root}")), Some(root.to_string()), "FIX G07");
    assert!(stores.seqs(run.run_id.as_str()).starts_with(&[1, 2, 3]));

    let canceled = t.cancel(&run.run_id).await;
    let stored = stores.object(&format!("runs/{}", run.run_id)).expect("stored");
    assert_eq!(stored, serde_json::to_value(&canceled).expect("JSON"));
    let ours: Vec<Value> =
        t.events(&run.run_id).await.iter().map(|event| serde_json::to_value(event).expect("JSON")).collect();
    assert_eq!(stores.events(run.run_id.as_str()), ours);
    assert_eq!(check(&t, "outbox").await["status"], "ok");
}
