//! Work that cannot be decided: it is parked and shown, and keeps nobody else
//! from going on.

use jarvis_run_coordinator::{model::RunState, store::faulty::Faults};
use serde_json::{Value, json};

use crate::support::{TestServer, soon};

/// Waits until so much is parked, as health says: which is never `down` over it.
async fn parked(t: &TestServer, count: u64) -> Value {
    soon("parked work", async {
        loop {
            let health = t.get("/v1/health").await.ok();
            assert_ne!(health["status"], "down", "{health}");
            let checks = health["checks"].as_array().expect("checks").clone();
            let work = checks.into_iter().find(|check| check["name"] == "work").expect("a check");
            if work["details"]["parked"] == count {
                return work;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_parked_and_the_others_go_on() {
    let t = TestServer::idle().await;
    let (bad, good) =
        (t.run_start("atomic.echo", json!({})).await, t.run_start("atomic.echo", json!({})).await);
    let damage = [("UPDATE node_runs SET body = '{' WHERE node_run_id = ?", bad.root_node_run_id.as_str())];
    let t = t.tampered(&[], &damage).await;
    assert_eq!(t.run_ended(&good.run_id).await.state, RunState::Succeeded);
    let work = parked(&t, 1).await;
    assert_eq!((&work["status"], &work["details"]["without_wake_up"]), (&json!("degraded"), &json!(0)));
    t.get(&format!("/v1/node-runs/{}", bad.root_node_run_id)).await.refused(503, "journal_unavailable");
    // That somebody has asked for it does not take the server down.
    let health = t.get("/v1/health").await.ok();
    assert_eq!(health["status"], "degraded", "{health}");
    let journal = &health["checks"][0];
    assert_eq!((&journal["name"], &journal["details"]["unreadable"]), (&json!("journal"), &json!(1)));
    assert_eq!(t.executors.calls().len(), 1);
    t.stop().await;
}

#[tokio::test]
async fn a_run_that_makes_a_rule_panic_is_parked_and_goes_on_when_it_no_longer_does() {
    let faults = Faults::none();
    let t = TestServer::start_with_faults(&faults, &[("JARVIS_RUN_COORDINATOR_MAX_RETRIES", "0")]).await;
    let bad = t.run_start("atomic.hang", json!({})).await;
    t.executors.called(":execute", 1).await;
    faults.poison(Some(bad.run_id.clone()));
    t.executors.release(bad.root_node_run_id.as_str());
    let good = t.run_start("atomic.echo", json!({})).await;
    assert_eq!(t.run_ended(&good.run_id).await.state, RunState::Succeeded);
    parked(&t, 1).await;
    t.get(&format!("/v1/runs/{}", bad.run_id)).await.refused(500, "internal_error");

    // Mended, anything that can be decided about it takes it off the list.
    faults.poison(None);
    assert_eq!(t.cancel(&bad.run_id).await.state, RunState::Canceled);
    parked(&t, 0).await;
    t.stop().await;
}

#[tokio::test]
async fn a_result_for_a_record_that_cannot_be_read_is_given_up_and_the_node_is_parked() {
    let faults = Faults::none();
    let t = TestServer::start_with_faults(&faults, &[]).await;
    let bad = t.run_start("atomic.hang", json!({})).await;
    t.executors.called(":execute", 1).await;
    faults.damage(Some(bad.root_node_run_id.clone()));
    t.executors.release(bad.root_node_run_id.as_str());
    let work = parked(&t, 1).await;
    assert_eq!(work["details"]["in_hand"], 0, "{work}");

    // Mended, it can be decided again, and health forgets it.
    faults.damage(None);
    assert_eq!(t.cancel(&bad.run_id).await.state, RunState::Canceled);
    parked(&t, 0).await;
    t.node_run(&bad.root_node_run_id).await;
    assert_eq!(t.get("/v1/health").await.ok()["status"], "ok");
    t.stop().await;
}
