//! The process is killed at every step of a run: nothing that was answered is lost,
//! and nothing is executed twice unless the attempt log says so.

use std::collections::BTreeMap;

use futures::{StreamExt, stream::FuturesUnordered};
use jarvis_run_coordinator::{
    journal::{Journal, inspect::Inspect},
    record::{AttemptOutcome, AttemptRecord, NodeRecord},
    types::NodeRunId,
};
use serde_json::{Value, json};

use super::{error_code, hanging};
use crate::support::{
    Call, FakeExecutors, FakeService, Program,
    process::{StartedRun, start_request},
    soon,
};

async fn attempts(program: &Program, node: &str) -> Vec<AttemptRecord> {
    program.open_journal().attempts_list(&NodeRunId::new(node)).await.expect("the attempt log")
}

async fn record(program: &Program, node: &str) -> NodeRecord {
    program.open_journal().node_fetch(&NodeRunId::new(node)).await.expect("the journal").expect("the node")
}

#[tokio::test]
async fn crash_does_not_repeat_an_unknown_effect() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors);
    let process = program.start().await;
    let run = hanging(&process, &executors).await;
    process.kill().await;

    let process = program.start().await;
    assert_eq!(process.run_ended(&run.id).await, "failed");
    let node = process.node_run(&run.root).await;
    assert_eq!((&node["state"], error_code(&node)), (&json!("failed"), "executor_outcome_unknown"));
    // The executor receives a cancel.
    executors.called(&format!("{}:cancel", run.root), 1).await;
    process.terminate().await;

    assert_eq!(executors.executions(&run.root), 1);
    let outcomes: Vec<AttemptOutcome> =
        attempts(&program, &run.root).await.into_iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [AttemptOutcome::Lost]);
}

#[tokio::test]
async fn crash_repeats_a_read_and_records_the_lost_attempt() {
    let executors = FakeExecutors::start();
    let registry = FakeService::registry_of_atomics("read");
    let program = Program::with_executors(&executors).var("JARVIS_NODE_REGISTRY_URL", registry.url());
    let process = program.start().await;
    let run = hanging(&process, &executors).await;
    process.kill().await;

    // The restart does not need the registry.
    registry.set_answering(false);
    let process = program.start().await;
    executors.called(":execute", 2).await;
    executors.release(&run.root);
    assert_eq!(process.run_ended(&run.id).await, "succeeded");
    process.terminate().await;

    assert_eq!(executors.executions(&run.root), 2);
    let log = attempts(&program, &run.root).await;
    assert_eq!(log.len(), 1, "{log:?}");
    assert_eq!((log[0].attempt, &log[0].outcome), (1, &AttemptOutcome::Lost));
    assert_eq!(record(&program, &run.root).await.attempt, 2);
}

#[tokio::test]
async fn crash_of_a_node_waiting_for_a_slot_executes_it_once() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors).var("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "1");
    let process = program.start().await;
    let first = hanging(&process, &executors).await;
    let second = process.run_start("waiting", "atomic.echo").await;
    assert_eq!(process.node_run(&second.root).await["state"], "queued");
    process.kill().await;
    assert_eq!(executors.executions(&second.root), 0);

    let process = program.start().await;
    assert_eq!(process.run_ended(&second.id).await, "succeeded");
    assert_eq!(process.run_ended(&first.id).await, "failed");
    process.terminate().await;
    assert_eq!((executors.executions(&first.root), executors.executions(&second.root)), (1, 1));
    assert_eq!(attempts(&program, &second.root).await, []);
}

