//! Journals of every schema that was ever released, as the programs of their
//! time left them when they were killed. In each:
//!
//! | run | |
//! |---|---|
//! | `finished` | succeeded |
//! | `lost` | failed: the process died while its node was at the executor |
//! | `at-executor` | its node is at the executor, for the process that died |
//! | `canceled` | its executor has yet to be notified |
//! | `queued` | its node waits for room at the executor |
//! | `composite` | its composite is at work, with a child that is queued |
//!
//! From schema 2 on there is a secret; from 3 on the JARVIS stores are owed
//! everything; from 6 on there is an audit trail; from 8 on the runs have labels. Time limits
//! are ten years or more, so that nothing is overdue. (The programs of schemas 7 and
//! 9 to 14 left no journal: these are of 8, with what the migrations to theirs add, and that
//! of 7 without the list of runs.)

use std::{collections::BTreeSet, path::Path, sync::Arc};

use rusqlite::{Connection, types::Value};

use super::super::{
    check::check,
    tests::{Directory, open, raw, try_open},
};
use crate::{
    journal::{ClaimFilter, Journal, OutboxId, RunSelect, RunsFilter, Visible, conformance::at},
    record::{ChangeSet, Labels, NodeHead, NodeRecord},
    time::Timestamp,
    types::{NodeRunState, RunEvent},
};

/// Of schemas 1, 2 and so on.
const JOURNALS: [&str; 16] = [
    include_str!("../../../../../tests/journals/schema-1.sql"),
    include_str!("../../../../../tests/journals/schema-2.sql"),
    include_str!("../../../../../tests/journals/schema-3.sql"),
    include_str!("../../../../../tests/journals/schema-4.sql"),
    include_str!("../../../../../tests/journals/schema-5.sql"),
    include_str!("../../../../../tests/journals/schema-6.sql"),
    include_str!("../../../../../tests/journals/schema-7.sql"),
    include_str!("../../../../../tests/journals/schema-8.sql"),
    include_str!("../../../../../tests/journals/schema-9.sql"),
    include_str!("../../../../../tests/journals/schema-10.sql"),
    include_str!("../../../../../tests/journals/schema-11.sql"),
    include_str!("../../../../../tests/journals/schema-12.sql"),
    include_str!("../../../../../tests/journals/schema-13.sql"),
    include_str!("../../../../../tests/journals/schema-14.sql"),
    include_str!("../../../../../tests/journals/schema-15.sql"),
    include_str!("../../../../../tests/journals/schema-16.sql"),
];

const RUNS: [&str; 6] = ["at-executor", "canceled", "composite", "finished", "lost", "queued"];

/// Writes a journal of that schema.
fn load(path: &Path, sql: &str) {
    raw(path).execute_batch(sql).expect("a dump");
}

/// All rows of a table, by these columns.
fn rows(connection: &Connection, table: &str, columns: &str) -> Vec<Vec<Value>> {
    let sql = format!("SELECT {columns} FROM {table} ORDER BY 1, 2");
    let mut statement = connection.prepare(&sql).expect("a table");
    let count = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| (0..count).map(|column| row.get(column)).collect();
    statement.query_map([], row).expect("rows").collect::<Result<_, _>>().expect("rows")
}

/// The content that a migration must preserve.
fn everything(path: &Path, schema: usize) -> Vec<Vec<Vec<Value>>> {
    let connection = raw(path);
    let mut tables = vec![
        ("runs", "run_id, version, terminal, deadline, body"),
        (
            "node_runs",
            "node_run_id, run_id, version, path, terminal, wake_job, wake_at, wake_owner, wake_tries, body",
        ),
        ("events", "run_id, seq, path, body"),
        ("attempts", "node_run_id, attempt, body"),
    ];
    if schema >= 2 {
        tables.push(("secrets", "name, value"));
    }
    if schema >= 6 {
        tables.push(("audit_trail", "id, at, run_id, body"));
    }
    if schema >= 3 {
        tables.push(("outbox", "id, run_id, decided_at, node_run_id, new, first_seq, last_seq"));
    }
    tables.into_iter().map(|(table, columns)| rows(&connection, table, columns)).collect()
}

/// The shape of a file: its columns and its indexes.
fn shape(path: &Path) -> (Vec<Vec<Value>>, BTreeSet<String>) {
    let connection = raw(path);
    let columns = rows(
        &connection,
        "sqlite_schema AS s, pragma_table_info(s.name) AS c",
        "s.name, c.cid, c.name, c.type, c.\"notnull\", c.pk",
    );
    let mut statement =
        connection.prepare("SELECT sql FROM sqlite_schema WHERE type = 'index'").expect("SQL");
    let words =
        |sql: Option<String>| sql.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    let indexes =
        statement.query_map([], |row| row.get(0)).expect("rows").map(|sql| words(sql.expect("SQL")));
    (columns, indexes.collect())
}

