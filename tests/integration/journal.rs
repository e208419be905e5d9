//! The real program with a journal that it cannot use, and with one that is full.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
};

use jarvis_run_coordinator::{
    journal::inspect::Inspect,
    record::{AttemptOutcome, AttemptRecord},
    types::NodeRunId,
};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{
    FakeExecutors, FakeService, Program,
    process::{Ended, start_request},
};

/// A program whose journal has a finished run.
async fn with_journal() -> Program {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors);
    let process = program.start().await;
    let run = process.run_start("earlier", "atomic.echo").await;
    process.run_ended(&run.id).await;
    process.terminate().await;
    program
}

/// Asserts that the program ended with exit code 3 and printed only the reason.
fn assert_refused(ended: &Ended, golden: &str) {
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(!ended.stdout.contains("listening"), "{}", ended.stdout);
    expectorate::assert_contents(format!("tests/output/journal-{golden}.txt"), &ended.stderr);
}

#[tokio::test]
async fn damaged_journal_is_refused_and_unchanged() {
    let program = with_journal().await;
    let mut file = File::options().read(true).write(true).open(program.journal()).expect("the journal");
    // The first page of SQLite's schema table.
    file.seek(SeekFrom::Start(100)).expect("a place");
    file.write_all(&[0xFF; 600]).expect("damage");
    drop(file);
    let before = fs::read(program.journal()).expect("the journal");
    assert_refused(&program.run().await, "damaged");
    assert_eq!(fs::read(program.journal()).expect("the journal"), before);
}

#[tokio::test]
async fn text_file_as_journal_is_refused_and_unchanged() {
    let program = Program::server();
    let text = "dear diary, ".repeat(1_000);
    program.write("jarvis-run-coordinator.db", &text);
    assert_refused(&program.run().await, "text");
    let mut after = String::new();
    File::open(program.journal()).expect("the file").read_to_string(&mut after).expect("text");
    assert_eq!(after, text);
}

#[tokio::test]
async fn foreign_database_is_refused_and_unchanged() {
    let program = Program::server();
    let other = Connection::open(program.journal()).expect("a database");
    other
        .execute_batch("CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ('soup')")
        .expect("SQL");
    drop(other);
    let before = fs::read(program.journal()).expect("the file");
    assert_refused(&program.run().await, "other-program");
    assert_eq!(fs::read(program.journal()).expect("the file"), before);
}

#[tokio::test]
async fn journal_of_a_newer_program_is_refused() {
    let program = with_journal().await;
    let journal = Connection::open(program.journal()).expect("the journal");
    let known: i64 = journal.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a number");
    journal.pragma_update(None, "user_version", 99).expect("a newer schema");
    drop(journal);
    let mut ended = program.run().await;
    ended.stderr = ended.stderr.replace(&format!("up to {known}:"), "up to KNOWN:");
    assert_refused(&ended, "newer");
}

#[tokio::test]
async fn journal_in_use_is_refused_until_its_process_is_gone() {
    let program = with_journal().await;
    let process = program.start().await;
    assert_refused(&program.run().await, "locked");
    // The first process is not affected.
    assert_eq!(process.run_get("earlier").await["state"], "succeeded");
    process.kill().await;
    let process = program.start().await;
    assert_eq!(process.run_get("earlier").await["state"], "succeeded");
    process.terminate().await;
}

#[tokio::test]
async fn journal_in_use_is_refused_by_any_path() {
    let program = with_journal().await;
    let process = program.start().await;
    let other = Program::server();
    std::os::unix::fs::symlink(program.journal(), other.path("symlink.db")).expect("a symlink");
    fs::hard_link(program.journal(), other.path("link.db")).expect("a hard link");
    for name in ["symlink.db", "link.db"] {
        let ended = other.command(&["--port", "0", "--journal", name]).await;
        let message = format!(
            "./{name}: another coordinator is using this journal\n  End the other coordinator, or set another file \
             with --journal or JARVIS_RUN_COORDINATOR_JOURNAL.\n"
        );
        assert_eq!((ended.code, ended.stderr.trim_start_matches("./")), (Some(3), &message[2..]), "{name}");
    }
    assert_eq!(process.run_get("earlier").await["state"], "succeeded");
    process.terminate().await;
}

