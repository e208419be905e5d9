//! The audit trail (contract §19.1, D-22): what a caller changes and what a rule
//! refuses has a durable record, and a line of the log.

use std::{collections::BTreeMap, fmt::Write};

use jarvis_run_coordinator::journal::faulty::{Chances, Fault, Faults};
use serde_json::{Value, json};

use crate::support::{
    FakeExecutors, Program, TestServer,
    process::{Process, edit_journal, start_request},
    redacted, soon,
};

/// A run with children of which one is evaluated, that is completed; and one that is
/// canceled. Requests that change nothing are repeated.
async fn story(process: &Process, executors: &FakeExecutors) {
    let plan = process.run_start("plan", "composite.accept").await;
    executors.called(":begin", 1).await;
    let node = json!({"node_type_ref": {"node_type_id": "atomic.echo", "version": "1.0.0"}, "inputs": {},
        "idempotency_key": "one"});
    let create = json!({"run_id": "plan", "parent_node_run_id": plan.root, "node_runs": [node]});
    let mut child = String::new();
    for _ in 0..2 {
        let (status, created) = process.post("/v1/node-runs", &create).await;
        assert_eq!(status, 200, "{created}");
        child = created["node_runs"][0]["node_run_id"].as_str().expect("an id").to_owned();
    }
    process.node_ended(&child).await;
    let verdict = json!({"evaluation_result": {"status": "success"}});
    assert_eq!(process.post(&format!("/v1/node-runs/{child}:evaluation"), &verdict).await.0, 204);
    let done = json!({"state": "succeeded", "outputs": {}});
    for _ in 0..2 {
        assert_eq!(process.post(&format!("/v1/node-runs/{}:complete", plan.root), &done).await.0, 204);
    }
    // A plain state conflict is no refusal by a rule.
    assert_eq!(process.post("/v1/node-runs", &create).await.0, 409);

    process.run_start("wrong", "composite.accept").await;
    for _ in 0..2 {
        assert_eq!(process.post("/v1/runs/wrong:cancel", &json!({})).await.0, 200);
    }
    let mut limited = start_request("limited", "composite.accept");
    limited["constraints"] = json!({"structural": {"max_children_per_composite": 0},
        "candidates": {"denied_node_type_ids": ["atomic.echo"]}});
    let (_, run) = process.post("/v1/runs", &limited).await;
    let parent = run["root_node_run_id"].clone();
    let create = json!({"run_id": "limited", "parent_node_run_id": parent, "node_runs": [node]});
    assert_eq!(process.post("/v1/node-runs", &create).await.0, 409);
    let mut denied = start_request("denied", "atomic.echo");
    denied["constraints"] = json!({"gates": {"require_approval": true}});
    assert_eq!(process.post("/v1/runs", &denied).await.0, 200);
    assert_eq!(process.run_ended("denied").await, "failed");
}

/// Times and generated ids by their order of appearance.
fn plain(text: &str, ids: &mut BTreeMap<String, String>) -> String {
    let word = |word: &str| match word {
        id if id.starts_with("node_run_") => {
            let next = ids.len() + 1;
            ids.entry(id.to_owned()).or_insert_with(|| format!("node_run_{next}")).clone()
        }
        time if time.len() == 27 && time.ends_with('Z') => "TIME".to_owned(),
        other => other.to_owned(),
    };
    text.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn audit_command_prints_the_trail_beside_a_server() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors);
    let process = program.start().await;
    story(&process, &executors).await;
    let (mut printed, mut ids) = (String::new(), BTreeMap::new());
    for words in [
        &[][..],
        &["--run", "wrong"],
        &["--outcome", "refused"],
        &["--actor", "coordinator"],
        &["--since", "1h", "--actor", "dev", "--run", "plan", "-o", "json"],
        &["--since", "2999-01-01T00:00:00Z"],
        &["--outcome", "unknown"],
    ] {
        let form: &[&str] = if words.contains(&"-o") { &[] } else { &["-o", "table"] };
        let ended = program.command(&[&["journal", "audit"], words, form].concat()).await;
        writeln!(printed, "$ jarvis-run-coordinator journal audit {}: {:?}", words.join(" "), ended.code)
            .expect("text");
        for line in ended.stdout.lines().chain(ended.stderr.lines()) {
            let line = match serde_json::from_str::<Value>(line) {
                Ok(mut record) => {
                    record["at_"] =
                        record.as_object_mut().and_then(|record| record.remove("at")).is_some().into();
                    redacted(&record).to_string()
                }
                Err(_) => plain(line, &mut ids),
            };
            writeln!(printed, "{line}").expect("text");
        }
    }
    expectorate::assert_contents("tests/output/journal-audit.txt", &printed);
    // As many lines of the log.
    let trail = program.command(&["journal", "audit", "-o", "table"]).await.stdout.lines().count() - 1;
    process.logged("audit", trail).await;
    let log = process.terminate().await.stdout;
    assert_eq!(log.lines().filter(|line| line.contains("\"msg\":\"audit\"")).count(), trail);
}

