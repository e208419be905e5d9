//! What a decision may change in a record, independent of the rules.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::support::{ROOT, World};
use crate::{
    engine::guard::{NodeBefore, RunBefore, node_ends, run_ends},
    record::{Job, NodePath, NodeRecord, RunRecord, Wake},
    time::Timestamp,
    types::{NodeRunState, RunState},
};

/// What a panic says; none: it is allowed.
fn panics(check: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(check)).err()?;
    Some(panic.downcast_ref::<String>().cloned().unwrap_or_default())
}

/// One at its executor, whose id would break a line of the log.
fn node() -> NodeRecord {
    let mut node = World::atomic().node(ROOT).clone();
    node.node.node_run_id = "n\n1".into();
    (node.version, node.attempt, node.children, node.rounds) = (3, 2, 2, 1);
    node.path = NodePath::root().child(2);
    node.node.inputs.get_or_insert_default().insert("password".into(), "hush".into());
    node
}

#[test]
fn node_goes_forward_only_and_the_panic_names_only_the_node() {
    type Change = fn(&mut NodeRecord);
    let changes: [(Change, Option<&str>); 12] = [
        (|_| {}, None),
        (
            |node| {
                node.wake = Some(Wake {
                    job: Job::Dispatch,
                    at: Timestamp::from_micros(7),
                    claimed_by: None,
                    tries: 1,
                })
            },
            None,
        ),
        (|node| (node.node.state, node.wake) = (NodeRunState::Failed, None), None),
        (|node| node.attempt = 3, None),
        (|node| node.node.state = NodeRunState::Queued, Some("running must not become queued")),
        (|node| node.node.state = NodeRunState::Assigned, Some("running must not become assigned")),
        (|node| node.wake = None, Some("it is running and would have no wake-up")),
        (|node| node.attempt = 1, Some("its attempt would go back from 2 to 1")),
        (|node| node.rounds = 0, Some("fewer children (2 to 2) or rounds (1 to 0)")),
        (|node| node.path = NodePath::root(), Some("it would move from 1.2 to 1")),
        (|node| node.node.run_id = "other".into(), Some("it would be stored as another record")),
        (|node| node.version = 4, Some("it would be stored as another record")),
    ];
    for (change, message) in changes {
        let before = NodeBefore::of(&node());
        let mut after = node();
        change(&mut after);
        let said = panics(|| before.may_become(&after));
        match (message, said) {
            (None, None) => {}
            (Some(message), Some(said)) => {
                assert!(said.starts_with("node run n\\n1: ") && said.contains(message), "{said}");
                assert!(!said.contains("hush"), "{said}");
            }
            (expected, said) => panic!("{expected:?}, not {said:?}"),
        }
    }
}

#[test]
fn terminal_node_keeps_its_state() {
    let mut over = node();
    (over.node.state, over.node.ended_at) = (NodeRunState::Succeeded, Some(Timestamp::from_micros(7)));
    let before = NodeBefore::of(&over);
    for state in [NodeRunState::Failed, NodeRunState::Canceled, NodeRunState::Running] {
        let mut after = over.clone();
        after.node.state = state;
        assert!(panics(|| before.may_become(&after)).is_some(), "{state}");
        assert!(panics(|| node_ends(over.id(), NodeRunState::Succeeded, state)).is_some(), "{state}");
    }
    let mut later = over.clone();
    later.node.ended_at = Some(Timestamp::from_micros(8));
    let said = panics(|| before.may_become(&later)).expect("a panic");
    assert!(said.ends_with("it is succeeded, and its end would change"), "{said}");
    assert_eq!(panics(|| before.may_become(&over)), None);
    assert_eq!(panics(|| node_ends(over.id(), NodeRunState::Queued, NodeRunState::Failed)), None);
}

#[test]
fn a_run_may_only_go_forward_and_counts_its_events() {
    type Change = fn(&mut RunRecord);
    let mut run = World::atomic().run().clone();
    (run.last_seq, run.nodes) = (5, 2);
    let before = RunBefore::of(&run);
    let changes: [(Change, usize, Option<&str>); 6] = [
        (|_| {}, 0, None),
        (|run| (run.last_seq, run.nodes) = (7, 3), 2, None),
        (|run| run.last_seq = 7, 1, Some("1 events do not lead from number 5 to 7")),
        (|run| run.nodes = 1, 0, Some("it would have fewer nodes, 2 to 1")),
        (|run| run.run.state = RunState::Queued, 0, Some("running must not become queued")),
        (|run| run.run.run_id = "other".into(), 0, Some("it would be stored as another record")),
    ];
    for (change, events, message) in changes {
        let mut after = run.clone();
        change(&mut after);
        let said = panics(|| before.may_become(&after, events));
        assert_eq!(said.is_some(), message.is_some(), "{said:?}");
        assert!(said.unwrap_or_default().contains(message.unwrap_or_default()), "{message:?}");
    }
    assert_eq!(panics(|| run_ends(run.id(), RunState::Running, RunState::Canceled)), None);
    let said = panics(|| run_ends(run.id(), RunState::Succeeded, RunState::Canceled)).expect("a panic");
    assert_eq!(said, "run run-1: it is succeeded and must not end as canceled");
}
