//! The outbox bench: what the JARVIS stores cost, on the real binary with a durable
//! journal. Each figure is measured without stores and with them in the same minute.
//!
//! ```text
//!   cargo bench --bench outbox               stores in memory, each number of clients for 8 seconds
//!   cargo bench --bench outbox -- 5          each for 5 seconds
//!   cargo bench --bench outbox -- rate=200   200 starts a second, whatever the answers take
//!   cargo bench --bench outbox -- run-store=URL event-stream=URL     real stores instead
//!
//!   clients ──▶ coordinator ──▶ journal ──▶ pumps ──▶ Run Store, Event Stream: in memory, they count writes
//!                    └─▶ executor, which succeeds at once
//! ```
//!
//! `behind` is how much later than the last run the stores had everything. (Of real stores
//! it includes up to two seconds until health counts again.) The bench asserts no figure.

#![expect(clippy::disallowed_methods, reason = "a bench waits by the machine's own time")]

mod process;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use dropshot::{
    ApiDescription, Body, ConfigDropshot, HttpError, HttpServer, Path, RequestContext, ServerBuilder,
    UntypedBody, endpoint,
};
use http::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use slog::{Discard, Logger, o};

use self::process::{Coordinator, executor::fast_executor};

const CLIENTS: [usize; 3] = [1, 16, 64];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let named = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let setting = Setting {
        each: Duration::from_secs(words.iter().find_map(|word| word.parse().ok()).unwrap_or(8)),
        rate: named("rate").map(|rate| rate.parse().expect("a number")),
        stores: named("run-store")
            .zip(named("event-stream"))
            .map(|(runs, events)| (runs.into(), events.into())),
    };
    tokio::runtime::Runtime::new().expect("a runtime").block_on(measure(&setting));
}

struct Setting {
    each: Duration,
    /// Starts a second, without waiting for answers. `None`: clients that do wait.
    rate: Option<f64>,
    /// Real ones: Run Store and Event Stream.
    stores: Option<(String, String)>,
}

/// What was measured of one load.
struct Figures {
    runs: f64,
    seconds: f64,
    /// How much later the stores had everything.
    behind: Duration,
    starts: Vec<Duration>,
    cpu: Duration,
    writes: [u64; 3],
}

async fn measure(setting: &Setting) {
    let (executor, counted) = (fast_executor(), stores());
    let [executor_url, counted_url] =
        [executor.local_addr(), counted.local_addr()].map(|at| format!("http://{at}"));
    let (runs, events) = setting.stores.clone().unwrap_or_else(|| (counted_url.clone(), counted_url.clone()));
    let folder = || tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on the disk");
    let folders = [folder(), folder()];
    let vars = [
        ("JARVIS_ATOMIC_EXECUTOR_URL", &*executor_url),
        ("JARVIS_RUN_STORE_URL", &*runs),
        ("JARVIS_EVENT_STREAM_URL", &*events),
        // Without it every answer waits for them.
        ("JARVIS_RUN_COORDINATOR_STORE_LAG_SECS", "1"),
        ("JARVIS_ARTIFACT_STORE_URL", &*counted_url),
    ];
    let embedded = Coordinator::start(folders[0].path(), &vars[..1]);
    let with_stores = Coordinator::start(folders[1].path(), &vars);
    println!("          without stores                        with stores");
    println!(
        "{:>7}   runs/s   start p50 ms   CPU ms/run   runs/s   start p50 ms   p99 ms   behind ms   CPU ms/run   added   \
         writes/run: runs   node runs   appends",
        if setting.rate.is_some() { "rate" } else { "clients" },
    );
    let loads = match setting.rate {
        Some(rate) => vec![Load::Rate(rate)],
        None => CLIENTS.map(Load::Clients).into(),
    };
    for load in loads {
        let [without, with] = [
            figures(&embedded, &load, setting, &counted).await,
            figures(&with_stores, &load, setting, &counted).await,
        ];
        let cpu = |figures: &Figures| figures.cpu.as_secs_f64() * 1e3 / figures.runs;
        let [of_runs, of_nodes, appends] = with.writes.map(|writes| writes as f64 / with.runs);
        println!(
            "{:>7}   {:>6.0}   {:>12.2}   {:>10.3}   {:>6.0}   {:>12.2}   {:>6.1}   {:>9.0}   {:>10.3}   {:>5.3}   \
             {of_runs:>16.2}   {of_nodes:>9.2}   {appends:>7.3}",
            load.number(),
            without.runs / without.seconds,
            without.start(0.5),
            cpu(&without),
            with.runs / with.seconds,
            with.start(0.5),
            with.start(0.99),
            with.behind.as_secs_f64() * 1e3,
            cpu(&with),
            cpu(&with) - cpu(&without),
        );
    }
    println!();
    println!(
        "resident memory: {:.1} MiB, with stores {:.1} MiB",
        embedded.resident_mib(),
        with_stores.resident_mib()
    );
}

