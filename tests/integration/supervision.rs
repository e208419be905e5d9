//! Supervision of tasks: a task that panics is restarted, and the process ends if it
//! panics repeatedly.

use jarvis_run_coordinator::{journal::faulty::Faults, types::RunState};
use serde_json::{Value, json};

use crate::support::{FakeStores, TestServer, soon};

/// The health check `tasks`.
async fn tasks(t: &TestServer) -> Value {
    let health: Value = t.get("/v1/health").await.ok();
    let checks = health["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["name"] == "tasks").expect("a check of the tasks").clone()
}

#[tokio::test]
async fn panicking_task_is_restarted_and_counted_in_health() {
    let (stores, faults) = (FakeStores::start(), Faults::none());
    let mut vars = stores.vars().to_vec();
    vars.push(("JARVIS_RUN_COORDINATOR_RETENTION", "1s"));
    let t = TestServer::start_with_faults(&faults, &vars).await;
    assert_eq!(tasks(&t).await, json!({"name": "tasks", "status": "ok", "details": {"panics": {}}}));
    for (call, name) in [
        ("claim_due", "claim"),
        ("reap_dead_workers", "sweep"),
        ("runs_prune", "retention"),
        ("outbox_owed", "outbox pump to the"),
    ] {
        // The second panic is one of the restarted task.
        for times in 1..=2 {
            faults.panic_in(call, 1);
            // A run gives every task work.
            let run = t.run_start("atomic.echo", json!({})).await;
            assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded, "{name}");
            let check = soon(name, async {
                loop {
                    let check = tasks(&t).await;
                    let panics = check["details"]["panics"].as_object().expect("counts");
                    let of_this = panics.iter().filter(|(task, _)| task.starts_with(name));
                    if of_this.filter_map(|(_, count)| count.as_u64()).sum::<u64>() == times {
                        return check;
                    }
                    tokio::task::yield_now().await;
                }
            })
            .await;
            assert_eq!(check["status"], "degraded");
            assert!(check["message"].as_str().is_some_and(|message| message.contains(name)), "{check}");
            // The work that the panic interrupted is done.
            stores.have_state(&format!("runs/{}", run.run_id), "succeeded").await;
        }
    }
    t.stop().await;
}

#[tokio::test]
async fn server_ends_after_repeated_panics_of_a_task() {
    let faults = Faults::none();
    let t = TestServer::start_with_faults(&faults, &[]).await;
    faults.panic_in("claim_due", u32::MAX);
    let broken = t.broken().await;
    assert_eq!(broken.reason, "the task 'claim' keeps panicking: injected: claim_due panics");
    assert!(broken.may_stop);
    t.stop().await;
}
