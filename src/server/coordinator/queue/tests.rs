use futures::FutureExt;

use super::*;
use crate::{journal::conformance::node, record::Wake};

const ATOMIC: Lane = Lane::Dispatches(NodeKind::Atomic);
const COMPOSITE: Lane = Lane::Dispatches(NodeKind::Composite);
const NOW: Timestamp = Timestamp::from_micros(0);

/// A node of a run, whose wake-up is a dispatch.
fn due(run: &str, ordinal: usize) -> NodeHead {
    node(run, &format!("1.{ordinal}")).head()
}

fn with(job: Job, kind: NodeKind, node: NodeHead) -> NodeHead {
    let wake = node.wake.map(|wake| Wake { job, ..wake });
    NodeHead { wake, kind: Some(kind), ..node }
}

#[test]
fn one_run_gets_an_eighth_of_the_room_and_leaves_the_rest_to_others() {
    let (queue, mut tasks) = WorkQueue::new("me".into(), 16);
    let (big, small): (RunId, RunId) = ("big".into(), "small".into());
    assert_eq!(queue.claim(&big, [None; 2]), Some(&"me".into()));
    assert_eq!(queue.claim(&big, [None; 3]), None, "all or none");
    (0..2).for_each(|ordinal| queue.push(&due("big", ordinal), NOW));
    assert_eq!((queue.claim(&big, [None]), queue.full_runs(ATOMIC)), (None, vec![big.clone()]));
    assert_eq!((queue.claim(&small, [None]), queue.room(ATOMIC)), (Some(&"me".into()), 14));
    // Of the other executor it may have as much again.
    let composite = [Some(NodeKind::Composite)];
    assert_eq!((queue.claim(&big, composite), queue.full_runs(COMPOSITE)), (Some(&"me".into()), vec![]));
    // What is in hand is not taken twice.
    queue.push(&due("big", 1), NOW);
    assert_eq!(queue.len(), 2);

    assert!(queue.unclaimed().now_or_never().is_none());
    drop(tasks.try_recv().expect("a task"));
    assert!(queue.unclaimed().now_or_never().is_some(), "what was left of that run may be claimed");
    assert_eq!((queue.claim(&big, [None]), queue.full_runs(ATOMIC)), (Some(&"me".into()), vec![]));
}

#[test]
fn a_full_lane_leases_nothing_and_pokes_when_a_quarter_is_free() {
    let (queue, mut tasks) = WorkQueue::new("me".into(), 8);
    (0..8).for_each(|run| queue.push(&due(&format!("run-{run}"), 0), NOW));
    assert_eq!((queue.claim(&"other".into(), [None]), queue.room(ATOMIC)), (None, 0));
    drop(tasks.try_recv().expect("a task"));
    // Each run has room for one job, so each that ends pokes.
    assert!(queue.unclaimed().now_or_never().is_some());
    drop(tasks.try_recv().expect("a task"));
    assert!(queue.unclaimed().now_or_never().is_some());
    assert_eq!(
        (queue.len(), queue.is_empty(), queue.has(&due("run-7", 0).node_run_id, Job::Dispatch)),
        (6, false, true)
    );
}

#[test]
fn an_executor_whose_lane_is_full_takes_no_room_from_any_other_lane() {
    let (queue, _tasks) = WorkQueue::new("me".into(), 4);
    (0..4).for_each(|run| queue.push(&due(&format!("run-{run}"), 0), NOW));
    let rooms = || Lane::ALL.map(|lane| queue.room(lane));
    assert_eq!(rooms(), [4, 4, 4, 4, 0]);
    let other: RunId = "other".into();
    assert_eq!(queue.claim(&other, [None]), None);
    assert_eq!(queue.claim(&other, [Some(NodeKind::Composite)]), Some(&"me".into()));
    // One lease is for all, so there is none; each is claimed by itself.
    assert_eq!(queue.claim(&other, [Some(NodeKind::Composite), Some(NodeKind::Atomic)]), None);
    queue.push(&with(Job::Dispatch, NodeKind::Composite, due("other", 1)), NOW);
    queue.push(&with(Job::CancelExecutor, NodeKind::Atomic, due("other", 2)), NOW);
    queue.push(&with(Job::Deadline, NodeKind::Atomic, due("other", 3)), NOW);
    assert_eq!(rooms(), [3, 4, 3, 3, 0]);
    for lane in Lane::ALL {
        let node = Lane::of(lane.job(), lane.kind());
        assert_eq!(node, lane, "a job and a kind name their lane");
    }
}

#[test]
fn the_dispatch_of_a_node_that_is_over_is_called_off_and_no_other() {
    let (queue, mut tasks) = WorkQueue::new("me".into(), 8);
    for (run, ordinal) in [("a", 1), ("a", 2), ("b", 1)] {
        queue.push(&due(run, ordinal), NOW);
    }
    let tasks: Vec<ClaimedJob> = std::iter::from_fn(|| tasks.try_recv().ok()).collect();
    let over = || tasks.iter().map(|task| task.ended().is_cancelled()).collect::<Vec<_>>();
    assert_eq!(over(), [false; 3]);
    queue.node_ended(&due("a", 1).node_run_id);
    assert_eq!(over(), [true, false, false]);
    queue.run_ended(&"a".into());
    assert_eq!(over(), [true, true, false]);
}

#[test]
fn a_cancel_may_overtake_only_a_call_that_has_just_left() {
    let (queue, mut tasks) = WorkQueue::new("me".into(), 8);
    let mut may_overtake = |ordinal: usize, begun: bool, later: Duration| {
        let dispatch = due("a", ordinal);
        queue.push(&dispatch, NOW);
        let call = tasks.try_recv().expect("a task");
        if begun {
            call.attempt_started(NOW);
        }
        queue.push(&with(Job::CancelExecutor, NodeKind::Atomic, dispatch), NOW + later);
        tasks.try_recv().expect("a task").may_overtake
    };
    assert!(may_overtake(1, true, Duration::from_millis(10)));
    assert!(!may_overtake(2, true, ON_THE_WIRE));
    assert!(!may_overtake(3, false, Duration::ZERO), "it was never sent");
}
