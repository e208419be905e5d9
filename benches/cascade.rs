//! The end of a run with many live nodes that carry a lot: by a cancel, by its
//! deadline, and by the end of its root. On the real binary, with a durable
//! journal; nothing is dispatched, so that all nodes stay alive.
//!
//! ```text
//!   cargo bench --bench cascade                 10,000 nodes with 100 KiB each
//!   cargo bench --bench cascade -- 1000 100     1,000 nodes with 100 KiB each
//! ```
//!
//! What should be seen: memory and bytes written go by the number of nodes, not
//! by what they carry. The journal takes its size in disk space twice.
//! `COORDINATOR` may name another binary, to compare with. Nothing here asserts.

#![expect(clippy::disallowed_methods, reason = "a bench measures the machine's own time")]

mod process;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE};
use serde_json::{Value, json};

use self::process::Coordinator;

/// Children of one request: their inputs must fit into its body.
const BODY: usize = 7 << 20;
/// Nothing is dispatched, and the bodies fit.
const VARS: [(&str, &str); 1] = [("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "off")];
/// How long is watched what waiting costs.
const IDLE: Duration = Duration::from_secs(10);

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse().ok());
    let (nodes, kib) = (numbers.next().unwrap_or(10_000), numbers.next().unwrap_or(100));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure(nodes, kib));
}

async fn measure(nodes: usize, kib: usize) {
    let made = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on the disk");
    let http = reqwest::Client::new();
    let root = {
        let coordinator = Coordinator::start(made.path(), &VARS);
        let root = plant(&http, &coordinator.url, nodes, kib).await;
        println!("{nodes} live nodes with {kib} KiB of inputs each");
        println!("peak memory while they were created: {:.1} MiB", coordinator.peak_mib());
        root
    };
    println!();
    println!("                 idle MiB   peak MiB   after MiB   idle CPU %   seconds   written MiB");
    let complete = format!("/v1/node-runs/{root}:complete");
    let ways: [(&str, Option<(&str, Value)>); 3] = [
        ("cancel", Some(("/v1/runs/big:cancel", Value::Null))),
        ("deadline", None),
        ("end of the root", Some((&complete, json!({"state": "failed"})))),
    ];
    for (way, request) in ways {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on the disk");
        copy(made.path(), folder.path());
        let seen = prepare(&folder.path().join("journal.db"), request.is_none());
        let coordinator = Coordinator::start(folder.path(), &VARS);
        let (mut idle, mut idle_cpu) = (coordinator.resident_mib(), f64::NAN);
        if request.is_some() {
            // Until what the last process had is ours, and then while it waits.
            until_none_is_due(&http, &coordinator.url).await;
            let cpu = coordinator.cpu();
            tokio::time::sleep(IDLE).await;
            idle_cpu = (coordinator.cpu() - cpu).as_secs_f64() / IDLE.as_secs_f64() * 100.0;
            idle = coordinator.resident_mib();
        }
        let (written, begun) = (coordinator.written_mib(), Instant::now());
        if let Some((path, body)) = request {
            let answer = http.post(format!("{}{path}", coordinator.url)).json(&body).send().await;
            assert!(answer.expect("an answer").status().is_success(), "{way}");
        }
        until_over(&http, &coordinator.url, seen).await;
        println!(
            "{way:<16} {idle:>8.1}   {:>8.1}   {:>9.1}   {idle_cpu:>10.1}   {:>7.2}   {:>11.1}",
            coordinator.peak_mib(),
            coordinator.resident_mib(),
            begun.elapsed().as_secs_f64(),
            coordinator.written_mib() - written,
        );
    }
}

/// Creates a run "big" with `nodes` children of its root, and returns the root.
async fn plant(http: &reqwest::Client, url: &str, nodes: usize, kib: usize) -> String {
    let node_type = |id: &str| json!({"node_type_id": id, "version": "1"});
    let run = json!({"run_id": "big", "root_node_type_ref": node_type("composite.plan"), "input": {}});
    let run: Value = post(http, &format!("{url}/v1/runs"), &run).await;
    let root = run["root_node_run_id"].as_str().expect("a root").to_owned();
    let spec = json!({"node_type_ref": node_type("atomic.work"), "inputs": {"text": "x".repeat(kib << 10)}});
    let at_once = (BODY / (spec.to_string().len() + 1)).clamp(1, 100);
    let mut left = nodes;
    while left > 0 {
        let specs = vec![&spec; at_once.min(left)];
        left -= specs.len();
        let request = json!({"run_id": "big", "parent_node_run_id": root, "node_runs": specs});
        post(http, &format!("{url}/v1/node-runs"), &request).await;
    }
    root
}

async fn post(http: &reqwest::Client, url: &str, body: &Value) -> Value {
    let answer = http.post(url).json(body).send().await.expect("an answer");
    answer.error_for_status().expect("accepted").json().await.expect("JSON")
}

/// Asks health, because no event says it.
async fn until_none_is_due(http: &reqwest::Client, url: &str) {
    loop {
        let health = http.get(format!("{url}/v1/health")).send().await.expect("an answer");
        let health: Value = health.json().await.expect("JSON");
        let checks = health["checks"].as_array().expect("checks");
        if checks.iter().any(|check| check["details"]["due"] == 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Follows the events after the one with this `seq`: they end with the run.
async fn until_over(http: &reqwest::Client, url: &str, seen: u64) {
    let cursor = URL_SAFE.encode(seen.to_string());
    let events = format!("{url}/v1/runs/big/events?follow=1&cursor={cursor}");
    let events = http.get(events).send().await.expect("a stream").error_for_status().expect("a stream");
    let events = events.text().await.expect("its lines");
    assert!(events.trim_end().ends_with(r#""type":"run_completed"}"#), "the run is over");
}

fn copy(from: &Path, to: &Path) {
    for file in ["journal.db", "journal.db-wal"] {
        if from.join(file).exists() {
            fs::copy(from.join(file), to.join(file)).expect("copied");
        }
    }
}

/// Says what the last event is; if `expires`, the run's time is up.
fn prepare(journal: &Path, expires: bool) -> u64 {
    let journal = rusqlite::Connection::open(journal).expect("the journal");
    let edit =
        "UPDATE runs SET deadline = 1, body = json_set(body, '$.deadline', '2020-01-01T00:00:00.000000Z')";
    if expires {
        journal.execute_batch(edit).expect("edited");
    }
    let newest: i64 =
        journal.query_one("SELECT max(seq) FROM events", [], |row| row.get(0)).expect("its events");
    u64::try_from(newest).expect("seq counts from 1")
}
