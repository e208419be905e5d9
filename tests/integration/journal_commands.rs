//! The `journal` command of the real program: backup and restore, check, compact.

use std::{
    fmt::Write,
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::future::{join, join_all};
use serde_json::{Value, json};

use crate::support::{
    FakeExecutors, FakeStores, Program,
    process::{Process, edit_journal, start_request},
    soon,
};

#[tokio::test]
async fn backup_under_load_has_every_run_answered_before_it() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors);
    let process = program.start().await;
    let hanging = process.run_start("hanging", "atomic.hang").await;
    executors.called(":execute", 1).await;
    let (answered, enough) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let load = join_all((0..8).map(|caller| {
        let (process, answered, enough) = (&process, &answered, &enough);
        async move {
            let mut count = 0;
            while !enough.load(Ordering::SeqCst) {
                let run = process.run_start(&format!("run-{caller}-{count}"), "atomic.echo").await;
                answered.lock().expect("unpoisoned").push(run.id);
                count += 1;
            }
        }
    }));
    let backup = async {
        let so_far = || answered.lock().expect("unpoisoned").clone();
        soon("some load", async {
            while so_far().len() < 50 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let before = so_far();
        let ended = program.command(&["journal", "backup", "backup.db"]).await;
        enough.store(true, Ordering::SeqCst);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        assert!(ended.stdout.starts_with("backup.db: "), "{}", ended.stdout);
        before
    };
    let (_, before) = join(load, backup).await;
    process.kill().await;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(program.path("backup.db")).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "the journal has secrets");
    }
    let files = fs::read_dir(program.path(".")).expect("the folder");
    let names = files.map(|file| file.expect("a file").file_name().into_string().expect("a name"));
    assert_eq!(names.filter(|name| name.contains("backup")).collect::<Vec<_>>(), ["backup.db"]);
    let checked = program.command(&["journal", "check", "backup.db"]).await;
    assert!(checked.code == Some(0) && checked.stdout.ends_with("\nsound\n"), "{checked:?}");

    let restored = Program::with_executors(&executors);
    fs::copy(program.path("backup.db"), restored.journal()).expect("restored");
    let process = restored.start().await;
    for run in &before {
        assert_eq!(process.run_get(run).await["run_id"], **run);
        // A node that was at its executor when the copy was taken may not be executed
        // again: its outcome is unknown.
        let state = process.run_ended(run).await;
        assert!(state == "succeeded" || state == "failed", "{run}: {state}");
    }
    assert_eq!(process.run_ended(&hanging.id).await, "failed");
    process.terminate().await;
    let checked = restored.command(&["journal", "check"]).await;
    assert!(checked.code == Some(0) && checked.stdout.ends_with("\nsound\n"), "{checked:?}");
}

