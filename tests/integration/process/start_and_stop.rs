//! Starts that fail, and stops: what finishes, what is waited for, and what the
//! next process finds.

use std::{collections::BTreeMap, time::Instant};

use futures::StreamExt;
use jarvis_run_coordinator::{
    app::{Server, StartError, Surroundings},
    config::{Flags, Settings},
    types::RunState,
};
use serde_json::json;
use slog::{Discard, Logger, o};

use super::{error_code, hanging};
use crate::support::{FakeExecutors, FakeService, FakeStores, Program, TestServer, process::PROMPT, soon};

const SHUTDOWN_SECS: &str = "JARVIS_RUN_COORDINATOR_SHUTDOWN_TIMEOUT_SECS";

#[tokio::test]
async fn signal_ends_streams_and_bounds_the_wait_for_work() {
    for signal in ["TERM", "INT"] {
        let executors = FakeExecutors::start();
        let program = Program::with_executors(&executors).var(SHUTDOWN_SECS, "0.5");
        let process = program.start().await;
        let run = hanging(&process, &executors).await;
        let url = process.at(&format!("/v1/runs/{}/events?follow=1", run.id));
        let mut stream = reqwest::get(url).await.expect("a stream").bytes_stream();
        let first = soon("the first events", stream.next()).await.expect("a chunk").expect("lines");
        assert!(first.starts_with(b"{"));

        let signaled = Instant::now();
        process.signal(signal);
        let rest: Vec<_> = soon("the end of the stream", stream.collect()).await;
        for chunk in rest {
            let lines = chunk.expect("a stream that ends in order");
            assert!(!String::from_utf8_lossy(&lines).contains("run_completed"));
        }
        let ended = process.ended().await;
        assert!(signaled.elapsed() < PROMPT, "{signal}");
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{signal}");
        assert!(ended.stdout.contains("stopped with unfinished work"), "{signal}");

        let process = program.start().await;
        assert_eq!(process.run_ended(&run.id).await, "failed");
        assert_eq!(error_code(&process.node_run(&run.root).await), "executor_outcome_unknown");
        process.terminate().await;
        assert_eq!(executors.executions(&run.root), 1, "{signal}");
    }
}

#[tokio::test]
async fn second_signal_ends_the_process_at_once() {
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
async fn shutdown_lets_requests_and_executors_finish() {
    let executors = FakeExecutors::start();
    let pdp = FakeService::pdp();
    let program = Program::with_executors(&executors)
        .var("JARVIS_PDP_URL", pdp.url())
        .var("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "1")
        .var(SHUTDOWN_SECS, "600");
    let process = program.start().await;
    let at_work = hanging(&process, &executors).await;
    let waiting = process.run_start("waiting", "atomic.echo").await;
    pdp.set_answering(false);
    let starting = process.run_start("starting", "atomic.echo");
    let meanwhile = async {
        pdp.received("the request of the start", 1, |request| request["run_id"] == "starting").await;
        process.signal("TERM");
        process.logged("stopping", 1).await;
        pdp.set_answering(true);
    };
    let (starting, ()) = tokio::join!(starting, meanwhile);
    executors.release(&at_work.root);
    let ended = process.ended().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(!ended.stdout.contains("unfinished work"), "{}", ended.stdout);
    // The waiting node was not dispatched any more.
    assert_eq!(executors.called(":execute", 1).await.len(), 1);

    let process = program.start().await;
    for (run, state) in [(&at_work, "succeeded"), (&waiting, "succeeded"), (&starting, "succeeded")] {
        assert_eq!(process.run_ended(&run.id).await, state, "{}", run.id);
        assert_eq!(executors.executions(&run.root), 1, "{}", run.id);
    }
    process.terminate().await;
}

#[tokio::test]
async fn stop_with_work_under_way_releases_the_journal() {
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
async fn process_that_cannot_listen_dispatches_nothing() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors).var("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "no");
    let process = program.start().await;
    let run = process.run_start("patient", "atomic.echo").await;
    process.terminate().await;

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let program = program.without("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH");
    let on_taken_port = program.with_arguments(&["--port", &port]);
    let ended = on_taken_port.run().await;
    let message = format!(
        "cannot listen on 127.0.0.1:{port}: Address already in use (os error 98)\n  Set another address with \
         --host and --port, or end the process that has this one.\n"
    );
    assert_eq!((ended.code, ended.stderr), (Some(1), message));
    assert_eq!(executors.calls().len(), 0);

    drop(taken);
    let process = on_taken_port.start().await;
    assert_eq!(process.run_ended(&run.id).await, "succeeded");
    process.terminate().await;
    assert_eq!(executors.executions(&run.root), 1);
}

#[tokio::test]
async fn failed_start_releases_the_journal() {
    let stores = FakeStores::start();
    let journal = tempfile::tempdir().expect("a folder for the journal");
    let path = journal.path().join("journal.db").display().to_string();
    let mut vars = vec![("ARP_AUTH_PROFILE", "dev-insecure"), ("JARVIS_RUN_COORDINATOR_JOURNAL", &*path)];
    vars.extend(stores.vars());
    let vars: BTreeMap<String, String> =
        vars.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let start = async |port: u16| {
        let flags = Flags { port: Some(port), ..Flags::default() };
        let settings = Settings::from_vars(&vars, &flags).expect("sound settings");
        Server::start(&settings, Surroundings::default(), &Logger::root(Discard, o!())).await
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let refused = start(taken.local_addr().expect("an address").port()).await;
    assert!(matches!(refused, Err(StartError::Listen { .. })));
    start(0).await.expect("the second start succeeds").stop().await;
}