#[tokio::test]
async fn folder_as_journal_is_refused() {
    let program = Program::server();
    fs::create_dir(program.journal()).expect("a folder");
    assert_refused(&program.run().await, "folder");
}

fn checks(health: &Value) -> (&Value, &Value, &Value) {
    (&health["status"], &health["checks"][0]["name"], &health["checks"][0]["status"])
}

#[tokio::test]
async fn full_journal_refuses_writes_until_it_has_room() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors);
    let small = program.var("JARVIS_RUN_COORDINATOR_JOURNAL_MAX_BYTES", "320k");
    let process = small.start().await;
    let composite = process.run_start("composite", "composite.accept").await;
    executors.called(":begin", 1).await;
    let early = process.run_start("early", "atomic.echo").await;
    assert_eq!(process.run_ended(&early.id).await, "succeeded");
    assert_eq!(checks(&process.get("/v1/health").await.1), (&json!("ok"), &json!("journal"), &json!("ok")));

    // No other work is under way: writes fail only because they do not fit.
    let big = |run: &str, kib: usize| {
        let mut request = start_request(run, "composite.reject");
        request["input"]["ballast"] = "x".repeat(kib << 10).into();
        request
    };
    let (status, refused) = process.post("/v1/runs", &big("too-big", 512)).await;
    let unavailable = json!({"error": {
        "code": "journal_unavailable", "message": "The journal is full", "retryable": true,
    }});
    assert_eq!((status, &refused), (503, &unavailable));
    let (status, health) = process.get("/v1/health").await;
    assert_eq!((status, checks(&health)), (200, (&json!("down"), &json!("journal"), &json!("down"))));
    assert_eq!(health["checks"][0]["message"], "The journal is full: nothing can be written");

    // Committed data can be read, and refused writes have left nothing.
    assert_eq!(process.run_get("early").await["state"], "succeeded");
    let events = process.get("/v1/runs/early/events").await;
    assert_eq!(events.0, 200);
    assert_eq!(process.node_run(&composite.root).await["state"], "running");
    assert_eq!(process.get("/v1/runs/too-big").await.1["error"]["code"], "run_not_found");
    assert_eq!(process.get("/v1/runs/too-big/events").await.1["error"]["code"], "run_not_found");
    let path = format!("/v1/node-runs/{}:complete", composite.root);
    let outputs = json!({"state": "succeeded", "outputs": {"ballast": "y".repeat(512 << 10)}});
    assert_eq!(process.post(&path, &outputs).await, (503, unavailable));
    assert_eq!(process.node_run(&composite.root).await["state"], "running");
    let seqs = process.get("/v1/runs/composite/events").await.1;
    assert!(!seqs.to_string().contains("run_completed"), "{seqs}");

    // A write that fits is accepted, and health recovers.
    let fits = process.run_start("fits", "atomic.echo").await;
    assert_eq!(process.run_ended(&fits.id).await, "succeeded");
    assert_eq!(checks(&process.get("/v1/health").await.1), (&json!("ok"), &json!("journal"), &json!("ok")));
    process.terminate().await;

    let large = small.var("JARVIS_RUN_COORDINATOR_JOURNAL_MAX_BYTES", "64m");
    let process = large.start().await;
    let (status, started) = process.post("/v1/runs", &big("too-big", 512)).await;
    assert_eq!(status, 200, "{started}");
    assert_eq!(process.run_ended("too-big").await, "failed");
    assert_eq!(process.post(&path, &outputs).await, (204, json!("")));
    assert_eq!(process.run_ended("composite").await, "succeeded");
    assert_eq!(process.node_run(&composite.root).await["outputs"], outputs["outputs"]);
    for run in ["early", "fits"] {
        assert_eq!(process.run_ended(run).await, "succeeded", "{run}");
    }
    process.terminate().await;
}

