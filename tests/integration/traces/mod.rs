//! Traces as a collector gets them.
//!
//! ```text
//!   caller ── traceparent ──▶ server ── traceparent ──▶ executors, policy point
//!                                └── OTLP ──▶ collector: one tree a run
//! ```

mod crash;
mod export;
mod shape;

use serde_json::{Value, json};

use crate::support::collector::Span;

/// The span of a caller, which its requests name.
const CALLER_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER_SPAN: &str = "00f067aa0ba902b7";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Says which kind the types of the tests have, and that atomic ones only read.
fn registry(path: &str, _: &Value) -> Value {
    let id = path.rsplit('/').next().unwrap_or_default();
    let kind = if id.starts_with("composite.") { "composite" } else { "atomic" };
    let extensions = json!({"jarvis.side_effect": "read"});
    json!({"node_type_id": id, "version": "1.0.0", "kind": kind, "extensions": extensions})
}

/// The span with this name, which is there once.
fn named<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let found: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
    match found[..] {
        [span] => span,
        _ => panic!("{name}: {found:#?} of {:?}", names(spans)),
    }
}

fn names(spans: &[Span]) -> Vec<&str> {
    let mut names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    names
}

/// Whether the span of the whole run is among these.
fn is_over(spans: &[Span]) -> bool {
    spans.iter().any(|span| span.name.starts_with("invoke_workflow "))
}

/// The spans of runs: all but those of requests and calls.
fn of_records(spans: Vec<Span>) -> Vec<Span> {
    spans.into_iter().filter(|span| span.attributes.contains_key("arp.run.id")).collect()
}

/// Checks that all spans are of one trace, and each but those below `root` has its
/// parent among them.
fn assert_tree(spans: &[Span], trace: &str, root: &str) {
    for span in spans {
        assert_eq!(span.trace, trace, "{span:#?}");
        let has_parent = span.parent == root || spans.iter().any(|other| other.id == span.parent);
        assert!(has_parent, "{span:#?}\nof {:?}", names(spans));
        assert!(span.start <= span.end, "{span:#?}");
    }
}
