//! Tasks that panic run again, and the process does not live on without them.

use jarvis_run_coordinator::{journal::faulty::Faults, types::RunState};
use serde_json::{Value, json};

use crate::support::{FakeStores, TestServer, soon};

/// The check of health that speaks of tasks.
async fn tasks(t: &TestServer) -> Value {
    let health: Value = t.get("/v1/health").await.ok();
    let checks = health["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["name"] == "tasks").expect("a check of the tasks").clone()
}

#[tokio::test]
async fn a_task_that_panics_is_begun_again_and_health_counts_it() {
    let (stores, faults) = (FakeStores::start(), Faults::none());
    let mut vars = stores.vars().to_vec();
    vars.push(("JARVIS_RUN_COORDINATOR_RETENTION", "1s"));
    let t = TestServer::start_with_faults(&faults, &vars).await;
    assert_eq!(tasks(&t).await, json!({"name": "tasks", "status": "ok", "details": {"panics": {}}}));
    for (call, name) in [
        ("claim_due", "claim"),
        ("reap_dead_workers", "sweep"),
        ("runs_prune", "retention"),
        ("outbox_after", "outbox pump to the"),
    ] {
        // The second time it is the task that was begun again.
        for times in 1..=2 {
            faults.panic_in(call, 1);
            // A run, so that every task has something to do.
            let run = t.run_start("atomic.echo", json!({})).await;
            assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded, "{name}");
            let told = soon(name, async {
                loop {
                    let told = tasks(&t).await;
                    let panics = told["details"]["panics"].as_object().expect("counts");
                    let of_this = panics.iter().filter(|(task, _)| task.starts_with(name));
                    if of_this.filter_map(|(_, count)| count.as_u64()).sum::<u64>() == times {
                        return told;
                    }
                    tokio::task::yield_now().await;
                }
            })
            .await;
            assert_eq!(told["status"], "degraded");
            assert!(told["message"].as_str().is_some_and(|message| message.contains(name)), "{told}");
            // What was not done for the panic is done.
            stores.have_state(&format!("runs/{}", run.run_id), "succeeded").await;
        }
    }
    t.stop().await;
}

#[tokio::test]
async fn a_server_does_not_live_on_with_a_task_that_panics_again_and_again() {
    let faults = Faults::none();
    let t = TestServer::start_with_faults(&faults, &[]).await;
    faults.panic_in("claim_due", u32::MAX);
    let broken = t.broken().await;
    assert_eq!(broken.reason, "the task 'claim' panics again and again: injected: claim_due panics");
    assert!(broken.may_stop);
    t.stop().await;
}
