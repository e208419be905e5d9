//! The overload bench: ten times the load that the limits allow, held for a
//! minute, on the real binary with a durable journal. Meanwhile runs are read and
//! canceled.
//!
//! ```text
//!   cargo bench --bench overload            each kind of overload for 60 seconds
//!   cargo bench --bench overload -- 5       each for 5 seconds
//! ```
//!
//! | overload | limit | load |
//! |---|---|---|
//! | of a caller | 500 requests per second | 5,000 starts per second |
//! | of the server | 8 concurrent requests | 80 callers, each starting one run after the other |
//!
//! It asserts no figure, but that each answer is a success, or an ARP envelope of
//! a refusal that says which limit is reached and when to come back.

#![expect(clippy::disallowed_methods, reason = "a bench measures the machine's own time, and waits for it")]

mod process;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use self::process::Coordinator;

const RATE: u32 = 500;
const PLACES: usize = 8;
/// How often a run is read, and one is canceled.
const READ_EVERY: Duration = Duration::from_millis(50);
const CANCEL_EVERY: Duration = Duration::from_millis(100);

/// An overload: what the server is set to, and who calls it.
struct Overload {
    title: &'static str,
    vars: Vec<(&'static str, String)>,
    callers: usize,
    /// The time between two calls of a caller; without it the answer is waited for.
    pace: Option<Duration>,
}

/// The answers to one kind of requests.
#[derive(Default)]
struct Answers {
    accepted: Vec<Duration>,
    rate_limited: u64,
    overloaded: u64,
}

fn main() {
    let seconds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(60);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let callers = 100;
    let overloads = [
        Overload {
            title: "a caller at ten times its rate",
            vars: vec![("JARVIS_RUN_COORDINATOR_RATE_PER_PRINCIPAL", RATE.to_string())],
            callers,
            pace: Some(Duration::from_secs(1) * callers as u32 / (10 * RATE)),
        },
        Overload {
            title: "the server at ten times its places",
            vars: vec![("JARVIS_RUN_COORDINATOR_MAX_REQUESTS", PLACES.to_string())],
            callers: 10 * PLACES,
            pace: None,
        },
    ];
    for overload in overloads {
        runtime.block_on(measure(&overload, Duration::from_secs(seconds)));
    }
}

async fn measure(overload: &Overload, lasting: Duration) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on the disk");
    let mut vars = vec![("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "off")];
    vars.extend(overload.vars.iter().map(|(name, value)| (*name, value.as_str())));
    let coordinator = Arc::new(Coordinator::start(folder.path(), &vars));
    let url: Arc<str> = coordinator.url.as_str().into();
    let http = Client::new();
    let to_cancel = plant(&http, &url, (lasting.as_millis() / CANCEL_EVERY.as_millis()) as usize).await;
    let (idle, cpu, began) = (coordinator.resident_mib(), coordinator.cpu(), Instant::now());
    let until = began + lasting;

    let flood = join_all((0..overload.callers).map(|_| {
        let (http, url, pace) = (http.clone(), Arc::clone(&url), overload.pace);
        tokio::spawn(
            async move { call(pace, until, || http.post(format!("{url}/v1/runs")).json(&start())).await },
        )
    }));
    // They have connections of their own.
    let (reader, canceler) = (Client::new(), Client::new());
    let read = format!("{url}/v1/runs/{}", to_cancel[0]);
    let reads = tokio::spawn(async move { call(Some(READ_EVERY), until, || reader.get(&read)).await });
    let cancels = {
        let (url, mut runs) = (Arc::clone(&url), to_cancel.into_iter());
        tokio::spawn(async move {
            let next = || Some(canceler.post(format!("{url}/v1/runs/{}:cancel", runs.next()?)));
            call_while(Some(CANCEL_EVERY), until, next).await
        })
    };
    let (flood, reads, cancels) = tokio::join!(flood, reads, cancels);
    let seconds = began.elapsed().as_secs_f64();
    let cpu = (coordinator.cpu() - cpu).as_secs_f64() / seconds;

    let mut starts = Answers::default();
    flood.into_iter().for_each(|answers| starts.add(answers.expect("no panic")));
    println!("{}, for {seconds:.0} s", overload.title);
    println!(
        "             answers/s   accepted   429 rate_limited   503 overloaded   p50 ms   p99 ms   max ms"
    );
    starts.print("starts", seconds);
    reads.expect("no panic").print("reads", seconds);
    cancels.expect("no panic").print("cancels", seconds);
    println!(
        "server: {idle:.1} MiB before, {:.1} MiB at the peak, {:.1} MiB afterwards, {:.0} % of a core",
        coordinator.peak_mib(),
        coordinator.resident_mib(),
        cpu * 100.0
    );
    println!("each of the {} refusals was an ARP envelope with the limit and Retry-After", starts.refused());
    println!();
}

fn start() -> Value {
    json!({"root_node_type_ref": {"node_type_id": "composite.x", "version": "1"}, "input": {"n": 1}})
}

/// Starts runs that can be canceled; returns their ids.
async fn plant(http: &Client, url: &str, runs: usize) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < runs.max(1) {
        let answer = http.post(format!("{url}/v1/runs")).json(&start()).send().await.expect("an answer");
        if answer.status() == 200 {
            let run: Value = answer.json().await.expect("a Run");
            ids.push(run["run_id"].as_str().expect("an id").to_owned());
        }
    }
    ids
}

async fn call(
    pace: Option<Duration>,
    until: Instant,
    mut request: impl FnMut() -> RequestBuilder,
) -> Answers {
    call_while(pace, until, || Some(request())).await
}

/// Sends one request after the other until `until`.
async fn call_while(
    pace: Option<Duration>,
    until: Instant,
    mut request: impl FnMut() -> Option<RequestBuilder>,
) -> Answers {
    let mut answers = Answers::default();
    let mut ticks = pace.map(|pace| {
        let mut ticks = interval(pace);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        ticks
    });
    while Instant::now() < until {
        if let Some(ticks) = &mut ticks {
            ticks.tick().await;
        }
        let Some(request) = request() else { break };
        let began = Instant::now();
        let answer = request.send().await.expect("an answer");
        let (status, retry_after) = (answer.status().as_u16(), answer.headers().get("retry-after").cloned());
        let body: Value = answer.json().await.expect("JSON");
        let code = match status {
            200 => {
                answers.accepted.push(began.elapsed());
                continue;
            }
            429 => {
                answers.rate_limited += 1;
                "rate_limited"
            }
            503 => {
                answers.overloaded += 1;
                "overloaded"
            }
            other => panic!("{other}: {body}"),
        };
        let seconds = retry_after.and_then(|seconds| seconds.to_str().ok()?.parse::<u64>().ok());
        assert!(seconds.is_some_and(|seconds| seconds > 0), "{seconds:?}");
        let error = &body["error"];
        assert!(error["code"] == code && error["retryable"] == true, "{body}");
        assert!(error["details"]["limit"]["value"].is_u64(), "{body}");
    }
    answers
}

impl Answers {
    fn add(&mut self, other: Self) {
        self.accepted.extend(other.accepted);
        self.rate_limited += other.rate_limited;
        self.overloaded += other.overloaded;
    }

    fn refused(&self) -> u64 {
        self.rate_limited + self.overloaded
    }

    fn print(&self, what: &str, seconds: f64) {
        let mut times = self.accepted.clone();
        times.sort();
        let at = |share: f64| {
            let time = times.get((times.len().saturating_sub(1) as f64 * share) as usize);
            time.map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        println!(
            "{what:<10}   {:>9.0}   {:>8}   {:>16}   {:>14}   {:>6.2}   {:>6.2}   {:>6.1}",
            (times.len() as u64 + self.refused()) as f64 / seconds,
            times.len(),
            self.rate_limited,
            self.overloaded,
            at(0.5),
            at(0.99),
            at(1.0),
        );
    }
}
