//! Journals that older programs left: they are migrated at the start, each step
//! completely or not at all.

use rusqlite::Connection;
use serde_json::json;

use crate::support::{FakeExecutors, FakeStores, Program, process::edit_journal, soon};

/// The journals of older programs. `journal::sqlite::migrations::tests` describes
/// their content.
const JOURNALS: [&str; 10] = [
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
