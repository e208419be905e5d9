//! Each fault does what it says, and no more.

use super::*;
use crate::{
    journal::{
        ClaimFilter, Parked,
        conformance::{
            JournalUnderTest, Probe, at, change, ended, event, node, nodes, run, run_ended, start,
        },
        sqlite::tests::{Directory, open},
    },
    time::Timestamp,
};

/// A working journal behind faults.
fn faulty(faults: Faults) -> (Arc<dyn Inspect>, Directory) {
    let directory = Directory::new();
    let journal = FaultyJournal::new(open(directory.file("j.db")), faults);
    (Arc::new(journal), directory)
}

mod delays_are_transparent {
    use super::*;

    crate::conformance_tests!(async || {
        let faults = Faults::seeded(7, Chances { delay: 0.5, ..Chances::default() });
        let (journal, directory) = faulty(faults);
        JournalUnderTest { journal, reopen: None, guard: Box::new(directory) }
    });
}

/// A repeated commit changes nothing, and its caller does not notice.
mod repeated_commits_are_transparent {
    use super::*;

    crate::conformance_tests!(async || {
        let faults = Faults::seeded(7, Chances { twice: 1.0, ..Chances::default() });
        let (journal, directory) = faulty(faults);
        JournalUnderTest { journal, reopen: None, guard: Box::new(directory) }
    });
}

#[tokio::test]
async fn whole_suite_runs_at_once() {
    crate::journal::conformance::all(async || {
        let (journal, directory) = faulty(Faults::none());
        JournalUnderTest { journal, reopen: None, guard: Box::new(directory) }
    })
    .await;
}

#[tokio::test]
async fn failure_before_a_write_leaves_nothing() {
    let faults = Faults::none();
    let (journal, _directory) = faulty(faults.clone());
    let probe = Probe(journal);
    faults.script(Fault::FailBefore);
    let error = probe.refused(start("a")).await;
    assert_eq!(error, JournalError::Failed("injected: nothing was written".into()));
    assert_eq!((probe.run("a").await, probe.node("a", "1").await), (None, None));
    assert!(probe.owed().await.is_empty());
    // So the same commit can be repeated.
    probe.commit(start("a")).await;
    assert_eq!(faults.injected(), 1);
}

#[tokio::test]
async fn failure_after_a_write_leaves_everything() {
    let faults = Faults::none();
    let (journal, _directory) = faulty(faults.clone());
    let probe = Probe(journal);
    faults.script(Fault::FailAfter);
    let error = probe.refused(start("a")).await;
    assert_eq!(error, JournalError::Failed("injected: it was written".into()));
    assert_eq!(probe.run("a").await.map(|run| run.version), Some(1));
    assert_eq!(probe.live("a", None).await, ["1"]);
    assert_eq!(probe.owed().await.len(), 3);
    // A retry finds the conflict: nothing is written twice.
    assert_eq!(probe.refused(start("a")).await, JournalError::Conflict);

    faults.script(Fault::FailAfter);
    let worker = "me".into();
    let claim = probe
        .0
        .claim_due(
            &worker,
            Timestamp::from_micros(1000),
            &ClaimFilter { limit: 10, ..ClaimFilter::default() },
        )
        .await;
    assert!(claim.is_err());
    let owned = probe.node("a", "1").await.and_then(|node| node.wake).and_then(|wake| wake.claimed_by);
    assert_eq!(owned, Some(worker));
}

fn parked(until: i64) -> Parked {
    Parked {
        run_id: "a".into(),
        node_run_id: Some("a/1".into()),
        job: "dispatch".into(),
        error: "it failed".into(),
        since: at(1),
        until: at(until),
    }
}

#[tokio::test]
async fn failed_parking_is_whole_or_nothing_and_repeatable() {
    let faults = Faults::none();
    let (journal, _directory) = faulty(faults.clone());
    let probe = Probe(journal);
    probe.commit(start("a")).await;
    faults.script(Fault::FailBefore);
    assert!(probe.0.park(parked(500)).await.is_err());
    assert_eq!(probe.0.parked_list(10).await, Ok(Vec::new()));
    assert_eq!(probe.node("a", "1").await.map(|node| node.version), Some(1));
    faults.script(Fault::FailAfter);
    assert!(probe.0.park(parked(500)).await.is_err());
    assert_eq!(probe.0.parked_list(10).await, Ok(vec![parked(500)]));
    // It is not claimed before its time.
    assert!(probe.claim(&"me".into(), 499, 10).await.is_empty());
    probe.0.park(parked(600)).await.expect("it can be parked");
    assert_eq!(probe.0.parked_list(10).await, Ok(vec![parked(600)]));
    faults.set_chances(Chances { fail_read: 1.0, ..Chances::default() });
    assert!(probe.0.parked_list(10).await.is_err() && probe.0.latest_commit_time().await.is_err());
}

#[tokio::test]
async fn failed_pruning_deletes_whole_runs_or_nothing() {
    let faults = Faults::none();
    let (journal, _directory) = faulty(faults.clone());
    let probe = Probe(journal);
    let over = ChangeSet { run: Some(run_ended(run("a"))), nodes: vec![ended(node("a", "1"))], ..start("a") };
    probe.commit(over).await;
    let owed: Vec<_> = probe.owed().await.iter().map(|entry| entry.id).collect();
    probe.0.outbox_ack(&owed).await.expect("acknowledged");
    faults.script(Fault::FailBefore);
    assert!(probe.0.runs_prune(at(100), 10).await.is_err());
    assert!(probe.run("a").await.is_some() && probe.node("a", "1").await.is_some());
    faults.script(Fault::FailAfter);
    assert!(probe.0.runs_prune(at(100), 10).await.is_err());
    assert!(probe.run("a").await.is_none() && probe.node("a", "1").await.is_none());
    assert_eq!(probe.0.runs_prune(at(100), 10).await, Ok(0), "nothing is left to delete");
}

#[tokio::test]
async fn repeated_commit_counts_once() {
    let faults = Faults::none();
    let (journal, _directory) = faulty(faults.clone());
    let probe = Probe(journal);
    faults.script(Fault::Twice);
    probe.commit(start("a")).await;
    let (root, whole) = (probe.node("a", "1").await.expect("stored"), probe.run("a").await);
    faults.script(Fault::Twice);
    probe.commit(ChangeSet { run: whole, events: vec![event("a", 2, None)], ..change("a") }).await;
    faults.script(Fault::Twice);
    probe.commit(nodes("a", vec![ended(root), node("a", "1.2")])).await;
    assert_eq!(probe.run("a").await, Some(RunRecord { version: 2, last_seq: 1, ..run("a") }));
    assert_eq!(probe.node("a", "1").await.map(|node| node.version), Some(2));
    assert_eq!(probe.owed().await.len(), 7);
}

#[tokio::test]
async fn same_seed_gives_the_same_faults() {
    let chances = Chances { fail_before: 0.2, fail_after: 0.2, twice: 0.2, delay: 0.2, ..Default::default() };
    let draw = |seed| {
        let faults = Faults::seeded(seed, chances);
        (0..200).map(|_| faults.for_write()).collect::<Vec<_>>()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    for wanted in [None, Some(Fault::FailBefore), Some(Fault::FailAfter), Some(Fault::Twice)] {
        assert!(draw(1).contains(&wanted), "{wanted:?} never came");
    }
    let (journal, _directory) = faulty(Faults::seeded(1, Chances { fail_read: 1.0, ..Default::default() }));
    assert!(journal.wake_next(Timestamp::from_micros(0)).await.is_err());
}