#[tokio::test]
async fn crash_while_policy_is_asked_executes_the_node_once() {
    let executors = FakeExecutors::start();
    let pdp = FakeService::pdp();
    let program = Program::with_executors(&executors).var("JARVIS_PDP_URL", pdp.url());
    let process = program.start().await;
    // Policy is asked about a child once: at its dispatch.
    let parent = process.run_start("asked", "composite.accept").await;
    executors.called(":begin", 1).await;
    pdp.set_answering(false);
    let child = process.child(&parent, "atomic.echo").await;
    pdp.received("the request", 1, |request| request["node_run_id"] == child).await;
    assert_eq!(process.node_run(&child).await["state"], "assigned");
    process.kill().await;

    pdp.set_answering(true);
    let process = program.start().await;
    process.node_ended(&child).await;
    assert_eq!(process.node_run(&child).await["state"], "succeeded");
    assert_eq!(executors.executions(&child), 1);
    process.terminate().await;
    assert_eq!(attempts(&program, &child).await, []);
}

#[tokio::test]
async fn crash_lets_an_accepted_composite_continue() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors);
    let process = program.start().await;
    let run = process.run_start("composite", "composite.accept").await;
    executors.called(":begin", 1).await;
    let before = process.child(&run, "atomic.echo").await;
    process.node_ended(&before).await;
    process.kill().await;

    let process = program.start().await;
    assert_eq!(process.node_run(&run.root).await["state"], "running");
    assert_eq!(process.node_run(&before).await["state"], "succeeded");
    let after = process.child(&run, "atomic.echo").await;
    process.node_ended(&after).await;
    let path = format!("/v1/node-runs/{}:complete", run.root);
    let answer = process.post(&path, &json!({"state": "succeeded", "outputs": {"sum": 2}})).await;
    assert_eq!(answer, (204, json!("")));
    assert_eq!(process.run_ended(&run.id).await, "succeeded");
    assert_eq!(process.node_run(&run.root).await["outputs"], json!({"sum": 2}));
    process.terminate().await;
    assert_eq!((executors.executions(&before), executors.executions(&after)), (1, 1));
}

#[tokio::test]
async fn crash_assigns_a_childless_composite_again() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors);
    let process = program.start().await;
    let idle = process.run_start("idle", "composite.accept").await;
    let at_it = process.run_start("at-it", "composite.accept").await;
    executors.called(":begin", 2).await;
    let child = process.child(&at_it, "atomic.echo").await;
    process.node_ended(&child).await;
    process.kill().await;

    let process = program.start().await;
    executors.called(":begin", 3).await;
    for run in [&idle, &at_it] {
        let path = format!("/v1/node-runs/{}:complete", run.root);
        assert_eq!(process.post(&path, &json!({"state": "succeeded"})).await.0, 204);
        assert_eq!(process.run_ended(&run.id).await, "succeeded");
    }
    process.terminate().await;
    let calls = executors.called(":begin", 3).await;
    let assigned = |run: &StartedRun| {
        let is_begin_of_it =
            |call: &&Call| call.path.ends_with(":begin") && call.body["node_run_id"] == *run.root;
        calls.iter().filter(is_begin_of_it).count()
    };
    assert_eq!((assigned(&idle), assigned(&at_it)), (2, 1));
    let lost = attempts(&program, &idle.root).await;
    assert_eq!((lost.len(), &lost[0].outcome), (1, &AttemptOutcome::Lost));
    assert_eq!(attempts(&program, &at_it.root).await, []);
}

#[tokio::test]
async fn cancel_is_delivered_by_the_next_process_after_a_crash() {
    // The process is killed at the first try of the cancel, and after it has failed.
    for tries in [1, 2] {
        let executors = FakeExecutors::start();
        let program = Program::with_executors(&executors);
        let process = program.start().await;
        let run = hanging(&process, &executors).await;
        executors.refuse_cancels(true);
        let (status, canceled) = process.post(&format!("/v1/runs/{}:cancel", run.id), &json!({})).await;
        assert_eq!((status, &canceled["state"]), (200, &json!("canceled")));
        executors.called(":cancel", tries).await;
        process.kill().await;

        let calls = executors.calls().len();
        executors.refuse_cancels(false);
        let process = program.start().await;
        executors.calls_until("the cancel", |now| now.len() > calls).await;
        process.logged("executor notified of the end of a node", 1).await;
        assert_eq!(process.run_ended(&run.id).await, "canceled");
        process.terminate().await;
        assert_eq!(executors.executions(&run.root), 1);
        assert_eq!(record(&program, &run.root).await.wake, None, "no job is left");
    }
}

