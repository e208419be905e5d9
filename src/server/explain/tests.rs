//! The table of reasons, and which nodes of a run are explained.

use std::time::Duration;

use serde_json::json;

use super::{Acts, Below, Cause, ExecutorFacts, Facts, ParkedFacts, by_state, node_reasons, stuck_first};
use crate::{
    record::{Actor, Hold, Identity, Job, NodePath, NodeRecord, Pause, PauseScope, Wake},
    time::Timestamp,
    types::{NodeKind, NodeRun, NodeRunState, WorkerId},
};

const NOW: Timestamp = Timestamp::from_micros(60_000_000);

fn node(path: NodePath, state: NodeRunState, job: Option<Job>) -> NodeRecord {
    let node_type = serde_json::from_value(json!({"node_type_id": "atomic.echo", "version": "1"}));
    let id = format!("node-{path}");
    let node = NodeRun::queued(
        "run-1".into(),
        id.as_str().into(),
        node_type.expect("a type"),
        Some(NodeKind::Atomic),
    );
    let wake = job.map(|job| Wake { job, at: NOW, claimed_by: None, tries: 0 });
    NodeRecord { wake, ..NodeRecord::new(NodeRun { state, ..node }, path) }
}

fn facts(worker: &WorkerId) -> Facts<'_> {
    Facts {
        now: NOW,
        worker,
        is_in_hand: false,
        below: Below::default(),
        parked: None,
        last_attempt: None,
        executor: ExecutorFacts { name: Some("executor-1".into()), ..ExecutorFacts::default() },
        auto_dispatch: true,
        hold: None,
        pause: None,
    }
}

/// The codes of the reasons, and who acts on the first.
fn codes(node: &NodeRecord, facts: &Facts<'_>) -> (Vec<String>, Acts) {
    let reasons = node_reasons(node, facts);
    let code = |cause: &Cause| serde_json::to_value(cause).expect("JSON")["code"].as_str().map(str::to_owned);
    let codes = reasons.iter().filter_map(|reason| code(&reason.cause)).collect();
    for reason in &reasons {
        assert_eq!(reason.sentence, reason.cause.to_string());
        let there_and_back = serde_json::to_string(reason).expect("JSON");
        assert_eq!(serde_json::from_str::<super::Reason>(&there_and_back).expect("a reason"), *reason);
    }
    (codes, reasons[0].acts)
}

#[test]
fn due_dispatch_is_explained_by_who_has_it() {
    let (us, other) = (WorkerId::new("us"), WorkerId::new("other"));
    let queued = node(NodePath::root(), NodeRunState::Queued, Some(Job::Dispatch));
    let claimed = |node: &NodeRecord, by: &WorkerId| {
        let wake = node.wake.clone().map(|wake| Wake { claimed_by: Some(by.clone()), ..wake });
        NodeRecord { wake, ..node.clone() }
    };
    let assigned = NodeRecord {
        node: NodeRun { state: NodeRunState::Assigned, ..queued.node.clone() },
        ..queued.clone()
    };
    let ours = facts(&us);
    let in_hand = Facts { is_in_hand: true, ..facts(&us) };
    let off = Facts { auto_dispatch: false, ..facts(&us) };
    let full =
        Facts { executor: ExecutorFacts { is_queue_full: true, ..ExecutorFacts::default() }, ..facts(&us) };
    for (node, facts, code, acts) in [
        (&queued, &ours, "dispatch_due", Acts::Coordinator),
        (&queued, &off, "dispatch_off", Acts::Operator),
        (&queued, &full, "queue_full", Acts::Coordinator),
        (&claimed(&queued, &other), &ours, "at_worker", Acts::Coordinator),
        (&claimed(&queued, &us), &ours, "lost_by_worker", Acts::Coordinator),
        (&claimed(&queued, &us), &in_hand, "waiting_for_slot", Acts::Coordinator),
        (&claimed(&assigned, &us), &in_hand, "asking_policy", Acts::Coordinator),
    ] {
        assert_eq!(codes(node, facts), (vec![code.to_owned()], acts), "{code}");
    }
}

#[test]
fn later_dispatch_is_explained_by_what_it_waits_for() {
    let us = WorkerId::new("us");
    let mut later = node(NodePath::root(), NodeRunState::Queued, Some(Job::Dispatch));
    let at = NOW + Duration::from_secs(5);
    later.wake = later.wake.map(|wake| Wake { at, tries: 2, ..wake });
    let mut retried = later.clone();
    (retried.node.state, retried.retries) = (NodeRunState::Running, 1);
    let mut held = later.clone();
    held.waits.held_since = Some(NOW);
    let open = ExecutorFacts { is_breaker_open: true, ..ExecutorFacts::default() };
    let open = Facts { executor: open, ..facts(&us) };
    let parked = ParkedFacts { job: "dispatch".into(), error: "panic: why".into(), since: NOW, until: at };
    let parked = Facts { parked: Some(parked), ..facts(&us) };
    for (node, facts, code) in [
        (&later, &facts(&us), "postponed"),
        (&later, &open, "breaker_open"),
        (&retried, &facts(&us), "backing_off"),
        (&held, &open, "policy_unavailable"),
        (&held, &parked, "parked"),
    ] {
        assert_eq!(codes(node, facts).0, [code]);
        assert_eq!(node_reasons(node, facts)[0].until, Some(at), "{code}");
    }
}

