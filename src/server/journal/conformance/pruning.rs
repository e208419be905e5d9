//! What the deletion of finished runs promises, and the time that it goes by.

use super::{
    JournalUnderTest, NO_LIMIT, Probe, at, change, ended, event, node, nodes, run, run_ended, start, wake,
};
use crate::{
    journal::{Parked, RunSelect, RunsFilter, Visible},
    record::{AttemptOutcome, AttemptRecord, ChangeSet, Job, NodeRecord, RerunOf, RunRecord},
    types::{NodeRunId, RunId},
};

/// A finished run with a node, an event and an attempt, written at that time.
fn finished(id: &str, micros: i64) -> ChangeSet {
    let lost = AttemptRecord {
        node_run_id: NodeRunId::new(format!("{id}/1")),
        run_id: id.into(),
        attempt: 1,
        started_at: at(1),
        ended_at: at(2),
        outcome: AttemptOutcome::Lost,
        because: None,
        note: None,
    };
    ChangeSet {
        at: at(micros),
        run: Some(run_ended(run(id))),
        nodes: vec![ended(node(id, "1"))],
        attempts: vec![lost],
        ..start(id)
    }
}

async fn deliver_all(journal: &Probe) {
    let ids: Vec<_> = journal.owed().await.iter().map(|entry| entry.id).collect();
    journal.0.outbox_ack(&ids).await.expect("entries can be acknowledged");
}

async fn prune(journal: &Probe, before: i64, limit: u32) -> u64 {
    journal.0.runs_prune(at(before), limit).await.expect("finished runs can be deleted")
}

/// The runs that exist. The others have left nothing behind.
async fn existing<'a>(journal: &Probe, ids: &[&'a str]) -> Vec<&'a str> {
    let mut existing = Vec::new();
    for &id in ids {
        let (run, root) = (journal.run(id).await, journal.node(id, "1").await);
        let events = journal.seqs(id, None, NO_LIMIT).await.len();
        let attempts =
            journal.0.attempts_list(&NodeRunId::new(format!("{id}/1"))).await.expect("listed").len();
        match run {
            Some(_) => existing.push(id),
            None => assert_eq!((root, events, attempts), (None, 0, 0), "{id}"),
        }
    }
    existing
}

pub async fn finished_runs_are_pruned_whole_oldest_first(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    for (id, micros) in [("third", 30), ("first", 10), ("second", 20), ("fourth", 40)] {
        journal.commit(finished(id, micros)).await;
    }
    journal.commit(ChangeSet { at: at(5), ..start("live") }).await;
    deliver_all(&journal).await;
    let all = ["first", "second", "third", "fourth", "live"];
    assert_eq!(existing(&journal, &all).await, all);
    assert_eq!(prune(&journal, 10, 10).await, 0);
    assert_eq!(existing(&journal, &all).await, all);
    assert_eq!(prune(&journal, 35, 1).await, 1);
    assert_eq!(existing(&journal, &all).await, all[1..]);
    assert_eq!(prune(&journal, 35, 10).await, 2);
    assert_eq!(prune(&journal, 35, 10).await, 0);
    assert_eq!(existing(&journal, &all).await, ["fourth", "live"]);
    // The same id may be stored again.
    journal.commit(finished("first", 50)).await;
    assert_eq!(journal.seqs("first", None, NO_LIMIT).await, [1]);
}

