//! Each kind of violation is found. The property tests of the engine show that a
//! valid run has none.

use serde_json::json;

use super::*;
use crate::{
    journal::conformance::{at, event, node, run},
    record::{
        Actor, AttemptOutcome, AuditObject, AuditedOperation, Identity, Job, Operation, OtherOperation, Wake,
    },
    time::Timestamp,
    types::{NodeRunState, RunEventType, RunState},
};

/// The records of a run with a composite root at its executor.
#[derive(Clone)]
struct Records {
    run: RunRecord,
    nodes: Vec<NodeRecord>,
    events: Vec<RunEvent>,
    attempts: Vec<AttemptRecord>,
}

impl Records {
    fn valid() -> Self {
        let mut root = node("a", "1");
        root.node.kind = Some(crate::types::NodeKind::Composite);
        root.node.state = NodeRunState::Running;
        root.node.started_at = Some(at(2));
        root.attempt = 1;
        root.wake = Some(Wake { job: Job::Deadline, at: at(9), claimed_by: None, tries: 0 });
        let event = |seq, type_, path, data: serde_json::Value| {
            let mut event = event("a", seq, path).event;
            event.type_ = type_;
            event.data = data.as_object().cloned().map(Into::into);
            event
        };
        let events = vec![
            event(1, RunEventType::RunStarted, None, json!({})),
            event(2, RunEventType::NodeRunAssigned, Some("1"), json!({"root": true})),
            event(
                3,
                RunEventType::PolicyDecided,
                Some("1"),
                json!({"action": "node.run.execute", "decision": "allow"}),
            ),
        ];
        Self { run: RunRecord { last_seq: 3, ..run("a") }, nodes: vec![root], events, attempts: Vec::new() }
    }

    fn rules(&self) -> Vec<&'static str> {
        let Self { run, nodes, events, attempts } = self;
        check(&History { run, nodes, events, attempts, audit: None })
            .into_iter()
            .map(|found| found.rule)
            .collect()
    }
}

fn lost(records: &Records, attempt: u32) -> AttemptRecord {
    AttemptRecord {
        node_run_id: records.nodes[0].id().clone(),
        run_id: "a".into(),
        attempt,
        started_at: at(1),
        ended_at: at(2),
        outcome: AttemptOutcome::Lost,
        note: None,
    }
}

/// An attempt whose call failed, with what is known about the executor's work.
fn failed(records: &Records, may_have_begun: bool) -> AttemptRecord {
    let error = crate::types::Error::new("atomic_executor_unavailable", "HTTP status 503");
    let outcome = AttemptOutcome::Failed { error, retry_at: at(3), may_have_begun };
    AttemptRecord { outcome, ..lost(records, 1) }
}

#[test]
fn valid_records_have_no_violations() {
    assert_eq!(Records::valid().rules(), Vec::<&str>::new());
    // An attempt that certainly did not begin may be repeated.
    let mut records = Records::valid();
    records.nodes[0].attempt = 2;
    records.nodes[0].node.kind = Some(crate::types::NodeKind::Atomic);
    records.attempts.push(failed(&records, false));
    let twice = "a node that must not be executed twice is not";
    assert!(!records.rules().contains(&twice), "{:?}", records.rules());
}

#[test]
fn each_violation_is_found() {
    type Damage = fn(&mut Records);
    let damages: [(&str, Damage); 18] = [
        ("a live node has a wake-up", |records| records.nodes[0].wake = None),
        ("a live node has a deadline", |records| records.nodes[0].deadline = None),
        ("exactly live runs have a deadline", |records| records.run.deadline = None),
        ("a run ends with its root", |records| {
            records.nodes[0].node.state = NodeRunState::Failed;
            records.nodes[0].node.ended_at = Some(Timestamp::from_micros(9));
            records.nodes[0].wake = None;
        }),
        ("a terminal run has no live nodes", |records| records.run.run.state = RunState::Canceled),
        ("a run counts its nodes", |records| records.run.nodes = 2),
        ("a node counts its children", |records| records.nodes[0].children = 1),
        ("events are numbered from 1 without gaps", |records| drop(records.events.remove(1))),
        ("a run knows the number of its last event", |records| drop(records.events.pop())),
        ("every attempt was allowed by policy", |records| drop(records.events.pop())),
        ("a terminal run has run_completed, once", |records| {
            let again = records.events[0].clone();
            records.events.push(RunEvent { seq: 4, type_: RunEventType::RunCompleted, ..again });
            records.run.last_seq = 4;
        }),
        ("every superseded attempt is logged", |records| records.nodes[0].attempt = 2),
        ("a node that must not be executed twice is not", |records| {
            records.nodes[0].attempt = 2;
            records.nodes[0].node.kind = Some(crate::types::NodeKind::Atomic);
            records.attempts.push(lost(records, 1));
        }),
        ("a node that must not be executed twice is not", |records| {
            records.nodes[0].attempt = 2;
            records.nodes[0].node.kind = Some(crate::types::NodeKind::Atomic);
            records.attempts.push(failed(records, true));
        }),
        ("the evaluation agrees with the newest event", |records| {
            records.nodes[0].node.evaluation_result = serde_json::from_value(json!({"status": "fail"})).ok();
        }),
        ("recovery actions agree with the events", |records| {
            records.nodes[0].node.recovery_actions = serde_json::from_value(json!([{"type": "abort"}])).ok();
        }),
        ("recovery actions agree with the events", |records| {
            let dropped = json!({"jarvis.recovery_actions_dropped": 1});
            records.nodes[0].node.extensions = dropped.as_object().cloned().map(Into::into);
        }),
        ("only attempts that were made are logged", |records| {
            records.attempts.push(lost(records, 2));
        }),
    ];
    for (rule, damage) in damages {
        let mut records = Records::valid();
        damage(&mut records);
        assert!(records.rules().contains(&rule), "{rule}: {:?}", records.rules());
    }
}

