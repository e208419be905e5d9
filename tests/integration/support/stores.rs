//! The JARVIS Run Store and Event Stream in memory: they behave as contract §14 and
//! §15 say, with the faults that the test injects.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use dropshot::{ApiDescription, Body, HttpError, HttpServer, Path, RequestContext, UntypedBody, endpoint};
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{loopback::serve, soon};

/// A fault of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// The call is refused with this status and has no effect.
    Status(u16),
    /// The call takes effect, but its answer is the 504 of a proxy.
    Unanswered,
    /// The call is not answered, and takes effect only after `unstall`.
    Stalled,
}

type Fault = dyn Fn(&str) -> Option<StoreFault> + Send + Sync;

/// One server for both stores.
pub struct FakeStores {
    state: Arc<State>,
    url: String,
    _server: HttpServer<Arc<State>>,
}

struct State {
    content: Mutex<Content>,
    fault: Mutex<Box<Fault>>,
    calls: watch::Sender<Vec<String>>,
    stalled: watch::Sender<bool>,
}

#[derive(Default)]
struct Content {
    /// Runs and NodeRuns by `<kind>/<id>`, with the key that they were created
    /// under.
    objects: BTreeMap<String, (String, Value)>,
    events: HashMap<String, BTreeMap<u64, Value>>,
}

impl FakeStores {
    pub fn start() -> Self {
        let state = Arc::new(State {
            content: Mutex::default(),
            fault: Mutex::new(Box::new(|_| None)),
            calls: watch::Sender::default(),
            stalled: watch::Sender::new(true),
        });
        let mut api = ApiDescription::new();
        api.register(get_any).expect("a sound API");
        api.register(post_any).expect("a sound API");
        api.register(put_any).expect("a sound API");
        let (server, url) = serve(api, &state);
        Self { state, url, _server: server }
    }

