//! Atomic and composite executors on loopback HTTP. What they do with a node,
//! its type says:
//!
//! | type | |
//! |---|---|
//! | `atomic.echo` | succeeds with its inputs as outputs |
//! | `atomic.fail` | ends failed, with an error of its own |
//! | `atomic.hang` | waits until released or canceled (then ends canceled) |
//! | `atomic.deaf` | waits until released, whatever happens |
//! | `atomic.garbage` | answers 200 with something that is no JSON |
//! | `atomic.other` | answers for another node |
//! | `atomic.running` | answers with a state that is no end |
//! | `atomic.busy` | answers 503 with an envelope |
//! | `atomic.busy-once` | does so the first time, with `Retry-After: 1`, then succeeds |
//! | `atomic.mesh`, `atomic.mesh-429` | answers 503 (429) in words that are no envelope |
//! | `atomic.mesh-wait` | 503 in such words with `Retry-After: 1` the first time, then succeeds |
//! | `atomic.break-once` | breaks off the first time, then succeeds |
//! | `atomic.proxy` | answers 502 with HTML |
//! | `atomic.break` | breaks off in the middle of its answer |
//! | `atomic.full` | answers with all that the standard knows, nulls, and more |
//! | `composite.accept` | accepts: the test plays the composite |
//! | `composite.reject` | does not accept |
//! | `composite.silent` | does not accept and does not say why |
//! | `composite.proxy` | answers 502 with HTML |
//! | `composite.lost` | accepts, but the answer breaks off the first time |
//!
//! Any other type is unknown to them: 404.

