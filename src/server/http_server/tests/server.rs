//! A dropshot server behind the door, with endpoints of its own.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use dropshot::{
    ApiDescription, HttpResponseOk, HttpResponseUpdatedNoContent, HttpServer, Path, RequestContext,
    ServerBuilder, endpoint,
};
use futures::StreamExt;
use http::{HeaderMap, header::AUTHORIZATION};
use reqwest::{Client, Method, Response};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use slog::{Drain, Level, LevelFilter, Logger, OwnedKVList, Record, o};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::{
    auth::{Admission, AuthError, Principal},
    config::PerPrincipal,
    coordinator::CoordinatorError,
    http_server::{
        body::Json,
        door::{Admitter, behind_door},
        errors::ApiError,
        front::{BodyBounds, Front, FrontLimits},
        hosts::Hosts,
        listen::{ListenConfig, dropshot_config, without_requests},
        request_scope::Caller,
        stream::{Ndjson, StreamQuery},
    },
    types::RunStartRequest,
};

pub(super) const BODY_LIMIT: usize = 2_000;
pub(super) const START: &str =
    r#"{"root_node_type_ref": {"node_type_id": "n", "version": "1"}, "input": {}}"#;

/// Admits `Bearer <subject>`, and every caller to `/v1/open*`.
pub(super) struct TestAdmitter {
    stopping: CancellationToken,
    front: Front,
    hosts: Hosts,
}

impl Admitter for TestAdmitter {
    async fn admit(&self, path: &str, headers: &HeaderMap) -> Result<Admission, AuthError> {
        if path.starts_with("/v1/open") {
            return Ok(Admission::Exempt);
        }
        let subject =
            headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        match subject {
            Some("panic") => panic!("the authenticator panics"),
            Some(subject) => Ok(Admission::Caller(Principal::for_test(subject))),
            None => Err(AuthError { error: "invalid_request", message: "Missing Authorization header" }),
        }
    }

    async fn rate_limited(&self, _operation: &str, _caller: &Principal) {}

    fn front(&self) -> &Front {
        &self.front
    }

    fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    async fn exempt_caller(&self, headers: &HeaderMap) -> Principal {
        let header =
            headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        Principal::for_test(header.unwrap_or("anonymous"))
    }
}

pub(super) type Rq = RequestContext<TestAdmitter>;
pub(super) type Answer<T> = Result<T, ApiError>;

#[derive(Deserialize, JsonSchema)]
pub(super) struct ThingPath {
    id: String,
}

#[endpoint { method = GET, path = "/v1/things/{id}" }]
pub(super) async fn thing_get(
    _: Rq,
    caller: Caller,
    path: Path<ThingPath>,
) -> Answer<HttpResponseOk<Vec<String>>> {
    Ok(HttpResponseOk(vec![caller.0.subject().to_owned(), path.into_inner().id]))
}

#[endpoint { method = POST, path = "/v1/things/{id}/:cancel" }]
pub(super) async fn thing_cancel(_: Rq, _: Caller, path: Path<ThingPath>) -> Answer<HttpResponseOk<String>> {
    Ok(HttpResponseOk(path.into_inner().id))
}

#[endpoint { method = POST, path = "/v1/things" }]
pub(super) async fn thing_start(
    _: Rq,
    _: Caller,
    _: Json<RunStartRequest>,
) -> Answer<HttpResponseUpdatedNoContent> {
    Ok(HttpResponseUpdatedNoContent())
}

/// Fails in the way that `id` names.
#[endpoint { method = GET, path = "/v1/failures/{id}" }]
pub(super) async fn failure(_: Rq, _: Caller, path: Path<ThingPath>) -> Answer<HttpResponseUpdatedNoContent> {
    tokio::task::yield_now().await;
    match path.into_inner().id.as_str() {
        "panic" => panic!("a secret"),
        "registry" => Err(CoordinatorError::NodeRegistryUnavailable { internal: "a secret".into() }.into()),
        id => Err(CoordinatorError::RunNotFound(id.into()).into()),
    }
}

#[endpoint { method = GET, path = "/v1/open" }]
pub(super) async fn open(_: Rq) -> Answer<HttpResponseOk<String>> {
    Ok(HttpResponseOk("open".to_owned()))
}

#[endpoint { method = GET, path = "/livez", operation_id = "livez" }]
pub(super) async fn livez(_: Rq) -> Answer<HttpResponseUpdatedNoContent> {
    Ok(HttpResponseUpdatedNoContent())
}

/// Exempt from authentication, but takes a caller.
#[endpoint { method = GET, path = "/v1/open-secret" }]
pub(super) async fn open_secret(_: Rq, caller: Caller) -> Answer<HttpResponseOk<String>> {
    Ok(HttpResponseOk(caller.0.subject().to_owned()))
}

