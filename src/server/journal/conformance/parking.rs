//! What parking promises.

use super::{
    JournalUnderTest, Probe, at, change, ended, node_claimed, node_due, nodes, run, run_ended, start, wake,
};
use crate::{
    journal::Parked,
    record::{ChangeSet, Job, RunRecord, Wake},
    types::NodeRunId,
};

/// A parked item for the node at `path` of run `a`, or for the run.
fn failing(path: Option<&str>, since: i64, until: i64) -> Parked {
    Parked {
        run_id: "a".into(),
        node_run_id: path.map(|path| NodeRunId::new(format!("a/{path}"))),
        job: path.map_or("run_deadline", |_| Job::Dispatch.as_str()).into(),
        error: format!("it failed at {since}"),
        since: at(since),
        until: at(until),
    }
}

async fn listed(journal: &Probe) -> Vec<Parked> {
    journal.0.parked_list(10).await.expect("parked items can be listed")
}

async fn park(journal: &Probe, item: &Parked) {
    journal.0.park(item.clone()).await.expect("it can be parked");
}

pub async fn parked_wake_is_unclaimed_until_its_time(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    journal.commit(nodes("a", vec![node_due("a", "1.1", 10), node_due("a", "1.2", 20)])).await;
    let me = "me".into();
    let claimed = journal.claim(&me, 20, 10).await;
    assert_eq!(claimed.len(), 2);
    let item = failing(Some("1.1"), 30, 500);
    park(&journal, &item).await;

    let parked = journal.node("a", "1.1").await.expect("stored");
    assert_eq!(parked.wake, Some(Wake { tries: 1, ..wake(Job::Dispatch, 500) }));
    assert_eq!(parked.version, claimed[0].version + 1, "what was read before is stale");
    assert_eq!(listed(&journal).await, [item]);
    assert_eq!(journal.0.counts(at(100)).await.map(|counts| counts.parked), Ok(1));
    assert!(journal.claim(&me, 499, 10).await.is_empty());
    let again = journal.claim(&me, 500, 10).await;
    assert_eq!(again.iter().map(|node| node.path.as_str()).collect::<Vec<_>>(), ["1.1"]);
    assert_eq!(listed(&journal).await.len(), 1, "a retry is not a decision");
}

pub async fn parked_run_is_not_overdue_until_its_time(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let mut first = start("a");
    first.run = first.run.map(|run| RunRecord { deadline: Some(at(20)), ..run });
    journal.commit(first).await;
    park(&journal, &failing(None, 30, 500)).await;
    assert_eq!(journal.0.runs_overdue(at(499), 10).await, Ok(Vec::new()));
    assert_eq!(journal.0.runs_overdue(at(500), 10).await, Ok(vec!["a".into()]));
    let parked = journal.run("a").await.expect("stored");
    assert_eq!((parked.deadline, parked.version), (Some(at(20)), 2), "the record keeps its deadline");
    // A commit that leaves the run alive restores the real deadline.
    journal.commit(ChangeSet { run: Some(parked), ..change("a") }).await;
    assert_eq!(journal.0.runs_overdue(at(20), 10).await, Ok(vec!["a".into()]));
}

pub async fn decided_items_are_no_longer_parked(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    journal.commit(start("a")).await;
    journal.commit(nodes("a", vec![node_due("a", "1.2", 10), node_due("a", "1.3", 10)])).await;
    let [run, root, other] =
        [failing(None, 30, 500), failing(Some("1"), 31, 500), failing(Some("1.2"), 32, 500)];
    for item in [&run, &root, &other] {
        park(&journal, item).await;
    }
    assert_eq!(
        listed(&journal).await,
        [run.clone(), root.clone(), other.clone()],
        "the longest parked first"
    );
    assert_eq!(journal.0.parked_list(1).await, Ok(vec![run.clone()]));

    // A commit that is refused decides nothing.
    let node = journal.node("a", "1").await.expect("stored");
    let stale = crate::record::NodeRecord { version: node.version - 1, ..node.clone() };
    journal.refused(nodes("a", vec![stale])).await;
    assert_eq!(listed(&journal).await.len(), 3);
    journal.commit(nodes("a", vec![ended(node)])).await;
    assert_eq!(listed(&journal).await, [run, other.clone()]);
    let whole = journal.run("a").await.expect("stored");
    journal.commit(ChangeSet { run: Some(run_ended(whole)), ..change("a") }).await;
    assert_eq!(listed(&journal).await, [other]);
}

pub async fn item_with_an_unchanged_wake_stays_parked(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    journal.commit(start("a")).await;
    let item = failing(Some("1"), 30, 500);
    park(&journal, &item).await;
    // For example, the node is evaluated.
    let node = journal.node("a", "1").await.expect("stored");
    journal.commit(nodes("a", vec![node])).await;
    assert_eq!(listed(&journal).await, [item]);
    let mut node = journal.node("a", "1").await.expect("stored");
    node.wake = Some(wake(Job::Dispatch, 100));
    journal.commit(nodes("a", vec![node])).await;
    assert_eq!(listed(&journal).await, []);
}

pub async fn parking_again_keeps_the_first_time(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let mut over = ended(node_due("a", "1.2", 10));
    over.wake = Some(wake(Job::CancelExecutor, 10));
    journal.commit(nodes("a", vec![node_claimed("a", "1.1", &"me".into()), over])).await;
    // The cancel notification has not failed.
    let before = journal.node("a", "1.2").await;
    park(&journal, &failing(Some("1.2"), 30, 500)).await;
    assert_eq!((journal.node("a", "1.2").await, listed(&journal).await), (before, vec![]));

    park(&journal, &failing(Some("1.1"), 30, 500)).await;
    park(&journal, &failing(Some("1.1"), 600, 900)).await;
    assert_eq!(listed(&journal).await, [Parked { since: at(30), ..failing(Some("1.1"), 600, 900) }]);
    let tries = journal.node("a", "1.1").await.and_then(|node| node.wake).map(|wake| wake.tries);
    assert_eq!(tries, Some(2));
}

pub async fn items_without_a_wake_up_cannot_be_parked(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let over =
        ChangeSet { run: Some(run_ended(run("a"))), nodes: vec![ended(super::node("a", "1"))], ..start("a") };
    journal.commit(over).await;
    let (whole, root) = (journal.run("a").await, journal.node("a", "1").await);
    for path in [None, Some("1"), Some("1.9")] {
        park(&journal, &failing(path, 30, 500)).await;
    }
    assert_eq!(listed(&journal).await, []);
    assert_eq!((journal.run("a").await, journal.node("a", "1").await), (whole, root));
}
