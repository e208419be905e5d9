//! Compares a run in the JARVIS stores with the run in our program.

use jarvis_run_coordinator::types::{NodeRun, Run, RunEvent, RunId};
use jarvis_stack::Part;
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use xtask_support::process::PATIENCE;

use super::{Caller, TestStack};

impl TestStack {
    /// Waits until the Run Store and the Event Stream have exactly what our program has of
    /// a finished run.
    pub async fn copies_agree(&self, run: &RunId) {
        let (run_store, event_stream) = (self.caller(Part::RunStore), self.caller(Part::EventStream));
        let ours = self.originals(run).await;
        let mut seen = None;
        let agree = async {
            let mut again = tokio::time::interval(std::time::Duration::from_millis(50));
            while seen.as_ref() != Some(&ours) {
                again.tick().await;
                seen = copies(&run_store, &event_stream, run).await;
            }
        };
        if tokio::time::timeout(PATIENCE, agree).await.is_err() {
            let text = |value: &Value| serde_json::to_string_pretty(value).expect("JSON");
            let theirs = seen.as_ref().map_or("nothing".into(), text);
            panic!("after {PATIENCE:?} the stores have: {theirs}\nand we have: {}", text(&ours));
        }
    }

    /// The run, its nodes and its events in our program.
    async fn originals(&self, run: &RunId) -> Value {
        let caller = &self.coordinator;
        let (run, root, events) = caller.run_ended(run).await;
        let mut nodes = vec![root];
        for id in events.iter().filter_map(|event| event.node_run_id.as_ref()) {
            if nodes.iter().all(|node| node.node_run_id != *id) {
                nodes.push(caller.node(id).await);
            }
        }
        put_together(&run, nodes, &events)
    }
}

/// The run, its nodes and its events in the stores, if they have the run.
async fn copies(run_store: &Caller, event_stream: &Caller, run: &RunId) -> Option<Value> {
    let record = ask(run_store, &format!("/v1/runs/{run}")).await?;
    let record: Run = of(&json(&record)["run"]);
    let nodes = ask(run_store, &format!("/v1/runs/{run}/node-runs?limit=500")).await?;
    let nodes: Vec<NodeRun> = of(&json(&nodes)["items"]);
    let events = ask(event_stream, &format!("/v1/runs/{run}/events")).await?;
    let events: Vec<RunEvent> = events.lines().map(|line| of(&json(line))).collect();
    Some(put_together(&record, nodes, &events))
}

async fn ask(store: &Caller, path: &str) -> Option<String> {
    let answer = store.request(Method::GET, path).send().await.expect("an answer of a store");
    let status = answer.status();
    let text = answer.text().await.expect("a body");
    match status {
        StatusCode::OK => Some(text),
        StatusCode::NOT_FOUND => None,
        _ => panic!("{path}: {status}: {text}"),
    }
}

/// Makes one value of them, with the nodes sorted: the store lists them as they arrived.
fn put_together(run: &Run, mut nodes: Vec<NodeRun>, events: &[RunEvent]) -> Value {
    nodes.sort_by(|one, other| one.node_run_id.as_str().cmp(other.node_run_id.as_str()));
    json!({"run": run, "nodes": nodes, "events": events})
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn of<T: DeserializeOwned>(value: &Value) -> T {
    T::deserialize(value).unwrap_or_else(|error| panic!("{error}: {value}"))
}
