//! A receiver of webhooks on loopback: keeps what it is sent, and answers what the test
//! has set.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use dropshot::{ApiDescription, Body, HttpError, HttpServer, Path, RequestContext, UntypedBody, endpoint};
use http::{HeaderMap, Response, header::LOCATION};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::{loopback::serve, soon};

/// The receiver.
pub struct Receiver {
    state: Arc<State>,
    url: String,
    _server: HttpServer<Arc<State>>,
}

struct State {
    status: watch::Sender<u16>,
    /// Where a redirect leads.
    location: watch::Sender<String>,
    received: watch::Sender<Vec<Report>>,
}

/// A report as it was received.
#[derive(Clone, Debug)]
pub struct Report {
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Receiver {
    pub fn start() -> Self {
        let state = Arc::new(State {
            status: watch::Sender::new(204),
            location: watch::Sender::default(),
            received: watch::Sender::default(),
        });
        let mut api = ApiDescription::new();
        api.register(post_any).expect("a sound API");
        let (server, url) = serve(api, &state);
        Self { state, url, _server: server }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The entry of the allow-list for it.
    pub fn target(&self) -> (&'static str, &str) {
        ("JARVIS_RUN_COORDINATOR_WEBHOOK_TARGETS", &self.url)
    }

    /// From now on this is the status of its answers.
    pub fn answer(&self, status: u16) {
        self.state.status.send_replace(status);
    }

    /// From now on it redirects there.
    pub fn redirect(&self, to: &str) {
        self.state.location.send_replace(to.to_owned());
        self.answer(307);
    }

    /// What was received so far.
    pub fn reports(&self) -> Vec<Report> {
        self.state.received.borrow().clone()
    }

    /// Waits until `count` reports of this type were received; returns them.
    pub async fn received(&self, type_: &str, count: usize) -> Vec<Report> {
        let mut received = self.state.received.subscribe();
        let of_type = |reports: &[Report]| {
            let is = |report: &&Report| report.event()["type"] == type_;
            reports.iter().filter(is).cloned().collect::<Vec<_>>()
        };
        let enough = |reports: &Vec<Report>| of_type(reports).len() >= count;
        let waited = soon(&format!("{count} reports {type_}"), received.wait_for(enough)).await;
        let reports = waited.expect("the receiver lives").clone();
        of_type(&reports)
    }
}

impl Report {
    pub fn event(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().expect("ASCII")
    }

    /// Whether the signature is that of Standard Webhooks for this secret.
    pub fn is_signed(&self, secret: &str) -> bool {
        let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").expect("a secret")).expect("base64");
        let signed =
            format!("{}.{}.{}", self.header("webhook-id"), self.header("webhook-timestamp"), self.body);
        let expected = BASE64_STANDARD.encode(hmac_sha256(&key, signed.as_bytes()));
        self.header("webhook-signature") == format!("v1,{expected}")
    }
}

/// HMAC (RFC 2104), for keys that are not longer than a block: independent of what the
/// server uses.
fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    assert!(key.len() <= 64);
    let padded = |with: u8| (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ with).collect::<Vec<u8>>();
    let inner = Sha256::digest([padded(0x36), message.to_vec()].concat());
    Sha256::digest([padded(0x5c), inner.to_vec()].concat()).to_vec()
}

#[derive(Deserialize, JsonSchema)]
struct AnyPath {
    path: Vec<String>,
}

#[endpoint { method = POST, path = "/{path:.*}", unpublished = true }]
async fn post_any(
    rq: RequestContext<Arc<State>>,
    path: Path<AnyPath>,
    body: UntypedBody,
) -> Result<Response<Body>, HttpError> {
    let state = rq.context();
    let report = Report {
        path: format!("/{}", path.into_inner().path.join("/")),
        headers: rq.request.headers().clone(),
        body: body.as_str()?.to_owned(),
    };
    let status = *state.status.borrow();
    let mut answer = Response::builder().status(status);
    if status == 307 {
        answer = answer.header(LOCATION, state.location.borrow().as_str());
    }
    let said = if status < 300 { "" } else { "not now, password=hunter2" };
    let answer = answer.body(Body::from(said)).expect("a response");
    state.received.send_modify(|received| received.push(report));
    Ok(answer)
}
