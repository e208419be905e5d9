//! The operator API (contract §25), on a listener of its own.
//!
//! - `listener`: where it listens, and to whom it answers.
//! - `approvals`: the list, its pages, decisions.
//! - `holds`: runs that start no work.
//! - `pauses`: dispatch that is paused.
//! - `cancels`: cancels with a report, and what is tried now.
//! - `runs`: lists and counts of runs, the tree of one.
//! - `reruns`: runs that repeat others; `bulk`: the same done to many runs.
//! - `commands`, `run_commands`: the commands that use it.
//! - `terminal`: the same on a terminal.
//! - `work`: the work of all runs, runs that need attention, labels.
//! - `records`: the audit trail, evidence.
//! - `metrics`: what Prometheus scrapes.
//! - `page`: the files of the web page, and what it asks for.

mod approvals;
mod bulk;
mod cancels;
mod commands;
mod holds;
mod listener;
mod metrics;
mod page;
mod pauses;
mod records;
mod reruns;
mod run_commands;
mod runs;
mod terminal;
mod work;

use serde_json::{Value, json};

use crate::support::{Answer, TestServer, soon};

pub const LISTEN: (&str, &str) = ("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", "127.0.0.1:0");
pub const PARK: (&str, &str) = ("JARVIS_RUN_COORDINATOR_APPROVALS", "park");

/// Starts a run whose root waits for an approval.
async fn start_gated(t: &TestServer, run: &str) {
    let request = json!({
        "run_id": run,
        "root_node_type_ref": {"node_type_id": "atomic.echo", "version": "1.0.0"},
        "input": {"secret": "of the run"},
        "constraints": {"gates": {"require_approval": true}},
    });
    t.post("/v1/runs", &request).await.ok();
}

pub async fn get(t: &TestServer, path: &str) -> Answer {
    Answer::of(t.operator_request("GET", path)).await
}

pub async fn post(t: &TestServer, path: &str, body: &Value) -> Answer {
    Answer::of(t.operator_request("POST", path).json(body)).await
}

/// Waits until this number of approvals wait; returns the first page of them.
pub async fn listed(t: &TestServer, count: usize) -> Vec<Value> {
    soon("the approvals", async {
        loop {
            let page = get(t, "/x/approvals").await.ok();
            let items = page["items"].as_array().expect("items").clone();
            if items.len() >= count {
                return items;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}
