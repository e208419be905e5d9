//! A JSON service on loopback whose answers the test computes: Node Registry, PDP,
//! token service.

use std::sync::Arc;

use dropshot::{ApiDescription, Body, HttpError, HttpServer, Path, RequestContext, UntypedBody, endpoint};
use http::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;

use super::{loopback::serve_with_tls, soon};

type Answers = dyn Fn(&str, &Value) -> (u16, Value) + Send + Sync;

/// A service that answers with what a function makes of the path and the body of a
/// request. The test may hold its answers back.
pub struct FakeService {
    state: Arc<State>,
    url: String,
    _server: HttpServer<Arc<State>>,
}

struct State {
    answers: Box<Answers>,
    open: watch::Sender<bool>,
    received: watch::Sender<Vec<Value>>,
    traceparents: watch::Sender<Vec<Option<String>>>,
}

impl FakeService {
    /// Starts a service that answers 200 with what the function returns.
    pub fn start(answers: impl Fn(&str, &Value) -> Value + Send + Sync + 'static) -> Self {
        Self::start_with_status(move |path, body| (200, answers(path, body)))
    }

    /// Starts a service that answers with the status and body that the function returns.
    pub fn start_with_status(answers: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static) -> Self {
        Self::start_with_tls(None, answers)
    }

    /// [`FakeService::start_with_status`], over HTTPS if there is a configuration.
    pub fn start_with_tls(
        tls: Option<rustls::ServerConfig>,
        answers: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static,
    ) -> Self {
        let state = Arc::new(State {
            answers: Box::new(answers),
            open: watch::Sender::new(true),
            received: watch::Sender::default(),
            traceparents: watch::Sender::default(),
        });
        let mut api = ApiDescription::new();
        api.register(get_any).expect("a sound API");
        api.register(post_any).expect("a sound API");
        let (server, url) = serve_with_tls(api, &state, tls);
        Self { state, url, _server: server }
    }

    /// A Node Registry in which every type is atomic and has this side effect.
    pub fn registry_of_atomics(side_effect: &'static str) -> Self {
        Self::start(move |path, _| {
            let id = path.rsplit('/').next().unwrap_or_default();
            serde_json::json!({
                "node_type_id": id, "version": "1.0.0", "kind": "atomic",
                "extensions": {"jarvis.side_effect": side_effect},
            })
        })
    }

    /// A PDP that allows everything.
    pub fn pdp() -> Self {
        Self::start(|_, _| serde_json::json!({"decision": "allow"}))
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers requests, the waiting ones too, or holds all answers back.
    pub fn set_answering(&self, open: bool) {
        self.state.open.send_replace(open);
    }

    /// The bodies of the requests so far, in order.
    pub fn requests(&self) -> Vec<Value> {
        self.state.received.borrow().clone()
    }

    /// The header `traceparent` of the requests so far, in order.
    pub fn traceparents(&self) -> Vec<Option<String>> {
        self.state.traceparents.borrow().clone()
    }

    /// Waits until there have been `count` requests for which `which` holds.
    pub async fn received(&self, what: &str, count: usize, which: impl Fn(&Value) -> bool) {
        let mut received = self.state.received.subscribe();
        let enough = |received: &Vec<Value>| received.iter().filter(|body| which(body)).count() >= count;
        let _received = soon(what, received.wait_for(enough)).await.expect("the service lives");
    }
}

#[derive(Deserialize, JsonSchema)]
struct AnyPath {
    path: Vec<String>,
}

#[endpoint { method = GET, path = "/{path:.*}", unpublished = true }]
async fn get_any(rq: RequestContext<Arc<State>>, path: Path<AnyPath>) -> Result<Response<Body>, HttpError> {
    note(&rq);
    Ok(any(rq.context(), &path.into_inner().path, Value::Null).await)
}

#[endpoint { method = POST, path = "/{path:.*}", unpublished = true }]
async fn post_any(
    rq: RequestContext<Arc<State>>,
    path: Path<AnyPath>,
    body: UntypedBody,
) -> Result<Response<Body>, HttpError> {
    // A body that is not JSON (a form) is kept as text.
    let text = || String::from_utf8_lossy(body.as_bytes()).into_owned().into();
    let body = serde_json::from_slice(body.as_bytes()).unwrap_or_else(|_| text());
    note(&rq);
    Ok(any(rq.context(), &path.into_inner().path, body).await)
}

fn note(rq: &RequestContext<Arc<State>>) {
    let named = rq.request.headers().get("traceparent").and_then(|value| value.to_str().ok());
    rq.context().traceparents.send_modify(|known| known.push(named.map(str::to_owned)));
}

async fn any(state: &State, path: &[String], body: Value) -> Response<Body> {
    let (status, answer) = (state.answers)(&format!("/{}", path.join("/")), &body);
    state.received.send_modify(|received| received.push(body));
    let mut open = state.open.subscribe();
    let _ = open.wait_for(|open| *open).await;
    Response::builder()
        .status(status)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Body::from(answer.to_string()))
        .expect("a response")
}
