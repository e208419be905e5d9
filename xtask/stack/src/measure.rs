//! `cargo xtask stack --measure`: the cost of an atomic run with our coordinator and
//! with the Python one, with the same services in the same minute.
//!
//! ```text
//!   one stack ── ours ───┐
//!            └── Python ─┴─▶ the same STS, stores, registry, PDP, executor
//!
//!   counts      one run each on an idle stack
//!   latencies   ours, Python, ours, Python, …: each run is over before the next
//! ```

use std::{
    collections::BTreeMap,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use xtask_support::process::PATIENCE;

use crate::{
    blueprint::{Blueprint, Coordinator},
    part::{Part, client_of, secret_of},
    running::Stack,
};

/// The polling interval for the end of a run.
const LOOK: Duration = Duration::from_millis(5);
/// The query of our own requests, which are not counted.
const OURS_TO_ASK: &str = "measure=1";
const HEALTH: &str = "/v1/health";
const PYTHON_CLIENT: &str = "python-coordinator";
/// The number of events of an atomic run.
const EVENTS: usize = 7;

/// A coordinator under measurement.
struct Subject<'s> {
    name: &'static str,
    stack: &'s Stack,
    client: String,
    /// The tokens of the caller.
    tokens: BTreeMap<Part, String>,
    agent: ureq::Agent,
}

/// The cost of one run.
struct Counts {
    tokens: u64,
    run_store: usize,
    appends: usize,
}

/// Starts both coordinators, measures them, and returns the report.
pub(super) fn measure(blueprint: Blueprint, runs: usize) -> Result<String> {
    let folder = blueprint.folder.clone();
    let ours = Stack::start(blueprint)?;
    let python = Stack::start(python_beside(&ours.blueprint, &folder)?)?;
    let subjects = [
        Subject::new("ours", &ours, &client_of(Part::Coordinator))?,
        Subject::new("Python", &python, PYTHON_CLIENT)?,
    ];
    let mut counts = Vec::new();
    for subject in &subjects {
        // The first run also fills caches; some are filled at the start of the
        // coordinator.
        let mut first = subject.counts(&ours)?;
        first.tokens = ours.token_requests(Some(&subject.client))?;
        counts.push([first, subject.counts(&ours)?]);
    }
    let mut latencies = [Vec::new(), Vec::new()];
    for _ in 0..runs {
        for (subject, latencies) in subjects.iter().zip(&mut latencies) {
            latencies.push(subject.run()?.1);
        }
    }
    Ok(report(&subjects, &counts, &mut latencies))
}

/// The Python coordinator with the same settings at another address.
fn python_beside(ours: &Blueprint, folder: &Path) -> Result<Blueprint> {
    let mut python = ours.beside(&[Part::Coordinator], folder.join("python"))?;
    python.coordinator = Coordinator::Python;
    Ok(python.with(Part::Coordinator, "ARP_AUTH_CLIENT_ID", PYTHON_CLIENT).with(
        Part::Coordinator,
        "ARP_AUTH_CLIENT_SECRET",
        &secret_of(PYTHON_CLIENT),
    ))
}

impl<'s> Subject<'s> {
    fn new(name: &'static str, stack: &'s Stack, client: &str) -> Result<Self> {
        let mut tokens = BTreeMap::new();
        for part in [Part::Coordinator, Part::RunStore, Part::EventStream] {
            tokens.extend(stack.token("a-user", part)?.map(|token| (part, token)));
        }
        let agent = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build().into();
        Ok(Self { name, stack, client: client.to_owned(), tokens, agent })
    }

