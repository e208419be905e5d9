//! The messages of the ARP Standard that the bench sends and reads, as short as they may be.
//!
//! ```text
//!   client ──POST /v1/runs──────────────────▶ coordinator ──…:execute──▶ executor
//!          ◀─Run───────────────────────────             ◀─succeeded────
//!          ──GET …/events?follow=1──────────▶
//!          ◀─its lines, up to run_completed─
//! ```

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{self, Duration};

use crate::http::{Connection, member};

/// A node run, or what names one.
#[derive(Debug, Deserialize)]
pub(crate) struct Child {
    pub(crate) node_run_id: String,
    #[serde(default)]
    pub(crate) state: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct NodeRuns {
    pub(crate) node_runs: Vec<Child>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Run {
    pub(crate) run_id: String,
    pub(crate) root_node_run_id: String,
    #[serde(default)]
    pub(crate) state: String,
}

/// Words of a line of events. Reading the whole line as JSON would cost the client more than
/// the coordinator has spent on it.
pub(crate) struct Words(&'static [u8]);

pub(crate) const ENDS_OF_ATOMICS: Words = Words(br#""type":"atomic_executed""#);
pub(crate) const RUN_COMPLETED: Words = Words(br#""type":"run_completed""#);
pub(crate) const SUCCEEDED: Words = Words(br#""state":"succeeded""#);

impl Words {
    pub(crate) fn find(&self, line: &[u8]) -> Option<usize> {
        line.windows(self.0.len()).position(|window| window == self.0)
    }
}

/// A request that starts a run.
pub(crate) fn start_request(node_type: &str, version: &str, input: &Value) -> String {
    json!({"root_node_type_ref": {"node_type_id": node_type, "version": version}, "input": input}).to_string()
}

pub(crate) async fn start(connection: &mut Connection, request: &str) -> Result<Run> {
    member(&connection.post("/v1/runs", request.to_owned()).await?)
}

/// How a client learns that its run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Await {
    /// It follows the run's events.
    Follow,
    /// It asks for the run again and again.
    Poll(Duration),
}

/// Starts a run and waits until it has succeeded.
pub(crate) async fn run_to_end(connection: &mut Connection, request: &str, how: Await) -> Result<()> {
    let run = start(connection, request).await?;
    match how {
        Await::Follow => {
            let path = format!("/v1/runs/{}/events?follow=1", run.run_id);
            let events = connection.get(&path).await?;
            let last = events.trim_ascii_end().rsplit(|byte| *byte == b'\n').next();
            let last = last.context("a last line")?;
            let ended = RUN_COMPLETED.find(last).is_some() && SUCCEEDED.find(last).is_some();
            ensure!(ended, "{}", String::from_utf8_lossy(&events));
        }
        Await::Poll(pause) => {
            let path = format!("/v1/runs/{}", run.run_id);
            loop {
                let now: Run = member(&connection.get(&path).await?)?;
                match now.state.as_str() {
                    "succeeded" => break,
                    "failed" | "canceled" => bail!("the run has ended as {}", now.state),
                    _ => time::sleep(pause).await,
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_anywhere_in_a_line() {
        let line = br#"{"data":{"state":"succeeded"},"run_id":"r","seq":7,"type":"run_completed"}"#;
        assert!(RUN_COMPLETED.find(line).is_some() && SUCCEEDED.find(line).is_some());
        assert_eq!(ENDS_OF_ATOMICS.find(line), None);
        assert_eq!(ENDS_OF_ATOMICS.find(b""), None);
    }
}
