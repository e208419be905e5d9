//! Reads the journal of a running server directly, and edits that of a stopped one.

use std::path::PathBuf;

use jarvis_run_coordinator::{time::Timestamp, types::NodeRunId};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use super::{TestServer, soon};

impl TestServer {
    fn journal_file(&self) -> PathBuf {
        self.journal.path().join("journal.db")
    }

    /// The rows of a query as text, with their cells separated by tabs.
    fn query(&self, sql: &str, parameters: impl rusqlite::Params) -> Vec<String> {
        let file = Connection::open_with_flags(self.journal_file(), OpenFlags::SQLITE_OPEN_READ_ONLY);
        let file = file.expect("the journal");
        let mut query = file.prepare(sql).expect("a query");
        let columns = query.column_count();
        let cell = |row: &rusqlite::Row<'_>, column| {
            let cell = row.get_ref(column).expect("a cell");
            cell.as_str().map_or_else(|_| format!("{cell:?}"), str::to_owned)
        };
        let row = |row: &rusqlite::Row<'_>| {
            Ok((0..columns).map(|column| cell(row, column)).collect::<Vec<_>>().join("\t"))
        };
        query.query_map(parameters, row).expect("rows").collect::<Result<_, _>>().expect("rows")
    }

    /// All rows of the journal. Two equal results mean that nothing was written in
    /// between.
    pub fn journal_rows(&self) -> Vec<String> {
        ["runs", "node_runs", "events", "attempts", "outbox"]
            .iter()
            .flat_map(|table| self.query(&format!("SELECT '{table}', * FROM {table}"), []))
            .collect()
    }

    /// The audit trail, without the times.
    pub fn audit_trail(&self) -> Vec<Value> {
        let bodies = self.query("SELECT body FROM audit_trail ORDER BY id", []);
        let record = |body: &String| {
            let mut record: Value = serde_json::from_str(body).expect("JSON");
            record.as_object_mut().expect("an object").remove("at");
            record
        };
        bodies.iter().map(record).collect()
    }

    /// Waits until a node's attempt log has at least `count` entries.
    pub async fn attempts_until(&self, node: &NodeRunId, count: usize) -> Vec<Value> {
        let sql = "SELECT body FROM attempts WHERE node_run_id = ? ORDER BY attempt";
        soon("the attempt log", async {
            loop {
                let bodies = self.query(sql, [node.as_str()]);
                if bodies.len() >= count {
                    return bodies.iter().map(|body| serde_json::from_str(body).expect("JSON")).collect();
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    /// The recorded subject that started a run.
    pub fn owner_of(&self, run: &str) -> String {
        self.query("SELECT body ->> '$.owner.subject' FROM runs WHERE run_id = ?", [run]).concat()
    }

    /// The deadline of a node, in microseconds.
    pub fn deadline_of(&self, node: &str) -> i64 {
        let sql = "SELECT body ->> '$.deadline' FROM node_runs WHERE node_run_id = ?";
        self.query(sql, [node]).concat().parse::<Timestamp>().expect("a time").as_micros()
    }

    /// The wake-up time of a node that is at its executor, in microseconds.
    pub fn wake_of(&self, node: &str) -> i64 {
        let sql = "SELECT wake_at || '' FROM node_runs WHERE node_run_id = ? AND wake_job = 'deadline'";
        self.query(sql, [node]).concat().parse().expect("a time")
    }

    /// Waits until no job is pending except deadlines: every live node is at its
    /// executor.
    pub async fn at_rest(&self) {
        let sql = "SELECT node_run_id FROM node_runs WHERE wake_job <> 'deadline'";
        soon("rest", async {
            while !self.query(sql, []).is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Stops the server, changes rows of its journal in ways that no request could,
    /// and starts it again.
    pub async fn tampered(self, vars: &[(&str, &str)], edits: &[(&str, &str)]) -> Self {
        let path = self.journal_file();
        let (journal, executors) = self.stop().await;
        let file = Connection::open(path).expect("the journal");
        for (sql, id) in edits {
            assert_eq!(file.execute(sql, [id]).expect("an update"), 1, "{sql}");
        }
        drop(file);
        Self::try_start(journal, executors, vars).await.expect("the server starts")
    }
}
