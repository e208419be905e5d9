//! A journal that fails, at each commit of a run in turn and at random: callers get
//! an error that they can retry, a change is complete or absent, and a repeated
//! execution is in the attempt log.

use futures::FutureExt;
use jarvis_run_coordinator::{
    journal::faulty::{Chances, Fault, Faults},
    types::{NodeRunId, RunState},
};
use serde_json::{Value, json};

use crate::support::{
    TestServer,
    process::{assert_history, start_request},
    soon,
};

/// Starts a run, and repeats the request while the answer is `journal_unavailable`.
async fn start_until_accepted(t: &TestServer, request: &Value) -> Value {
    soon("an accepted start", async {
        loop {
            let answer = t.post("/v1/runs", request).await;
            if answer.status == 200 {
                return answer.ok();
            }
            let error = answer.refused(503, "journal_unavailable");
            assert_eq!(error["retryable"], true);
        }
    })
    .await
}

/// Follows a run to its end; returns it. Its history must be complete.
async fn ended(t: &TestServer, run: &str) -> Value {
    // A failed read breaks the stream off: then it is requested again.
    soon("the end of the run", async {
        loop {
            let lines = t.get(&format!("/v1/runs/{run}/events?follow=1")).await.text;
            let events: Vec<Value> =
                lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            if events.last().is_some_and(|event| event["type"] == "run_completed") {
                assert_history(&events);
                return t.get(&format!("/v1/runs/{run}")).await.ok();
            }
        }
    })
    .await
}

fn root(run: &Value) -> &str {
    run["root_node_run_id"].as_str().expect("a Run")
}

/// The number of recorded attempts whose outcome is unknown.
async fn lost(t: &TestServer, node: &str) -> usize {
    let log = t.attempts_until(&NodeRunId::new(node), 0).await;
    log.iter().filter(|attempt| attempt["outcome"] == "lost").count()
}

#[tokio::test]
async fn run_ends_if_any_one_commit_fails() {
    // The commits of a run: its start, with the beginning of the attempt, and its end.
    let commits = [0, 1].into_iter();
    let cases = commits.flat_map(|commit| FAULTS.map(|fault| one_commit_fails(commit, fault).boxed()));
    futures::future::join_all(cases).await;
}

const FAULTS: [Fault; 3] = [Fault::FailBefore, Fault::FailAfter, Fault::Twice];

async fn one_commit_fails(commit: usize, fault: Fault) {
    let case = format!("commit {commit}: {fault:?}");
    let faults = Faults::none();
    let t = TestServer::start_with_faults(&faults, &[]).await;
    (0..commit).for_each(|_| faults.script_commit(None));
    faults.script_commit(fault);
    let run = start_until_accepted(&t, &start_request("run", "atomic.echo")).await;
    let run = ended(&t, run["run_id"].as_str().expect("a Run")).await;
    assert_eq!(faults.injected(), 1, "{case}");
    let (executions, lost) = (t.executors.executions(root(&run)), lost(&t, root(&run)).await);
    assert_eq!((run["state"].as_str().expect("a state"), executions, lost), ("succeeded", 1, 0), "{case}");
    t.stop().await;
}

#[tokio::test]
async fn run_that_waited_for_a_slot_ends_if_its_begin_fails() {
    let cases = FAULTS.map(|fault| begin_fails(fault).boxed());
    futures::future::join_all(cases).await;
}

