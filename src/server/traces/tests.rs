//! Spans of sample records.

use super::{
    records::ended_by,
    span::{Ended, Kind, Names, Span, SpanStatus, Value},
};
use crate::{
    journal::conformance::{at, node, start},
    record::{AttemptNote, AttemptOutcome, AttemptRecord, ChangeSet, NodeRecord, RunTrace},
    types::{
        Error, NodeRunState, RunState,
        trace::{TraceParent, TraceState},
    },
};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn trace(header: &str) -> Option<Box<RunTrace>> {
    let parent = TraceParent::parse(header).expect("a traceparent");
    let trace = RunTrace::continuing(parent, TraceState::parse("a=1"));
    Some(Box::new(RunTrace { requested_at: Some(at(-5)), ..trace }))
}

/// The first changes of a run whose trace this header names.
fn started(header: &str) -> ChangeSet {
    let mut changes = start("a");
    let run = changes.run.as_mut().expect("a run");
    run.trace = trace(header);
    changes
}

/// Later changes of that run.
fn later(micros: i64) -> ChangeSet {
    let mut changes = started(PARENT);
    changes.at = at(micros);
    changes.run.as_mut().expect("a run").version = 1;
    changes.nodes.clear();
    changes.events.clear();
    changes
}

/// The node at this path, at its executor for the `attempt`th time since 10 times
/// that.
fn attempted(path: &str, attempt: u32) -> NodeRecord {
    let mut record = node("a", path);
    record.version = 1;
    record.attempt = attempt;
    record.retries = attempt - 1;
    record.node.started_at = Some(at(10));
    record.attempt_started_at = (attempt > 1).then(|| at(10 * i64::from(attempt)));
    record.note = Some(Box::new(AttemptNote {
        at: at(10 * i64::from(attempt)),
        action: "node.run.execute".into(),
        decision: "allow".into(),
        reason_code: None,
        executor: Some("here".into()),
    }));
    record
}

fn over(mut record: NodeRecord, state: NodeRunState, micros: i64) -> NodeRecord {
    record.node.state = state;
    record.node.ended_at = Some(at(micros));
    record.wake = None;
    record
}

fn spans(changes: &ChangeSet) -> Vec<Span> {
    let all = ended_by(changes, Names::default());
    assert_eq!(all, ended_by(changes, Names::default()), "the same records make the same spans");
    let span = |ended| match ended {
        Ended::Span(span) => Some(*span),
        Ended::Node { .. } | Ended::Run { .. } => None,
    };
    all.into_iter().filter_map(span).collect()
}

fn times(span: &Span) -> (i64, i64) {
    (span.start.as_micros(), span.end.as_micros())
}

fn attribute<'s>(span: &'s Span, name: &str) -> Option<&'s Value> {
    span.attributes.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[test]
fn start_of_a_run_is_a_short_span_below_the_callers() {
    let spans = spans(&started(PARENT));
    let [accepted] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(
        (accepted.name.as_str(), accepted.kind, times(accepted)),
        ("run accepted", Kind::Server, (-5, 1))
    );
    assert_eq!(accepted.parent.map(|parent| parent.to_string()), Some("00f067aa0ba902b7".into()));
    assert_eq!(accepted.state.as_str(), "a=1");
    assert_eq!(attribute(accepted, "arp.run.id"), Some(&Value::text("a")));
}

#[test]
fn nothing_is_made_of_a_run_without_a_recorded_trace() {
    for header in [None, Some(PARENT.replace("-01", "-00"))] {
        let mut changes = started(PARENT);
        changes.run.as_mut().expect("a run").trace = header.as_deref().and_then(trace);
        assert_eq!(ended_by(&changes, Names::default()), [], "{header:?}");
    }
}

#[test]
fn each_attempt_is_a_span_when_it_is_over() {
    // The first fails, and another is to follow.
    let mut failed = later(15);
    let waiting = NodeRecord { retries: 1, ..attempted("1.2", 1) };
    failed.attempts = vec![AttemptRecord {
        node_run_id: waiting.id().clone(),
        run_id: "a".into(),
        attempt: 1,
        started_at: at(10),
        ended_at: at(15),
        outcome: AttemptOutcome::Failed {
            error: Error::new("busy", "m"),
            retry_at: at(20),
            may_have_begun: false,
        },
        because: None,
        note: waiting.note.clone(),
    }];
    failed.nodes = vec![waiting.clone()];
    let first = spans(&failed).remove(0);
    assert_eq!((times(&first), first.kind), ((10, 15), Kind::Client));
    assert_eq!(first.status, SpanStatus::Error("busy".into()));
    let events: Vec<_> = first.events.iter().map(|event| event.name).collect();
    assert_eq!(events, ["policy decision", "retry scheduled"]);

    // The node ends while it waits for the next: no attempt ends with it.
    let mut canceled = later(18);
    canceled.nodes = vec![over(waiting, NodeRunState::Canceled, 18)];
    assert_eq!(spans(&canceled), []);

    // The second ends with the node.
    let mut ended = later(30);
    ended.nodes = vec![over(attempted("1.2", 2), NodeRunState::Succeeded, 30)];
    let second = spans(&ended).remove(0);
    assert_eq!((times(&second), &second.status), ((20, 30), &SpanStatus::Unset));
    assert_eq!((second.trace_id, second.parent), (first.trace_id, first.parent));
    assert!(second.span_id != first.span_id);
    assert_eq!(attribute(&second, "arp.attempt"), Some(&Value::Number(2)));
    assert_eq!(attribute(&second, "arp.executor.id"), Some(&Value::text("here")));
}

#[test]
fn attempt_that_is_lost_with_its_node_is_one_span() {
    let mut changes = later(40);
    let node = over(attempted("1", 1), NodeRunState::Failed, 40);
    changes.attempts = vec![AttemptRecord {
        node_run_id: node.id().clone(),
        run_id: "a".into(),
        attempt: 1,
        started_at: at(10),
        ended_at: at(40),
        outcome: AttemptOutcome::Lost,
        because: None,
        note: None,
    }];
    changes.nodes = vec![node];
    assert_eq!(spans(&changes).len(), 1);
}

#[test]
fn failed_node_that_was_never_at_an_executor_is_a_span() {
    let never = |state| {
        let mut changes = later(7);
        changes.nodes = vec![over(node("a", "1.2"), state, 7)];
        spans(&changes)
    };
    let failed = never(NodeRunState::Failed).remove(0);
    assert!(failed.name.starts_with("not executed ") && matches!(failed.status, SpanStatus::Error(_)));
    assert_eq!(never(NodeRunState::Canceled), [], "nothing became of it");
}

#[test]
fn ends_of_cascades_are_completed_later() {
    let mut changes = later(50);
    let mut head = attempted("1.2", 1).head();
    (head.state, head.ended_at) = (NodeRunState::Canceled, Some(at(50)));
    let mut queued = node("a", "1.3").head();
    (queued.state, queued.ended_at) = (NodeRunState::Canceled, Some(at(50)));
    // One that had ended before: its executor was notified of it now.
    let mut before = attempted("1.4", 1).head();
    (before.state, before.ended_at) = (NodeRunState::Canceled, Some(at(45)));
    changes.heads = vec![head.clone(), queued, before];
    let run = changes.run.as_mut().expect("a run");
    (run.run.state, run.run.ended_at) = (RunState::Canceled, Some(at(50)));
    let ended = ended_by(&changes, Names::default());
    let expected = [
        Ended::Node { run: "a".into(), node: head.node_run_id, at: at(50) },
        Ended::Run { run: "a".into(), at: at(50) },
    ];
    assert_eq!(ended, expected);
}
