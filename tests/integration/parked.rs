//! Work that cannot be processed: it is parked and reported, and other runs continue.

use jarvis_run_coordinator::{
    journal::faulty::Faults,
    types::{NodeRunState, RunState},
};
use serde_json::{Value, json};

use crate::support::{TestServer, soon, spec};

/// Waits until health reports `count` parked records; returns its check `work`.
/// Parked work alone must not make health `down`.
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
async fn unreadable_record_is_parked_and_other_runs_continue() {
    let t = TestServer::idle().await;
    let (bad, good) =
        (t.run_start("atomic.echo", json!({})).await, t.run_start("atomic.echo", json!({})).await);
    let damage = [("UPDATE node_runs SET body = '{' WHERE node_run_id = ?", bad.root_node_run_id.as_str())];
    let t = t.tampered(&[], &damage).await;
    assert_eq!(t.run_ended(&good.run_id).await.state, RunState::Succeeded);
    let work = parked(&t, 1).await;
    assert_eq!((&work["status"], &work["details"]["without_wake_up"]), (&json!("degraded"), &json!(0)));
    t.get(&format!("/v1/node-runs/{}", bad.root_node_run_id)).await.refused(503, "journal_unavailable");
    // A request for the record does not make health `down`.
    let health = t.get("/v1/health").await.ok();
    assert_eq!(health["status"], "degraded", "{health}");
    let journal = &health["checks"][0];
    assert_eq!((&journal["name"], &journal["status"]), (&json!("journal"), &json!("degraded")));
    assert!(journal["message"].as_str().expect("a message").contains("damaged record"), "{journal}");
    assert_eq!(t.executors.calls().len(), 1);
    t.stop().await;
}

/// A cancel and the run's deadline need only the columns of a node run.
#[tokio::test]
async fn run_with_unreadable_nodes_can_be_canceled_and_expires() {
    let vars = [TestServer::IDLE[0], ("JARVIS_RUN_COORDINATOR_RUN_TIMEOUT_SECS", "3")];
    let t = TestServer::start_with(&vars).await;
    let spec = spec("atomic.echo");
    let (mut runs, mut edits) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let run = t.run_start("composite.accept", json!({})).await;
        let child =
            t.children(&run.run_id, &run.root_node_run_id, std::slice::from_ref(&spec)).await.remove(0);
        edits.extend([run.root_node_run_id.to_string(), child.node_run_id.to_string()]);
        runs.push(run.run_id);
    }
    let damage = "UPDATE node_runs SET body = '{' WHERE node_run_id = ?";
    let edits: Vec<_> = edits.iter().map(|node| (damage, node.as_str())).collect();
    let t = t.tampered(&TestServer::IDLE, &edits).await;
    t.get(&format!("/v1/node-runs/{}", edits[1].1)).await.refused(503, "journal_unavailable");
    assert_eq!(t.cancel(&runs[0]).await.state, RunState::Canceled);
    assert_eq!(t.run_ended(&runs[1]).await.state, RunState::Failed);
    for run in &runs {
        let ends = t.event_types(run).await;
        assert_eq!(ends[ends.len() - 2..], ["atomic_executed", "run_completed"]);
    }
    let health = t.get("/v1/health").await.ok();
    let work = health["checks"].as_array().expect("checks").iter().find(|check| check["name"] == "work");
    let details = &work.expect("a check")["details"];
    assert_eq!((&details["runs_live"], &details["node_runs_live"]), (&json!(0), &json!(0)));
    t.stop().await;
}

#[tokio::test]
async fn run_that_panics_a_rule_is_parked_until_repaired() {
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

    // Once it is repaired, the next decision about the run ends its parking.
    faults.poison(None);
    assert_eq!(t.cancel(&bad.run_id).await.state, RunState::Canceled);
    parked(&t, 0).await;
    t.stop().await;
}

#[tokio::test]
async fn result_for_an_unreadable_record_is_dropped_and_parked() {
    let faults = Faults::none();
    let t = TestServer::start_with_faults(&faults, &[]).await;
    let bad = t.run_start("atomic.hang", json!({})).await;
    t.executors.called(":execute", 1).await;
    faults.damage(Some(bad.root_node_run_id.clone()));
    t.executors.release(bad.root_node_run_id.as_str());
    let work = parked(&t, 1).await;
    assert_eq!(work["details"]["in_hand"], 0, "{work}");

    // Once it is repaired, it can be decided again.
    faults.damage(None);
    assert_eq!(t.cancel(&bad.run_id).await.state, RunState::Canceled);
    parked(&t, 0).await;
    assert_eq!(t.node_run(&bad.root_node_run_id).await.state, NodeRunState::Canceled);
    t.stop().await;
}

/// The record of the run was changed to terminal while its root lives: the rules would
/// end the run a second time.
#[tokio::test]
async fn run_that_would_end_twice_is_parked_alone() {
    let t = TestServer::idle().await;
    let (bad, good) =
        (t.run_start("atomic.echo", json!({})).await, t.run_start("atomic.echo", json!({})).await);
    let ended = "UPDATE runs SET terminal = 1, body = json_set(body, '$.run.state', 'succeeded', \
                 '$.run.ended_at', '2026-01-01T00:00:00.000000Z') WHERE run_id = ?";
    let t = t.tampered(&[], &[(ended, bad.run_id.as_str())]).await;
    assert_eq!(t.run_ended(&good.run_id).await.state, RunState::Succeeded);
    // Its job is parked, and a request is refused. Neither keeps the lock of the run.
    parked(&t, 1).await;
    let complete = format!("/v1/node-runs/{}:complete", bad.root_node_run_id);
    for state in ["succeeded", "failed"] {
        let error = t.post(&complete, &json!({"state": state})).await.refused(500, "internal_error");
        assert_eq!(error["message"], "Internal server error", "no internal detail");
    }
    let run = t.run(&bad.run_id).await;
    assert_eq!(
        (run.state, run.ended_at.map(|at| at.to_string())),
        (RunState::Succeeded, Some("2026-01-01T00:00:00.000000Z".into()))
    );
    assert!(!t.event_types(&bad.run_id).await.contains(&"run_completed".to_owned()), "nothing is committed");
    // A change that the rules allow is made.
    let report = json!({"evaluation_result": {"status": "unknown"}});
    t.post(&format!("/v1/node-runs/{}:evaluation", bad.root_node_run_id), &report).await.no_content();
    t.stop().await;
}