/// `limit` lines, and then none until the end of time if it follows.
#[endpoint { method = GET, path = "/v1/lines" }]
pub(super) async fn lines(rq: Rq, caller: Caller, query: StreamQuery) -> Answer<Ndjson> {
    let line = || Ok(Bytes::from_static(b"{}\n"));
    let some = futures::stream::repeat_with(line).take(query.0.limit.map_or(1, |limit| limit as usize));
    let follow = query.0.follow;
    let lines = if follow { some.chain(futures::stream::pending()).boxed_sync() } else { some.boxed_sync() };
    let permit = rq.context().front.limits.stream(&caller.0, &rq.log)?;
    Ok(Ndjson::new(lines, follow, &rq.context().stopping, permit))
}

pub(super) trait BoxedSync: futures::Stream + Sized + Send + Sync + 'static {
    fn boxed_sync(self) -> std::pin::Pin<Box<dyn futures::Stream<Item = Self::Item> + Send + Sync>> {
        Box::pin(self)
    }
}
impl<S: futures::Stream + Send + Sync + 'static> BoxedSync for S {}

/// Collects log messages as text.
#[derive(Clone, Default)]
pub(super) struct Log(pub(super) Arc<Mutex<Vec<String>>>);

impl Drain for Log {
    type Ok = ();
    type Err = slog::Never;
    fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), slog::Never> {
        struct Text(String);
        impl slog::Serializer for Text {
            fn emit_arguments(&mut self, key: slog::Key, value: &std::fmt::Arguments<'_>) -> slog::Result {
                self.0 += &format!(" {key}={value}");
                Ok(())
            }
        }
        let mut text = Text(format!("{} {}", record.level(), record.msg()));
        slog::KV::serialize(&record.kv(), record, &mut text).unwrap();
        self.0.lock().unwrap().push(text.0);
        Ok(())
    }
}

pub(super) struct Server {
    pub(super) http: HttpServer<TestAdmitter>,
    pub(super) client: Client,
    pub(super) stopping: CancellationToken,
    pub(super) log: Log,
}

pub(super) fn start() -> Server {
    start_with_level(Level::Info)
}

pub(super) fn start_with_level(level: Level) -> Server {
    start_for(Hosts::Any, level)
}

pub(super) fn start_for(hosts: Hosts, level: Level) -> Server {
    let mut api = ApiDescription::new();
    api.register(thing_get).unwrap();
    api.register(thing_cancel).unwrap();
    api.register(thing_start).unwrap();
    api.register(failure).unwrap();
    api.register(open).unwrap();
    api.register(livez).unwrap();
    api.register(open_secret).unwrap();
    api.register(lines).unwrap();
    let config = ListenConfig {
        bind_address: "127.0.0.1:0".parse().unwrap(),
        body_limit_bytes: BODY_LIMIT,
        tls: None,
    };
    let stopping = CancellationToken::new();
    let limits = FrontLimits {
        requests: 1_000,
        streams: 100,
        per_principal: PerPrincipal::default(),
        connections: 1_000,
        calls: 0,
        body: BodyBounds { values: 1_000, string_bytes: BODY_LIMIT, items: 1_000 },
        body_timeout: Duration::from_secs(60),
        idle_timeout: Duration::from_secs(60),
        answer_timeout: Duration::from_secs(60),
        max_wait: Duration::from_secs(60),
    };
    let quiet = Logger::root(slog::Discard, o!());
    let admitter = TestAdmitter {
        front: Front::new(limits, &stopping, Metrics::new(), &quiet),
        stopping: stopping.clone(),
        hosts,
    };
    let log = Log::default();
    let logger = Logger::root(LevelFilter::new(log.clone(), level).ignore_res(), o!());
    let http = ServerBuilder::new(behind_door(api), admitter, without_requests(&logger))
        .config(dropshot_config(&config))
        .start()
        .unwrap();
    Server { http, client: Client::builder().no_proxy().build().unwrap(), stopping, log }
}

impl Server {
    pub(super) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client.request(method, format!("http://{}{path}", self.http.local_addr()))
    }

    /// Sends a request of the caller `me`.
    pub(super) async fn send(&self, method: &str, path: &str) -> Response {
        self.request(method, path).bearer_auth("me").send().await.unwrap()
    }

    pub(super) async fn post(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> Response {
        let request = self.request("POST", path).bearer_auth("me").header("content-type", content_type);
        request.body(body).send().await.unwrap()
    }

    /// Sends bytes, and receives until the server closes the connection.
    pub(super) async fn exchange(&self, request: &str) -> String {
        let mut connection = TcpStream::connect(self.http.local_addr()).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// Asserts that an answer is an envelope with this status and code.
pub(super) async fn envelope(response: Response, status: u16, code: &str) -> Value {
    assert_eq!(response.status().as_u16(), status);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert!(response.headers().contains_key("x-request-id"));
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["code"], code, "{body}");
    body["error"].clone()
}
