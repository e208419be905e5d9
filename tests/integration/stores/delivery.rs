//! What arrives at the stores while nothing fails, and what health reports of them.

use jarvis_run_coordinator::types::RunState;
use serde_json::json;

use super::{check, events, start};
use crate::support::{FakeStores, StoreFault, TestServer, UNREACHABLE, soon};

#[tokio::test]
async fn answer_waits_until_the_stores_have_the_change() {
    let stores = FakeStores::start();
    // The limit is longer than the test: it does not end the wait.
    let wait = ("JARVIS_RUN_COORDINATOR_STORE_WAIT_SECS", "600");
    let t = start(&stores, &[("JARVIS_RUN_COORDINATOR_STORE_LAG_SECS", "0"), wait]).await;
    let run = t.run_start("atomic.hang", json!({"x": 1})).await;
    let root = &run.root_node_run_id;
    assert!(stores.object(&format!("runs/{}", run.run_id)).is_some());
    assert_eq!(stores.key_of(&format!("node-runs/{root}")), Some(root.to_string()), "FIX G07");
    assert!(stores.seqs(run.run_id.as_str()).starts_with(&[1, 2, 3]));

    let canceled = t.cancel(&run.run_id).await;
    let stored = stores.object(&format!("runs/{}", run.run_id)).expect("stored");
    assert_eq!(stored, serde_json::to_value(&canceled).expect("JSON"));
    assert_eq!(stores.events(run.run_id.as_str()), events(&t, &run.run_id).await);
    assert_eq!(check(&t, "outbox").await["status"], "ok");
}

#[tokio::test]
async fn health_probes_a_missing_store_before_it_is_needed() {
    let stores = FakeStores::start();
    let vars = [("JARVIS_ARTIFACT_STORE_URL", UNREACHABLE)];
    let t = start(&stores, &vars).await;
    let artifacts = soon("the failed probe of the artifact store", async {
        loop {
            let artifacts = check(&t, "artifact_store").await;
            if artifacts["status"] == "degraded" {
                return artifacts;
            }
        }
    })
    .await;
    let message = artifacts["message"].as_str().expect("a message");
    assert_eq!(message, "The probe of the store failed: the connection could not be made");
    for there in ["run_store", "event_stream", "outbox"] {
        assert_eq!(check(&t, there).await["status"], "ok");
    }
    assert_eq!(t.get("/v1/health").await.ok()["status"], "degraded");
    // Runs are not affected.
    let run = t.run_start("atomic.echo", json!({"x": 1})).await;
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
}

#[tokio::test]
async fn run_costs_few_store_calls_and_events_follow_objects() {
    let stores = FakeStores::start();
    let t = start(&stores, &[]).await;
    let run = t.run_start("atomic.echo", json!({"x": 1})).await;
    t.run_ended(&run.run_id).await;
    let (run_key, node_key) = (format!("runs/{}", run.run_id), format!("node-runs/{}", run.root_node_run_id));
    let last = t.events(&run.run_id).await.last().expect("events").seq;
    stores.have_events(&run.run_id, last).await;
    for key in [&run_key, &node_key] {
        assert_eq!(stores.object(key).expect("stored")["state"], "succeeded", "{key}");
    }
    let calls = stores.calls();
    let first = |call: &str| calls.iter().position(|made| made.starts_with(call)).expect(call);
    assert!(first("POST /v1/run-events") > first("POST /v1/runs"), "{calls:?}");
    assert!(first("POST /v1/run-events") > first("POST /v1/node-runs"), "{calls:?}");
    // The objects are created, perhaps updated, and ended; events need at most one
    // append for each.
    assert!((2..=8).contains(&calls.len()), "{calls:?}");
    let puts = |key: &str| calls.iter().filter(|call| **call == format!("PUT /v1/{key}")).count();
    assert!(puts(&run_key) <= 1, "the run changes once: {calls:?}");
}

#[tokio::test]
async fn outbox_entries_survive_a_restart() {
    let stores = FakeStores::start();
    let wait = [("JARVIS_RUN_COORDINATOR_STORE_WAIT_SECS", "0.05")];
    let t = start(&stores, &wait).await;
    // These calls take effect although the coordinator gets no answer.
    stores.faults(|_| Some(StoreFault::Unanswered));
    let first = t.run_start("atomic.echo", json!({"x": 1})).await;
    t.run_ended(&first.run_id).await;
    stores.faults(|_| Some(StoreFault::Status(500)));
    let second = t.run_start("atomic.echo", json!({"x": 2})).await;
    t.run_ended(&second.run_id).await;
    let events = t.events(&second.run_id).await.len() as u64;
    let (journal, executors) = t.stop().await;

    stores.no_faults();
    let mut vars = stores.vars().to_vec();
    vars.extend(wait);
    let t = TestServer::try_start(journal, executors, &vars).await.expect("it starts again");
    for run in [&first, &second] {
        stores.have_state(&format!("runs/{}", run.run_id), "succeeded").await;
        stores.have_events(&run.run_id, events).await;
        assert_eq!(stores.seqs(run.run_id.as_str()), (1..=events).collect::<Vec<_>>());
    }
    soon("an empty outbox", async { while check(&t, "outbox").await["details"]["entries"] != 0 {} }).await;
}