impl Figures {
    fn start(&self, share: f64) -> f64 {
        self.starts[((self.starts.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
    }
}

enum Load {
    Clients(usize),
    Rate(f64),
}

impl Load {
    fn number(&self) -> f64 {
        match self {
            Self::Clients(clients) => *clients as f64,
            Self::Rate(rate) => *rate,
        }
    }
}

async fn figures(
    coordinator: &Coordinator,
    load: &Load,
    setting: &Setting,
    counted: &HttpServer<Arc<Counted>>,
) -> Figures {
    let http = reqwest::Client::new();
    // The first run fills caches.
    run_to_end(&http, &coordinator.url).await;
    emptied(&http, &coordinator.url).await;
    let writes = || counted.app_private().writes.each_ref().map(|count| count.load(Ordering::Relaxed));
    let (before, cpu, began) = (writes(), coordinator.cpu(), Instant::now());
    let until = began + setting.each;
    let url: Arc<str> = coordinator.url.as_str().into();
    let mut starts = match load {
        Load::Clients(clients) => {
            let client = async || {
                let mut starts = Vec::new();
                while Instant::now() < until {
                    starts.push(run_to_end(&http, &url).await);
                }
                starts
            };
            futures::future::join_all((0..*clients).map(|_| client())).await.concat()
        }
        Load::Rate(rate) => {
            let (mut tick, mut runs) =
                (tokio::time::interval(Duration::from_secs_f64(1.0 / rate)), tokio::task::JoinSet::new());
            while Instant::now() < until {
                tick.tick().await;
                let (http, url) = (http.clone(), Arc::clone(&url));
                runs.spawn(async move { run_to_end(&http, &url).await });
            }
            runs.join_all().await
        }
    };
    let ended = Instant::now();
    emptied(&http, &coordinator.url).await;
    starts.sort();
    let (cpu, after) = (coordinator.cpu() - cpu, writes());
    let writes = std::array::from_fn(|at| after[at] - before[at]);
    let last = match setting.stores {
        None => *counted.app_private().last.lock().expect("unpoisoned"),
        Some(_) => Some(Instant::now()),
    };
    let behind = last.map_or(Duration::ZERO, |last| last.saturating_duration_since(ended));
    Figures { runs: starts.len() as f64, seconds: (ended - began).as_secs_f64(), behind, starts, cpu, writes }
}

/// Starts a run and follows its events until they end. Returns how long the start took.
async fn run_to_end(http: &reqwest::Client, url: &str) -> Duration {
    let request =
        json!({"root_node_type_ref": {"node_type_id": "atomic.fast", "version": "1"}, "input": {"n": 1}});
    let began = Instant::now();
    let started = http.post(format!("{url}/v1/runs")).json(&request).send().await.expect("an answer");
    let run: Value = started.json().await.expect("a Run");
    let start = began.elapsed();
    let id = run["run_id"].as_str().expect("a run_id");
    let events = http.get(format!("{url}/v1/runs/{id}/events?follow=1")).send().await.expect("a stream");
    let events = events.text().await.expect("its lines");
    assert!(events.contains(r#"{"state":"succeeded"}"#), "{events}");
    start
}

/// Waits until the stores have everything.
async fn emptied(http: &reqwest::Client, url: &str) {
    loop {
        let health = http.get(format!("{url}/v1/health")).send().await.expect("an answer");
        let health: Value = health.json().await.expect("a Health");
        let checks = health["checks"].as_array().expect("checks");
        let outbox = checks.iter().find(|check| check["name"] == "outbox");
        if outbox.is_none_or(|outbox| outbox["details"]["entries"].as_u64().unwrap_or(0) == 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[derive(Default)]
struct Counted {
    /// Of Runs, of NodeRuns, and of events.
    writes: [AtomicU64; 3],
    /// When the last one was.
    last: Mutex<Option<Instant>>,
}

/// Stores that answer as they should, count, and keep nothing.
fn stores() -> HttpServer<Arc<Counted>> {
    let mut api = ApiDescription::new();
    api.register(get_any).expect("a sound API");
    api.register(post_any).expect("a sound API");
    api.register(put_any).expect("a sound API");
    let config = ConfigDropshot { default_request_body_max_bytes: 16 << 20, ..ConfigDropshot::default() };
    let server = ServerBuilder::new(api, Arc::default(), Logger::root(Discard, o!())).config(config);
    server.start().expect("the stores listen")
}

#[derive(Deserialize, JsonSchema)]
struct AnyPath {
    path: Vec<String>,
}

#[endpoint { method = GET, path = "/{path:.*}", unpublished = true }]
async fn get_any(_: RequestContext<Arc<Counted>>, _: Path<AnyPath>) -> Result<Response<Body>, HttpError> {
    respond(json!({"status": "ok", "time": "2026-01-01T00:00:00Z"}).to_string().into())
}

#[endpoint { method = POST, path = "/{path:.*}", unpublished = true }]
async fn post_any(
    rq: RequestContext<Arc<Counted>>,
    path: Path<AnyPath>,
    body: UntypedBody,
) -> Result<Response<Body>, HttpError> {
    saved(rq.context(), &path.into_inner().path, &body)
}

#[endpoint { method = PUT, path = "/{path:.*}", unpublished = true }]
async fn put_any(
    rq: RequestContext<Arc<Counted>>,
    path: Path<AnyPath>,
    body: UntypedBody,
) -> Result<Response<Body>, HttpError> {
    saved(rq.context(), &path.into_inner().path, &body)
}

/// The answer has the object that was sent, and what else the request had.
fn saved(counted: &Counted, path: &[String], body: &UntypedBody) -> Result<Response<Body>, HttpError> {
    let kind =
        path.iter().find_map(|name| ["runs", "node-runs", "run-events"].iter().position(|kind| kind == name));
    let kind = kind.expect("a call of the contract");
    counted.writes[kind].fetch_add(1, Ordering::Relaxed);
    *counted.last.lock().expect("unpoisoned") = Some(Instant::now());
    match kind {
        2 => respond(json!({"items": [], "next_seq_by_run": {}}).to_string().into()),
        _ => respond(body.as_bytes().to_vec().into()),
    }
}

fn respond(body: Body) -> Result<Response<Body>, HttpError> {
    Ok(Response::builder().header("content-type", "application/json").body(body)?)
}
