//! After the faults: waits until everything is at rest, and then reads the final
//! state from the coordinator.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{api::Api, history::is_terminal, ledger::Ledger, signal::Signals};

/// How often the runs are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long a call may be repeated.
const PATIENCE: Duration = Duration::from_secs(20);

/// The final state of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    pub(super) id: String,
    /// `None`: the coordinator does not know the run.
    pub(super) run: Option<Value>,
    pub(super) events: Vec<Value>,
    /// The NodeRuns that the events name.
    pub(super) nodes: BTreeMap<String, Value>,
}

pub(super) struct Rest<'r> {
    pub(super) api: &'r Api,
    pub(super) signals: &'r Signals,
    pub(super) ledger: &'r Ledger,
}

impl Rest<'_> {
    /// Waits until these runs are over and no executor is at work, for at most
    /// this time. Returns how long it took, or `None`.
    pub(super) fn wait(&self, runs: &[String], most: Duration) -> Option<Duration> {
        let begin = Instant::now();
        let mut left = runs.to_vec();
        while begin.elapsed() < most {
            left.retain(|run| !self.is_over(run));
            if left.is_empty() && self.ledger.until(LOOK, |book| book.at_work().next().is_none()) {
                return Some(begin.elapsed());
            }
            if self.signals.over.raised_within(LOOK) {
                break;
            }
        }
        None
    }

    /// Whether the run is over or was never started.
    fn is_over(&self, run: &str) -> bool {
        let answer = self.api.ask(&format!("/v1/runs/{run}"), None, &[200, 404]);
        answer.is_some_and(|answer| answer.status == 404 || answer.text("state").is_some_and(is_terminal))
    }

    /// Reads everything about these runs.
    pub(super) fn collect(&self, runs: &[String]) -> Vec<Stored> {
        runs.iter().map(|run| self.stored(run)).collect()
    }

    fn stored(&self, run: &str) -> Stored {
        let mut stored = Stored { id: run.to_owned(), ..Stored::default() };
        let get = |path: &str| {
            let answer = self.api.insist(path, None, &[200, 404], PATIENCE)?;
            (answer.status == 200).then_some(answer.body)
        };
        stored.run = get(&format!("/v1/runs/{run}"));
        if stored.run.is_none() {
            return stored;
        }
        stored.events = match get(&format!("/v1/runs/{run}/events")) {
            Some(Value::String(lines)) => {
                lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
            }
            // A single line is JSON by itself.
            Some(event) => vec![event],
            None => Vec::new(),
        };
        let mut ids: Vec<&str> =
            stored.events.iter().filter_map(|event| event["node_run_id"].as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        stored.nodes = ids
            .into_iter()
            .filter_map(|id| Some((id.to_owned(), get(&format!("/v1/node-runs/{id}"))?)))
            .collect();
        stored
    }
}