#[test]
fn adopted_run_may_have_gaps_but_needs_wake_ups() {
    let mut records = Records::valid();
    records.events.remove(0);
    records.run.origin = Origin::Adopted;
    assert_eq!(records.rules(), Vec::<&str>::new());
    records.nodes[0].wake = None;
    assert_eq!(records.rules(), ["a live node has a wake-up"]);
}

/// The run of [`Records::valid`], started by a caller.
fn started_by(caller: &Actor) -> (Records, AuditRecord) {
    let mut records = Records::valid();
    for event in &mut records.events {
        event.extensions = json!({"jarvis.actor": caller}).as_object().cloned().map(Into::into);
    }
    let operation = AuditedOperation::Request(Operation::StartRun);
    let record = AuditRecord::applied(at(1), caller.clone(), operation, AuditObject::run(&"a".into()));
    (records, record.with_events(Some((1, 3))))
}

#[test]
fn each_gap_in_the_audit_trail_is_found() {
    let alice = Actor::Caller(Identity::bare("alice"));
    let (mut records, record) = started_by(&alice);
    let of = |records: &Records, trail: &[AuditRecord]| {
        let Records { run, nodes, events, attempts } = records;
        let found = check(&History { run, nodes, events, attempts, audit: Some(trail) });
        found.into_iter().map(|found| found.rule).collect::<Vec<_>>()
    };
    assert_eq!(of(&records, std::slice::from_ref(&record)), Vec::<&str>::new());
    let other = |events| record.clone().with_events(Some(events));
    let by = AuditRecord { actor: Actor::Coordinator, ..record.clone() };
    let later = AuditRecord { at: at(2), ..record.clone() };
    let elsewhere = AuditRecord { object: AuditObject::run(&"b".into()), ..record.clone() };
    for (rule, trail) in [
        ("what a caller causes is audited", vec![]),
        ("what a caller causes is audited", vec![other((1, 2))]),
        ("a commit has one audit record", vec![record.clone(), record.clone()]),
        ("an audit record agrees with the events of its commit", vec![by]),
        ("an audit record agrees with the events of its commit", vec![later]),
        ("an audit record of a run names it", vec![elsewhere]),
        ("an audit record names events that exist", vec![other((1, 4))]),
        ("exactly refusals have a reason", vec![AuditRecord { reason: Some("x".into()), ..record.clone() }]),
    ] {
        assert!(of(&records, &trail).contains(&rule), "{rule}: {:?}", of(&records, &trail));
    }
    // The records of an adopted run are with the coordinator that started it.
    records.run.origin = Origin::Adopted;
    assert_eq!(of(&records, &[]), Vec::<&str>::new());
    // What the coordinator decides by itself is in the trail only if it refuses.
    let (records, record) = started_by(&Actor::Coordinator);
    let operation = AuditedOperation::Other(OtherOperation::DispatchNodeRun);
    let dispatched = AuditRecord { operation, ..record };
    let rule = "the coordinator's decisions are audited only if they refuse";
    assert_eq!(of(&records, &[]), Vec::<&str>::new());
    assert_eq!(of(&records, &[dispatched.clone().refused("policy_denied")]), Vec::<&str>::new());
    assert!(of(&records, &[dispatched]).contains(&rule));
}
