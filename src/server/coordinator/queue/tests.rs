//! The room of lanes and runs, and calls that end with their node.

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
fn single_run_gets_an_eighth_of_the_room() {
    let (queue, mut jobs) = WorkQueue::new("worker".into(), 16);
    let (big, small): (RunId, RunId) = ("big".into(), "small".into());
    assert_eq!(queue.claim(&big, [None; 2]), Some(&"worker".into()));
    assert_eq!(queue.claim(&big, [None; 3]), None, "all or none");
    (0..2).for_each(|ordinal| queue.push(&due("big", ordinal), NOW));
    assert_eq!((queue.claim(&big, [None]), queue.full_runs(ATOMIC)), (None, vec![big.clone()]));
    assert_eq!((queue.claim(&small, [None]), queue.room(ATOMIC)), (Some(&"worker".into()), 14));
    // It may have as much again of the other executor's lane.
    let composite = [Some(NodeKind::Composite)];
    assert_eq!((queue.claim(&big, composite), queue.full_runs(COMPOSITE)), (Some(&"worker".into()), vec![]));
    // A job in hand is not started twice.
    queue.push(&due("big", 1), NOW);
    assert_eq!(queue.len(), 2);

    assert!(queue.unclaimed().now_or_never().is_none());
    drop(jobs.try_recv().expect("a job"));
    assert!(queue.unclaimed().now_or_never().is_some(), "the rest of that run may be claimed");
    assert_eq!((queue.claim(&big, [None]), queue.full_runs(ATOMIC)), (Some(&"worker".into()), vec![]));
}

#[test]
fn full_lane_claims_nothing_and_notifies_when_a_quarter_is_free() {
    let (queue, mut jobs) = WorkQueue::new("worker".into(), 8);
    (0..8).for_each(|run| queue.push(&due(&format!("run-{run}"), 0), NOW));
    assert_eq!((queue.claim(&"other".into(), [None]), queue.room(ATOMIC)), (None, 0));
    drop(jobs.try_recv().expect("a job"));
    // Each run has room for one job, so each job that ends notifies.
    assert!(queue.unclaimed().now_or_never().is_some());
    drop(jobs.try_recv().expect("a job"));
    assert!(queue.unclaimed().now_or_never().is_some());
    assert_eq!(
        (queue.len(), queue.is_empty(), queue.has(&due("run-7", 0).node_run_id, Job::Dispatch)),
        (6, false, true)
    );
}

#[test]
fn full_lane_takes_no_room_from_other_lanes() {
    let (queue, _jobs) = WorkQueue::new("worker".into(), 4);
    (0..4).for_each(|run| queue.push(&due(&format!("run-{run}"), 0), NOW));
    let rooms = || Lane::ALL.map(|lane| queue.room(lane));
    assert_eq!(rooms(), [4, 4, 4, 4, 4, 4, 0]);
    let other: RunId = "other".into();
    assert_eq!(queue.claim(&other, [None]), None);
    assert_eq!(queue.claim(&other, [Some(NodeKind::Composite)]), Some(&"worker".into()));
    // All or none.
    assert_eq!(queue.claim(&other, [Some(NodeKind::Composite), Some(NodeKind::Atomic)]), None);
    queue.push(&with(Job::Dispatch, NodeKind::Composite, due("other", 1)), NOW);
    queue.push(&with(Job::CancelExecutor, NodeKind::Atomic, due("other", 2)), NOW);
    queue.push(&with(Job::Deadline, NodeKind::Atomic, due("other", 3)), NOW);
    assert_eq!(rooms(), [3, 4, 4, 4, 3, 3, 0]);
    for lane in Lane::ALL {
        let node = Lane::of(lane.job(), lane.kind());
        assert_eq!(node, lane, "a job and a kind name their lane");
    }
}

#[test]
fn dispatch_moves_to_the_lane_of_the_kind_it_turns_out_to_have() {
    let (queue, mut jobs) = WorkQueue::new("worker".into(), 8);
    let run: RunId = "a".into();
    queue.push(&NodeHead { kind: None, ..due("a", 1) }, NOW);
    let job = jobs.try_recv().expect("a job");
    assert_eq!((queue.in_lane(ATOMIC), queue.in_lane(COMPOSITE)), (1, 0));
    assert_eq!(queue.claim(&run, [None]), None, "one job of each run");
    for _ in 0..2 {
        job.kind_resolved(NodeKind::Composite);
        assert_eq!((queue.in_lane(ATOMIC), queue.in_lane(COMPOSITE)), (0, 1));
        assert_eq!((queue.full_runs(ATOMIC), queue.full_runs(COMPOSITE)), (vec![], vec![run.clone()]));
    }
    assert!(queue.unclaimed().now_or_never().is_some(), "its old lane has room again");
    drop(job);
    assert_eq!((queue.in_lane(COMPOSITE), queue.full_runs(COMPOSITE), queue.len()), (0, vec![], 0));
}

#[test]
fn end_of_a_node_cancels_its_dispatch_and_no_other() {
    let (queue, mut jobs) = WorkQueue::new("worker".into(), 8);
    for (run, ordinal) in [("a", 1), ("a", 2), ("b", 1)] {
        queue.push(&due(run, ordinal), NOW);
    }
    let jobs: Vec<ClaimedJob> = std::iter::from_fn(|| jobs.try_recv().ok()).collect();
    let ended = || jobs.iter().map(|job| job.ended().is_cancelled()).collect::<Vec<_>>();
    assert_eq!(ended(), [false; 3]);
    queue.node_ended(&due("a", 1).node_run_id);
    assert_eq!(ended(), [true, false, false]);
    queue.run_ended(&"a".into());
    assert_eq!(ended(), [true, true, false]);
}

#[test]
fn cancel_may_overtake_only_a_call_that_was_just_sent() {
    let (queue, mut jobs) = WorkQueue::new("worker".into(), 8);
    let mut may_overtake = |ordinal: usize, started: bool, later: Duration| {
        let dispatch = due("a", ordinal);
        queue.push(&dispatch, NOW);
        let call = jobs.try_recv().expect("a job");
        if started {
            call.attempt_started(NOW);
        }
        queue.push(&with(Job::CancelExecutor, NodeKind::Atomic, dispatch), NOW + later);
        jobs.try_recv().expect("a job").may_overtake
    };
    assert!(may_overtake(1, true, Duration::from_millis(10)));
    assert!(!may_overtake(2, true, ON_THE_WIRE));
    assert!(!may_overtake(3, false, Duration::ZERO), "it was never sent");
}

#[test]
fn job_taken_by_its_maker_is_in_hand_until_it_is_dropped() {
    let (queue, mut jobs) = WorkQueue::new("worker".into(), 8);
    let node = due("run", 0);
    let job = queue.take(&node, NOW).expect("a job");
    assert!(queue.has(&node.node_run_id, Job::Dispatch) && queue.take(&node, NOW).is_none());
    queue.push(&node, NOW);
    assert!(jobs.try_recv().is_err(), "it is not begun a second time");
    queue.node_ended(&node.node_run_id);
    assert!(job.ended().is_cancelled());
    drop(job);
    assert!(queue.is_empty());
}
