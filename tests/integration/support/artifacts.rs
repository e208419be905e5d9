//! The JARVIS Artifact Store in memory, as far as the coordinator calls it: it
//! behaves as contract §16 says, or fails in a way that the test chooses.

use std::{collections::BTreeMap, sync::Arc};

use dropshot::{ApiDescription, Body, HttpError, HttpServer, Path, RequestContext, UntypedBody, endpoint};
use http::{Method, Response, StatusCode, header::CONTENT_TYPE};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::{loopback::serve, soon};

/// How the store answers calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtifactBehaviour {
    /// As the real store does.
    Sound,
    /// Refuses with this status and a `detail`.
    Refuses(u16),
    /// 502 and a page of HTML, as a proxy answers.
    Proxy,
    /// 200 and a body that is not JSON.
    Garbage,
    /// 200 and a size that is not that of the bytes.
    WrongSize,
    /// 200 and the checksum of other bytes.
    WrongChecksum,
    /// 200 and an artifact without a checksum.
    NoChecksum,
    /// Does not answer until the test chooses another behaviour.
    Silent,
}

/// An artifact as the store received it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub content_type: Option<String>,
    pub authorization: Option<String>,
    pub bytes: Vec<u8>,
}

impl Stored {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).expect("JSON")
    }
}

/// The store, and its URL.
pub struct FakeArtifacts {
    state: Arc<State>,
    url: String,
    _server: HttpServer<Arc<State>>,
}

struct State {
    behaviour: watch::Sender<ArtifactBehaviour>,
    artifacts: watch::Sender<BTreeMap<String, Stored>>,
    /// The method and path of each call.
    calls: watch::Sender<Vec<String>>,
}

impl FakeArtifacts {
    pub fn start() -> Self {
        let state = Arc::new(State {
            behaviour: watch::Sender::new(ArtifactBehaviour::Sound),
            artifacts: watch::Sender::default(),
            calls: watch::Sender::default(),
        });
        let mut api = ApiDescription::new();
        api.register(get_any).expect("a sound API");
        api.register(post_any).expect("a sound API");
        let (server, url) = serve(api, &state);
        Self { state, url, _server: server }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn behave(&self, behaviour: ArtifactBehaviour) {
        self.state.behaviour.send_replace(behaviour);
    }

    /// The stored artifacts by id. Ids count up from 1.
    pub fn artifacts(&self) -> BTreeMap<String, Stored> {
        self.state.artifacts.borrow().clone()
    }

    /// The calls so far, in order.
    pub fn calls(&self) -> Vec<String> {
        self.state.calls.borrow().clone()
    }

    /// Waits until there have been `count` calls.
    pub async fn called(&self, count: usize) {
        let mut calls = self.state.calls.subscribe();
        let _calls = soon("calls of the Artifact Store", calls.wait_for(|calls| calls.len() >= count)).await;
    }
}

#[derive(Deserialize, JsonSchema)]
struct AnyPath {
    path: Vec<String>,
}

type Rq = RequestContext<Arc<State>>;

#[endpoint { method = GET, path = "/{path:.*}", unpublished = true }]
async fn get_any(rq: Rq, path: Path<AnyPath>) -> Result<Response<Body>, HttpError> {
    Ok(any(&rq, &path.into_inner().path, &[]).await)
}

#[endpoint { method = POST, path = "/{path:.*}", unpublished = true }]
async fn post_any(rq: Rq, path: Path<AnyPath>, body: UntypedBody) -> Result<Response<Body>, HttpError> {
    Ok(any(&rq, &path.into_inner().path, body.as_bytes()).await)
}

async fn any(rq: &Rq, path: &[String], body: &[u8]) -> Response<Body> {
    let state = rq.context();
    let method = rq.request.method();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    if path == ["v1", "health"] {
        // The health probe is always answered, and is not counted.
        return json_answer(StatusCode::OK, &json!({"status": "ok", "time": "2026-01-01T00:00:00Z"}));
    }
    state.calls.send_modify(|calls| calls.push(format!("{method} /{}", path.join("/"))));
    let mut behaviours = state.behaviour.subscribe();
    let behaviour = *behaviours
        .wait_for(|behaviour| *behaviour != ArtifactBehaviour::Silent)
        .await
        .expect("the store lives");
    match behaviour {
        ArtifactBehaviour::Refuses(status) => {
            let status = StatusCode::from_u16(status).expect("a status");
            return json_answer(status, &json!({"detail": "Refused, as the test demands."}));
        }
        ArtifactBehaviour::Proxy => {
            return answer(StatusCode::BAD_GATEWAY, "text/html", b"<html>bad gateway</html>");
        }
        ArtifactBehaviour::Garbage => {
            return answer(StatusCode::OK, "application/json", b"{\"artifact_id\": ");
        }
        ArtifactBehaviour::Sound
        | ArtifactBehaviour::WrongSize
        | ArtifactBehaviour::WrongChecksum
        | ArtifactBehaviour::NoChecksum
        | ArtifactBehaviour::Silent => {}
    }
    let header =
        |name| rq.request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    match (method, &*path) {
        (&Method::POST, ["v1", "artifacts"]) => {
            let artifact = Stored {
                content_type: header("content-type"),
                authorization: header("authorization"),
                bytes: body.to_vec(),
            };
            let id = format!("{:032x}", state.artifacts.borrow().len() + 1);
            let description = describe(&id, &artifact, behaviour);
            state.artifacts.send_modify(|artifacts| {
                artifacts.insert(id, artifact);
            });
            json_answer(StatusCode::OK, &description)
        }
        _ => json_answer(StatusCode::NOT_FOUND, &json!({"detail": "Not Found"})),
    }
}

fn describe(id: &str, artifact: &Stored, behaviour: ArtifactBehaviour) -> Value {
    let size = artifact.bytes.len() + usize::from(behaviour == ArtifactBehaviour::WrongSize);
    let checksum = match behaviour {
        ArtifactBehaviour::WrongChecksum => sha256(b"other bytes").into(),
        ArtifactBehaviour::NoChecksum => Value::Null,
        ArtifactBehaviour::Sound
        | ArtifactBehaviour::Refuses(_)
        | ArtifactBehaviour::Proxy
        | ArtifactBehaviour::Garbage
        | ArtifactBehaviour::WrongSize
        | ArtifactBehaviour::Silent => sha256(&artifact.bytes).into(),
    };
    json!({
        "artifact_id": id, "uri": format!("/var/artifacts/{id}"), "content_type": artifact.content_type,
        "size_bytes": size, "checksum_sha256": checksum, "created_at": "2026-01-01T00:00:00+00:00",
    })
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn json_answer(status: StatusCode, body: &Value) -> Response<Body> {
    answer(status, "application/json", body.to_string().as_bytes())
}

fn answer(status: StatusCode, content_type: &str, body: &[u8]) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, content_type)
        .body(Body::from(body.to_vec()))
        .expect("a response")
}
