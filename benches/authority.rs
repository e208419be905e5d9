//! The authority bench: what authentication, authorization, limits and budgets cost a
//! request, as ratios within one run.
//!
//! ```text
//!   cargo bench --bench authority            three rounds of 4 seconds for each setting
//!   cargo bench --bench authority -- 2       of 2 seconds
//! ```
//!
//! One coordinator for each setting; the settings take turns, so that a change of the
//! machine's speed meets all of them. The bench asserts no figure.

mod process;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
};
use dropshot::{
    ApiDescription, ConfigDropshot, HttpError, HttpResponseOk, HttpServer, RequestContext, ServerBuilder,
    UntypedBody, endpoint,
};
use jarvis_run_coordinator::time::{Clock, SystemClock};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Value, json};
use slog::{Discard, Logger, o};

use self::process::{Coordinator, executor::fast_executor};

const CLIENTS: usize = 16;
const ROUNDS: usize = 3;
const ISSUER: &str = "https://sts.example/realm";

/// The settings, each with the former: the variables to add, and their name.
const SETTINGS: [(&str, &[(&str, &str)]); 5] = [
    ("no authentication", &[]),
    ("authentication", &[("ARP_AUTH_MODE", "required")]),
    ("+ authorization", &[("JARVIS_RUN_COORDINATOR_AUTHORIZATION", "tenant")]),
    (
        "+ limits by principal",
        &[
            ("JARVIS_RUN_COORDINATOR_RATE_PER_PRINCIPAL", "1000000"),
            ("JARVIS_RUN_COORDINATOR_MAX_REQUESTS_PER_PRINCIPAL", "500"),
            ("JARVIS_RUN_COORDINATOR_MAX_STREAMS_PER_PRINCIPAL", "500"),
        ],
    ),
    (
        "+ budgets of the run",
        &[(
            "JARVIS_RUN_COORDINATOR_DEFAULT_CONSTRAINTS",
            r#"{"budgets": {"max_steps": 9, "max_external_calls": 9, "max_cost": 9}}"#,
        )],
    ),
];

/// What is measured: one request, or all of a run.
#[derive(Clone, Copy)]
enum Work {
    Read,
    Run,
}

/// A coordinator under one setting, and the sum of what was measured there.
struct Measured {
    name: &'static str,
    coordinator: Coordinator,
    token: Option<String>,
    run: String,
    cpu: [Duration; 2],
    done: [u64; 2],
}

fn main() {
    let seconds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(4);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure(Duration::from_secs(seconds)));
}