#[tokio::test]
async fn journals_of_every_schema_migrate_with_all_content() {
    let directory = Directory::new();
    let new = directory.file("new.db");
    drop(open(new.clone()));
    for (schema, sql) in (1..).zip(JOURNALS) {
        let path = directory.file(&format!("{schema}.db"));
        load(&path, sql);
        let before = everything(&path, schema);
        let journal = open(path.clone());
        for run in RUNS {
            let record = journal.run_fetch(&run.into()).await.expect("readable").expect("there");
            let root = record.run.root_node_run_id;
            assert!(journal.node_fetch(&root).await.expect("readable").is_some(), "{schema}: {run}");
        }
        // The list of runs says what they say.
        let filter =
            RunsFilter { visible: Visible(Arc::new(|_| true)), select: RunSelect::default(), now: at(0) };
        let listed = journal.runs_page(None, &filter, 100).await.expect("a page").runs;
        let ids: BTreeSet<&str> = listed.iter().map(|run| run.place.run_id.as_str()).collect();
        assert_eq!((listed.len(), ids), (RUNS.len(), RUNS.into()), "{schema}");
        for listed in listed {
            let record = journal.run_fetch(&listed.place.run_id).await.expect("readable").expect("there");
            assert_eq!(Some(listed.place.started_at), record.run.started_at, "{schema}");
            assert_eq!((listed.state, listed.ended_at), (record.run.state, record.run.ended_at), "{schema}");
            let labels = Labels::of(record.run.extensions.as_ref());
            assert_eq!(labels.is_empty(), schema < 8);
            assert_eq!(listed.labels, labels, "{schema}");
            assert_eq!((listed.owner, listed.node_type.is_some()), (record.owner, true), "{schema}");
            let root =
                journal.node_fetch(&record.run.root_node_run_id).await.expect("readable").expect("there");
            assert_eq!(listed.error_code, root.error_code(), "{schema}");
        }
        let by_label = RunSelect { labels: [("env".into(), "test".into())].into(), ..RunSelect::default() };
        let by_label = RunsFilter { select: by_label, ..filter.clone() };
        let found = journal.runs_page(None, &by_label, 100).await.expect("a page").runs.len();
        assert_eq!(found, if schema < 8 { 0 } else { RUNS.len() }, "{schema}");
        let states = [("canceled", 1), ("failed", 1), ("running", 3), ("succeeded", 1)];
        let counted = journal.runs_count(None, &filter).await.expect("counts");
        assert!(counted.at_end, "{schema}");
        assert_eq!(counted.by_state, states.map(|(state, runs)| (state.to_owned(), runs)).into(), "{schema}");
        // Each head agrees with its record from before there were heads.
        let of_old =
            if schema < 5 { rows(&raw(&path), "node_runs", "node_run_id, body") } else { Vec::new() };
        for row in of_old {
            let [Value::Text(id), Value::Text(body)] = row.as_slice() else { panic!("{row:?}") };
            let said: NodeRecord = serde_json::from_str(body).expect("a record");
            let head = journal.head_fetch(&id.as_str().into()).await.expect("readable").expect("there");
            let said = NodeHead { version: head.version, wake: head.wake.clone(), ..said.head() };
            assert_eq!(head, said, "schema {schema}");
        }
        let counts = journal.counts(at(i64::MAX)).await.expect("readable");
        assert_eq!((counts.runs_live, counts.nodes_live, counts.parked), (3, 4, 0), "schema {schema}");
        assert_eq!(counts.outbox > 0, schema >= 3, "schema {schema}");
        assert_eq!(counts.approvals, 0, "schema {schema}");
        let newest = journal.latest_commit_time().await.expect("readable");
        drop(journal);

        assert_eq!(everything(&path, schema), before, "schema {schema}");
        assert_eq!(shape(&path), shape(&new), "schema {schema}");
        let report = check(&path).expect("it can be checked");
        assert_eq!(report.problems, crate::journal::Problems::default(), "schema {schema}");
        // The time of the last write is that of the newest event.
        let times = rows(&raw(&path), "runs", "run_id, changed_at");
        let events = rows(&raw(&path), "events", "run_id, seq, body");
        let mut expected: Vec<Vec<Value>> = Vec::new();
        for event in events {
            let [Value::Text(run), _, Value::Text(body)] = event.as_slice() else { panic!("{event:?}") };
            let event: RunEvent = serde_json::from_str(body).expect("an event");
            let time = vec![Value::Text(run.clone()), Value::Integer(event.time.as_micros())];
            match expected.last_mut() {
                Some(last) if last[0] == time[0] => *last = time,
                Some(_) | None => expected.push(time),
            }
        }
        assert_eq!(times, expected, "schema {schema}");
        let last = expected.iter().filter_map(|time| match time[1] {
            Value::Integer(time) => Some(time),
            Value::Null | Value::Real(_) | Value::Text(_) | Value::Blob(_) => None,
        });
        assert_eq!(newest, last.max().map(Timestamp::from_micros), "schema {schema}");
    }
}

