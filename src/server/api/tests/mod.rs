//! The door before a real dropshot server, with endpoints of its own: what is
//! behind it does not matter here.

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
use http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use reqwest::{Client, Method, Response};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use slog::{Drain, Level, LevelFilter, Logger, OwnedKVList, Record, o};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use super::{
    Front, FrontLimits, ListenConfig,
    body::Json,
    door::{Doorkeeper, behind_door},
    dropshot_config,
    errors::ApiError,
    quieter,
    stream::{Ndjson, StreamQuery},
    visit::Caller,
};
use crate::{
    auth::{Admission, AuthError, Principal},
    coordinator::CoordinatorError,
    types::RunStartRequest,
};

const BODY_LIMIT: usize = 2_000;
const START: &str = r#"{"root_node_type_ref": {"node_type_id": "n", "version": "1"}, "input": {}}"#;

/// Lets in who says `Bearer <subject>`, and everybody to `/v1/open*`.
struct Keeper {
    stopping: CancellationToken,
    front: Front,
}

impl Doorkeeper for Keeper {
    fn body_values_max(&self) -> u64 {
        1000
    }

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

    fn front(&self) -> &Front {
        &self.front
    }

    async fn visitor(&self, headers: &HeaderMap) -> Principal {
        let header =
            headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        Principal::for_test(header.unwrap_or("stranger"))
    }
}

type Rq = RequestContext<Keeper>;
type Answer<T> = Result<T, ApiError>;

#[derive(Deserialize, JsonSchema)]
struct ThingPath {
    id: String,
}

#[endpoint { method = GET, path = "/v1/things/{id}" }]
async fn thing_get(_: Rq, caller: Caller, path: Path<ThingPath>) -> Answer<HttpResponseOk<Vec<String>>> {
    Ok(HttpResponseOk(vec![caller.0.subject().to_owned(), path.into_inner().id]))
}

#[endpoint { method = POST, path = "/v1/things/{id}/:cancel" }]
async fn thing_cancel(_: Rq, _: Caller, path: Path<ThingPath>) -> Answer<HttpResponseOk<String>> {
    Ok(HttpResponseOk(path.into_inner().id))
}

#[endpoint { method = POST, path = "/v1/things" }]
async fn thing_start(_: Rq, _: Caller, _: Json<RunStartRequest>) -> Answer<HttpResponseUpdatedNoContent> {
    Ok(HttpResponseUpdatedNoContent())
}

/// Fails as `id` says.
#[endpoint { method = GET, path = "/v1/failures/{id}" }]
async fn failure(_: Rq, _: Caller, path: Path<ThingPath>) -> Answer<HttpResponseUpdatedNoContent> {
    tokio::task::yield_now().await;
    match path.into_inner().id.as_str() {
        "panic" => panic!("a secret"),
        "registry" => Err(CoordinatorError::NodeRegistryUnavailable { internal: "a secret".into() }.into()),
        id => Err(CoordinatorError::RunNotFound(id.into()).into()),
    }
}

#[endpoint { method = GET, path = "/v1/open" }]
async fn open(_: Rq) -> Answer<HttpResponseOk<String>> {
    Ok(HttpResponseOk("open".to_owned()))
}

/// Exempted from authentication, but it needs to know who calls.
#[endpoint { method = GET, path = "/v1/open-secret" }]
async fn open_secret(_: Rq, caller: Caller) -> Answer<HttpResponseOk<String>> {
    Ok(HttpResponseOk(caller.0.subject().to_owned()))
}

/// Lines for ever, or `limit` of them.
#[endpoint { method = GET, path = "/v1/lines" }]
async fn lines(rq: Rq, _: Caller, query: StreamQuery) -> Answer<Ndjson> {
    let line = || Ok(Bytes::from_static(b"{}\n"));
    let some = futures::stream::repeat_with(line).take(query.0.limit.map_or(1, |limit| limit as usize));
    let follow = query.0.follow;
    let lines = if follow { some.chain(futures::stream::pending()).boxed_sync() } else { some.boxed_sync() };
    let place = rq.context().front.crowd.stream(&rq.log)?;
    Ok(Ndjson::new(lines, follow, &rq.context().stopping, place))
}

trait BoxedSync: futures::Stream + Sized + Send + Sync + 'static {
    fn boxed_sync(self) -> std::pin::Pin<Box<dyn futures::Stream<Item = Self::Item> + Send + Sync>> {
        Box::pin(self)
    }
}
impl<S: futures::Stream + Send + Sync + 'static> BoxedSync for S {}

/// Keeps what is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

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

struct Server {
    http: HttpServer<Keeper>,
    client: Client,
    stopping: CancellationToken,
    log: Log,
}

fn start() -> Server {
    start_with_level(Level::Info)
}