#[tokio::test]
async fn full_journal_reserves_room_for_ending_work() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors)
        .var("JARVIS_RUN_COORDINATOR_JOURNAL_MAX_BYTES", "4m")
        .var("JARVIS_RUN_COORDINATOR_RETENTION", "1s");
    let process = program.start().await;
    let composite = process.run_start("composite", "composite.accept").await;
    executors.called(":begin", 1).await;
    let hanging = process.run_start("hanging", "atomic.hang").await;
    let mut late = start_request("late", "atomic.hang");
    late["constraints"] = json!({"budgets": {"max_wall_time_ms": 8000}});
    assert_eq!(process.post("/v1/runs", &late).await.0, 200);
    executors.called(":execute", 2).await;

    let mut fillers = Vec::new();
    let refused = loop {
        let run = format!("filler-{}", fillers.len());
        let mut request = start_request(&run, "atomic.hang");
        request["input"]["ballast"] = "x".repeat(64 << 10).into();
        match process.post("/v1/runs", &request).await {
            (200, _) => fillers.push(run),
            refused => break refused,
        }
        assert!(fillers.len() < 64, "4 MiB cannot hold this many runs");
    };
    let full = json!({"error": {
        "code": "journal_unavailable", "retryable": true,
        "message": "The journal is nearly full: new work is refused, running work can finish",
    }});
    assert_eq!(refused, (503, full.clone()));
    assert!(fillers.len() > 30, "three quarters of 4 MiB are for new work: {}", fillers.len());
    let root = format!("/v1/node-runs/{}", composite.root);
    let children = json!({"run_id": "composite", "parent_node_run_id": composite.root, "node_runs": [
        {"node_type_ref": {"node_type_id": "atomic.echo", "version": "1.0.0"}, "inputs": {}}]});
    let evaluation = json!({"evaluation_result": {"status": "success"}});
    for (path, body) in [
        ("/v1/runs", &start_request("small", "atomic.echo")),
        ("/v1/node-runs", &children),
        (&format!("{root}:evaluation"), &evaluation),
    ] {
        assert_eq!(process.post(path, body).await, (503, full.clone()), "{path}");
    }
    // A repeated start is not new work.
    assert_eq!(process.post("/v1/runs", &start_request("hanging", "atomic.hang")).await.0, 200);
    let (status, health) = process.get("/v1/health").await;
    assert_eq!((status, checks(&health)), (200, (&json!("degraded"), &json!("journal"), &json!("degraded"))));
    assert_eq!(health["checks"][0]["message"], full["error"]["message"]);

    // A deadline, a result, a completion and cancels fit into the reserve.
    assert_eq!(process.run_get("late").await["state"], "running");
    executors.release(&hanging.root);
    assert_eq!(process.run_ended("hanging").await, "succeeded");
    assert_eq!(process.post(&format!("{root}:complete"), &json!({"state": "succeeded"})).await.0, 204);
    assert_eq!(process.run_ended("late").await, "failed");
    for run in &fillers {
        let (status, canceled) = process.post(&format!("/v1/runs/{run}:cancel"), &json!({})).await;
        assert_eq!((status, &canceled["state"]), (200, &json!("canceled")), "{run}");
    }
    // Retention deletes them, which makes room.
    process.logged("the journal has room for new work again", 1).await;
    let next = process.run_start("next", "atomic.echo").await;
    assert_eq!(process.run_ended(&next.id).await, "succeeded");
    assert_eq!(checks(&process.get("/v1/health").await.1).0, "ok");

    // It is logged once, with what an operator needs.
    let ended = process.terminate().await;
    let lines: Vec<&str> = ended.stdout.lines().filter(|line| line.contains("full")).collect();
    let [line] = lines[..] else { panic!("{lines:?}") };
    let line: Value = serde_json::from_str(line).expect("JSON");
    assert!(line["path"].as_str().is_some_and(|path| path.ends_with("jarvis-run-coordinator.db")), "{line}");
    assert_eq!((&line["limit_bytes"], &line["reserve_bytes"]), (&json!(4 << 20), &json!(1 << 20)));
    assert!(line["to_make_room"].as_str().is_some_and(|how| how.contains("MAX_BYTES")), "{line}");
}