    /// The variables that configure a coordinator to use the stores.
    pub fn vars(&self) -> [(&'static str, &str); 3] {
        ["JARVIS_RUN_STORE_URL", "JARVIS_EVENT_STREAM_URL", "JARVIS_ARTIFACT_STORE_URL"]
            .map(|name| (name, self.url.as_str()))
    }

    /// Injects faults from now on: `fault` decides for each call (`POST /v1/runs`, …).
    pub fn faults(&self, fault: impl Fn(&str) -> Option<StoreFault> + Send + Sync + 'static) {
        *self.state.fault.lock().expect("unpoisoned") = Box::new(fault);
    }

    pub fn no_faults(&self) {
        self.faults(|_| None);
    }

    /// Stores a run as another coordinator left it.
    pub fn put(&self, run: &Value, nodes: &[Value], events: &[Value]) {
        let mut content = self.state.content.lock().expect("unpoisoned");
        let runs = std::iter::once(("runs", &run["run_id"], run));
        for (kind, id, object) in
            runs.chain(nodes.iter().map(|node| ("node-runs", &node["node_run_id"], node)))
        {
            let place = format!("{kind}/{}", id.as_str().expect("an id"));
            content.objects.insert(place, ("of another".into(), object.clone()));
        }
        content.append(&json!({ "events": events }));
    }

    /// The paths that were read so far, in order.
    pub fn reads(&self) -> Vec<String> {
        let calls = self.calls();
        let reads = calls.iter().filter_map(|call| call.strip_prefix("GET "));
        reads.filter(|path| !path.ends_with("/health")).map(str::to_owned).collect()
    }

    /// The calls so far that change something, in order.
    pub fn writes(&self) -> Vec<String> {
        self.calls().into_iter().filter(|call| !call.starts_with("GET ")).collect()
    }

    /// Lets the stalled calls take effect.
    pub fn unstall(&self) {
        self.state.stalled.send_replace(false);
    }

    /// Every call so far, in order.
    pub fn calls(&self) -> Vec<String> {
        self.state.calls.borrow().clone()
    }

    /// Waits until there have been `count` calls that begin with `call`.
    pub async fn called(&self, call: &str, count: usize) {
        self.until(call, |_, calls| calls.iter().filter(|made| made.starts_with(call)).count() >= count)
            .await;
    }

    /// Waits until the Event Stream has a run's events up to this one.
    pub async fn have_events(&self, run: impl ToString, upto: u64) {
        let run = run.to_string();
        self.until("events", |stores, _| stores.seqs(&run).last() == Some(&upto)).await;
    }

    /// Waits until an object is stored with this state.
    pub async fn have_state(&self, key: &str, state: &str) {
        self.until(key, |stores, _| stores.object(key).is_some_and(|object| object["state"] == state)).await;
    }

    async fn until(&self, what: &str, done: impl Fn(&Self, &[String]) -> bool) {
        let mut calls = self.state.calls.subscribe();
        let what = format!("the stores: {what}");
        let done = |calls: &Vec<String>| done(self, calls);
        let _calls = soon(&what, calls.wait_for(done)).await.expect("the stores live");
    }

    /// A stored object: `runs/<id>` or `node-runs/<id>`.
    pub fn object(&self, key: &str) -> Option<Value> {
        self.state.content.lock().expect("unpoisoned").objects.get(key).map(|(_, object)| object.clone())
    }

    /// The key that an object was created under.
    pub fn key_of(&self, key: &str) -> Option<String> {
        self.state.content.lock().expect("unpoisoned").objects.get(key).map(|(key, _)| key.clone())
    }

    /// The `seq` of each stored event of a run.
    pub fn seqs(&self, run: &str) -> Vec<u64> {
        let content = self.state.content.lock().expect("unpoisoned");
        content.events.get(run).map_or_else(Vec::new, |events| events.keys().copied().collect())
    }

    /// The stored events of a run.
    pub fn events(&self, run: &str) -> Vec<Value> {
        let content = self.state.content.lock().expect("unpoisoned");
        content.events.get(run).map_or_else(Vec::new, |events| events.values().cloned().collect())
    }
}

impl Content {
    fn call(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        match (method, parts.as_slice()) {
            ("POST", ["runs"]) => self.create("runs", "run", "run_id", body),
            ("POST", ["node-runs"]) => self.create("node-runs", "node_run", "node_run_id", body),
            ("PUT", ["runs", id]) => self.replace(&format!("runs/{id}"), "run", body),
            ("PUT", ["node-runs", id]) => self.replace(&format!("node-runs/{id}"), "node_run", body),
            ("GET", ["runs", id]) => self.get(&format!("runs/{id}"), "run"),
            ("GET", ["node-runs", id]) => self.get(&format!("node-runs/{id}"), "node_run"),
            ("GET", ["runs", id, "node-runs"]) => self.list(id),
            ("GET", ["runs", id, "events"]) => (200, self.event_lines(id)),
            ("POST", ["run-events"]) => self.append(body),
            _ => (404, json!({"detail": "Not Found"})),
        }
    }

    fn create(&mut self, kind: &str, member: &str, id: &str, body: &Value) -> (u16, Value) {
        let object = &body[member];
        let place = format!("{kind}/{}", object[id].as_str().expect("an id"));
        let key = body["idempotency_key"].as_str().unwrap_or_default().to_owned();
        match self.objects.get(&place) {
            Some((stored_key, stored)) if *stored_key == key => (200, json!({member: stored})),
            Some(_) => (409, json!({"detail": "It exists already."})),
            None => {
                self.objects.insert(place, (key, object.clone()));
                (200, json!({member: object}))
            }
        }
    }

    fn replace(&mut self, place: &str, member: &str, body: &Value) -> (u16, Value) {
        match self.objects.get_mut(place) {
            Some((_, stored)) => {
                stored.clone_from(&body[member]);
                (200, body.clone())
            }
            None => (404, json!({"detail": "Not found."})),
        }
    }

    fn get(&self, place: &str, member: &str) -> (u16, Value) {
        match self.objects.get(place) {
            Some((_, stored)) => (200, json!({member: stored})),
            None => (404, json!({"detail": "Not found."})),
        }
    }

    /// The node runs of a run, in the order of their creation.
    fn list(&self, run: &str) -> (u16, Value) {
        let of_run = |(place, object): (&String, &(String, Value))| {
            (place.starts_with("node-runs/") && object.1["run_id"] == run).then(|| object.1.clone())
        };
        let mut items: Vec<Value> = self.objects.iter().filter_map(of_run).collect();
        items.sort_by_key(|node| node["created_at"].to_string());
        (200, json!({"items": items, "next_token": null}))
    }

