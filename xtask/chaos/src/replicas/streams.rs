//! When all is calm: a run that is started through one replica, followed through each,
//! and canceled through another. All streams are the same, and end soon after the cancel
//! was answered.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{
    api::Api,
    history::History,
    node_types::{self, type_ref},
    testbed::Testbed,
};

/// The limit of each step.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long after the end of its run a stream may end.
const SOON: Duration = Duration::from_secs(5);

/// Does that with each replica as the one where it starts. Adds the runs to `runs`, and
/// returns how long after the cancels the streams ended.
pub(super) fn check(testbed: &Testbed, runs: &mut Vec<String>) -> Result<Vec<Duration>> {
    let apis: Vec<&Arc<Api>> = testbed.each.iter().map(|[api, _]| api).collect();
    let mut times = Vec::new();
    for (first, api) in apis.iter().enumerate() {
        let elsewhere = apis[(first + 1) % apis.len()];
        let start = json!({"root_node_type_ref": type_ref(node_types::DEAF), "input": {}});
        let answer =
            api.insist("/v1/runs", Some(&start), &[200], PATIENCE).context("a run when all is calm")?;
        let run = answer.text("run_id").context("a run")?.to_owned();
        runs.push(run.clone());
        let (canceled, streams) = thread::scope(|scope| {
            let follow = |api| {
                let (run, history) = (run.as_str(), &testbed.history);
                scope.spawn(move || follow(api, run, history))
            };
            let followers: Vec<_> = apis.iter().map(|api| follow(api)).collect();
            // The executor has it: its followers have had their first events, or soon will.
            testbed
                .ledger
                .until(PATIENCE, |book| book.executions.iter().any(|execution| execution.run == run));
            let path = format!("/v1/runs/{run}:cancel");
            elsewhere.insist(&path, Some(&json!({})), &[200], PATIENCE);
            let canceled = Instant::now();
            let streams: Vec<(Vec<Value>, Instant)> =
                followers.into_iter().filter_map(|follower| follower.join().ok()).collect();
            (canceled, streams)
        });
        for (events, ended) in &streams {
            times.push(ended.saturating_duration_since(canceled));
            if times.last().is_some_and(|time| *time > SOON) {
                let what = format!("a stream ended {:?} after a cancel elsewhere", times.last());
                testbed.history.violation("streams", &run, what);
            }
            if events != &streams[0].0 {
                let what = format!("followers differ: {events:?} and {:?}", streams[0].0);
                testbed.history.violation("streams", &run, what);
            }
        }
    }
    Ok(times)
}

/// Follows a run through one replica until its end. Returns when that was there.
fn follow(api: &Api, run: &str, history: &History) -> (Vec<Value>, Instant) {
    let (begin, mut events, mut over) = (Instant::now(), Vec::<Value>::new(), false);
    while !over && begin.elapsed() < PATIENCE {
        let last = events.last().and_then(|event| event["seq"].as_u64()).unwrap_or(0);
        api.follow(run, last, |event| {
            over |= event["type"] == "run_completed";
            events.push(event);
        });
    }
    if !over {
        history.violation("streams", run, format!("not over after {PATIENCE:?}: {} events", events.len()));
    }
    (events, Instant::now())
}
