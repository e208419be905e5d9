//! Composites whose executor has gone: their plan was left alone, or they were
//! accepted and no more. What the events tell of them, and that it is in order:
//! begun again once at most, and only before there were children.
//!
//! That each of them ends in time, the simulator proves; here processes die so
//! often that their silence begins again and again.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use serde_json::Value;

use super::{history::Violation, rest::Stored};

const SILENT: &str = "composite_executor_silent";

/// How many there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Silent {
    pub(super) begun_again: usize,
    pub(super) given_up: usize,
}

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} begun again, {} given up", self.begun_again, self.given_up)
    }
}

/// What became of a composite so far.
#[derive(Default)]
struct Seen {
    begun_again: usize,
    has_children: bool,
}

/// Looks through all events.
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
                    silent.begun_again += 1;
                    seen.begun_again += 1;
                    if seen.begun_again > 1 {
                        broken("it was begun again more than once");
                    }
                    if seen.has_children {
                        broken("it was begun again although it has children");
                    }
                }
                (_, Some("abort")) => {
                    silent.given_up += 1;
                    if run.nodes.get(id).is_some_and(|node| node["state"] != "failed") {
                        broken("it was given up, and has not failed");
                    }
                }
                _ => {}
            }
        }
    }
    (silent, violations)
}

/// What was done, if it was for silence.
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
    fn what_is_silent_is_begun_again_once_before_it_has_children() {
        let (retry, abort) = (|| event("recovery_applied", "retry"), || event("recovery_applied", "abort"));
        let children = || event("composite_decomposed", "");
        let silent = |begun_again, given_up| Silent { begun_again, given_up };
        assert_eq!(looked(vec![retry(), abort()], "failed"), (silent(1, 1), 0));
        assert_eq!(looked(vec![retry(), children()], "succeeded"), (silent(1, 0), 0));
        assert_eq!(looked(vec![retry(), retry()], "failed"), (silent(2, 0), 1));
        assert_eq!(looked(vec![children(), retry()], "failed"), (silent(1, 0), 1));
        assert_eq!(looked(vec![abort()], "succeeded"), (silent(0, 1), 1));
        let other = json!({"type": "recovery_applied", "node_run_id": "n", "data": {"type": "retry"}});
        assert_eq!(looked(vec![other.clone(), other], "failed"), (silent(0, 0), 0));
    }
}