#[tokio::test]
async fn unreadable_events_do_not_stop_a_migration() {
    let directory = Directory::new();
    let path = directory.file("j.db");
    load(&path, JOURNALS[2]);
    raw(&path).execute_batch("UPDATE events SET body = '{' WHERE run_id = 'finished'").expect("damaged");
    let journal = open(path);
    journal.outbox_ack(&(1..=1000).map(OutboxId).collect::<Vec<_>>()).await.expect("acknowledged");
    // Its age is unknown.
    assert_eq!(journal.runs_prune(at(i64::MAX), 10).await, Ok(0));
    assert!(journal.run_fetch(&"finished".into()).await.expect("readable").is_some());
}

/// Nodes whose bodies are no JSON, or contain impossible values, get heads that are
/// derived from their columns.
#[tokio::test]
async fn unreadable_body_gets_a_head_in_a_migration() {
    let directory = Directory::new();
    let damages = [
        "'{'",
        "'[]'",
        "'{\"node\":{\"state\":\"ended\",\"kind\":7,\"started_at\":[],\"ended_at\":\"never\"},\"attempt\":\"x\"}'",
        "json_set(body, '$.attempt', 1e300, '$.astray', 'no', '$.deadline', '+33658-09-27T01:46:40.000000Z')",
        "json_set(body, '$.attempt', -1, '$.node.kind', json('{}'), '$.node.state', 'succeeded')",
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let path = directory.file(&format!("{number}.db"));
        load(&path, JOURNALS[3]);
        raw(&path)
            .execute_batch(&format!(
                "PRAGMA ignore_check_constraints = on; UPDATE node_runs SET body = {damage}"
            ))
            .expect("damaged");
        let journal = open(path.clone());
        let live = journal.nodes_live(&"composite".into(), None).await.expect("readable");
        let states: Vec<_> = live.iter().map(|head| (head.path.as_str(), head.state, head.attempt)).collect();
        let [("1.2", NodeRunState::Queued, 0), ("1", NodeRunState::Running, 0 | 1)] = states.as_slice()
        else {
            panic!("{damage}: {states:?}")
        };
        // It can be ended, and its executor notified.
        let claimed = journal
            .claim_due(&"me".into(), at(i64::MAX), &ClaimFilter { limit: 10, ..ClaimFilter::default() })
            .await
            .expect("claimed");
        assert_eq!(claimed.len(), 3, "{damage}: {claimed:?}");
        let run = journal.run_fetch(&"composite".into()).await.expect("readable").expect("there");
        let live = journal.nodes_live(&"composite".into(), None).await.expect("readable");
        let over = live.into_iter().map(|head| NodeHead {
            state: NodeRunState::Canceled,
            ended_at: Some(at(7)),
            wake: None,
            ..head
        });
        journal
            .commit(ChangeSet {
                heads: over.collect(),
                ..crate::journal::conformance::change(run.id().as_str())
            })
            .await
            .expect("ended");
        assert_eq!(journal.nodes_live(&"composite".into(), None).await, Ok(Vec::new()));
    }
}

#[tokio::test]
async fn failed_migration_leaves_the_journal_unchanged() {
    let directory = Directory::new();
    let path = directory.file("j.db");
    load(&path, JOURNALS[3]);
    // The table that the last migration creates exists already.
    raw(&path).execute_batch("CREATE TABLE node_payloads (x)").expect("a table");
    let (before, looked) = (everything(&path, 4), shape(&path));
    for _ in 0..2 {
        let error = try_open(path.clone()).err().expect("it fails");
        let text = error.to_string();
        assert!(
            text.contains("the migration from schema 4 failed") && text.contains("node_payloads"),
            "{text}"
        );
        assert_eq!((everything(&path, 4), shape(&path)), (before.clone(), looked.clone()));
        assert_eq!(rows(&raw(&path), "pragma_user_version", "user_version, 0")[0][0], Value::Integer(4));
    }
    raw(&path).execute_batch("DROP TABLE node_payloads").expect("taken away");
    drop(open(path.clone()));
    assert_eq!(everything(&path, 4), before);
}