/// Executors and stores do not go back with the journal; the documentation says so.
#[tokio::test]
async fn restored_journal_continues_from_its_backup() {
    let executors = FakeExecutors::start();
    let stores = FakeStores::start();
    let mut program = Program::with_executors(&executors);
    for (name, value) in stores.vars() {
        program = program.var(name, value);
    }
    let dispatching = "JARVIS_RUN_COORDINATOR_AUTO_DISPATCH";
    let mut program = program.var(dispatching, "off");
    let process = program.start().await;
    let queued = process.run_start("queued", "atomic.echo").await;
    process.terminate().await;
    program = program.without(dispatching).with_arguments(&["--port", "0"]);
    let begin = async |program: &Program| {
        let process = program.start().await;
        assert_eq!(process.run_ended("queued").await, "succeeded");
        process
    };
    // One backup before the first run is dispatched, one while the second is running.
    let backup = async |file: &str| {
        let ended = program.command(&["journal", "backup", file]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
    };
    backup("queued.db").await;
    let process = begin(&program).await;
    let composite = process.run_start("composite", "composite.accept").await;
    executors.called(":begin", 1).await;
    backup("at-work.db").await;
    let complete = format!("/v1/node-runs/{}:complete", composite.root);
    assert_eq!(process.post(&complete, &json!({"state": "succeeded", "outputs": {}})).await.0, 204);
    stores.have_state("runs/composite", "succeeded").await;
    stores.have_events("composite", *process_seqs(&process, "composite").await.last().expect("events")).await;
    let first_events = stores.events("composite");
    process.kill().await;

    let restore = |file: &str| {
        for suffix in ["", "-wal", "-shm"] {
            let _not_there = fs::remove_file(format!("{}{suffix}", program.journal().display()));
        }
        fs::copy(program.path(file), program.journal()).expect("restored");
    };
    restore("at-work.db");
    let process = begin(&program).await;
    assert_eq!(process.run_get("composite").await["state"], "running");
    let error = json!({"code": "changed", "message": "another end"});
    assert_eq!(process.post(&complete, &json!({"state": "failed", "error": error})).await.0, 204);
    assert_eq!(process.run_ended("composite").await, "failed");
    stores.have_state("runs/composite", "failed").await;
    soon("an empty outbox", async {
        while !process.get("/v1/health").await.1.to_string().contains("\"entries\":0") {}
    })
    .await;
    // The stream keeps the events of the first history, and appends later ones of the
    // second.
    let events = stores.events("composite");
    assert_eq!(events[..first_events.len()], first_events);
    let seqs = process_seqs(&process, "composite").await;
    assert_eq!(stores.seqs("composite"), seqs, "{events:?}");
    process.kill().await;

    restore("queued.db");
    let process = begin(&program).await;
    assert_eq!(executors.executions(&queued.root), 2);
    // The run that was started after that backup is adopted.
    assert_eq!(process.run_get("composite").await["state"], "failed");
    process.terminate().await;
}

async fn process_seqs(process: &Process, run: &str) -> Vec<u64> {
    let lines = process.get(&format!("/v1/runs/{run}/events")).await.1;
    let lines = lines.as_str().expect("lines").lines();
    let seq = |line| serde_json::from_str::<Value>(line).expect("JSON")["seq"].as_u64().expect("a seq");
    lines.map(seq).collect()
}

#[tokio::test]
async fn check_reports_problems_and_parked_work() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors);
    let process = program.start().await;
    let mut runs = Vec::new();
    for run in ["sound", "unreadable", "gap", "orphaned", "column", "node", "apart"] {
        runs.push(process.run_start(run, "atomic.echo").await);
        process.run_ended(run).await;
    }
    runs.push(process.run_start("live", "atomic.hang").await);
    executors.called(":execute", 8).await;
    // The check also works while a server uses the journal.
    let mut printed = String::new();
    let mut check = async |what: &str| {
        let mut ended = program.command(&["journal", "check"]).await;
        for run in &runs {
            ended.stdout = ended.stdout.replace(&run.root, &format!("NODE-OF-{}", run.id));
        }
        writeln!(printed, "{what}: exit code {:?}\n{}{}", ended.code, ended.stdout, ended.stderr)
            .expect("text");
    };
    check("as it should be, with the server up").await;
    process.kill().await;

    edit_journal(
        &program,
        "INSERT INTO parked VALUES ('live', '', 'run_deadline', 'it went wrong', 1000000, 2000000, 3);
         INSERT INTO parked SELECT run_id, node_run_id, 'deadline', 'it went wrong, too', 0, 3000000, 1
         FROM node_runs WHERE run_id = 'live'",
    );
    check("with something parked").await;
    edit_journal(
        &program,
        "UPDATE runs SET body = '{' WHERE run_id = 'unreadable';
         DELETE FROM events WHERE run_id = 'gap' AND seq = 3;
         DELETE FROM runs WHERE run_id = 'orphaned';
         UPDATE node_runs SET path = '1.7' WHERE run_id = 'column';
         UPDATE node_runs SET body = json_set(body, '$.attempt', 7) WHERE run_id = 'node';
         UPDATE node_runs SET apart = 1 WHERE run_id = 'apart';
         INSERT INTO node_payloads VALUES ('missing', 'inputs', '{}');
         INSERT INTO outbox (run_id, decided_at, new) VALUES ('nowhere', 1, 1)",
    );
    check("with damage").await;
    expectorate::assert_contents("tests/output/journal-check.txt", &printed);
}

#[tokio::test]
async fn check_reports_damaged_pages() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors);
    let process = program.start().await;
    for run in 0..30 {
        let run = process.run_start(&format!("run-{run}"), "atomic.echo").await;
        process.run_ended(&run.id).await;
    }
    process.terminate().await;
    let mut bytes = fs::read(program.journal()).expect("the journal");
    let half = bytes.len() / 2 / 4096 * 4096;
    bytes[half..half + 8192].fill(0xaa);
    fs::write(program.path("damaged.db"), bytes).expect("written");
    let ended = program.command(&["journal", "check", "damaged.db"]).await;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains("problem: file: ") || ended.stderr.contains("malformed"), "{ended:?}");
}

