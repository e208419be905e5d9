//! Executors and token services that hang: other work does not wait for them, and a
//! node that ends meanwhile releases its slot.

use futures::future::join_all;
use jarvis_run_coordinator::{
    journal::faulty::{Fault, Faults},
    types::{NodeRunState, Run, RunState},
};
use serde_json::{Value, json};

use crate::support::{FakeExecutors, FakeService, TestServer, soon, spec};

/// The bound on jobs of each kind in memory, instead of thousands.
const IN_HAND: usize = 16;
const TWO_SLOTS: (&str, &str) = ("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "2");
const FOUR_SLOTS: (&str, &str) = ("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "4");

/// Starts runs of one node each, all of which hang.
async fn hanging(t: &TestServer, count: usize) -> Vec<Run> {
    join_all((0..count).map(|_| t.run_start("atomic.deaf", json!({})))).await
}

/// Waits until `done` holds for the health check `work`; returns the check.
async fn work_until(t: &TestServer, done: impl Fn(&Value) -> bool) -> Value {
    soon("the check of the work", async {
        loop {
            let health = t.get("/v1/health").await.ok();
            let checks = health["checks"].as_array().expect("checks").clone();
            let work = checks.into_iter().find(|check| check["name"] == "work").expect("a check");
            if done(&work) {
                return work;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn hanging_atomic_executor_delays_no_other_work() {
    let t = TestServer::start_with_room(IN_HAND, &[TWO_SLOTS]).await;
    let runs = hanging(&t, 2 * IN_HAND).await;
    t.executors.called(":execute", 2).await;

    // Composites begin, and their deadlines are kept.
    let composite = t.run_start("composite.accept", json!({})).await;
    t.node_run_in(&composite.root_node_run_id, NodeRunState::Running).await;
    let mut short = spec("composite.accept");
    short["constraints"] = json!({"budgets": {"max_wall_time_ms": 1000}});
    let short = t.children(&composite.run_id, &composite.root_node_run_id, &[short]).await.remove(0);
    t.node_run_in(&short.node_run_id, NodeRunState::Running).await;
    t.children(&composite.run_id, &short.node_run_id, &[spec("atomic.deaf")]).await;
    let short = t.node_run_in(&short.node_run_id, NodeRunState::Failed).await;
    let error = &short.extensions.expect("extensions").value("completion_error");
    assert_eq!(error["code"], "deadline_exceeded");

    // A cancel that failed is sent again.
    t.executors.refuse_cancels(true);
    let at_executor = t.executors.calls()[0].body["run_id"].as_str().expect("a run").into();
    assert_eq!(t.cancel(&at_executor).await.state, RunState::Canceled);
    let cancels =
        t.executors.called(":cancel", 1).await.iter().filter(|call| call.path.ends_with(":cancel")).count();
    t.executors.refuse_cancels(false);
    t.executors.called(":cancel", cancels + 1).await;

    // Health reports which executor has no room.
    let work = work_until(&t, |work| work["status"] == "degraded").await;
    let of = |executor: &str| work["details"]["executors"][executor].clone();
    assert!(of("atomic_executor")["in_hand"].as_u64() >= Some(IN_HAND as u64), "{work}");
    assert_eq!(
        (&of("atomic_executor")["room"], &of("composite_executor")["room"]),
        (&json!(0), &json!(IN_HAND))
    );
    assert!(work["message"].as_str().expect("a message").contains("atomic_executor is full"), "{work}");
    join_all(runs.iter().map(|run| t.cancel(&run.run_id))).await;
    let work = work_until(&t, |work| work["status"] == "ok").await;
    assert_eq!(work["details"]["executors"]["atomic_executor"]["room"], IN_HAND);
    t.stop().await;
}

#[tokio::test]
async fn terminal_node_releases_its_slot() {
    let t = TestServer::start_with(&[FOUR_SLOTS]).await;
    let runs = hanging(&t, 4).await;
    t.executors.called(":execute", 4).await;
    // The node is canceled, completed by a caller, or canceled with its parent.
    t.cancel(&runs[0].run_id).await;
    t.cancel(&runs[1].run_id).await;
    for run in &runs[2..] {
        t.complete(&run.root_node_run_id, "failed").await;
    }
    let fifth = t.run_start("atomic.echo", json!({})).await;
    assert_eq!(t.run_ended(&fifth.run_id).await.state, RunState::Succeeded);

    let parent = t.run_start("composite.accept", json!({})).await;
    t.node_run_in(&parent.root_node_run_id, NodeRunState::Running).await;
    t.children(&parent.run_id, &parent.root_node_run_id, &vec![spec("atomic.deaf"); 3]).await;
    let filler = hanging(&t, 1).await.remove(0);
    t.executors.called(":execute", 4 + 1 + 4).await;
    t.complete(&parent.root_node_run_id, "succeeded").await;
    let last = t.run_start("atomic.echo", json!({})).await;
    assert_eq!(t.run_ended(&last.run_id).await.state, RunState::Succeeded);
    t.cancel(&filler.run_id).await;
    t.at_rest().await;
    t.stop().await;
}

#[tokio::test]
async fn durable_cancel_with_an_error_answer_releases_the_slot() {
    let faults = Faults::none();
    let t = TestServer::start_with_faults(&faults, &[("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "1")]).await;
    let run = hanging(&t, 1).await.remove(0);
    t.executors.called(":execute", 1).await;
    faults.script_commit(Fault::FailAfter);
    let path = format!("/v1/runs/{}:cancel", run.run_id);
    t.post(&path, &json!({})).await.refused(503, "journal_unavailable");
    let next = t.run_start("atomic.echo", json!({})).await;
    assert_eq!(t.run_ended(&next.run_id).await.state, RunState::Succeeded);
    t.stop().await;
}

#[tokio::test]
async fn call_waiting_for_its_token_is_not_sent_after_a_cancel() {
    let sts = FakeService::start(|_, _| json!({"access_token": "t", "expires_in": 300}));
    sts.set_answering(false);
    let t = TestServer::start_with(&[
        ("ARP_AUTH_CLIENT_ID", "run coordinator"),
        ("ARP_AUTH_CLIENT_SECRET", "hush"),
        ("ARP_AUTH_TOKEN_ENDPOINT", sts.url()),
    ])
    .await;
    for (asked, node_type) in [(1, "atomic.echo"), (2, "composite.accept")] {
        let run = t.run_start(node_type, json!({})).await;
        t.node_run_in(&run.root_node_run_id, NodeRunState::Running).await;
        sts.received("a token", asked, |_| true).await;
        assert_eq!(t.cancel(&run.run_id).await.state, RunState::Canceled);
        sts.set_answering(true);
        // The cancel is sent with the same token, and later nodes are dispatched.
        t.executors.called(&format!("{}:cancel", run.root_node_run_id), 1).await;
        let later = t.run_start("atomic.echo", json!({})).await;
        assert_eq!(t.run_ended(&later.run_id).await.state, RunState::Succeeded);
        let sent =
            t.executors.calls().iter().filter(|call| call.body["run_id"] == *run.run_id.as_str()).count();
        assert_eq!(sent, 0, "{node_type}: the call was sent after the cancel");
        sts.set_answering(false);
    }
    sts.set_answering(true);
    t.stop().await;
}

#[tokio::test]
async fn repeatedly_lost_attempts_are_limited_by_max_retries() {
    let registry = FakeService::registry_of_atomics("read");
    let vars = [
        ("JARVIS_NODE_REGISTRY_URL", registry.url()),
        ("JARVIS_RUN_COORDINATOR_MAX_RETRIES", "2"),
        ("JARVIS_RUN_COORDINATOR_SHUTDOWN_TIMEOUT_SECS", "0.05"),
    ];
    let mut t = TestServer::start_with(&vars).await;
    let run = t.run_start("atomic.deaf", json!({})).await;
    let sent = |executors: &FakeExecutors| executors.executions(run.root_node_run_id.as_str());
    for lost in 1..=3 {
        t.executors.called(":execute", lost).await;
        let (journal, executors) = t.stop().await;
        t = TestServer::try_start(journal, executors, &vars).await.expect("the server starts");
    }
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Failed);
    let root = t.node_run(&run.root_node_run_id).await;
    let error = &root.extensions.as_ref().expect("extensions").value("completion_error");
    assert_eq!(
        (&error["code"], &error["details"]["attempt"]),
        (&json!("executor_outcome_unknown"), &json!(3))
    );
    assert_eq!(sent(&t.executors), 3);
    t.executors.called(&format!("{}:cancel", run.root_node_run_id), 1).await;
    t.stop().await;
}