    /// Runs an atomic run to its end; returns how long start and run took.
    fn run(&self) -> Result<(String, Duration)> {
        let request = json!({
            "root_node_type_ref": {"node_type_id": "jarvis.core.echo", "version": "0.3.8"},
            "input": {"echo": "hello"},
        });
        let mut start = self.agent.post(format!("{}/v1/runs", self.stack.url(Part::Coordinator)));
        if let Some(token) = self.tokens.get(&Part::Coordinator) {
            start = start.header("authorization", format!("Bearer {token}"));
        }
        let begin = Instant::now();
        let run: Value = start.send_json(&request)?.body_mut().read_json()?;
        let latency = begin.elapsed();
        let run = run["run_id"].as_str().context("an answer without a run_id")?.to_owned();
        // The coordinator is not polled meanwhile: each poll costs it calls.
        wait_until("the end of a run in the Run Store", || {
            let run: Value = serde_json::from_str(&self.ask(Part::RunStore, &format!("/v1/runs/{run}"))?)?;
            let state = &run["run"]["state"];
            ensure!(state != "failed", "the run failed: {run}");
            Ok(state == "succeeded")
        })?;
        Ok((run, latency))
    }

    /// Counts the calls of one run, until the stores have everything.
    fn counts(&self, services: &Stack) -> Result<Counts> {
        let calls = |part: Part, route: &str| {
            let log = services.log(part);
            let all = log.count(&["uvicorn.access", route]);
            // The periodic health probes of ours do not belong to a run.
            [OURS_TO_ASK, HEALTH]
                .iter()
                .fold(all, |some, word| some - log.count(&["uvicorn.access", route, word]))
        };
        let now = || {
            let tokens = services.token_requests(Some(&self.client))?;
            let appends = calls(Part::EventStream, "POST /v1/run-events");
            anyhow::Ok(Counts { tokens, run_store: calls(Part::RunStore, "/v1/"), appends })
        };
        let before = now()?;
        let (run, _) = self.run()?;
        wait_until("the last event in the Event Stream", || {
            let events = self.ask(Part::EventStream, &format!("/v1/runs/{run}/events"))?;
            Ok(events.lines().count() >= EVENTS)
        })?;
        let after = now()?;
        Ok(Counts {
            tokens: after.tokens - before.tokens,
            run_store: after.run_store - before.run_store,
            appends: after.appends - before.appends,
        })
    }

    fn ask(&self, part: Part, path: &str) -> Result<String> {
        let mut ask = self.agent.get(format!("{}{path}?{OURS_TO_ASK}", self.stack.url(part)));
        if let Some(token) = self.tokens.get(&part) {
            ask = ask.header("authorization", format!("Bearer {token}"));
        }
        Ok(ask.call()?.body_mut().read_to_string()?)
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let begin = Instant::now();
    while !is_so().with_context(|| what.to_owned())? {
        ensure!(begin.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::park_timeout(LOOK);
    }
    Ok(())
}

fn report(subjects: &[Subject<'_>], counts: &[[Counts; 2]], latencies: &mut [Vec<Duration>]) -> String {
    let mut text = format!("{:<44}", "an atomic run");
    let mut row = |title: &str, cells: Vec<String>| {
        text += &format!("\n{title:<44}");
        cells.iter().for_each(|cell| text += &format!("{cell:>10}"));
    };
    let counted =
        |count: fn(&Counts) -> String, run: usize| counts.iter().map(|both| count(&both[run])).collect();
    row("", subjects.iter().map(|subject| subject.name.to_owned()).collect());
    row("STS requests, start and first run", counted(|counts| counts.tokens.to_string(), 0));
    row("STS requests, next run", counted(|counts| counts.tokens.to_string(), 1));
    row("Run Store calls, next run", counted(|counts| counts.run_store.to_string(), 1));
    row("Event Stream appends, next run", counted(|counts| counts.appends.to_string(), 1));
    latencies.iter_mut().for_each(|all| all.sort_unstable());
    for percent in [50, 99] {
        let title = format!("POST /v1/runs p{percent}, of {}, ms", latencies.first().map_or(0, Vec::len));
        row(&title, latencies.iter().map(|all| milliseconds(percentile(all, percent))).collect());
    }
    text + "\n"
}

/// The percentile of sorted values.
fn percentile(all: &[Duration], percent: usize) -> Duration {
    let rank = (all.len() * percent).div_ceil(100).max(1);
    all.get(rank - 1).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let all: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&all, 50), Duration::from_millis(100));
        assert_eq!(percentile(&all, 99), Duration::from_millis(198));
        assert_eq!(percentile(&all[..1], 99), Duration::from_millis(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
