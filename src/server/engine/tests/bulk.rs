//! The steps of a bulk job.

use serde_json::json;

use crate::{
    engine::{BulkRuns, Listed, NewBulk, bulk_abort, bulk_list, bulk_record, bulk_start},
    record::{
        Actor, BulkAction, BulkCaller, BulkChange, BulkCounts, BulkJob, BulkOutcome, BulkResult, BulkState,
        Identity,
    },
    time::Timestamp,
    types::{JsonObject, RunId},
};

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn begun(runs: BulkRuns) -> BulkChange {
    let identity = Identity::bare("operator");
    let new = NewBulk {
        bulk_id: "bulk_1".into(),
        action: BulkAction::Cancel,
        reason: "because".into(),
        by: BulkCaller {
            identity: identity.clone(),
            is_anonymous: false,
            may_read: false,
            may_operate: true,
            is_admin: false,
        },
        actor: Actor::Caller(identity),
        per_second: 50,
        runs,
    };
    bulk_start(new, at(1))
}

fn ids(names: &[&str]) -> Vec<RunId> {
    names.iter().map(|name| RunId::new(*name)).collect()
}

fn counts(job: &BulkJob) -> [u64; 4] {
    let BulkCounts { pending, done, skipped, failed } = job.counts;
    [pending, done, skipped, failed]
}

fn acted(result: &BulkResult, outcome: BulkOutcome) -> BulkResult {
    BulkResult { outcome, detail: Some("why".into()), ..result.clone() }
}

#[test]
fn bulk_job_of_ids_ends_with_its_last_result() {
    let BulkChange { job, results, audit } = begun(BulkRuns::Ids(ids(&["a", "b"])));
    assert_eq!((counts(&job), job.wake_at, job.is_listed), ([2, 0, 0, 0], Some(at(1)), true));
    assert_eq!(results.iter().map(|result| result.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(audit[0].detail(), Some("bulk_1: cancel: because"));
    let first = bulk_record(job, vec![acted(&results[0], BulkOutcome::Failed)], at(9), at(5));
    assert_eq!((counts(&first.job), first.job.wake_at), ([1, 0, 0, 1], Some(at(9))));
    assert_eq!(first.job.last_error.as_deref(), Some("why"));
    assert!(first.audit.is_empty() && first.job.is_live());
    let last = bulk_record(first.job, vec![acted(&results[1], BulkOutcome::Done)], at(9), at(6));
    assert_eq!(
        (last.job.state, last.job.ended_at, last.job.wake_at),
        (BulkState::Finished, Some(at(6)), None)
    );
    assert_eq!(last.audit[0].detail(), Some("bulk_1: done 1, skipped 0, failed 1, pending 0"));
    assert_eq!(bulk_abort(last.job, &Actor::Coordinator, "late", at(7)), None);
}

#[test]
fn bulk_job_of_a_filter_lists_its_runs_in_steps() {
    let job = begun(BulkRuns::Filter(JsonObject::from([("state", json!("running"))]))).job;
    assert!(!job.is_listed && job.is_live());
    let listed = |runs: &[(&str, Option<&str>)], at_end| Listed {
        runs: runs.iter().map(|(run, skip)| (RunId::new(*run), skip.map(str::to_owned))).collect(),
        place: runs.last().map(|(run, _)| (at(0), RunId::new(*run))),
        at_end,
    };
    let first = bulk_list(job, listed(&[("c", None), ("b", Some("over"))], false), at(2)).expect("a step");
    assert_eq!((counts(&first.job), first.job.is_live()), ([1, 0, 1, 0], true));
    let place = first.job.place.clone();
    let last = bulk_list(first.job.clone(), listed(&[], true), at(3)).expect("a step");
    assert_eq!((last.job.is_listed, last.job.is_live(), &last.job.place), (true, true, &place));
    assert_eq!(bulk_list(last.job.clone(), listed(&[], true), at(4)), None, "all are listed");
    let done = bulk_record(last.job, vec![acted(&first.results[0], BulkOutcome::Done)], at(9), at(5));
    assert_eq!((done.job.state, counts(&done.job)), (BulkState::Finished, [0, 1, 1, 0]));
    // A job that finds nothing ends at once.
    let none = begun(BulkRuns::Filter(JsonObject::new())).job;
    let none = bulk_list(none, listed(&[], true), at(2)).expect("a step");
    assert_eq!((none.job.state, none.audit.len()), (BulkState::Finished, 1));
}

#[test]
fn aborted_bulk_job_keeps_what_was_under_way() {
    let BulkChange { job, results, .. } = begun(BulkRuns::Ids(ids(&["a", "b", "c"])));
    let by = Actor::Caller(Identity::bare("boss"));
    let aborted = bulk_abort(job, &by, "stop it", at(3)).expect("live");
    assert_eq!((aborted.job.state, aborted.job.wake_at), (BulkState::Aborted, None));
    assert_eq!(aborted.audit[0].detail(), Some("bulk_1: stop it; done 0, skipped 0, failed 0, pending 3"));
    let late = bulk_record(aborted.job, vec![acted(&results[0], BulkOutcome::Done)], at(9), at(4));
    assert_eq!((counts(&late.job), late.job.state), ([2, 1, 0, 0], BulkState::Aborted));
    assert_eq!((late.job.ended_at, late.job.wake_at, late.audit.len()), (Some(at(3)), None, 0));
}
