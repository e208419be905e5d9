//! `cargo xtask chaos --cancel-bench`: how long it takes to cancel a run with
//! many nodes at work, until the last executor has been called, and in what order
//! they are called.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{
    node_types::{self, type_ref},
    testbed::Testbed,
};

/// The nodes of the run, without its root.
pub(super) const NODES: usize = 1_000;
/// Lets all of them be at work: a run gets three quarters of this.
pub(super) const IN_FLIGHT: usize = NODES * 4 / 3 + 1;
/// Time limits that no node reaches before it is canceled, even on a busy
/// machine.
pub(super) const VARS: &[(&str, &str)] = &[
    ("JARVIS_RUN_COORDINATOR_NODE_TIMEOUT_SECS", "600"),
    ("JARVIS_RUN_COORDINATOR_RUN_TIMEOUT_SECS", "600"),
];
/// The children of one request.
const BATCH: usize = 100;
/// The time limit of each step.
const PATIENCE: Duration = Duration::from_secs(60);

/// Cancels one run: a composite and its children, which hang.
pub(super) fn measure(testbed: &mut Testbed) -> Result<String> {
    let (api, ledger) = (Arc::clone(&testbed.api), Arc::clone(&testbed.ledger));
    testbed.coordinator().start()?;
    testbed.coordinator().wait_up()?;
    let post = |path: &str, body: &serde_json::Value| {
        let answer = api.insist(path, Some(body), &[200], PATIENCE).context("no answer")?;
        ensure!(answer.status == 200, "{path}: {}", answer.body);
        Ok(answer)
    };
    let start = json!({"root_node_type_ref": type_ref(node_types::IDLE), "input": {}});
    let run = post("/v1/runs", &start)?;
    let text = |name: &str| run.text(name).map(str::to_owned).context("a Run");
    let (run, root) = (text("run_id")?, text("root_node_run_id")?);
    let begin = Instant::now();
    for _ in 0..NODES / BATCH {
        let specs = vec![json!({"node_type_ref": type_ref(node_types::DEAF), "inputs": {}}); BATCH];
        let body = json!({"run_id": run, "parent_node_run_id": root, "node_runs": specs});
        post("/v1/node-runs", &body)?;
    }
    let at_work = ledger.until(PATIENCE, |book| book.at_work().count() == NODES);
    ensure!(at_work, "not all {NODES} nodes are at work: {}", ledger.book().at_work().count());
    let started = begin.elapsed();

    let asked = Instant::now();
    let answer = post(&format!("/v1/runs/{run}:cancel"), &json!({}))?;
    let answered = asked.elapsed();
    ensure!(answer.text("state") == Some("canceled"), "not canceled: {}", answer.body);
    let all_called = ledger.until(PATIENCE, |book| {
        let mut nodes: Vec<&str> = book.cancel_calls.iter().map(|call| &*call.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes.len() > NODES
    });
    ensure!(all_called, "not all executors were called after {PATIENCE:?}");
    let book = ledger.book();
    let times: Vec<(bool, Duration)> =
        book.cancel_calls.iter().map(|call| (call.node == root, call.at.duration_since(asked))).collect();
    let of = |is_root: bool| times.iter().filter(move |(root, _)| *root == is_root).map(|(_, time)| *time);
    let (first, last) = (of(false).min().unwrap_or_default(), of(false).max().unwrap_or_default());
    let root_called = of(true).min().unwrap_or_default();
    let before_root = of(false).filter(|time| *time < root_called).count();
    Ok(format!(
        "cancel of a run with {NODES} nodes at their executor (all of them there {started:.2?} after the first was \
         created):\n  answered         {answered:.2?}\n  cancel calls     the first after {first:.2?}, the last after \
         {last:.2?}\n  order            {before_root} of {NODES} children before the composite above \
         them, which was after {root_called:.2?}\n  calls            {}",
        times.len()
    ))
}