#[tokio::test]
async fn result_that_does_not_fit_is_a_lost_attempt() {
    let executors = FakeExecutors::start();
    let registry = FakeService::registry_of_atomics("read");
    let small = Program::with_executors(&executors)
        .var("JARVIS_NODE_REGISTRY_URL", registry.url())
        .var("JARVIS_RUN_COORDINATOR_JOURNAL_MAX_BYTES", "472k")
        .var("JARVIS_RUN_COORDINATOR_SHUTDOWN_TIMEOUT_SECS", "0.2");
    let process = small.start().await;
    let mut request = start_request("big", "atomic.hang");
    // The executor returns the ballast: it fits into the journal once, and not twice.
    request["input"]["ballast"] = "x".repeat(150 << 10).into();
    let (status, run) = process.post("/v1/runs", &request).await;
    assert_eq!(status, 200, "{run}");
    let root = run["root_node_run_id"].as_str().expect("a Run");
    executors.called(":execute", 1).await;
    executors.release(root);
    process.logged("result not committed; will retry", 2).await;
    assert_eq!(process.node_run(root).await["state"], "running");
    let health = process.get("/v1/health").await.1;
    assert_eq!(checks(&health), (&json!("down"), &json!("journal"), &json!("down")));
    process.terminate().await;

    let large = small.var("JARVIS_RUN_COORDINATOR_JOURNAL_MAX_BYTES", "64m");
    let process = large.start().await;
    assert_eq!(process.run_ended("big").await, "succeeded");
    assert_eq!(process.node_run(root).await["outputs"], request["input"]);
    process.terminate().await;
    assert_eq!(executors.executions(root), 2);
    let log = large.open_journal().attempts_list(&NodeRunId::new(root)).await.expect("the attempt log");
    assert!(matches!(log[..], [AttemptRecord { outcome: AttemptOutcome::Lost, .. }]), "{log:?}");
}

#[tokio::test]
async fn full_journal_keeps_every_answered_start() {
    let executors = FakeExecutors::start();
    let small = Program::with_executors(&executors)
        .var("JARVIS_RUN_COORDINATOR_JOURNAL_MAX_BYTES", "288k")
        .var("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "off");
    let process = small.start().await;
    let mut started = Vec::new();
    let refused = loop {
        let run = format!("run-{}", started.len());
        let (status, answer) = process.post("/v1/runs", &start_request(&run, "atomic.echo")).await;
        match status {
            200 => started.push((run, answer)),
            status => break (run, status, answer["error"]["code"].clone()),
        }
        assert!(started.len() < 10_000, "288 KiB cannot hold this many runs");
    };
    assert!(started.len() > 5, "{}", started.len());
    assert_eq!((refused.1, &refused.2), (503, &json!("journal_unavailable")));
    for (run, answer) in &started {
        assert_eq!(process.run_get(run).await, *answer);
    }
    assert_eq!(process.get(&format!("/v1/runs/{}", refused.0)).await.0, 404);
    process.kill().await;

    let large = small
        .var("JARVIS_RUN_COORDINATOR_JOURNAL_MAX_BYTES", "64m")
        .without("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH");
    let process = large.start().await;
    for (run, answer) in &started {
        assert_eq!(process.run_ended(run).await, "succeeded", "{run}");
        let root = answer["root_node_run_id"].as_str().expect("a Run");
        assert_eq!(executors.executions(root), 1, "{run}");
    }
    assert_eq!(process.get(&format!("/v1/runs/{}", refused.0)).await.0, 404);
    process.terminate().await;
}

#[tokio::test]
async fn orderly_stop_leaves_the_journal_in_one_file() {
    let program = with_journal().await;
    let mut files: Vec<_> = fs::read_dir(program.path("."))
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .filter(|name| name.starts_with("jarvis"))
        .collect();
    files.sort();
    assert_eq!(files, ["jarvis-run-coordinator.db", "jarvis-run-coordinator.db.lock"]);
    let journal = Connection::open(program.journal()).expect("the journal");
    let runs: i64 = journal.query_row("SELECT count(*) FROM runs", [], |row| row.get(0)).expect("a number");
    assert_eq!(runs, 1);
}