use std::{
    collections::HashSet,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use dropshot::{ApiDescription, Body, HttpError, HttpServer, Path, RequestContext, UntypedBody, endpoint};
use http::{Response, StatusCode};
use http_body_util::StreamBody;
use hyper::body::Frame;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{loopback::serve, soon};

/// Both executors on one address.
pub struct FakeExecutors {
    state: Arc<State>,
    url: String,
    _server: HttpServer<Arc<State>>,
}

/// A call that came in.
#[derive(Clone, Debug)]
pub struct Call {
    /// `/v1/atomic-node-runs:execute`, …
    pub path: String,
    pub body: Value,
    pub authorization: Option<String>,
}

struct State {
    calls: watch::Sender<Vec<Call>>,
    released: watch::Sender<HashSet<String>>,
    canceled: watch::Sender<HashSet<String>>,
    refusing: AtomicBool,
    /// All calls to execute are refused with 503.
    overloaded: AtomicBool,
}

impl FakeExecutors {
    pub fn start() -> Self {
        let state = Arc::new(State {
            calls: watch::Sender::default(),
            released: watch::Sender::default(),
            canceled: watch::Sender::default(),
            refusing: AtomicBool::new(false),
            overloaded: AtomicBool::new(false),
        });
        let mut api = ApiDescription::new();
        api.register(any).expect("a sound API");
        let (server, url) = serve(api, &state);
        Self { state, url, _server: server }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.state.calls.borrow().clone()
    }

    /// How often a node was sent to be executed.
    pub fn executions(&self, node: &str) -> usize {
        self.calls()
            .iter()
            .filter(|call| call.path.ends_with(":execute") && call.body["node_run_id"] == node)
            .count()
    }

    /// Waits until the calls so far satisfy `done`.
    pub async fn calls_until(&self, what: &str, done: impl Fn(&[Call]) -> bool) -> Vec<Call> {
        let mut calls = self.state.calls.subscribe();
        let seen = soon(what, calls.wait_for(|calls| done(calls))).await;
        seen.expect("the executors live").clone()
    }

    /// Waits until `count` calls have come whose path ends like this.
    pub async fn called(&self, path_end: &str, count: usize) -> Vec<Call> {
        let here =
            |calls: &[Call]| calls.iter().filter(|call| call.path.ends_with(path_end)).count() >= count;
        self.calls_until(&format!("{count} calls of {path_end}"), here).await
    }

    /// From now on cancels are refused with 503, or no longer.
    pub fn refuse_cancels(&self, refuse: bool) {
        self.state.refusing.store(refuse, Ordering::SeqCst);
    }

    /// From now on all nodes are refused with 503, or no longer.
    pub fn overload(&self, overloaded: bool) {
        self.state.overloaded.store(overloaded, Ordering::SeqCst);
    }

    /// Lets a waiting node go on: it succeeds.
    pub fn release(&self, node: &str) {
        self.state.released.send_modify(|nodes| {
            nodes.insert(node.into());
        });
    }
}

#[derive(Deserialize, JsonSchema)]
struct AnyPath {
    path: Vec<String>,
}

#[endpoint { method = POST, path = "/{path:.*}", unpublished = true }]
async fn any(
    rq: RequestContext<Arc<State>>,
    path: Path<AnyPath>,
    body: UntypedBody,
) -> Result<Response<Body>, HttpError> {
    let state = rq.context();
    let path = format!("/{}", path.into_inner().path.join("/"));
    let body: Value = serde_json::from_slice(body.as_bytes()).unwrap_or(Value::Null);
    let header = rq.request.headers().get(http::header::AUTHORIZATION);
    let authorization = header.and_then(|value| value.to_str().ok()).map(str::to_owned);
    state
        .calls
        .send_modify(|calls| calls.push(Call { path: path.clone(), body: body.clone(), authorization }));
    let last = path.rsplit('/').next().unwrap_or_default();
    if let Some(node) = last.strip_suffix(":cancel") {
        if state.refusing.load(Ordering::SeqCst) {
            return Ok(answer(StatusCode::SERVICE_UNAVAILABLE, BUSY.into()));
        }
        state.canceled.send_modify(|nodes| {
            nodes.insert(node.into());
        });
        return Ok(answer(StatusCode::NO_CONTENT, String::new()));
    }
    let node = body["node_run_id"].as_str().unwrap_or_default().to_owned();
    if state.overloaded.load(Ordering::SeqCst) {
        return Ok(answer(StatusCode::SERVICE_UNAVAILABLE, BUSY.into()));
    }
    let is_first =
        || state.calls.borrow().iter().filter(|call| call.body["node_run_id"] == *node).count() == 1;
    let ended = |state: &str| json!({"node_run_id": node, "state": state, "outputs": body["inputs"]});
    let ok = |value: Value| Ok(answer(StatusCode::OK, value.to_string()));
    match body["node_type_ref"]["node_type_id"].as_str().unwrap_or_default() {
        "atomic.echo" => ok(ended("succeeded")),
        "atomic.fail" => ok(json!({
            "node_run_id": node, "state": "failed",
            "error": {"code": "handler_error", "message": "it went wrong", "details": {"why": "on purpose"}},
        })),
        "atomic.hang" => {
            let (mut released, mut canceled) = (state.released.subscribe(), state.canceled.subscribe());
            tokio::select! {
                _ = released.wait_for(|nodes| nodes.contains(&node)) => ok(ended("succeeded")),
                _ = canceled.wait_for(|nodes| nodes.contains(&node)) => ok(ended("canceled")),
            }
        }
        "atomic.deaf" => {
            let mut released = state.released.subscribe();
            let _ = released.wait_for(|nodes| nodes.contains(&node)).await;
            ok(ended("succeeded"))
        }
        "atomic.garbage" => Ok(answer(StatusCode::OK, "not JSON".into())),
        "atomic.other" => ok(json!({"node_run_id": "somebody else", "state": "succeeded"})),
        "atomic.running" => ok(ended("running")),
        "atomic.busy" => Ok(answer(StatusCode::SERVICE_UNAVAILABLE, BUSY.into())),
        "atomic.busy-once" if is_first() => {
            let mut busy = answer(StatusCode::SERVICE_UNAVAILABLE, BUSY.into());
            busy.headers_mut().insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("1"));
            Ok(busy)
        }
        "atomic.mesh" => Ok(answer(StatusCode::SERVICE_UNAVAILABLE, MESH.into())),
        "atomic.mesh-429" => Ok(answer(StatusCode::TOO_MANY_REQUESTS, MESH.into())),
        "atomic.mesh-wait" if is_first() => {
            let mut busy = answer(StatusCode::SERVICE_UNAVAILABLE, MESH.into());
            busy.headers_mut().insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("1"));
            Ok(busy)
        }
        "atomic.mesh-wait" => ok(ended("succeeded")),
        "atomic.break" => Ok(broken()),
        "atomic.break-once" | "composite.lost" if is_first() => Ok(broken()),
        "atomic.busy-once" | "atomic.break-once" => ok(ended("succeeded")),
        "composite.lost" => ok(json!({"accepted": true})),
        "atomic.full" => ok(json!({
            "node_run_id": node, "state": "succeeded", "outputs": {"keep": null}, "error": null,
            "output_artifacts": [{"type": "artifact", "id": "a", "uri": "HTTP://Host.Example/a"}],
            "started_at": "2026-01-01T00:00:00Z", "ended_at": null, "extensions": {"a.b": 1}, "unheard of": true,
        })),
        "atomic.proxy" | "composite.proxy" => {
            Ok(answer(StatusCode::BAD_GATEWAY, "<html>bad gateway</html>".into()))
        }
        "composite.accept" => ok(json!({"accepted": true, "message": null})),
        "composite.silent" => ok(json!({"accepted": false, "message": null})),
        "composite.reject" => ok(json!({"accepted": false, "message": "no room"})),
        other => Ok(answer(
            StatusCode::NOT_FOUND,
            json!({"error": {"code": "unknown_node_type", "message": other}}).to_string(),
        )),
    }
}

/// What a proxy of a service mesh says when its upstream breaks off at work.
const MESH: &str =
    "upstream connect error or disconnect/reset before headers. reset reason: connection termination";
const BUSY: &str = r#"{"error": {"code": "busy", "message": "come back later"}}"#;

/// An answer that breaks off in the middle.
fn broken() -> Response<Body> {
    let parts = [Ok(Frame::data(Bytes::from_static(b"{\"node_run_id\":"))), Err(io::Error::other("broken"))];
    let body = Body::wrap(StreamBody::new(futures::stream::iter(parts)));
    answer(StatusCode::OK, String::new()).map(|_| body)
}

fn answer(status: StatusCode, body: String) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .expect("a response")
}
