//! The texts before and after the demo.

use serde_json::Value;

use super::{
    approval::{REASON, Waited},
    story,
};
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

/// After the run: what it waited for, and what it was refused.
pub(super) fn what_it_showed(waited: &Waited, account: &Value) -> String {
    let Waited { sentence, command } = waited;
    let chf = |of: &str| format!("{:.0}", account[of]["cost"].as_f64().unwrap_or_default());
    format!(
        "
The booking waited for an approval. `runs explain` said so, and what to do:

  {sentence}
  {command}

The demo approved it (\"{}\"); the web page has a button for that.
The budget held: {} of {} CHF are spent, so dinner was refused, and the
plan went on without it.
",
        REASON,
        chf("used"),
        chf("limit"),
    )
}

/// Without `--keep`.
pub(super) const GOODBYE: &str = "
To try it yourself, run `jarvis-run-coordinator demo --keep`: it keeps the
server and its web page running and prints commands for them.
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
    let yours = start("weekend-3", story::WEEKEND, r#"{"from": "Bern", "to": "Lugano", "budget": 300}"#);
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

  # A run whose booking waits for you: the web page has a button, and the
  # second command says why it waits and what to do
  {yours}
  jarvis-run-coordinator runs explain weekend-3 \\
    --operator-url {operator}

  # A long run, and its cancellation
  {nap}
  curl -X POST {url}/v1/runs/nap-1:cancel

Ctrl-C stops the server.
"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
        let approval = "node_run_5c1e0f6f0a8d4c9e9b1f8a7d3e2b6c40.1";
        let waited = Waited {
            sentence: format!("The node waits for the approval {approval}"),
            command: format!("jarvis-run-coordinator approvals approve {approval} --reason TEXT"),
        };
        let account = json!({"used": {"cost": 300.0}, "limit": {"cost": 300.0}});
        text += &what_it_showed(&waited, &account);
        text += GOODBYE;
        text += &next_steps(url, operator, &"weekend-3fa9c1".into());
        for line in text.lines() {
            // Except for what is copied as a whole.
            let is_whole = line.contains("approvals approve");
            assert!(is_whole || line.chars().count() <= 80, "{line}");
        }
        expectorate::assert_contents("tests/output/demo-text.txt", &text);
    }
}
