//! Journals that older programs left: they are migrated at the start, each step
//! completely or not at all.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde_json::json;

use crate::support::{FakeExecutors, FakeStores, Program, process::edit_journal, soon};

/// The journals of older programs. `journal::sqlite::migrations::tests` describes
/// their content. The programs of schemas 11 to 14 left none: these are of 8, with what
/// their migrations add. That of 15 is what this program leaves when it is killed.
const JOURNALS: [&str; 16] = [
    include_str!("../journals/schema-1.sql"),
    include_str!("../journals/schema-2.sql"),
    include_str!("../journals/schema-3.sql"),
    include_str!("../journals/schema-4.sql"),
    include_str!("../journals/schema-5.sql"),
    include_str!("../journals/schema-6.sql"),
    include_str!("../journals/schema-7.sql"),
    include_str!("../journals/schema-8.sql"),
    include_str!("../journals/schema-9.sql"),
    include_str!("../journals/schema-10.sql"),
    include_str!("../journals/schema-11.sql"),
    include_str!("../journals/schema-12.sql"),
    include_str!("../journals/schema-13.sql"),
    include_str!("../journals/schema-14.sql"),
    include_str!("../journals/schema-15.sql"),
    include_str!("../journals/schema-16.sql"),
];

fn schema(program: &Program) -> i64 {
    let journal = Connection::open(program.journal()).expect("the journal");
    journal.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a number")
}

#[tokio::test]
async fn journals_of_every_schema_continue_where_they_stopped() {
    for sql in JOURNALS {
        let executors = FakeExecutors::start();
        let stores = FakeStores::start();
        let mut program = Program::with_executors(&executors);
        for (name, value) in stores.vars() {
            program = program.var(name, value);
        }
        edit_journal(&program, sql);
        let schema = schema(&program);
        let process = program.start().await;
        // The composite continues when its child is terminal.
        let composite = process.run_get("composite").await;
        let root = composite["root_node_run_id"].as_str().expect("a Run").to_owned();
        let children = soon("the child", async {
            loop {
                let nodes = executors.calls().into_iter().filter(|call| call.body["run_id"] == "composite");
                let nodes: Vec<_> = nodes.map(|call| call.body["node_run_id"].clone()).collect();
                if !nodes.is_empty() {
                    return nodes;
                }
                tokio::task::yield_now().await;
            }
        });
        let child = children.await[0].as_str().expect("an id").to_owned();
        process.node_ended(&child).await;
        assert_eq!(process.node_run(&child).await["state"], "succeeded", "schema {schema}");
        let completion = json!({"state": "succeeded", "outputs": {}});
        assert_eq!(process.post(&format!("/v1/node-runs/{root}:complete"), &completion).await.0, 204);
        for (run, state) in [
            ("finished", "succeeded"),
            ("lost", "failed"),
            ("at-executor", "failed"),
            ("canceled", "canceled"),
            ("queued", "succeeded"),
            ("composite", "succeeded"),
        ] {
            assert_eq!(process.run_ended(run).await, state, "schema {schema}: {run}");
        }
        // Cancels that the old program had not sent are sent.
        for run in ["lost", "at-executor", "canceled"] {
            let node = process.run_get(run).await["root_node_run_id"].clone();
            executors.called(&format!("{}:cancel", node.as_str().expect("an id")), 1).await;
        }
        // Outbox entries of the old program are sent.
        if schema == 3 {
            for call in ["POST /v1/runs", "POST /v1/node-runs"] {
                stores.called(call, 6).await;
            }
        }
        process.terminate().await;
        let checked = program.command(&["journal", "check"]).await;
        assert_eq!(checked.code, Some(0), "schema {schema}: {checked:?}");
    }
}

/// Bodies by run and number.
type Events = BTreeMap<(String, i64), String>;

/// What callers were answered: each run with its state, and every event.
fn answered(program: &Program) -> (Vec<(String, String)>, Events) {
    let journal = Connection::open(program.journal()).expect("the journal");
    let mut runs =
        journal.prepare("SELECT run_id, body ->> '$.run.state' FROM runs ORDER BY 1").expect("runs");
    let runs = runs.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("runs");
    let mut events = journal.prepare("SELECT run_id, seq, body FROM events").expect("events");
    let events = events.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?))).expect("events");
    (runs.collect::<Result<_, _>>().expect("runs"), events.collect::<Result<_, _>>().expect("events"))
}

#[tokio::test]
async fn journals_of_every_schema_keep_their_runs() {
    for (place, sql) in JOURNALS.into_iter().enumerate() {
        let program = Program::server()
            .var("JARVIS_RUN_COORDINATOR_WITHOUT_STORES", "owe")
            .var("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "false");
        edit_journal(&program, sql);
        assert_eq!(schema(&program), i64::try_from(place + 1).expect("few"));
        let (runs, events) = answered(&program);
        assert_eq!(runs.len(), 6);
        let process = program.start().await;
        for (run, state) in &runs {
            // The process that had this one at its executor is gone.
            let state = if run == "at-executor" { "failed" } else { state.as_str() };
            let is_over = state != "running";
            let now = if is_over { process.run_ended(run).await } else { "running".to_owned() };
            assert_eq!(now, state, "schema {}: {run}", place + 1);
        }
        process.terminate().await;
        assert_eq!(schema(&program), i64::try_from(JOURNALS.len()).expect("few"));
        let (_, now) = answered(&program);
        for (event, body) in events {
            assert_eq!(now.get(&event), Some(&body), "schema {}: {event:?}", place + 1);
        }
        let checked = program.command(&["journal", "check"]).await;
        assert_eq!(checked.code, Some(0), "schema {}: {checked:?}", place + 1);
    }
}

#[tokio::test]
async fn failed_migration_leaves_the_journal_unchanged() {
    let program = Program::server().var("JARVIS_RUN_COORDINATOR_WITHOUT_STORES", "owe");
    edit_journal(&program, JOURNALS[2]);
    edit_journal(&program, "CREATE TABLE parked (x)");
    let ended = program.run().await;
    assert_eq!((ended.code, schema(&program)), (Some(3), 3));
    edit_journal(&program, "DROP TABLE parked");
    program.start().await.terminate().await;
    expectorate::assert_contents("tests/output/journal-not-migrated.txt", &ended.stderr);
}
