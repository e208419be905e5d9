//! What the demo says before and after.

use std::path::Path;

use super::story;
use crate::types::RunId;

/// Where everything is.
pub(super) struct Places<'p> {
    pub(super) url: &'p str,
    pub(super) executors: &'p str,
    pub(super) journal: &'p Path,
    /// The journal is left when the demo ends.
    pub(super) journal_stays: bool,
}

pub(super) fn intro(places: &Places<'_>) -> String {
    let Places { url, executors, journal, journal_stays } = places;
    let removed = if *journal_stays { "" } else { "  (removed at the end)" };
    format!(
        "JARVIS Run Coordinator {}: a demo, all of it in this one process

  coordinator  {url}
  executors    {executors}  (atomic and composite, scripted)
  journal      {}{removed}

",
        env!("CARGO_PKG_VERSION"),
        journal.display()
    )
}

/// Without `--keep`.
pub(super) const GOODBYE: &str = "
Now try it yourself: `jarvis-run-coordinator demo --keep` leaves the server up
and tells you what to ask it.
";

/// With `--keep`: commands that work as they stand.
pub(super) fn next_steps(url: &str, run: &RunId) -> String {
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
The server stays up. In another terminal:

  # How is it?
  curl {url}/v1/health

  # The run that you have just seen
  curl {url}/v1/runs/{run}

  # The same on a budget that is too small, and its events as they happen
  {poor}
  curl -N '{url}/v1/runs/weekend-2/events?follow=1'

  # A run that takes long, and its cancellation
  {nap}
  curl -X POST {url}/v1/runs/nap-1:cancel

Ctrl-C ends the server.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_as_checked_in() {
        let url = "http://127.0.0.1:8081";
        let mut words = String::new();
        for journal_stays in [false, true] {
            let journal = Path::new("/tmp/jarvis-demo-3fa9c1/journal.db");
            words += &intro(&Places { url, executors: "http://127.0.0.1:40123", journal, journal_stays });
        }
        words += GOODBYE;
        words += &next_steps(url, &"weekend-3fa9c1".into());
        for line in words.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        expectorate::assert_contents("tests/output/demo-words.txt", &words);
    }
}
