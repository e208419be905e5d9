//! That each kind of lie is found. That nothing true is called one, the
//! property tests of the engine see to.

use serde_json::json;

use super::*;
use crate::{
    journal::conformance::{at, event, node, run},
    record::{AttemptOutcome, Job, Wake},
    time::Timestamp,
    types::{NodeRunState, RunEventType, RunState},
};

/// What is known about a run with a composite root at its executor.
#[derive(Clone)]
struct Told {
    run: RunRecord,
    nodes: Vec<NodeRecord>,
    events: Vec<RunEvent>,
    attempts: Vec<AttemptRecord>,
}

impl Told {
    fn truth() -> Self {
        let mut root = node("a", "1");
        root.node.kind = Some(crate::types::NodeKind::Composite);
        root.node.state = NodeRunState::Running;
        root.node.started_at = Some(at(2));
        root.attempt = 1;
        root.wake = Some(Wake { job: Job::Deadline, at: at(9), claimed_by: None, tries: 0 });
        let told = |seq, type_, path, data: serde_json::Value| {
            let mut told = event("a", seq, path).event;
            told.type_ = type_;
            told.data = data.as_object().cloned().map(Into::into);
            told
        };
        let events = vec![
            told(1, RunEventType::RunStarted, None, json!({})),
            told(2, RunEventType::NodeRunAssigned, Some("1"), json!({"root": true})),
            told(
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
        audit(&History { run, nodes, events, attempts }).into_iter().map(|found| found.rule).collect()
    }
}

fn lost(told: &Told, attempt: u32) -> AttemptRecord {
    AttemptRecord {
        node_run_id: told.nodes[0].id().clone(),
        run_id: "a".into(),
        attempt,
        started_at: at(1),
        ended_at: at(2),
        outcome: AttemptOutcome::Lost,
    }
}

/// An attempt whose call failed, in a way that says whether the work was begun.
fn failed(told: &Told, may_have_begun: bool) -> AttemptRecord {
    let error = crate::types::Error::new("atomic_executor_unavailable", "HTTP status 503");
    let outcome = AttemptOutcome::Failed { error, retry_at: at(3), may_have_begun };
    AttemptRecord { outcome, ..lost(told, 1) }
}

#[test]
fn the_truth_is_let_pass() {
    assert_eq!(Told::truth().rules(), Vec::<&str>::new());
    // What has surely not begun may be begun once more, whatever it is.
    let mut told = Told::truth();
    told.nodes[0].attempt = 2;
    told.nodes[0].node.kind = Some(crate::types::NodeKind::Atomic);
    told.attempts.push(failed(&told, false));
    let twice = "what may not be executed twice is not";
    assert!(!told.rules().contains(&twice), "{:?}", told.rules());
}

#[test]
fn each_lie_is_found() {
    type Lie = fn(&mut Told);
    let lies: [(&str, Lie); 18] = [
        ("a live node has a wake-up", |told| told.nodes[0].wake = None),
        ("a live node has a deadline", |told| told.nodes[0].deadline = None),
        ("a run has a deadline until it is over", |told| told.run.deadline = None),
        ("a run lives as long as its root", |told| {
            told.nodes[0].node.state = NodeRunState::Failed;
            told.nodes[0].node.ended_at = Some(Timestamp::from_micros(9));
            told.nodes[0].wake = None;
        }),
        ("no node lives in a run that is over", |told| told.run.run.state = RunState::Canceled),
        ("a run counts its nodes", |told| told.run.nodes = 2),
        ("a node counts its children", |told| told.nodes[0].children = 1),
        ("events are numbered from 1 without gaps", |told| drop(told.events.remove(1))),
        ("a run knows its last event", |told| drop(told.events.pop())),
        ("no attempt without permission", |told| drop(told.events.pop())),
        ("a run ends once", |told| {
            let again = told.events[0].clone();
            told.events.push(RunEvent { seq: 4, type_: RunEventType::RunCompleted, ..again });
            told.run.last_seq = 4;
        }),
        ("no attempt is given up without a record", |told| told.nodes[0].attempt = 2),
        ("what may not be executed twice is not", |told| {
            told.nodes[0].attempt = 2;
            told.nodes[0].node.kind = Some(crate::types::NodeKind::Atomic);
            told.attempts.push(lost(told, 1));
        }),
        ("what may not be executed twice is not", |told| {
            told.nodes[0].attempt = 2;
            told.nodes[0].node.kind = Some(crate::types::NodeKind::Atomic);
            told.attempts.push(failed(told, true));
        }),
        ("the newest judgement stands", |told| {
            told.nodes[0].node.evaluation_result = serde_json::from_value(json!({"status": "fail"})).ok();
        }),
        ("every recovery was told", |told| {
            told.nodes[0].node.recovery_actions = serde_json::from_value(json!([{"type": "abort"}])).ok();
        }),
        ("every recovery was told", |told| {
            let dropped = json!({"jarvis.recovery_actions_dropped": 1});
            told.nodes[0].node.extensions = dropped.as_object().cloned().map(Into::into);
        }),
        ("only what was begun is recorded", |told| {
            told.attempts.push(lost(told, 2));
        }),
    ];
    for (rule, lie) in lies {
        let mut told = Told::truth();
        lie(&mut told);
        assert!(told.rules().contains(&rule), "{rule}: {:?}", told.rules());
    }
}

#[test]
fn an_adopted_run_may_have_gaps_but_no_sleepers() {
    let mut told = Told::truth();
    told.events.remove(0);
    told.run.origin = Origin::Adopted;
    assert_eq!(told.rules(), Vec::<&str>::new());
    told.nodes[0].wake = None;
    assert_eq!(told.rules(), ["a live node has a wake-up"]);
}
