//! Each rule on evidence that violates it.

use std::time::{Duration, Instant};

use scripted_executor::Behaviour;
use serde_json::json;

use super::*;
use crate::{
    ledger::{CancelCall, Ended},
    node_types,
};

/// A run of one node without violations.
struct Case {
    answers: Answers,
    book: Book,
    lives: Vec<Life>,
    stored: Stored,
}

impl Case {
    fn new(node_type: &str, kind: Kind, state: &str) -> Self {
        let kind_name = if kind == Kind::Atomic { "atomic" } else { "composite" };
        let node = json!({"run_id": "r", "state": state, "kind": kind_name, "started_at": "then",
            "node_type_ref": {"node_type_id": node_type}});
        let stored = Stored {
            id: "r".into(),
            run: Some(json!({"state": state, "root_node_run_id": "n"})),
            events: vec![
                json!({"seq": 1, "type": "run_started"}),
                json!({"seq": 2, "type": "node_run_assigned", "node_run_id": "n"}),
                json!({"seq": 3, "type": "run_completed", "data": {"state": state}}),
            ],
            nodes: BTreeMap::from([("n".into(), node)]),
        };
        let answers = Answers {
            runs: BTreeMap::from([("r".into(), Some("n".into()))]),
            ends: BTreeMap::from([("r".into(), state.into())]),
            followed: [2, 3]
                .map(|count| {
                    let events = stored.events[..count].to_vec();
                    Followed { run: "r".into(), events, in_vain: false }
                })
                .into(),
            ..Answers::default()
        };
        let start = Instant::now();
        let execution = Execution {
            kind,
            node: "n".into(),
            run: "r".into(),
            node_type: node_type.into(),
            by: 0,
            at: start,
            behaviour: Behaviour::Echo,
            worked: true,
            ended: Some(Ended::ByItself),
        };
        let mut book = Book::default();
        book.executions.push(execution);
        let lives = vec![Life::new(0, start)];
        Self { answers, book, lives, stored }
    }

    fn rules(&self) -> Vec<&'static str> {
        let stored = std::slice::from_ref(&self.stored);
        let evidence =
            Evidence { answers: &self.answers, book: &self.book, lives: &self.lives, stored, excuses: None };
        violations(&evidence).into_iter().map(|violation| violation.rule).collect()
    }

    fn node(&mut self) -> &mut Value {
        self.stored.nodes.get_mut("n").unwrap()
    }
}

fn write() -> Case {
    Case::new(node_types::WRITE, Kind::Atomic, "succeeded")
}

#[test]
fn correct_evidence_has_no_violations() {
    assert_eq!(write().rules(), [""; 0]);
}

#[test]
fn each_rule_finds_its_violation() {
    let broken = |change: &dyn Fn(&mut Case)| {
        let mut case = write();
        change(&mut case);
        case.rules()
    };
    let lost = broken(&|case| case.stored = Stored { id: "r".into(), ..Stored::default() });
    assert_eq!(lost, ["lost", "events", "events"]);
    assert_eq!(broken(&|case| _ = case.answers.children.insert("c".into(), "r".into())), ["lost"]);
    assert_eq!(broken(&|case| _ = case.answers.evaluations.insert("e".into(), "r".into())), ["lost"]);
    assert_eq!(broken(&|case| case.node()["state"] = "running".into()), ["stuck"]);
    assert_eq!(broken(&|case| _ = case.answers.ends.insert("n".into(), "failed".into())), ["resurrected"]);
    assert_eq!(broken(&|case| case.answers.followed[0].events[1]["seq"] = 3.into()), ["events"]);
    assert_eq!(broken(&|case| case.answers.followed[0].in_vain = true), ["events"]);
    assert_eq!(broken(&|case| case.book.executions[0].worked = false), ["unexecuted"]);
    let again = |case: &mut Case| case.book.executions.push(case.book.executions[0].clone());
    assert_eq!(broken(&again), ["twice", "unrecorded"]);
    assert_eq!(broken(&|case| case.book.executions[0].ended = None), ["uncanceled"]);
    let gap = broken(&|case| {
        case.stored.events.remove(1);
        case.answers.followed.clear();
    });
    assert_eq!(gap, ["events"]);
}

#[test]
fn steps_and_approvals_are_held_against_executions() {
    let mut case = write();
    case.answers.max_steps.insert("r".into(), 1);
    let account = |used: u64, reserved: u64| json!({"jarvis.budget": {"used": {"steps": used}, "reserved": {"steps": reserved}}});
    let mut with = |extensions: Value, most: u64| {
        case.answers.max_steps.insert("r".into(), most);
        case.stored.run.as_mut().unwrap()["extensions"] = extensions;
        case.rules()
    };
    assert_eq!(with(account(1, 0), 1), [""; 0]);
    assert_eq!(with(account(1, 1), 1), ["overspent"]);
    assert_eq!(with(account(2, 0), 1), ["overspent"]);
    assert_eq!(with(account(0, 0), 0), ["overspent"]);
    let mut case = write();
    case.answers.gated.insert("r".into());
    assert_eq!(case.rules(), ["unapproved"]);
    case.node()["extensions"] = json!({"jarvis.approval": {"decision": {"outcome": "approved"}}});
    assert_eq!(case.rules(), [""; 0]);
}

#[test]
fn repeated_executions_need_recorded_retries() {
    let mut case = Case::new(node_types::READ, Kind::Atomic, "succeeded");
    let retry = json!({"seq": 3, "type": "recovery_applied", "node_run_id": "n"});
    case.stored.events.insert(2, retry);
    case.stored.events[3]["seq"] = 4.into();
    case.answers.followed.clear();
    case.book.executions.push(case.book.executions[0].clone());
    assert_eq!(case.rules(), [""; 0]);
    case.book.executions.push(case.book.executions[0].clone());
    assert_eq!(case.rules(), ["unrecorded"]);
}

#[test]
fn calls_after_an_answered_cancel_are_violations() {
    let canceled = |late: Duration| {
        let mut case = Case::new(node_types::WRITE, Kind::Atomic, "canceled");
        case.answers.canceled.insert("r".into(), case.book.executions[0].at);
        case.book.executions[0].at += late;
        case.rules()
    };
    assert_eq!(canceled(Duration::ZERO), [""; 0], "the call was there when the cancel was answered");
    assert_eq!(canceled(Duration::from_nanos(1)), ["cancel"]);
}

#[test]
fn accepted_composites_get_a_cancel_call() {
    let mut case = Case::new(node_types::PLAN, Kind::Composite, "canceled");
    let later = case.book.executions[0].at + Duration::from_millis(5);
    case.answers.canceled.insert("r".into(), later);
    assert_eq!(case.rules(), ["uncanceled"]);
    case.book.cancel_calls.push(CancelCall { node: "n".into(), at: later });
    assert_eq!(case.rules(), [""; 0]);
}