#[tokio::test]
async fn damaged_audit_record_does_not_hide_the_others() {
    let program = Program::with_executors(&FakeExecutors::start());
    let process = program.start().await;
    for run in ["a", "b", "c"] {
        process.run_start(run, "composite.accept").await;
    }
    process.terminate().await;
    edit_journal(&program, "UPDATE audit_trail SET body = '{' WHERE run_id = 'b'");
    let ended = program.command(&["journal", "audit", "-o", "table"]).await;
    assert_eq!((ended.code, ended.stdout.lines().count()), (Some(3), 4), "{ended:?}");
    assert!(ended.stdout.ends_with("problem: record 2 cannot be read\n"), "{ended:?}");
    let ended = program.command(&["journal", "audit", "-o", "json"]).await;
    assert!(ended.stdout.contains("{\"damaged\":true,\"id\":2}"), "{ended:?}");
    let checked = program.command(&["journal", "check"]).await;
    assert!(checked.stdout.contains("problem: audit record 2: it cannot be read\n"), "{checked:?}");
}

#[tokio::test]
async fn journal_without_an_audit_trail_is_not_read() {
    let program = Program::server();
    edit_journal(&program, include_str!("../journals/schema-5.sql"));
    let ended = program.command(&["journal", "audit", "-o", "table"]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(3), ""), "{ended:?}");
    assert!(ended.stderr.contains("the journal has schema 5, and there is an audit trail from schema 6 on"));
}

#[tokio::test]
async fn audit_records_expire_by_a_time_of_their_own() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors).var("JARVIS_RUN_COORDINATOR_RETENTION", "1s");
    let process = program.start().await;
    process.run_start("old", "atomic.echo").await;
    process.logged("finished runs deleted", 1).await;
    let trail = program.command(&["journal", "audit", "--run", "old", "-o", "table"]).await.stdout;
    assert!(trail.contains("start_run"), "the run is gone and its record is not: {trail}");
    process.terminate().await;
    let program = program.var("JARVIS_RUN_COORDINATOR_AUDIT_RETENTION", "1s");
    let process = program.start().await;
    process.logged("old audit records deleted", 1).await;
    assert_eq!(program.command(&["journal", "audit", "-o", "table"]).await.stdout.lines().count(), 1);
    process.terminate().await;
}

/// A commit is there with its record, or neither is.
#[tokio::test]
async fn failed_commit_leaves_no_audit_record() {
    let faults = Faults::none();
    let t = TestServer::start_with_faults(&faults, &[]).await;
    let request = start_request("a", "composite.accept");
    faults.script_commit(Fault::FailBefore);
    t.post("/v1/runs", &request).await.refused(503, "journal_unavailable");
    assert_eq!(t.audit_trail(), Vec::<Value>::new());
    // It was written, but its caller does not know: the repetition changes nothing.
    faults.script_commit(Fault::FailAfter);
    t.post("/v1/runs", &request).await.refused(503, "journal_unavailable");
    t.post("/v1/runs", &request).await.ok();
    let trail = t.audit_trail();
    let actor = json!({"kind": "caller", "subject": "dev"});
    let started = json!({"actor": actor, "operation": "start_run", "run_id": "a", "outcome": "applied",
        "events": [1, 3]});
    assert_eq!(trail, [started]);
    t.stop().await;
}

#[tokio::test]
async fn refusal_is_answered_though_it_cannot_be_recorded() {
    let faults = Faults::none();
    let t = TestServer::start_with_faults(&faults, &[]).await;
    let constraints = json!({"structural": {"max_children_per_composite": 0}});
    let run = t.run_start_with("composite.accept", json!({}), json!({"constraints": constraints})).await;
    soon("the plan", t.executors.called(":begin", 1)).await;
    let create = json!({"run_id": run.run_id, "parent_node_run_id": run.root_node_run_id, "node_runs": [
        {"node_type_ref": {"node_type_id": "atomic.echo", "version": "1.0.0"}, "inputs": {}}]});
    let refusals = |t: &TestServer| {
        t.audit_trail().into_iter().filter(|record| record["reason"] == "constraint_violation").count()
    };
    faults.set_chances(Chances { fail_before: 1.0, ..Chances::default() });
    t.post("/v1/node-runs", &create).await.refused(409, "constraint_violation");
    assert_eq!(refusals(&t), 0);
    faults.set_chances(Chances::default());
    t.post("/v1/node-runs", &create).await.refused(409, "constraint_violation");
    assert_eq!(refusals(&t), 1);
    // A flood of them costs the journal little, and the number of the others is known.
    for _ in 0..60 {
        t.post("/v1/node-runs", &create).await.refused(409, "constraint_violation");
    }
    assert!(refusals(&t) < 60, "{}", refusals(&t));
    t.stop().await;
}