pub async fn run_with_outbox_entries_or_wake_ups_is_not_pruned(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    journal.commit(finished("owed", 10)).await;
    assert_eq!(prune(&journal, 100, 10).await, 0);
    deliver_all(&journal).await;

    let to_notify = NodeRecord { wake: Some(wake(Job::CancelExecutor, 99)), ..ended(node("canceling", "1")) };
    journal.commit(ChangeSet { nodes: vec![to_notify], ..finished("canceling", 10) }).await;
    journal.commit(finished("done", 20)).await;
    let ids: Vec<_> = journal.owed().await.iter().map(|entry| entry.id).collect();
    journal.0.outbox_ack(&ids[..ids.len() - 1]).await.expect("entries can be acknowledged");
    assert_eq!(prune(&journal, 100, 10).await, 1);
    let all = ["owed", "canceling", "done"];
    assert_eq!(existing(&journal, &all).await, ["canceling", "done"]);

    deliver_all(&journal).await;
    let notified = journal.node("canceling", "1").await.expect("stored");
    journal.commit(nodes("canceling", vec![ended(notified)])).await;
    assert_eq!(prune(&journal, 100, 10).await, 1);
    assert_eq!(existing(&journal, &all).await, ["canceling"], "its last change is owed now");
    deliver_all(&journal).await;
    assert_eq!(prune(&journal, 100, 10).await, 1);
}

pub async fn pruned_run_loses_its_parked_items(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let live = ChangeSet { nodes: vec![ended(node("a", "1"))], ..start("a") };
    journal.commit(live).await;
    journal.commit(ChangeSet { nodes: vec![node("a", "1.2")], ..change("a") }).await;
    let item = |run: &RunId| Parked {
        run_id: run.clone(),
        node_run_id: None,
        job: "run_deadline".into(),
        error: "it failed".into(),
        since: at(1),
        until: at(2),
    };
    journal.0.park(item(&"a".into())).await.expect("it can be parked");
    let (run, child) =
        (journal.run("a").await.expect("stored"), journal.node("a", "1.2").await.expect("stored"));
    let over = ChangeSet { run: Some(run_ended(run)), nodes: vec![ended(child)], ..change("a") };
    journal.commit(over).await;
    deliver_all(&journal).await;
    assert_eq!(prune(&journal, 100, 10).await, 1);
    assert_eq!(journal.0.parked_list(10).await, Ok(Vec::new()));
    assert_eq!(journal.0.counts(at(0)).await, Ok(crate::journal::Counts::default()));
}

pub async fn latest_commit_time_is_that_of_a_run(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    assert_eq!(journal.0.latest_commit_time().await, Ok(None));
    journal.commit(finished("a", 30)).await;
    assert_eq!(journal.0.latest_commit_time().await, Ok(Some(at(30))));
    journal.commit(ChangeSet { at: at(20), ..start("b") }).await;
    assert_eq!(journal.0.latest_commit_time().await, Ok(Some(at(30))));
    let (run, events) = (journal.run("b").await, vec![event("b", 2, None)]);
    journal.commit(ChangeSet { at: at(40), run, events, ..change("b") }).await;
    assert_eq!(journal.0.latest_commit_time().await, Ok(Some(at(40))));
}

pub async fn run_that_is_repeated_is_not_pruned(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    journal.commit(finished("old", 10)).await;
    let rerun = RerunOf { run_id: "old".into(), reuses: true };
    let first = start("again");
    let run = first.run.clone().map(|run| RunRecord { rerun: Some(rerun), ..run });
    journal.commit(ChangeSet { run, ..first }).await;
    deliver_all(&journal).await;
    let filter = RunsFilter { visible: Visible::all(), select: RunSelect::default(), now: at(100) };
    let listed = journal.0.runs_page(None, &filter, 9).await.expect("a page");
    let mut shown: Vec<_> =
        listed.runs.into_iter().map(|run| (run.place.run_id.to_string(), run.rerun_of)).collect();
    shown.sort();
    assert_eq!(shown, [("again".to_owned(), Some("old".into())), ("old".to_owned(), None)]);
    assert_eq!(prune(&journal, 100, 10).await, 0);

    let mut over = run_ended(journal.run("again").await.expect("a run"));
    over.run.ended_at = Some(at(20));
    let root = ended(journal.node("again", "1").await.expect("a node"));
    journal.commit(ChangeSet { at: at(200), run: Some(over), nodes: vec![root], ..change("again") }).await;
    deliver_all(&journal).await;
    assert_eq!(prune(&journal, 100, 10).await, 1);
    assert_eq!(existing(&journal, &["old", "again"]).await, ["again"]);
}
