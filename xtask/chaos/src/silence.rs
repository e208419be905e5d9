//! Composites whose executor is silent: their plan was abandoned, or they were
//! accepted and that was all. Counts them by their events, and checks that each was
//! restarted at most once, and only before it had children.
//!
//! The simulator proves that each of them ends in time; here the processes are
//! killed too often for that, because the silence is counted from the start.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use serde_json::Value;

use super::{history::Violation, rest::Stored};

const SILENT: &str = "composite_executor_silent";

/// The number of silent composites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Silent {
    pub(super) restarted: usize,
    pub(super) given_up: usize,
}

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} restarted, {} given up", self.restarted, self.given_up)
    }
}

/// The state of a composite so far.
#[derive(Default)]
struct Seen {
    restarted: usize,
    has_children: bool,
}

/// Reads all events.
pub(super) fn look(stored: &[Stored]) -> (Silent, Vec<Violation>) {
    let (mut silent, mut violations) = (Silent::default(), Vec::new());
    for run in stored {
        let mut nodes: BTreeMap<&str, Seen> = BTreeMap::new();
        for event in &run.events {
            let Some(id) = event["node_run_id"].as_str() else { continue };
            let seen = nodes.entry(id).or_default();
            let mut broken = |what: &str| {
                violations.push(Violation {
                    rule: "silent",
                    subject: id.to_owned(),
                    what: format!("{what}: {event}"),
                });
            };
            match (event["type"].as_str(), action(event)) {
                (Some("composite_decomposed"), _) => seen.has_children = true,
                (_, Some("retry")) => {
                    silent.restarted += 1;
                    seen.restarted += 1;
                    if seen.restarted > 1 {
                        broken("the composite was restarted more than once");
                    }
                    if seen.has_children {
                        broken("the composite was restarted although it has children");
                    }
                }
                (_, Some("abort")) => {
                    silent.given_up += 1;
                    if run.nodes.get(id).is_some_and(|node| node["state"] != "failed") {
                        broken("the composite was given up and has not failed");
                    }
                }
                _ => {}
            }
        }
    }
    (silent, violations)
}

/// The recovery action of an event, if silence was its reason.
fn action(event: &Value) -> Option<&str> {
    let data = &event["data"];
    (event["type"] == "recovery_applied" && data["extensions"]["jarvis.code"] == SILENT)
        .then(|| data["type"].as_str())
        .flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(type_: &str, action: &str) -> Value {
        json!({"type": type_, "node_run_id": "n", "data": {
            "type": action, "extensions": {"jarvis.code": SILENT},
        }})
    }

    fn looked(events: Vec<Value>, state: &str) -> (Silent, usize) {
        let nodes = BTreeMap::from([("n".to_owned(), json!({ "state": state }))]);
        let stored = Stored { id: "r".into(), run: None, events, nodes };
        let (silent, violations) = look(&[stored]);
        (silent, violations.len())
    }

    #[test]
    fn silent_composites_restart_once_before_they_have_children() {
        let (retry, abort) = (|| event("recovery_applied", "retry"), || event("recovery_applied", "abort"));
        let children = || event("composite_decomposed", "");
        let silent = |restarted, given_up| Silent { restarted, given_up };
        assert_eq!(looked(vec![retry(), abort()], "failed"), (silent(1, 1), 0));
        assert_eq!(looked(vec![retry(), children()], "succeeded"), (silent(1, 0), 0));
        assert_eq!(looked(vec![retry(), retry()], "failed"), (silent(2, 0), 1));
        assert_eq!(looked(vec![children(), retry()], "failed"), (silent(1, 0), 1));
        assert_eq!(looked(vec![abort()], "succeeded"), (silent(0, 1), 1));
        let other = json!({"type": "recovery_applied", "node_run_id": "n", "data": {"type": "retry"}});
        assert_eq!(looked(vec![other.clone(), other], "failed"), (silent(0, 0), 0));
    }
}
