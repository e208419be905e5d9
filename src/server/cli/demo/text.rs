//! The texts before and after the demo.

use super::story;
use crate::types::RunId;

/// The addresses of the parts.
pub(super) struct Places<'p> {
    pub(super) url: &'p str,
    pub(super) operator: &'p str,
    pub(super) executors: &'p str,
    pub(super) journal: &'p str,
    /// Whether the journal is kept when the demo ends.
    pub(super) journal_kept: bool,
}

pub(super) fn intro(places: &Places<'_>) -> String {
    let Places { url, operator, executors, journal, journal_kept } = places;
    let removed = if *journal_kept { "" } else { "  (removed at the end)" };
    format!(
        "JARVIS Run Coordinator {}: a demo in a single process

  coordinator  {url}
  operator     {operator}  (its operator API)
  web page     {operator}/ui
  executors    {executors}  (atomic and composite, scripted)
  journal      {}{removed}

",
        env!("CARGO_PKG_VERSION"),
        journal
    )
}

/// Without `--keep`.
pub(super) const GOODBYE: &str = "
To try it yourself, run `jarvis-run-coordinator demo --keep`: it keeps the
server running and prints commands for it.
";

/// With `--keep`: commands that work unchanged.
pub(super) fn next_steps(url: &str, operator: &str, run: &RunId) -> String {
    let start = |run: &str, node_type: &str, input: &str| {
        format!(
            "curl {url}/v1/runs -H 'content-type: application/json' -d '{{
    \"run_id\": \"{run}\",
    \"root_node_type_ref\":
      {{\"node_type_id\": \"{node_type}\", \"version\": \"1.0.0\"}},
    \"input\": {input}}}'"
        )
    };
    let poor = start("weekend-2", story::WEEKEND, r#"{"from": "Basel", "to": "Locarno", "budget": 150}"#);
    let nap = start("nap-1", story::NAP, r#"{"seconds": 120}"#);
    format!(
        "
The server keeps running. Its web page, with the run shown above:

  {operator}/ui#/runs/{run}

In another terminal:

  # The health report; whether the server takes requests
  curl {url}/v1/health
  curl {operator}/readyz

  # The run shown above
  curl {url}/v1/runs/{run}

  # The same run with too small a budget, and its events as they happen
  {poor}
  curl -N '{url}/v1/runs/weekend-2/events?follow=1'

  # A long run, and its cancellation
  {nap}
  curl -X POST {url}/v1/runs/nap-1:cancel

Ctrl-C stops the server.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_match_the_golden_file() {
        let (url, operator) = ("http://127.0.0.1:8081", "http://127.0.0.1:8089");
        let mut text = String::new();
        for journal_kept in [false, true] {
            let journal = "/tmp/jarvis-demo-3fa9c1/journal.db";
            text +=
                &intro(&Places { url, operator, executors: "http://127.0.0.1:40123", journal, journal_kept });
        }
        text += GOODBYE;
        text += &next_steps(url, operator, &"weekend-3fa9c1".into());
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        expectorate::assert_contents("tests/output/demo-text.txt", &text);
    }
}