#[tokio::test]
async fn cancel_that_may_overtake_its_call_is_sent_twice() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors);
    let process = program.start().await;
    let run = process.run_start("deaf", "atomic.deaf").await;
    executors.called(":execute", 1).await;
    assert_eq!(process.post(&format!("/v1/runs/{}:cancel", run.id), &json!({})).await.0, 200);
    process.logged("executor notified of the end of a node", 1).await;
    assert_eq!(executors.called(":cancel", 2).await.len(), 3, "the call, and two cancels");
    executors.release(&run.root);
    assert_eq!(process.run_ended(&run.id).await, "canceled");
    process.terminate().await;
    assert_eq!(record(&program, &run.root).await.wake, None);
    // The call was dropped with the cancel: its result is ignored.
    assert_eq!(attempts(&program, &run.root).await, []);
}

/// The process is killed after each of several numbers of answers. Every answered run
/// exists and ends, and repeated executions are in the attempt log.
#[tokio::test]
async fn crash_during_concurrent_starts_loses_no_answered_run() {
    const STARTS: usize = 50;
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors);
    let mut answered: BTreeMap<String, String> = BTreeMap::new();
    let mut known = Vec::new();
    let rounds = [1, 10, 25, 45];
    for (round, until) in rounds.into_iter().enumerate() {
        let process = program.start().await;
        let ids: Vec<String> = (0..STARTS).map(|number| format!("run-{round}-{number}")).collect();
        let requests: Vec<Value> = ids.iter().map(|id| start_request(id, "atomic.echo")).collect();
        let mut process = process;
        let mut count = 0;
        {
            let (url, http) = (process.at("/v1/runs"), reqwest::Client::new());
            let mut starts: FuturesUnordered<_> = requests
                .iter()
                .map(|request| async {
                    let answer = http.post(&url).json(request).send().await.ok()?;
                    let status = answer.status().as_u16();
                    let run: Value = answer.json().await.ok()?;
                    Some((status, run))
                })
                .collect();
            while let Some(answer) = soon("an answer or its failure", starts.next()).await {
                let Some((status, run)) = answer else { continue };
                assert_eq!(status, 200, "{run}");
                count += 1;
                let text = |name: &str| run[name].as_str().expect("a Run").to_owned();
                answered.insert(text("run_id"), text("root_node_run_id"));
                if count == until {
                    process.start_kill();
                }
            }
        }
        assert!(count >= until, "{count} of {until} starts were answered");
        assert_eq!(process.ended().await.code, None, "killed");
        known.extend(ids);
    }

    let process = program.start().await;
    let mut ends = BTreeMap::new();
    for id in &known {
        let (status, run) = process.get(&format!("/v1/runs/{id}")).await;
        match (status, answered.get(id)) {
            (200, root) => {
                let found = run["root_node_run_id"].as_str().expect("a Run").to_owned();
                assert!(root.is_none_or(|root| *root == found), "{id} is another run");
                process.run_ended(id).await;
                ends.insert(id.clone(), found);
            }
            (404, None) => {}
            other => panic!("{id}: {other:?}"),
        }
    }
    process.terminate().await;
    assert!(ends.len() >= answered.len());
    let journal = program.open_journal();
    for root in ends.values() {
        let id = NodeRunId::new(root.as_str());
        let node = journal.node_fetch(&id).await.expect("the journal").expect("the node");
        let lost = journal.attempts_list(&id).await.expect("the attempt log").len();
        assert!(node.is_terminal());
        assert!(executors.executions(root) <= 1 + lost, "{root}: {lost} on record");
        if node.node.state.to_string() == "succeeded" {
            assert!(executors.executions(root) >= 1, "{root} succeeded without being executed");
        }
    }
    assert!(answered.len() >= rounds.iter().sum::<usize>());
}
