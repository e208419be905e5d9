//! What a journal promises that several processes share: each has a handle of its own.
//! A property takes two handles of one empty journal.

use std::{collections::HashSet, sync::Arc};

use futures::future::{join, join_all};

use super::samples::*;
use crate::{
    journal::{Heartbeats, JournalError, inspect::Inspect},
    record::{ChangeSet, Job, NodeRecord, RunRecord},
    types::WorkerId,
};

/// Two handles of one empty journal.
pub type Handles = [Arc<dyn Inspect>; 2];

fn workers() -> [WorkerId; 2] {
    ["one".into(), "other".into()]
}

/// The handles, each with its worker registered.
async fn registered(handles: Handles) -> [Probe; 2] {
    let probes = handles.map(Probe);
    for (probe, worker) in probes.iter().zip(workers()) {
        assert!(probe.0.is_shared());
        probe.0.register_worker(&worker).await.expect("registered");
    }
    probes
}

pub async fn what_one_handle_commits_the_other_reads_at_once(handles: Handles) {
    let [one, other] = registered(handles).await;
    one.commit(start("a")).await;
    assert_eq!(other.run("a").await, one.run("a").await);
    for round in 2..20 {
        let [by, seen_by] = if round % 2 == 0 { [&one, &other] } else { [&other, &one] };
        // Read through both before, so that a cache would have it.
        let _before = (one.node("a", "1").await, other.node("a", "1").await);
        let node = by.node("a", "1").await.expect("stored");
        let run = RunRecord { last_seq: round, ..by.run("a").await.expect("stored") };
        by.commit(ChangeSet {
            run: Some(run),
            events: vec![event("a", round, None)],
            ..nodes("a", vec![node])
        })
        .await;
        assert_eq!(seen_by.run("a").await.map(|run| run.last_seq), Some(round));
        assert_eq!(seen_by.node("a", "1").await.map(|node| node.version), Some(round));
        assert_eq!(seen_by.seqs("a", None, NO_LIMIT).await.len() as u64, round);
    }
}

pub async fn racing_commits_of_two_handles_have_one_winner(handles: Handles) {
    let [one, other] = registered(handles).await;
    one.commit(start("a")).await;
    for round in 0..20 {
        let node = |by: &'static str, mut record: NodeRecord| {
            record.node.outputs = Some([("by", by.into())].into());
            nodes("a", vec![record])
        };
        let (mine, theirs) = (one.node("a", "1").await, other.node("a", "1").await);
        let (mine, theirs) = (node("one", mine.expect("stored")), node("other", theirs.expect("stored")));
        let (first, second) = join(one.0.commit(mine), other.0.commit(theirs)).await;
        assert!(first.is_ok() != second.is_ok(), "round {round}: {first:?} {second:?}");
        assert!([first, second].contains(&Err(JournalError::Conflict)), "round {round}");
    }
    assert_eq!(one.node("a", "1").await.map(|node| node.version), Some(21));
    // The same run, started through both.
    let (first, second) = join(one.0.commit(start("b")), other.0.commit(start("b"))).await;
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
}

pub async fn handles_never_claim_the_same_wake(handles: Handles) {
    let [one, other] = registered(handles).await;
    let all = (0..200).map(|number| node("a", &format!("1.{number}")));
    one.commit(nodes("a", all.collect())).await;
    let [mine, theirs] = workers();
    let claims = join_all((0..20).map(async |turn| match turn % 2 {
        0 => one.claim(&mine, 1000, 15).await,
        _ => other.claim(&theirs, 1000, 15).await,
    }))
    .await;
    let mut seen = HashSet::new();
    for node in claims.iter().flatten() {
        assert!(seen.insert(node.path.to_string()), "{} was claimed twice", node.path);
    }
    assert_eq!(seen.len(), 200);
}

pub async fn handle_whose_worker_was_declared_dead_is_fenced(handles: Handles) {
    let [one, other] = registered(handles).await;
    let [mine, theirs] = workers();
    one.commit(start("a")).await;
    one.commit(nodes("a", vec![node_claimed("a", "1.2", &mine)])).await;
    let seen = Heartbeats { worker: mine.clone(), count: 0 };
    one.0.beat(&mine).await.expect("alive");
    assert_eq!(other.0.declare_dead(&seen).await, Ok(false), "it has beaten since");
    assert_eq!(other.0.reap_dead_workers(at(5)).await, Ok(0), "and keeps its claims");
    let seen = Heartbeats { count: 1, ..seen };
    assert_eq!(other.0.declare_dead(&seen).await, Ok(true));
    // Its claims are free, and it cannot take them back or write anything.
    assert_eq!(other.0.reap_dead_workers(at(50)).await, Ok(1));
    assert_eq!(one.0.beat(&mine).await, Err(JournalError::Fenced));
    assert_eq!(one.refused(start("b")).await, JournalError::Fenced);
    assert_eq!(other.node("a", "1.2").await.and_then(|node| node.wake), Some(wake(Job::Deadline, 50)));
    other.commit(start("b")).await;
    assert_eq!(one.run("b").await, other.run("b").await, "it can still read");
    assert_eq!(other.claim(&theirs, 2000, 10).await.len(), 3);
}

/// Makes tests of the properties above, for a journal that can be shared.
///
/// ```text
/// shared_conformance_tests!(async || [MyJournal::handle().await, MyJournal::handle().await]);
/// ```
#[macro_export]
macro_rules! shared_conformance_tests {
    ($make:expr) => {
        $crate::shared_conformance_tests! { $make;
            what_one_handle_commits_the_other_reads_at_once
            racing_commits_of_two_handles_have_one_winner
            handles_never_claim_the_same_wake
            handle_whose_worker_was_declared_dead_is_fenced
        }
    };
    ($make:expr; $($property:ident)+) => {
        $(
            #[tokio::test]
            async fn $property() {
                $crate::journal::conformance::shared::$property(($make)().await).await;
            }
        )+
    };
}