async fn measure(each: Duration) {
    let executor = fast_executor();
    let executor = format!("http://{}", executor.local_addr());
    let sts = Sts::start();
    let http = reqwest::Client::new();
    let folders: Vec<_> = SETTINGS
        .iter()
        .map(|_| tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on the disk"))
        .collect();
    let mut all = Vec::new();
    let (token_url, keys_url) = (format!("{}/token", sts.url), format!("{}/keys", sts.url));
    // The calls of all of them carry a token, so that only what is measured differs.
    let mut vars = vec![
        ("JARVIS_ATOMIC_EXECUTOR_URL", executor.as_str()),
        ("ARP_AUTH_ISSUER", ISSUER),
        ("ARP_AUTH_JWKS_URI", &keys_url),
        ("ARP_AUTH_CLIENT_ID", "coordinator"),
        ("ARP_AUTH_CLIENT_SECRET", "secret"),
        ("ARP_AUTH_TOKEN_ENDPOINT", &token_url),
    ];
    for ((name, more), folder) in SETTINGS.into_iter().zip(&folders) {
        vars.extend_from_slice(more);
        let is_open = vars.iter().all(|(name, _)| *name != "ARP_AUTH_MODE");
        let coordinator = Coordinator::start(folder.path(), &vars);
        let token = (!is_open).then(|| sts.token());
        let run = run_to_end(&http, &coordinator.url, token.as_deref()).await;
        all.push(Measured { name, coordinator, token, run, cpu: [Duration::ZERO; 2], done: [0; 2] });
    }
    for _ in 0..ROUNDS {
        for work in [Work::Read, Work::Run] {
            for measured in &mut all {
                measured.round(&http, work, each).await;
            }
        }
    }
    println!("{:24} {:>18} {:>8} {:>18} {:>8}", "setting", "CPU us/read", "ratio", "CPU us/run", "ratio");
    let first = all[0].each();
    for measured in &all {
        let [read, run] = measured.each();
        println!(
            "{:24} {read:>18.1} {:>8.3} {run:>18.1} {:>8.3}",
            measured.name,
            read / first[0],
            run / first[1]
        );
    }
}

impl Measured {
    async fn round(&mut self, http: &reqwest::Client, work: Work, each: Duration) {
        let (done, until) = (AtomicU64::new(0), Instant::now() + each);
        let before = self.coordinator.cpu();
        let (url, token) = (&self.coordinator.url, self.token.as_deref());
        let client = async || {
            while Instant::now() < until {
                match work {
                    Work::Read => {
                        drop(send(http, "GET", &format!("{url}/v1/runs/{}", self.run), token, None).await)
                    }
                    Work::Run => drop(run_to_end(http, url, token).await),
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
        };
        futures::future::join_all((0..CLIENTS).map(|_| client())).await;
        self.cpu[work as usize] += self.coordinator.cpu() - before;
        self.done[work as usize] += done.into_inner();
    }

    /// The CPU time of a read and of a run, in microseconds.
    fn each(&self) -> [f64; 2] {
        [0, 1].map(|work| self.cpu[work].as_secs_f64() * 1e6 / self.done[work] as f64)
    }
}

/// Starts a run and follows its events until they end; returns its id.
async fn run_to_end(http: &reqwest::Client, url: &str, token: Option<&str>) -> String {
    let request =
        json!({"root_node_type_ref": {"node_type_id": "atomic.fast", "version": "1"}, "input": {"n": 1}});
    let run = send(http, "POST", &format!("{url}/v1/runs"), token, Some(&request)).await;
    let run: Value = serde_json::from_str(&run).expect("a Run");
    let id = run["run_id"].as_str().expect("a run_id").to_owned();
    let events = send(http, "GET", &format!("{url}/v1/runs/{id}/events?follow=1"), token, None).await;
    assert!(events.contains("run_completed") && events.contains("succeeded"), "{events}");
    id
}

async fn send(
    http: &reqwest::Client,
    method: &str,
    url: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> String {
    let mut request = http.request(method.parse().expect("a method"), url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = request.send().await.expect("an answer");
    let (status, text) = (answer.status(), answer.text().await.expect("its body"));
    assert!(status.is_success(), "{status}: {text}");
    text
}

/// A token service on loopback: it publishes one key, and issues opaque tokens for the
/// calls of the coordinator.
struct Sts {
    url: String,
    key: EncodingKey,
    _server: HttpServer<Value>,
}

impl Sts {
    fn start() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).expect("DER");
        // jsonwebtoken expects the PKCS#1 key, which PKCS#8 wraps in a header of fixed
        // length.
        let key = EncodingKey::from_rsa_der(&pkcs8.as_ref()[26..]);
        let public = Jwk::from_encoding_key(&key, Algorithm::RS256).expect("a public key");
        let mut public = serde_json::to_value(public).expect("JSON");
        public["kid"] = json!("bench");
        let mut api = ApiDescription::new();
        api.register(keys).expect("a sound API");
        api.register(token_request).expect("a sound API");
        let server = ServerBuilder::new(api, json!({"keys": [public]}), Logger::root(Discard, o!()))
            .config(ConfigDropshot::default())
            .start()
            .expect("the token service listens");
        Self { url: format!("http://{}", server.local_addr()), key, _server: server }
    }

    fn token(&self) -> String {
        let now = SystemClock.now().as_micros() / 1_000_000;
        let claims = json!({"iss": ISSUER, "sub": "alice", "tenant_id": "acme", "exp": now + 86_400});
        let header = Header { kid: Some("bench".into()), ..Header::new(Algorithm::RS256) };
        encode(&header, &claims, &self.key).expect("a token")
    }
}

#[endpoint { method = GET, path = "/keys" }]
async fn keys(rq: RequestContext<Value>) -> Result<HttpResponseOk<Value>, HttpError> {
    Ok(HttpResponseOk(rq.context().clone()))
}

#[endpoint { method = POST, path = "/token" }]
async fn token_request(_: RequestContext<Value>, _: UntypedBody) -> Result<HttpResponseOk<Value>, HttpError> {
    Ok(HttpResponseOk(json!({"access_token": "opaque", "token_type": "Bearer", "expires_in": 3600})))
}
