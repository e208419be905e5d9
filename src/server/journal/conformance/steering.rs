//! What pauses, holds and nodes that are set aside promise.

use super::{JournalUnderTest, Probe, at, attempt, change, ended, node, nodes, run, start, wake};
use crate::{
    journal::{AuditFilter, AuditId, ClaimFilter, JournalError, RunSelect, RunsFilter, Visible},
    record::{
        Actor, AttemptOutcome, AuditObject, AuditRecord, AuditedOperation, ChangeSet, Hold, Identity, Job,
        NodeRecord, Operation, Pause, PauseScope, RunRecord,
    },
    types::NodeRunState,
};

fn by() -> Actor {
    Actor::Caller(Identity::bare("alice"))
}

fn pause(scope: PauseScope, reason: &str) -> Pause {
    Pause { scope, since: at(5), by: by(), reason: reason.into() }
}

fn audit(operation: Operation) -> AuditRecord {
    AuditRecord::applied(at(5), by(), AuditedOperation::Request(operation), AuditObject::default())
}

fn held(record: RunRecord, until: Option<i64>) -> RunRecord {
    let hold = Hold { since: at(5), by: by(), reason: "why".into(), until: until.map(at) };
    RunRecord { hold: Some(hold), ..record }
}

/// One change of the hold of a run.
fn holds(record: RunRecord, held: bool) -> ChangeSet {
    ChangeSet { held: Some(held), run: Some(record), ..change("a") }
}

pub async fn pauses_are_kept_by_scope_with_an_audit_record(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    let pauses = async |journal: &Probe| journal.0.pauses().await.expect("pauses");
    let none = pauses(&journal).await;
    assert_eq!(none.pauses, []);
    let tenant = PauseScope::Tenant { tenant: "acme \"corp\"".into() };
    let mut versions = vec![none.version];
    for (scope, reason) in [(&PauseScope::All, "one"), (&tenant, "two"), (&PauseScope::All, "three")] {
        let put = journal.0.pause_put(&pause(scope.clone(), reason), &audit(Operation::PauseDispatch)).await;
        assert_eq!(put, Ok(()));
        versions.push(pauses(&journal).await.version);
    }
    let mut expected = vec![pause(PauseScope::All, "three"), pause(tenant.clone(), "two")];
    let mut found = pauses(&journal).await.pauses;
    expected.sort_by(|a, b| a.scope.cmp(&b.scope));
    found.sort_by(|a, b| a.scope.cmp(&b.scope));
    assert_eq!(found, expected);
    let resume = audit(Operation::ResumeDispatch);
    assert_eq!(journal.0.pause_remove(&tenant, &resume).await, Ok(true));
    versions.push(pauses(&journal).await.version);
    assert!(versions.windows(2).all(|pair| pair[0] != pair[1]), "each change makes another: {versions:?}");
    assert_eq!(journal.0.pause_remove(&tenant, &resume).await, Ok(false), "it is gone");
    assert_eq!(pauses(&journal).await.pauses, [pause(PauseScope::All, "three")]);
    assert_eq!(Some(&pauses(&journal).await.version), versions.last(), "nothing was removed");
    let page = journal.audit_page(AuditId(0), &AuditFilter::default(), 10).await;
    let operations: Vec<&str> = page.entries.iter().map(|entry| entry.record.operation.as_str()).collect();
    assert_eq!(operations, ["pause_dispatch", "pause_dispatch", "pause_dispatch", "resume_dispatch"]);
    let Some(reopen) = test.reopen else { return };
    drop(journal);
    let journal = Probe(reopen().await);
    assert_eq!(pauses(&journal).await.pauses, [pause(PauseScope::All, "three")]);
    assert_eq!(Some(&pauses(&journal).await.version), versions.last());
}

pub async fn commit_under_pauses_that_have_changed_is_a_conflict(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    journal.commit(start("a")).await;
    let version = async || Some(journal.0.pauses().await.expect("pauses").version);
    let under =
        async |pauses| ChangeSet { pauses, ..nodes("a", vec![journal.node("a", "1").await.expect("there")]) };
    let before = version().await;
    journal.commit(under(before).await).await;
    let audit = audit(Operation::PauseDispatch);
    assert_eq!(journal.0.pause_put(&pause(PauseScope::All, "why"), &audit).await, Ok(()));
    assert_eq!(journal.refused(under(before).await).await, JournalError::Conflict);
    journal.commit(under(version().await).await).await;
    journal.commit(under(None).await).await;
    let during = version().await;
    assert_eq!(journal.0.pause_remove(&PauseScope::All, &audit).await, Ok(true));
    assert_eq!(journal.refused(under(during).await).await, JournalError::Conflict);
    assert_eq!(journal.refused(under(before).await).await, JournalError::Conflict);
    journal.commit(under(version().await).await).await;
    assert_eq!(journal.node("a", "1").await.map(|node| node.version), Some(5));
}

