//! The real program, killed at every step of a run and started again on the
//! same journal; and its shutdown.

use std::{collections::BTreeMap, time::Instant};

use futures::{StreamExt, stream::FuturesUnordered};
use jarvis_run_coordinator::{
    journal::Journal,
    record::{AttemptOutcome, AttemptRecord, NodeRecord},
    types::{NodeRunId, RunState},
};
use serde_json::{Value, json};

use crate::support::{
    FakeExecutors, FakeService, Program, TestServer,
    process::{PROMPT, Process, StartedRun, start_request},
    soon,
};

const SHUTDOWN_SECS: &str = "JARVIS_RUN_COORDINATOR_SHUTDOWN_TIMEOUT_SECS";

async fn attempts(program: &Program, node: &str) -> Vec<AttemptRecord> {
    program.open_journal().attempts_list(&NodeRunId::new(node)).await.expect("the attempt log")
}

async fn record(program: &Program, node: &str) -> NodeRecord {
    program.open_journal().node_fetch(&NodeRunId::new(node)).await.expect("the journal").expect("the node")
}

fn error_code(node: &Value) -> &str {
    node["extensions"]["completion_error"]["code"].as_str().unwrap_or("none")
}

/// A run whose node is at the executor, which does not answer.
async fn hanging(process: &Process, executors: &FakeExecutors) -> StartedRun {
    let run = process.run_start("hanging", "atomic.hang").await;
    let root = &run.root;
    let at_it = |calls: &[crate::support::Call]| {
        calls.iter().any(|call| call.path.ends_with(":execute") && call.body["node_run_id"] == **root)
    };
    executors.calls_until("the execution", at_it).await;
    run
}

#[tokio::test]
async fn killed_at_the_executor_an_unknown_effect_is_not_repeated() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors);
    let process = program.start().await;
    let run = hanging(&process, &executors).await;
    process.kill().await;

    let process = program.start().await;
    assert_eq!(process.run_ended(&run.id).await, "failed");
    let node = process.node_run(&run.root).await;
    assert_eq!((&node["state"], error_code(&node)), (&json!("failed"), "executor_outcome_unknown"));
    // Whatever it is doing, it is told to stop.
    executors.called(&format!("{}:cancel", run.root), 1).await;
    process.terminate().await;

    assert_eq!(executors.executions(&run.root), 1);
    let outcomes: Vec<AttemptOutcome> =
        attempts(&program, &run.root).await.into_iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [AttemptOutcome::Lost]);
}

#[tokio::test]
async fn killed_at_the_executor_a_read_is_executed_again_and_the_lost_attempt_is_on_record() {
    let executors = FakeExecutors::start();
    let registry = FakeService::registry_of_atomics("read");
    let program = Program::with_executors(&executors).var("JARVIS_NODE_REGISTRY_URL", registry.url());
    let process = program.start().await;
    let run = hanging(&process, &executors).await;
    process.kill().await;

    // Nothing of this needs the registry again.
    registry.answer(false);
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
async fn killed_while_a_node_waits_for_a_full_executor_it_is_executed_once() {
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
async fn killed_while_policy_is_asked_a_node_is_executed_once() {
    let executors = FakeExecutors::start();
    let pdp = FakeService::pdp();
    let program = Program::with_executors(&executors).var("JARVIS_PDP_URL", pdp.url());
    let process = program.start().await;
    // A composite's child is asked about once: at its dispatch.
    let parent = process.run_start("asked", "composite.accept").await;
    executors.called(":begin", 1).await;
    pdp.answer(false);
    let child = process.child(&parent, "atomic.echo").await;
    pdp.asked("the question", 1, |question| question["node_run_id"] == child).await;
    assert_eq!(process.node_run(&child).await["state"], "assigned");
    process.kill().await;

    pdp.answer(true);
    let process = program.start().await;
    process.node_ended(&child).await;
    assert_eq!(process.node_run(&child).await["state"], "succeeded");
    assert_eq!(executors.executions(&child), 1);
    process.terminate().await;
    assert_eq!(attempts(&program, &child).await, []);
}

#[tokio::test]
async fn killed_with_an_accepted_composite_its_executor_goes_on_where_it_was() {
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
async fn killed_with_a_composite_that_has_no_children_it_is_assigned_again() {
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
    let begun = executors.called(":begin", 3).await;
    let assigned = |run: &StartedRun| {
        let to_it = |call: &&crate::support::Call| {
            call.path.ends_with(":begin") && call.body["node_run_id"] == *run.root
        };
        begun.iter().filter(to_it).count()
    };
    assert_eq!((assigned(&idle), assigned(&at_it)), (2, 1));
    let lost = attempts(&program, &idle.root).await;
    assert_eq!((lost.len(), &lost[0].outcome), (1, &AttemptOutcome::Lost));
    assert_eq!(attempts(&program, &at_it.root).await, []);
}

#[tokio::test]
async fn killed_before_the_executor_was_told_of_a_cancel_it_is_told_by_the_next_process() {
    // Killed at the first try, and after it is known to have failed.
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
        process.logged("executor told to stop", 1).await;
        assert_eq!(process.run_ended(&run.id).await, "canceled");
        process.terminate().await;
        assert_eq!(executors.executions(&run.root), 1);
        assert_eq!(record(&program, &run.root).await.wake, None, "nothing is left to do");
    }
}

#[tokio::test]
async fn an_executor_is_told_once_more_of_a_cancel_that_may_have_overtaken_its_call() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors);
    let process = program.start().await;
    let run = process.run_start("deaf", "atomic.deaf").await;
    executors.called(":execute", 1).await;
    assert_eq!(process.post(&format!("/v1/runs/{}:cancel", run.id), &json!({})).await.0, 200);
    process.logged("executor told to stop", 1).await;
    assert_eq!(executors.called(":cancel", 2).await.len(), 3, "the call, and twice that it is over");
    executors.release(&run.root);
    assert_eq!(process.run_ended(&run.id).await, "canceled");
    process.terminate().await;
    assert_eq!(record(&program, &run.root).await.wake, None);
    // The call was dropped when its node was over: what it brings is not heard.
    assert_eq!(attempts(&program, &run.root).await, []);
}