#[tokio::test]
async fn journal_commands_fail_with_exit_code_3() {
    let program = Program::server();
    let process = program.start().await;
    program.write("there.db", "something");
    program.write("empty.db", "");
    let mut printed = String::new();
    for words in [
        &["backup", "there.db"][..],
        &["backup", "no/such/folder/b.db"],
        &["backup", "b.db", "--journal", "missing.db"],
        &["backup", "b.db", "--journal", "there.db"],
        &["check", "missing.db"],
        &["check", "there.db"],
        &["check", "empty.db"],
        &["compact"],
        &["compact", "--journal", "missing.db"],
    ] {
        let ended = program.command(&[&["journal"], words].concat()).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(3), ""), "{words:?}");
        writeln!(printed, "$ jarvis-run-coordinator journal {}\n{}", words.join(" "), ended.stderr)
            .expect("text");
    }
    assert!(!program.path("b.db").exists() && !program.path("missing.db").exists());
    assert_eq!(fs::read_to_string(program.path("there.db")).expect("a file"), "something");
    expectorate::assert_contents("tests/output/journal-errors.txt", &printed);
    process.terminate().await;
}

#[tokio::test]
async fn compact_reclaims_the_space_of_deleted_runs() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors);
    let process = program.start().await;
    for run in 0..20 {
        let mut request = start_request(&format!("run-{run}"), "atomic.echo");
        request["input"]["ballast"] = "x".repeat(20_000).into();
        assert_eq!(process.post("/v1/runs", &request).await.0, 200);
        process.run_ended(&format!("run-{run}")).await;
    }
    process.run_start("live", "composite.accept").await;
    process.kill().await;

    let kept = program.command(&["journal", "compact", "--finished-before", "1d"]).await;
    assert!(kept.stdout.starts_with("deleted 0 runs"), "{kept:?}");
    let size = || fs::metadata(program.journal()).expect("the journal").len();
    let before = size();
    edit_journal(&program, "UPDATE runs SET changed_at = 1 WHERE terminal = 1");
    let ended = program.command(&["journal", "compact", "--finished-before", "1d"]).await;
    assert!(ended.code == Some(0) && ended.stdout.starts_with("deleted 20 runs"), "{ended:?}");
    assert!(size() * 3 < before, "{before} bytes before, {} after", size());
    assert!(ended.stdout.contains(&format!("{before} bytes before, {} after", size())), "{ended:?}");
    let process = program.start().await;
    assert_eq!(process.get("/v1/runs/run-0").await.0, 404);
    assert_eq!(process.run_get("live").await["state"], "running");
    process.terminate().await;
}

#[tokio::test]
async fn exported_run_is_verified_and_compared() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors);
    let process = program.start().await;
    for run in ["run-1", "run-2"] {
        let started = process.run_start(run, "atomic.echo").await;
        process.run_ended(&started.id).await;
    }
    // Beside the running server.
    let export = async |run, file| program.command(&["journal", "export", run, file]).await;
    let first = export("run-1", "run-1.ndjson").await;
    assert_eq!((first.code, first.stderr.as_str()), (Some(0), ""));
    let hash = first.stdout.trim().rsplit(' ').next().expect("a hash").to_owned();
    assert_eq!(export("run-2", "run-2.ndjson").await.code, Some(0));
    let again = export("run-1", "run-1.ndjson").await;
    assert_eq!(again.code, Some(3), "a file is never replaced: {}", again.stderr);
    let unknown = export("nothing", "nothing.ndjson").await;
    assert_eq!(unknown.stderr.trim(), "the run was not exported: the journal has no run nothing");
    assert!(!program.path("nothing.ndjson").exists());
    process.kill().await;

    let verified = program.command(&["runs", "verify", "run-1.ndjson", "--hash", &hash]).await;
    assert_eq!((verified.code, verified.stderr.as_str()), (Some(0), ""));
    assert!(verified.stdout.starts_with("run run-1: succeeded, exported at "), "{}", verified.stdout);
    let other = program.command(&["runs", "verify", "run-2.ndjson", "--hash", &hash]).await;
    assert!(other.code == Some(3) && other.stderr.contains("it is another bundle"), "{}", other.stderr);
    let same = program.command(&["runs", "diff", "run-1.ndjson", "run-1.ndjson"]).await;
    assert_eq!((same.code, same.stdout.trim()), (Some(0), "the runs run-1 and run-1 do not differ"));
    let differ = program.command(&["runs", "diff", "run-1.ndjson", "run-2.ndjson"]).await;
    let first = r#"(atomic.echo), after 0 s: inputs: {"of":"run-1"} | {"of":"run-2"}"#;
    assert!(differ.code == Some(1) && differ.stdout.contains(first), "{}", differ.stdout);

    let text = fs::read_to_string(program.path("run-1.ndjson")).expect("a bundle");
    fs::write(program.path("forged.ndjson"), text.replace("succeeded", "failed")).expect("written");
    let forged = program.command(&["runs", "verify", "forged.ndjson"]).await;
    assert!(forged.code == Some(3) && forged.stderr.contains("was changed or removed"), "{}", forged.stderr);
}