async fn begin_fails(fault: Fault) {
    let faults = Faults::none();
    let one_slot = ("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "1");
    let t = TestServer::start_with_faults(&faults, &[one_slot]).await;
    let busy = t.run_start("atomic.deaf", json!({})).await;
    let run = t.run_start("atomic.echo", json!({})).await;
    t.executors.called(":execute", 1).await;
    // The end of the one that is busy, and then the begin.
    faults.script_commit(None);
    faults.script_commit(fault);
    t.executors.release(busy.root_node_run_id.as_str());
    let run = ended(&t, run.run_id.as_str()).await;
    assert_eq!(faults.injected(), 1, "{fault:?}");
    let (executions, lost) = (t.executors.executions(root(&run)), lost(&t, root(&run)).await);
    let expected = match fault {
        // The attempt was recorded but reported as failed: it may not be repeated.
        Fault::FailAfter => ("failed", 0, 1),
        Fault::FailBefore | Fault::Twice | Fault::Delay(_) => ("succeeded", 1, 0),
    };
    assert_eq!((run["state"].as_str().expect("a state"), executions, lost), expected, "{fault:?}");
    t.stop().await;
}

#[tokio::test]
async fn refused_start_can_be_repeated_and_makes_one_run() {
    for fault in [Fault::FailBefore, Fault::FailAfter] {
        let faults = Faults::none();
        let t = TestServer::start_with_faults(&faults, &[]).await;
        faults.script_commit(fault);
        let request = start_request("again", "atomic.echo");
        t.post("/v1/runs", &request).await.refused(503, "journal_unavailable");
        assert_eq!(t.get("/v1/health").await.ok()["status"], "down");
        let run = t.post("/v1/runs", &request).await.ok();
        assert_eq!(ended(&t, "again").await["state"], "succeeded", "{fault:?}");
        assert_eq!(t.executors.executions(root(&run)), 1, "{fault:?}");
        assert_eq!(t.get("/v1/health").await.ok()["status"], "ok");
        t.stop().await;
    }
}

#[tokio::test]
async fn journal_health_recovers_without_requests() {
    let faults = Faults::none();
    let t = TestServer::start_with_faults(&faults, &[]).await;
    faults.script_commit(Fault::FailBefore);
    t.post("/v1/runs", &start_request("run", "atomic.echo")).await.refused(503, "journal_unavailable");
    assert_eq!(t.get("/v1/health").await.ok()["status"], "down");
    soon("good health", async {
        while t.get("/v1/health").await.ok()["status"] != "ok" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn refused_cancel_has_canceled_all_or_nothing() {
    for (fault, state) in [(Fault::FailBefore, "running"), (Fault::FailAfter, "canceled")] {
        let faults = Faults::none();
        let t = TestServer::start_with_faults(&faults, &[]).await;
        let run = t.run_start("atomic.hang", json!({})).await;
        t.executors.called(":execute", 1).await;
        faults.script_commit(fault);
        let path = format!("/v1/runs/{}:cancel", run.run_id);
        t.post(&path, &json!({})).await.refused(503, "journal_unavailable");
        let (run_now, node) = (t.run(&run.run_id).await, t.node_run(&run.root_node_run_id).await);
        assert_eq!((run_now.state.to_string(), node.state.to_string()), (state.into(), state.into()));
        assert_eq!(t.post(&path, &json!({})).await.ok()["state"], "canceled");
        // In both cases the executor receives the cancel.
        t.executors.called(":cancel", 1).await;
        assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Canceled);
        t.stop().await;
    }
}

#[tokio::test]
async fn random_journal_faults_lose_no_run_and_no_attempt() {
    const RUNS: usize = 60;
    for seed in [1, 2] {
        let chances =
            Chances { fail_before: 0.05, fail_after: 0.05, twice: 0.1, delay: 0.2, ..Chances::default() };
        let faults = Faults::seeded(seed, Chances::default());
        let t = TestServer::start_with_faults(&faults, &[]).await;
        faults.set_chances(chances);
        let types = ["atomic.echo", "atomic.fail", "atomic.garbage", "composite.reject"];
        let requests: Vec<Value> = (0..RUNS)
            .map(|number| start_request(&format!("run-{number}"), types[number % types.len()]))
            .collect();
        let runs =
            futures::future::join_all(requests.iter().map(|request| start_until_accepted(&t, request))).await;
        for run in &runs {
            let run = ended(&t, run["run_id"].as_str().expect("a Run")).await;
            let (executions, lost) = (t.executors.executions(root(&run)), lost(&t, root(&run)).await);
            assert!(
                executions <= 1 + lost,
                "seed {seed}: {run} was sent {executions} times, {lost} on record"
            );
            assert!(run["state"] != "succeeded" || executions > 0, "seed {seed}: {run}");
        }
        assert!(faults.injected() > RUNS as u64 / 2, "seed {seed}: {}", faults.injected());
        faults.set_chances(Chances::default());
        t.stop().await;
    }
}

#[tokio::test]
async fn health_tells_failed_reads_from_failed_writes() {
    let faults = Faults::none();
    let t = TestServer::start_with_faults(&faults, &TestServer::IDLE).await;
    let run = t.run_start("atomic.echo", json!({})).await;
    faults.set_chances(Chances { fail_read: 1.0, ..Chances::default() });
    t.get(&format!("/v1/runs/{}", run.run_id)).await.refused(503, "journal_unavailable");
    let journal = t.get("/v1/health").await.ok()["checks"][0].clone();
    assert_eq!((&journal["name"], &journal["status"]), (&json!("journal"), &json!("down")));
    assert_eq!(journal["message"], "The journal cannot be read");
    // Health recovers with the next read that succeeds, without any commit.
    faults.set_chances(Chances::default());
    t.get(&format!("/v1/runs/{}", run.run_id)).await.ok();
    soon("good health", async {
        while t.get("/v1/health").await.ok()["status"] != "ok" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    t.stop().await;
}