/// Every start that was answered is there and comes to an end, whenever the
/// process dies; and what is executed twice is on record.
#[tokio::test]
async fn killed_during_concurrent_starts_nothing_that_was_answered_is_lost() {
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

#[tokio::test]
async fn a_signal_ends_streams_and_waits_for_work_no_longer_than_it_may() {
    for signal in ["TERM", "INT"] {
        let executors = FakeExecutors::start();
        let program = Program::with_executors(&executors).var(SHUTDOWN_SECS, "0.5");
        let process = program.start().await;
        let run = hanging(&process, &executors).await;
        let url = process.at(&format!("/v1/runs/{}/events?follow=1", run.id));
        let mut stream = reqwest::get(url).await.expect("a stream").bytes_stream();
        let first = soon("the first events", stream.next()).await.expect("a chunk").expect("lines");
        assert!(first.starts_with(b"{"));

        let asked = Instant::now();
        process.signal(signal);
        let rest: Vec<_> = soon("the end of the stream", stream.collect()).await;
        for chunk in rest {
            let lines = chunk.expect("a stream that ends in order");
            assert!(!String::from_utf8_lossy(&lines).contains("run_completed"));
        }
        let ended = process.ended().await;
        assert!(asked.elapsed() < PROMPT, "{signal}");
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{signal}");
        assert!(ended.stdout.contains("stopped with work under way"), "{signal}");

        let process = program.start().await;
        assert_eq!(process.run_ended(&run.id).await, "failed");
        assert_eq!(error_code(&process.node_run(&run.root).await), "executor_outcome_unknown");
        process.terminate().await;
        assert_eq!(executors.executions(&run.root), 1, "{signal}");
    }
}

#[tokio::test]
async fn a_second_signal_ends_the_process_at_once() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors).var(SHUTDOWN_SECS, "600");
    let process = program.start().await;
    let run = hanging(&process, &executors).await;
    process.signal("TERM");
    process.logged("stopping", 1).await;
    process.signal("TERM");
    let ended = process.ended().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(ended.stdout.contains("second signal"), "{}", ended.stdout);

    let process = program.start().await;
    assert_eq!(process.run_ended(&run.id).await, "failed");
    assert_eq!(error_code(&process.node_run(&run.root).await), "executor_outcome_unknown");
    process.terminate().await;
}

#[tokio::test]
async fn a_shutdown_lets_requests_and_executors_finish() {
    let executors = FakeExecutors::start();
    let pdp = FakeService::pdp();
    let program = Program::with_executors(&executors)
        .var("JARVIS_PDP_URL", pdp.url())
        .var("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "1")
        .var(SHUTDOWN_SECS, "600");
    let process = program.start().await;
    let at_work = hanging(&process, &executors).await;
    let waiting = process.run_start("waiting", "atomic.echo").await;
    pdp.answer(false);
    let starting = process.run_start("starting", "atomic.echo");
    let meanwhile = async {
        pdp.asked("the start's question", 1, |question| question["run_id"] == "starting").await;
        process.signal("TERM");
        process.logged("stopping", 1).await;
        pdp.answer(true);
    };
    let (starting, ()) = tokio::join!(starting, meanwhile);
    executors.release(&at_work.root);
    let ended = process.ended().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(!ended.stdout.contains("work under way"), "{}", ended.stdout);
    // What was not begun by then was not begun any more.
    assert_eq!(executors.called(":execute", 1).await.len(), 1);

    let process = program.start().await;
    for (run, state) in [(&at_work, "succeeded"), (&waiting, "succeeded"), (&starting, "succeeded")] {
        assert_eq!(process.run_ended(&run.id).await, state, "{}", run.id);
        assert_eq!(executors.executions(&run.root), 1, "{}", run.id);
    }
    process.terminate().await;
}

#[tokio::test]
async fn a_server_that_stops_with_work_under_way_gives_the_journal_back() {
    let vars = [(SHUTDOWN_SECS, "0.2")];
    let t = TestServer::start_with(&vars).await;
    let run = t.run_start("atomic.deaf", json!({})).await;
    t.executors.called(":execute", 1).await;
    let (journal, executors) = t.stop().await;
    let t = TestServer::try_start(journal, executors, &vars).await.expect("the journal is free");
    let run = t.run_ended(&run.run_id).await;
    assert_eq!(run.state, RunState::Failed);
    assert_eq!(t.executors.executions(run.root_node_run_id.as_str()), 1);
    t.stop().await;
}

#[tokio::test]
async fn a_process_that_cannot_listen_has_begun_nothing() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors).var("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "no");
    let process = program.start().await;
    let run = process.run_start("patient", "atomic.echo").await;
    process.terminate().await;

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let program = program.without("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH");
    let on_taken_port = program.words(&["--port", &port]);
    let ended = on_taken_port.run().await;
    let message = format!("cannot listen on 127.0.0.1:{port}: Address already in use (os error 98)\n");
    assert_eq!((ended.code, ended.stderr), (Some(1), message));
    assert_eq!(executors.calls().len(), 0);

    drop(taken);
    let process = on_taken_port.start().await;
    assert_eq!(process.run_ended(&run.id).await, "succeeded");
    process.terminate().await;
    assert_eq!(executors.executions(&run.root), 1);
}