fn start_with_level(level: Level) -> Server {
    let mut api = ApiDescription::new();
    api.register(thing_get).unwrap();
    api.register(thing_cancel).unwrap();
    api.register(thing_start).unwrap();
    api.register(failure).unwrap();
    api.register(open).unwrap();
    api.register(open_secret).unwrap();
    api.register(lines).unwrap();
    let config = ListenConfig { bind_address: "127.0.0.1:0".parse().unwrap(), body_limit_bytes: BODY_LIMIT };
    let stopping = CancellationToken::new();
    let limits = FrontLimits { requests: 1_000, streams: 100, body_timeout: Duration::from_secs(60) };
    let keeper = Keeper { front: Front::new(limits, &stopping), stopping: stopping.clone() };
    let log = Log::default();
    let logger = Logger::root(LevelFilter::new(log.clone(), level).ignore_res(), o!());
    let http = ServerBuilder::new(behind_door(api), keeper, quieter(&logger))
        .config(dropshot_config(&config))
        .start()
        .unwrap();
    Server { http, client: Client::builder().no_proxy().build().unwrap(), stopping, log }
}

impl Server {
    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client.request(method, format!("http://{}{path}", self.http.local_addr()))
    }

    /// As the caller `me`.
    async fn send(&self, method: &str, path: &str) -> Response {
        self.request(method, path).bearer_auth("me").send().await.unwrap()
    }

    async fn post(&self, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Response {
        let request = self.request("POST", path).bearer_auth("me").header("content-type", content_type);
        request.body(body).send().await.unwrap()
    }

    /// What comes back to these bytes until the server closes the connection.
    async fn exchange(&self, request: &str) -> String {
        let mut connection = TcpStream::connect(self.http.local_addr()).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// Asserts that an answer is an envelope of this status and code.
async fn envelope(response: Response, status: u16, code: &str) -> Value {
    assert_eq!(response.status().as_u16(), status);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert!(response.headers().contains_key("x-request-id"));
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["code"], code, "{body}");
    body["error"].clone()
}

#[tokio::test]
async fn every_failure_is_an_envelope() {
    let server = start();
    for (method, path, status, code, message) in [
        ("GET", "/v1/nothing", 404, "http_error", "Not Found"),
        ("GET", "/", 404, "http_error", "Not Found"),
        ("GET", "/v1/things/a/", 404, "http_error", "Not Found"),
        ("DELETE", "/v1/things/a", 405, "http_error", "Method Not Allowed"),
        ("OPTIONS", "/v1/things/a", 405, "http_error", "Method Not Allowed"),
        ("PROPFIND", "/v1/things/a", 405, "http_error", "Method Not Allowed"),
        ("GET", "/v1/failures/x", 404, "run_not_found", "Run 'x' not found"),
        ("GET", "/v1/failures/registry", 503, "node_registry_unavailable", "Node Registry request failed"),
        ("GET", "/v1/failures/panic", 500, "internal_error", "Internal server error"),
        ("GET", "/v1/lines?cursor=*", 400, "invalid_request", "Request validation failed"),
    ] {
        let error = envelope(server.send(method, path).await, status, code).await;
        assert_eq!(error["message"], message, "{method} {path}");
        assert!(!error.to_string().contains("secret"));
    }
    let response = server.send("PUT", "/v1/things").await;
    assert_eq!(response.headers()["allow"], "POST");
    let response = server.send("HEAD", "/v1/things/a").await;
    assert_eq!((response.status().as_u16(), &response.headers()["allow"]), (405, &"GET".parse().unwrap()));
    // An authenticator that panics lets nobody in.
    let response = server.request("GET", "/v1/things/a").bearer_auth("panic").send().await.unwrap();
    envelope(response, 500, "internal_error").await;
}

#[tokio::test]
async fn our_own_faults_are_logged_and_nothing_else_is() {
    let server = start();
    for path in ["/v1/things/a", "/v1/nothing", "/v1/failures/registry", "/v1/failures/panic"] {
        server.send("GET", path).await;
    }
    let logged = server.log.0.lock().unwrap().clone();
    assert_eq!(
        logged,
        [
            "WARN request failed reason=a secret code=node_registry_unavailable status=503",
            "WARN request failed reason=panicked: a secret code=internal_error status=500",
        ]
    );
    let server = start_with_level(Level::Debug);
    server.send("GET", "/v1/things/a").await;
    let logged = server.log.0.lock().unwrap().join("\n");
    assert!(logged.contains("DEBG admitted caller=me operation=thing_get"), "{logged}");
}

#[tokio::test]
async fn strangers_get_401_before_anything_else() {
    let server = start();
    for (method, path) in [("GET", "/v1/things/a"), ("GET", "/v1/nothing"), ("PATCH", "/v1/things/a")] {
        let response = server.request(method, path).send().await.unwrap();
        assert_eq!(
            response.headers()["www-authenticate"],
            "Bearer error=\"invalid_request\", error_description=\"Missing Authorization header\""
        );
        let error = envelope(response, 401, "unauthorized").await;
        assert_eq!(error["message"], "Missing Authorization header");
    }
    let response = server.request("GET", "/v1/open").send().await.unwrap();
    assert_eq!(response.json::<String>().await.unwrap(), "open");
    // Exempted, and the operation asks who it is.
    for (header, subject) in [(None, "stranger"), (Some("Bearer alice"), "alice")] {
        let request = server.request("GET", "/v1/open-secret");
        let request =
            header.into_iter().fold(request, |request, header| request.header(AUTHORIZATION, header));
        assert_eq!(request.send().await.unwrap().json::<String>().await.unwrap(), subject);
    }
}

#[tokio::test]
async fn odd_ids_arrive_as_they_were_meant() {
    let server = start();
    for (segment, id) in [
        ("a:b", "a:b"),
        ("a%3Ab", "a:b"),
        ("a%253Ab", "a%3Ab"),
        ("a%20b", "a b"),
        ("%C3%BC", "ü"),
        ("q%3Fx%23y", "q?x#y"),
        ("a:cancel", "a:cancel"),
    ] {
        let response = server.send("GET", &format!("/v1/things/{segment}")).await;
        assert_eq!(response.json::<Value>().await.unwrap(), json!(["me", id]), "{segment}");
        let response = server.send("POST", &format!("/v1/things/{segment}:cancel")).await;
        assert_eq!(response.json::<Value>().await.unwrap(), json!(id), "{segment}");
    }
    envelope(server.send("GET", "/v1/things/x%2Fy").await, 404, "http_error").await;
    envelope(server.send("POST", "/v1/things/x%2Fy:cancel").await, 404, "http_error").await;
    envelope(server.send("POST", "/v1/things/x/:cancel").await, 404, "http_error").await;
}

#[tokio::test]
async fn bodies_are_checked() {
    let server = start();
    for content_type in ["application/json", "application/json; charset=x", "application/arp+json"] {
        assert_eq!(server.post("/v1/things", content_type, START).await.status(), StatusCode::NO_CONTENT);
    }
    let error = envelope(server.post("/v1/things", "text/plain", START).await, 400, "invalid_request").await;
    assert_eq!(error["details"]["errors"][0]["loc"], json!(["header", "content-type"]));
    let body = r#"{"input": [], "odd": "secret"}"#;
    let error =
        envelope(server.post("/v1/things", "application/json", body).await, 400, "invalid_request").await;
    assert_eq!(
        error["details"]["errors"],
        json!([
            {"type": "dict_type", "loc": ["body", "input"], "msg": "Input should be a valid dictionary"},
            {"type": "missing", "loc": ["body", "root_node_type_ref"], "msg": "Field required"},
            {"type": "extra_forbidden", "loc": ["body", "odd"], "msg": "Extra inputs are not permitted"},
        ])
    );
}

#[tokio::test]
async fn what_is_too_large_is_refused_without_reading_it() {
    let server = start();
    // Announced: none of it is ever sent, and the answer comes all the same.
    let head = "POST /v1/things HTTP/1.1\r\nhost: x\r\nauthorization: Bearer me\r\nconnection: close\r\n";
    let answer = server.exchange(&format!("{head}content-length: 999999999999\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("payload_too_large"), "{answer}");
    // Not announced: the chunk that goes over the limit is the last one read.
    let chunk = format!("{:x}\r\n{}\r\n", BODY_LIMIT + 1, " ".repeat(BODY_LIMIT + 1));
    let json = "content-type: application/json\r\n";
    let answer = server.exchange(&format!("{head}{json}transfer-encoding: chunked\r\n\r\n{chunk}")).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("payload_too_large"), "{answer}");
    // In steps, within the limit.
    let steps = [START.as_bytes(), &[b' '; 1_000]].map(|step| Ok::<_, std::io::Error>(step.to_vec()));
    let body = reqwest::Body::wrap_stream(futures::stream::iter(steps));
    assert_eq!(server.post("/v1/things", "application/json", body).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn concurrent_failures_are_not_mixed_up() {
    let server = start();
    let one = |index: u32| {
        let server = &server;
        async move {
            let id = format!("r{index}");
            let error =
                envelope(server.send("GET", &format!("/v1/failures/{id}")).await, 404, "run_not_found");
            assert_eq!(error.await["message"], format!("Run '{id}' not found"));
        }
    };
    futures::stream::iter(0..500).for_each_concurrent(50, one).await;
}

#[tokio::test]
async fn a_stream_that_follows_ends_when_the_server_stops() {
    let server = start();
    let whole = server.send("GET", "/v1/lines?limit=3").await;
    assert_eq!(whole.headers()["content-type"], "application/x-ndjson");
    assert_eq!(whole.text().await.unwrap(), "{}\n{}\n{}\n");

    let mut following = server.send("GET", "/v1/lines?limit=2&follow=1").await;
    let first = following.chunk().await.unwrap().unwrap();
    assert!(first.starts_with(b"{}\n"));
    server.stopping.cancel();
    let rest = async { while following.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(10), rest).await.expect("the stream ends");
    drop(server.client);
    tokio::time::timeout(Duration::from_secs(10), server.http.close()).await.expect("closes").unwrap();
}

/// What the door cannot reach: dropshot's router refuses these before it.
#[tokio::test]
async fn what_dropshot_answers_itself_stays_a_client_error() {
    let server = start();
    for (line, status) in
        [("GET /v1/../x", "400"), ("GET /v1/things/%FF", "400"), ("FROBNICATE /v1/things/a", "405")]
    {
        let answer =
            server.exchange(&format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
}