    /// The events of a run as lines of NDJSON.
    fn event_lines(&self, run: &str) -> Value {
        let lines = self.events.get(run).into_iter().flat_map(BTreeMap::values);
        lines.map(|event| format!("{event}\n")).collect::<String>().into()
    }

    fn append(&mut self, body: &Value) -> (u16, Value) {
        let events = body["events"].as_array().expect("events");
        let place = |event: &Value| {
            (event["run_id"].as_str().expect("a run").to_owned(), event["seq"].as_u64().expect("a number"))
        };
        let is_there =
            |(run, seq): (String, u64)| self.events.get(&run).is_some_and(|there| there.contains_key(&seq));
        if events.iter().map(place).any(is_there) {
            return (409, json!({"detail": "Event already exists for run_id/seq."}));
        }
        let mut items = Vec::new();
        for event in events {
            let (run, seq) = place(event);
            items.push(json!({"run_id": run, "seq": seq}));
            self.events.entry(run).or_default().insert(seq, event.clone());
        }
        (200, json!({"items": items, "next_seq_by_run": {}}))
    }
}

#[derive(Deserialize, JsonSchema)]
struct AnyPath {
    path: Vec<String>,
}

#[endpoint { method = GET, path = "/{path:.*}", unpublished = true }]
async fn get_any(rq: RequestContext<Arc<State>>, path: Path<AnyPath>) -> Result<Response<Body>, HttpError> {
    Ok(any(rq.context(), "GET", &path.into_inner().path, Value::Null).await)
}

#[endpoint { method = POST, path = "/{path:.*}", unpublished = true }]
async fn post_any(
    rq: RequestContext<Arc<State>>,
    path: Path<AnyPath>,
    body: UntypedBody,
) -> Result<Response<Body>, HttpError> {
    let body = serde_json::from_slice(body.as_bytes()).expect("JSON");
    Ok(any(rq.context(), "POST", &path.into_inner().path, body).await)
}

#[endpoint { method = PUT, path = "/{path:.*}", unpublished = true }]
async fn put_any(
    rq: RequestContext<Arc<State>>,
    path: Path<AnyPath>,
    body: UntypedBody,
) -> Result<Response<Body>, HttpError> {
    let body = serde_json::from_slice(body.as_bytes()).expect("JSON");
    Ok(any(rq.context(), "PUT", &path.into_inner().path, body).await)
}

async fn any(state: &State, method: &str, path: &[String], body: Value) -> Response<Body> {
    let path = format!("/{}", path.join("/"));
    let call = format!("{method} {path}");
    if call == "GET /v1/health" {
        let health = json!({"status": "ok", "time": "2026-01-01T00:00:00Z"});
        return respond(200, &health);
    }
    let fault = state.fault.lock().expect("unpoisoned")(&call);
    let act = || state.content.lock().expect("unpoisoned").call(method, &path, &body);
    let (status, answer) = match fault {
        None => act(),
        Some(StoreFault::Status(status)) => (status, json!({"detail": "a fault"})),
        Some(StoreFault::Unanswered) => {
            act();
            (504, json!("a proxy"))
        }
        Some(StoreFault::Stalled) => {
            state.calls.send_modify(|calls| calls.push(format!("{call} stalled")));
            let mut stalled = state.stalled.subscribe();
            let _ = stalled.wait_for(|stalled| !stalled).await;
            let (status, answer) = act();
            state.calls.send_modify(|calls| calls.push(format!("{call} late")));
            (status, answer)
        }
    };
    // Recorded after the effect, so that a test that waits for the call sees it.
    state.calls.send_modify(|calls| calls.push(call));
    respond(status, &answer)
}

fn respond(status: u16, answer: &Value) -> Response<Body> {
    Response::builder()
        .status(StatusCode::from_u16(status).expect("a status"))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Body::from(answer.as_str().map_or_else(|| answer.to_string(), str::to_owned)))
        .expect("a response")
}
