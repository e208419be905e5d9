//! The load bench: runs of one node, from the start to `succeeded`, on the real binary
//! with a durable journal and a fast executor on loopback.
//!
//! ```text
//!   cargo bench --bench load            each number of clients for 8 seconds
//!   cargo bench --bench load -- 5       each for 5 seconds
//!   cargo bench --bench load -- traces  the same, with all runs traced to a collector
//!   cargo bench --bench load -- postgres             on a private PostgreSQL
//!   cargo bench --bench load -- postgres replicas=3  the clients share three coordinators
//! ```
//!
//! The speed of disks and machines varies by an order of magnitude, so the rate of
//! bare `fdatasync` calls is measured in the same minute, and the rate of runs is also
//! given as a ratio to it. The bench asserts no figure.

mod process;

use std::{
    fs::File,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use dropshot::{
    ApiDescription, Body, ConfigDropshot, HttpError, HttpServer, RequestContext, ServerBuilder, UntypedBody,
    endpoint,
};
use http::Response;
use serde_json::{Value, json};
use slog::{Discard, Logger, o};

use self::process::{Coordinator, database::Database, executor::fast_executor};

const CLIENTS: [usize; 3] = [1, 16, 64];

fn main() {
    let seconds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(8);
    let has = |wanted: &str| std::env::args().any(|word| word == wanted);
    let replicas = std::env::args().find_map(|word| word.strip_prefix("replicas=")?.parse().ok());
    let setting =
        Setting { traced: has("traces"), postgres: has("postgres"), replicas: replicas.unwrap_or(1) };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure(Duration::from_secs(seconds), &setting));
}

/// A collector that takes everything.
fn collector() -> HttpServer<()> {
    let mut api = ApiDescription::new();
    api.register(spans).expect("a sound API");
    let config = ConfigDropshot { default_request_body_max_bytes: 16 << 20, ..ConfigDropshot::default() };
    let server = ServerBuilder::new(api, (), Logger::root(Discard, o!())).config(config);
    server.start().expect("the collector listens")
}

#[endpoint { method = POST, path = "/v1/traces" }]
async fn spans(_: RequestContext<()>, _: UntypedBody) -> Result<Response<Body>, HttpError> {
    Ok(Response::new(Body::empty()))
}

struct Setting {
    traced: bool,
    postgres: bool,
    /// Coordinators, of which each client uses one.
    replicas: usize,
}

async fn measure(each: Duration, &Setting { traced, postgres, replicas }: &Setting) {
    let executor = fast_executor();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on the disk");
    let executor_url = format!("http://{}", executor.local_addr());
    let started = Instant::now();
    let collector = traced.then(collector);
    let collector_url = collector.as_ref().map(|server| format!("http://{}", server.local_addr()));
    let mut vars = vec![("JARVIS_ATOMIC_EXECUTOR_URL", executor_url.as_str())];
    vars.extend(collector_url.as_deref().map(|url| ("OTEL_EXPORTER_OTLP_ENDPOINT", url)));
    let database = if postgres { Some(Database::start().await) } else { None };
    let coordinators: Vec<Coordinator> = match &database {
        Some(database) => {
            (0..replicas).map(|_| Coordinator::on(&database.url(), folder.path(), &vars)).collect()
        }
        None => vec![Coordinator::start(folder.path(), &vars)],
    };
    let http = reqwest::Client::new();
    run_to_end(&http, &coordinators[0].url).await;
    println!(
        "cold start to the first run accepted and ended: {:.0} ms",
        started.elapsed().as_secs_f64() * 1e3
    );
    println!("resident memory, idle: {:.1} MiB", coordinators[0].resident_mib());
    println!();
    println!("clients   runs/s   p50 ms   p99 ms   CPU ms/run   fdatasync/s   runs per fdatasync");
    for clients in CLIENTS {
        let fsyncs = fdatasync_rate(folder.path());
        let load = Arc::new(Load {
            coordinators: coordinators.iter().map(|coordinator| coordinator.url.clone()).collect(),
            http: http.clone(),
            done: AtomicU64::new(0),
        });
        let all_cpu = || coordinators.iter().map(Coordinator::cpu).sum::<Duration>();
        let spent = match &database {
            Some(database) => Some((database, database.spent().await)),
            None => None,
        };
        let (cpu, began) = (all_cpu(), Instant::now());
        let clients_at_work = (0..clients).map(|number| Arc::clone(&load).client(number, began + each));
        let mut times = futures::future::join_all(clients_at_work).await.concat();
        let elapsed = began.elapsed().as_secs_f64();
        times.sort();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        let runs = load.done.load(Ordering::Relaxed) as f64;
        println!(
            "{clients:>7}   {:>6.0}   {:>6.2}   {:>6.2}   {:>10.3}   {fsyncs:>11.0}   {:>18.2}",
            runs / elapsed,
            at(0.5),
            at(0.99),
            (all_cpu() - cpu).as_secs_f64() * 1e3 / runs,
            runs / elapsed / fsyncs,
        );
        if let Some((database, before)) = spent {
            let now = database.spent().await;
            println!(
                "          of the database, each run: {:.3} ms CPU, {:.2} flushes, {:.1} KiB of log",
                (now.cpu - before.cpu).as_secs_f64() * 1e3 / runs,
                (now.flushes - before.flushes) / runs,
                (now.wal_kib - before.wal_kib) / runs,
            );
        }
    }
    println!();
    println!("resident memory, afterwards: {:.1} MiB", coordinators[0].resident_mib());
}

struct Load {
    coordinators: Vec<String>,
    http: reqwest::Client,
    done: AtomicU64,
}

impl Load {
    /// Makes one run after the other until `until`; returns their times.
    async fn client(self: Arc<Self>, number: usize, until: Instant) -> Vec<Duration> {
        let mut times = Vec::new();
        while Instant::now() < until {
            let began = Instant::now();
            run_to_end(&self.http, &self.coordinators[number % self.coordinators.len()]).await;
            times.push(began.elapsed());
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        times
    }
}

/// Starts a run and follows its events until they end.
async fn run_to_end(http: &reqwest::Client, url: &str) {
    let request =
        json!({"root_node_type_ref": {"node_type_id": "atomic.fast", "version": "1"}, "input": {"n": 1}});
    let started = http.post(format!("{url}/v1/runs")).json(&request).send().await.expect("an answer");
    let run: Value = started.json().await.expect("a Run");
    let id = run["run_id"].as_str().expect("a run_id");
    let events = http.get(format!("{url}/v1/runs/{id}/events?follow=1")).send().await.expect("a stream");
    let events = events.text().await.expect("its lines");
    assert!(events.trim_end().ends_with(r#""type":"run_completed"}"#), "{events}");
    assert!(events.contains(r#"{"state":"succeeded"}"#), "{events}");
}

/// The rate at which one writer can append to a file and wait for the disk.
fn fdatasync_rate(folder: &std::path::Path) -> f64 {
    let mut file = File::create(folder.join("fsync")).expect("a file");
    let (began, mut times) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(1) {
        file.write_all(&[7; 4096]).expect("written");
        file.sync_data().expect("synced");
        times += 1;
    }
    f64::from(times) / began.elapsed().as_secs_f64()
}