#[test]
fn held_and_paused_nodes_say_who_why_and_how_to_end_it() {
    let us = WorkerId::new("us");
    let aside = node(NodePath::root(), NodeRunState::Queued, Some(Job::SetAside));
    let due = node(NodePath::root(), NodeRunState::Queued, Some(Job::Dispatch));
    let running = node(NodePath::root(), NodeRunState::Running, Some(Job::Deadline));
    let by = Actor::Caller(Identity::bare("alice"));
    let until = Some(NOW + Duration::from_secs(60));
    let hold = Hold { since: NOW, by: by.clone(), reason: "look".into(), until };
    let held = Facts { hold: Some(&hold), ..facts(&us) };
    let pause = |scope| Pause { scope, since: NOW, by: by.clone(), reason: "incident".into() };
    let all = pause(PauseScope::All);
    let paused = Facts { pause: Some(&all), ..facts(&us) };
    let both = Facts { hold: Some(&hold), ..paused.clone() };
    for (node, facts, expected) in [
        (&aside, &held, &["held"][..]),
        (&aside, &paused, &["dispatch_paused"]),
        (&aside, &both, &["held", "dispatch_paused"]),
        (&aside, &facts(&us), &["dispatch_due"]),
        (&due, &paused, &["dispatch_paused"]),
        (&running, &both, &["at_executor", "held"]),
    ] {
        assert_eq!(codes(node, facts).0, expected);
    }
    let reason = &node_reasons(&aside, &held)[0];
    assert_eq!((reason.since, reason.until, reason.acts), (Some(NOW), until, Acts::Operator));
    assert_eq!(reason.sentence, "The run is held by alice: look");
    let of_type = pause(PauseScope::NodeType { node_type_id: "t".into() });
    let reason = &node_reasons(&due, &Facts { pause: Some(&of_type), ..facts(&us) })[0];
    assert_eq!(reason.sentence, "Dispatch is paused for node_type t by alice: incident");
    let command = "jarvis-run-coordinator dispatch resume --node-type t --reason TEXT";
    assert_eq!(reason.command.as_deref(), Some(command));
}

#[test]
fn node_at_its_executor_and_after_it() {
    let us = WorkerId::new("us");
    let mut running = node(NodePath::root(), NodeRunState::Running, Some(Job::Deadline));
    running.attempt = 3;
    assert_eq!(codes(&running, &facts(&us)), (vec!["at_executor".into()], Acts::Executor));
    running.node.kind = Some(NodeKind::Composite);
    let below = Below { live: 2, more: true, oldest: Some("child".into()) };
    let with_children = Facts { below, ..facts(&us) };
    let expected = vec!["waiting_for_children".to_owned(), "at_executor".to_owned()];
    assert_eq!(codes(&running, &with_children), (expected, Acts::Children));
    let extensions = serde_json::from_value(json!({"completion_error": {"code": "why", "message": "so"}}));
    let mut failed = node(NodePath::root(), NodeRunState::Failed, None);
    failed.node.extensions = Some(extensions.expect("extensions"));
    let reasons = node_reasons(&failed, &facts(&us));
    assert_eq!(reasons[0].sentence, "The node has ended: failed, with why");
    failed.wake = Some(Wake { job: Job::CancelExecutor, at: NOW, claimed_by: None, tries: 4 });
    assert_eq!(codes(&failed, &facts(&us)), (vec!["over".into(), "notifying_executor".into()], Acts::Done));
}

#[test]
fn leaves_of_a_run_are_explained_first() {
    let path = |text: &str| NodePath::from(text.to_owned());
    let heads: Vec<_> = [
        ("1", NodeRunState::Running, Job::Deadline),
        ("1.4", NodeRunState::Running, Job::Deadline),
        ("1.4.9", NodeRunState::Running, Job::Deadline),
        ("1.41", NodeRunState::Queued, Job::Dispatch),
        ("1.5", NodeRunState::Running, Job::Deadline),
    ]
    .map(|(at, state, job)| node(path(at), state, Some(job)).head())
    .into();
    let paths =
        |limit| stuck_first(&heads, limit).into_iter().map(|head| head.path.as_str()).collect::<Vec<_>>();
    assert_eq!(paths(9), ["1.41", "1.4.9", "1.5"]);
    assert_eq!(paths(1), ["1.41"]);
    let counts = by_state(&heads);
    assert_eq!((counts[&NodeRunState::Running], counts[&NodeRunState::Queued]), (4, 1));
    let waits = node(path("1.7"), NodeRunState::Queued, Some(Job::Approval)).head();
    assert_eq!(stuck_first(&[heads[3].clone(), waits.clone()], 1), [&waits], "a person first");
}
