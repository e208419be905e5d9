//! Bulk jobs and their results.

use super::{JournalUnderTest, samples::*};
use crate::{
    journal::{BulkPlace, JournalError},
    record::{
        BulkAction, BulkCaller, BulkChange, BulkCounts, BulkJob, BulkOutcome, BulkResult, BulkState, Identity,
    },
    time::Timestamp,
};

/// A live job that is not stored yet.
fn job(id: &str, created_at: Timestamp) -> BulkJob {
    BulkJob {
        bulk_id: id.into(),
        version: 0,
        action: BulkAction::Cancel,
        reason: "because".into(),
        by: BulkCaller {
            identity: Identity::bare("caller"),
            is_anonymous: false,
            may_read: false,
            may_operate: true,
            is_admin: false,
        },
        created_at,
        wake_at: Some(created_at),
        state: BulkState::Running,
        ended_at: None,
        per_second: 50,
        filter: None,
        place: None,
        is_listed: true,
        is_cut: false,
        counts: BulkCounts::default(),
        last_error: None,
        aborted: None,
    }
}

fn result(number: u64, outcome: BulkOutcome) -> BulkResult {
    BulkResult { number, run_id: format!("run-{number}").as_str().into(), outcome, detail: None }
}

fn change(job: BulkJob, results: Vec<BulkResult>) -> BulkChange {
    BulkChange { job, results, audit: Vec::new() }
}

fn ended(job: BulkJob, at: Timestamp) -> BulkJob {
    BulkJob { state: BulkState::Finished, ended_at: Some(at), wake_at: None, ..job }
}

pub async fn bulk_job_is_read_as_it_was_written(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let first = job("a", at(5));
    let results = vec![result(1, BulkOutcome::Pending), result(2, BulkOutcome::Pending)];
    let begun = change(first.clone(), results.clone());
    assert_eq!(journal.0.bulk_commit(begun.clone()).await, Ok(()));
    assert_eq!(journal.0.bulk_commit(begun).await, Err(JournalError::Conflict), "it exists");
    let stored = BulkJob { version: 1, ..first.clone() };
    assert_eq!(journal.0.bulk_fetch(&"a".into()).await, Ok(Some(stored.clone())));
    assert_eq!(journal.0.bulk_fetch(&"b".into()).await, Ok(None));
    let acted = BulkResult { detail: Some("why".into()), ..result(1, BulkOutcome::Failed) };
    let next = BulkJob { wake_at: Some(at(9)), ..stored.clone() };
    assert_eq!(journal.0.bulk_commit(change(next.clone(), vec![acted.clone()])).await, Ok(()));
    let stale = journal.0.bulk_commit(change(next, vec![result(2, BulkOutcome::Done)])).await;
    assert_eq!(stale, Err(JournalError::Conflict));
    let bulk = "a".into();
    assert_eq!(
        journal.0.bulk_results(&bulk, 0, None, 10).await,
        Ok(vec![acted.clone(), results[1].clone()]),
        "nothing of a conflict is written"
    );
    let of = async |after, outcome, limit| journal.0.bulk_results(&bulk, after, outcome, limit).await;
    assert_eq!(of(0, Some(BulkOutcome::Pending), 10).await, Ok(vec![results[1].clone()]));
    assert_eq!(of(0, None, 1).await, Ok(vec![acted.clone()]));
    assert_eq!(of(1, None, 1).await, Ok(vec![results[1].clone()]));
    assert_eq!(of(0, Some(BulkOutcome::Done), 10).await, Ok(Vec::new()));

    let journal = reopened(journal, subject.reopen).await;
    let stored = BulkJob { version: 2, wake_at: Some(at(9)), ..stored };
    assert_eq!(journal.0.bulk_fetch(&"a".into()).await, Ok(Some(stored)));
    assert_eq!(journal.0.bulk_results(&"a".into(), 0, None, 1).await, Ok(vec![acted]));
}

pub async fn bulk_jobs_are_listed_and_those_that_are_live(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    for (id, created, wake) in [("a", 1, 30), ("b", 2, 20), ("c", 2, 10), ("d", 3, 0)] {
        let made = BulkJob { wake_at: Some(at(wake)), ..job(id, at(created)) };
        let made = if wake == 0 { ended(made, at(4)) } else { made };
        assert_eq!(journal.0.bulk_commit(change(made, Vec::new())).await, Ok(()));
    }
    let ids = |jobs: Vec<BulkJob>| jobs.iter().map(|job| job.bulk_id.to_string()).collect::<Vec<_>>();
    let live = async |limit| ids(journal.0.bulk_live(limit).await.expect("jobs"));
    assert_eq!(live(10).await, ["c", "b", "a"]);
    assert_eq!(live(1).await, ["c"]);
    let page = async |after: Option<BulkPlace>, limit| {
        ids(journal.0.bulk_page(after.as_ref(), limit).await.expect("jobs"))
    };
    assert_eq!(page(None, 2).await, ["d", "c"]);
    assert_eq!(page(Some(BulkPlace { created_at: at(2), bulk_id: "c".into() }), 9).await, ["b", "a"]);
    // A live job goes on at some time, and one that has ended does not.
    for (id, wake_at, ended_at) in [("e", None, None), ("f", Some(at(1)), Some(at(1)))] {
        let stuck = BulkJob { wake_at, ended_at, ..job(id, at(5)) };
        let refused = journal.0.bulk_commit(change(stuck, Vec::new())).await;
        assert!(matches!(refused, Err(JournalError::Failed(_))), "{refused:?}");
    }
}

pub async fn old_bulk_jobs_are_pruned_with_their_results(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let results = || (1..=5).map(|number| result(number, BulkOutcome::Done)).collect::<Vec<_>>();
    for (id, end) in [("old", Some(at(10))), ("new", Some(at(100))), ("live", None)] {
        let made = job(id, at(1));
        let made = match end {
            Some(end) => ended(made, end),
            None => made,
        };
        assert_eq!(journal.0.bulk_commit(change(made, results())).await, Ok(()));
    }
    assert_eq!(journal.0.bulk_prune(at(10), 100).await, Ok(0), "not before its time");
    let mut deleted = 0;
    loop {
        let rows = journal.0.bulk_prune(at(50), 2).await.expect("pruned");
        assert!(rows <= 3, "bounded: {rows}");
        if rows == 0 {
            break;
        }
        deleted += rows;
    }
    assert_eq!(deleted, 6);
    assert_eq!(journal.0.bulk_fetch(&"old".into()).await, Ok(None));
    assert_eq!(journal.0.bulk_results(&"old".into(), 0, None, 9).await, Ok(Vec::new()));
    for id in ["new", "live"] {
        assert_eq!(journal.0.bulk_results(&id.into(), 0, None, 9).await, Ok(results()));
    }
}