pub async fn set_aside_wakes_are_claimed_at_their_time_or_resumed(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    journal.commit(start("a")).await;
    journal.commit(start("b")).await;
    let aside =
        |run: &str, path: &str, due| NodeRecord { wake: Some(wake(Job::SetAside, due)), ..node(run, path) };
    journal.commit(nodes("a", vec![aside("a", "1.2", 500), aside("a", "1.3", 600)])).await;
    journal.commit(nodes("b", vec![aside("b", "1.2", 500), aside("b", "1.3", 30)])).await;
    // As a dispatch none of them is claimed; as itself, at its time.
    let of = |job| ClaimFilter { job: Some(job), limit: 10, ..ClaimFilter::default() };
    let claimed = async |job, now| {
        let found = journal.0.claim_due(&"me".into(), at(now), &of(job)).await.expect("claims");
        found.into_iter().map(|head| head.node_run_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(claimed(Job::Dispatch, 99).await, Vec::<String>::new());
    assert_eq!(claimed(Job::SetAside, 99).await, ["b/1.3"]);
    let record = journal.run("a").await.expect("stored");
    journal.commit(holds(held(record, None), true)).await;
    let counts = journal.0.counts(at(99)).await.expect("counts");
    assert_eq!((counts.held, counts.set_aside), (1, 3));
    // Neither those of a held run, nor what a worker has.
    assert_eq!(journal.0.set_aside_resume(at(50), 10).await, Ok(1));
    assert_eq!(journal.0.set_aside_resume(at(50), 10).await, Ok(0));
    let resumed = journal.node("b", "1.2").await.expect("stored");
    assert_eq!(resumed.wake, Some(wake(Job::Dispatch, 50)));
    assert_eq!(journal.node("a", "1.2").await.and_then(|node| node.wake), Some(wake(Job::SetAside, 500)));
    assert_eq!(claimed(Job::Dispatch, 50).await, ["b/1.2"]);
    let record = journal.run("a").await.expect("stored");
    journal.commit(holds(RunRecord { hold: None, ..record }, false)).await;
    assert_eq!(journal.0.set_aside_resume(at(60), 1).await, Ok(1), "not more than asked for");
    assert_eq!(journal.0.set_aside_resume(at(60), 10).await, Ok(1));
    let counts = journal.0.counts(at(99)).await.expect("counts");
    assert_eq!((counts.held, counts.set_aside), (0, 0));
}

pub async fn held_runs_are_listed_and_wake_up_at_the_end_of_their_hold(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    journal.commit(start("a")).await;
    journal.commit(start("b")).await;
    let listed = async |held| {
        let select = RunSelect { held, ..RunSelect::default() };
        let page =
            journal.0.runs_page(None, &RunsFilter { visible: Visible::all(), select, now: at(99) }, 10).await;
        let runs = page.expect("a page").runs.into_iter();
        runs.map(|run| (run.place.run_id.to_string(), run.held)).collect::<Vec<_>>()
    };
    let overdue = async |now| journal.0.runs_overdue(at(now), 10).await.expect("a list").len();
    assert_eq!(listed(Some(true)).await, []);
    let record = journal.run("a").await.expect("stored");
    journal.commit(holds(held(record, Some(20)), true)).await;
    assert_eq!(listed(Some(true)).await, [("a".to_owned(), true)]);
    assert_eq!(listed(Some(false)).await, [("b".to_owned(), false)]);
    assert_eq!(listed(None).await.len(), 2);
    assert_eq!((overdue(19).await, overdue(20).await), (0, 1));
    // A commit that does not change the hold leaves the list as it is.
    let record = journal.run("a").await.expect("stored");
    assert_eq!(record.hold.as_ref().and_then(|hold| hold.until), Some(at(20)));
    journal.commit(ChangeSet { run: Some(record), ..change("a") }).await;
    assert_eq!((listed(Some(true)).await.len(), overdue(20).await), (1, 1));
    let record = journal.run("a").await.expect("stored");
    journal.commit(holds(RunRecord { hold: None, ..record }, false)).await;
    assert_eq!((listed(Some(true)).await, overdue(20).await), (Vec::new(), 0));
    // It ends while it is held.
    let record = journal.run("a").await.expect("stored");
    journal.commit(holds(held(record, None), true)).await;
    let record = journal.run("a").await.expect("stored");
    let over = super::run_ended(RunRecord { hold: None, ..record });
    journal.commit(ChangeSet { run: Some(over), ..change("a") }).await;
    assert_eq!(listed(Some(true)).await, []);
    let adopted = RunRecord { run: run("c").run, ..held(run("c"), None) };
    let root = node("c", "1");
    journal.commit(ChangeSet { run: Some(adopted), nodes: vec![root], ..change("c") }).await;
    assert_eq!(listed(Some(true)).await, [("c".to_owned(), true)]);
}

pub async fn canceled_nodes_are_listed_with_their_last_attempt(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    journal.commit(start("a")).await;
    let canceled = |path: &str, when, attempt, notify: bool| {
        let mut node = NodeRecord { attempt, ..ended(node("a", path)) };
        (node.node.state, node.node.ended_at) = (NodeRunState::Canceled, Some(at(when)));
        node.wake = notify.then(|| wake(Job::CancelExecutor, 90));
        node
    };
    let all = vec![
        canceled("1.4", 7, 2, false),
        canceled("1.2", 7, 0, false),
        canceled("1.3", 7, 1, true),
        canceled("1.5", 6, 1, false),
    ];
    let attempts =
        vec![attempt("a/1.4", 1, AttemptOutcome::Lost), attempt("a/1.4", 2, AttemptOutcome::Fenced)];
    journal.commit(ChangeSet { attempts, ..nodes("a", all) }).await;
    let found = journal.0.nodes_canceled(&"a".into(), at(7), 10).await.expect("a list");
    let short: Vec<_> = found
        .iter()
        .map(|node| (node.head.path.as_str(), node.head.wake.is_some(), node.last_attempt.as_ref()))
        .map(|(path, notify, last)| (path, notify, last.map(|last| (last.attempt, last.outcome.clone()))))
        .collect();
    let fenced = Some((2, AttemptOutcome::Fenced));
    assert_eq!(short, [("1.2", false, None), ("1.3", true, None), ("1.4", false, fenced)]);
    let first = journal.0.nodes_canceled(&"a".into(), at(7), 1).await.expect("a list");
    assert_eq!(first.len(), 1);
    assert_eq!(journal.0.nodes_canceled(&"b".into(), at(7), 10).await, Ok(Vec::new()));
}
