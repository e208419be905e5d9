//! A Run Store and an Event Stream on loopback, with what a test puts there.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use super::{FakeService, NOBODY, Reply};

/// The JARVIS stores, as far as they are called.
pub struct FakeStores {
    content: Arc<Content>,
    runs: FakeService,
    events: FakeService,
}

#[derive(Default)]
struct Content {
    runs: Mutex<BTreeMap<String, Value>>,
    nodes: Mutex<Vec<Value>>,
    events: Mutex<Vec<Value>>,
    /// Calls so far, but for those that write.
    reads: Mutex<Vec<String>>,
    /// What the Event Stream answers instead, if anything.
    broken: Mutex<Option<u16>>,
}

impl FakeStores {
    pub fn start() -> Self {
        let content = Arc::<Content>::default();
        let (for_runs, for_events) = (Arc::clone(&content), Arc::clone(&content));
        Self {
            runs: FakeService::start_with(move |path, body| for_runs.run_store(path, body)),
            events: FakeService::start_with(move |path, body| for_events.event_stream(path, body)),
            content,
        }
    }

    /// The variables of a server that uses them.
    pub fn vars(&self) -> [(&str, &str); 3] {
        [
            ("JARVIS_RUN_STORE_URL", self.runs.url()),
            ("JARVIS_EVENT_STREAM_URL", self.events.url()),
            ("JARVIS_ARTIFACT_STORE_URL", NOBODY),
        ]
    }

    /// Puts a run there as another coordinator left it.
    pub fn put(&self, run: &Value, nodes: &[Value], events: &[Value]) {
        let id = run["run_id"].as_str().expect("an id").to_owned();
        self.content.runs.lock().expect("the content").insert(id, run.clone());
        self.content.nodes.lock().expect("the content").extend_from_slice(nodes);
        self.content.events.lock().expect("the content").extend_from_slice(events);
    }

    /// From now on the Event Stream answers with this status, or works again.
    pub fn break_events(&self, status: Option<u16>) {
        *self.content.broken.lock().expect("the content") = status;
    }

    /// The paths that were read, in order.
    pub fn reads(&self) -> Vec<String> {
        self.content.reads.lock().expect("the content").clone()
    }
}

impl Content {
    fn run_store(&self, path: &str, body: &Value) -> Reply {
        let missing = |what: &str| Reply::json(404, &json!({ "detail": format!("{what} not found.") }));
        let (mut runs, mut nodes) = (self.runs.lock().expect("runs"), self.nodes.lock().expect("nodes"));
        let steps: Vec<&str> = path.split('/').skip(2).collect();
        if body.is_null() {
            self.reads.lock().expect("reads").push(path.to_owned());
        }
        match (steps.as_slice(), body.get("run"), body.get("node_run")) {
            (["runs"] | ["runs", _], Some(run), _) => {
                runs.insert(run["run_id"].as_str().expect("an id").to_owned(), run.clone());
                Reply::json(200, body)
            }
            (["node-runs"] | ["node-runs", _], _, Some(node)) => {
                nodes.retain(|other| other["node_run_id"] != node["node_run_id"]);
                nodes.push(node.clone());
                Reply::json(200, body)
            }
            (["runs", id], None, None) => match runs.get(*id) {
                Some(run) => Reply::json(200, &json!({ "run": run })),
                None => missing("Run"),
            },
            (["runs", id, "node-runs"], None, None) => {
                let items: Vec<&Value> = nodes.iter().filter(|node| node["run_id"] == *id).collect();
                Reply::json(200, &json!({"items": items, "next_token": null}))
            }
            (["node-runs", id], None, None) => match nodes.iter().find(|node| node["node_run_id"] == *id) {
                Some(node) => Reply::json(200, &json!({ "node_run": node })),
                None => missing("NodeRun"),
            },
            _ => missing("Path"),
        }
    }

    fn event_stream(&self, path: &str, body: &Value) -> Reply {
        if let Some(status) = *self.broken.lock().expect("broken") {
            return Reply { status, body: "out of order".into() };
        }
        let mut events = self.events.lock().expect("events");
        if let Some(more) = body["events"].as_array() {
            let there = |new: &Value| {
                events.iter().any(|old| (&old["run_id"], &old["seq"]) == (&new["run_id"], &new["seq"]))
            };
            if more.iter().any(there) {
                return Reply::json(409, &json!({"detail": "Event already exists for run_id/seq."}));
            }
            events.extend_from_slice(more);
            return Reply::json(200, &json!({"items": [], "next_seq_by_run": {}}));
        }
        self.reads.lock().expect("reads").push(path.to_owned());
        let run = path.split('/').nth(3).unwrap_or_default();
        let lines = events.iter().filter(|event| event["run_id"] == run).map(|event| format!("{event}\n"));
        Reply { status: 200, body: lines.collect() }
    }
}
