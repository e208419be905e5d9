//! What the list of approvals promises.

use super::{JournalUnderTest, Probe, at, change, ended, node, nodes, reopened, start, wake};
use crate::{
    journal::{ClaimFilter, Waiting, WaitingPage, WaitingPlace},
    record::{Approval, ApprovalId, ChangeSet, Demand, Job, NodeHead, NodeRecord},
    types::{NodeRunState, RunId},
};

/// A node that waits for an approval since a time, and whose wake-up is due at
/// another.
pub(super) fn waiting(run: &str, path: &str, since: i64, due: i64) -> NodeRecord {
    let mut node = NodeRecord { wake: Some(wake(Job::Approval, due)), ..node(run, path) };
    let approval = Approval {
        approval_id: ApprovalId::new(node.id().clone(), 1),
        demand: Demand::Gate,
        requested_at: at(since),
        expires_at: at(400_000),
        decision: None,
    };
    node.waits.approval = Some(Box::new(approval));
    node
}

async fn page(journal: &Probe, after: Option<&WaitingPlace>, run: Option<&RunId>, limit: u32) -> WaitingPage {
    journal.0.approvals_page(after, run, limit).await.expect("approvals can be listed")
}

/// The ids of all that wait, read in pages of that size.
async fn list_by(journal: &Probe, run: Option<&str>, limit: u32) -> Vec<String> {
    let run = run.map(RunId::new);
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let WaitingPage { waiting, scanned_to, at_end } =
            page(journal, after.as_ref(), run.as_ref(), limit).await;
        assert!(waiting.len() as u64 <= u64::from(limit));
        let is_behind = |entry: &Waiting| after.as_ref().is_none_or(|after| entry.place > *after);
        assert!(waiting.iter().all(is_behind) && waiting.is_sorted_by_key(|entry| entry.place.clone()));
        assert!(run.is_none() || waiting.iter().all(|entry| Some(&entry.run_id) == run.as_ref()));
        ids.extend(waiting.into_iter().map(|entry| entry.place.node_run_id.to_string()));
        if at_end {
            return ids;
        }
        assert!(scanned_to > after, "a page that is not the last one makes progress");
        after = scanned_to;
    }
}

async fn list(journal: &Probe) -> Vec<String> {
    list_by(journal, None, 100).await
}

pub async fn approvals_are_listed_oldest_first_in_pages(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    assert_eq!(page(&journal, None, None, 10).await, WaitingPage { at_end: true, ..WaitingPage::default() });
    journal.commit(start("a")).await;
    journal.commit(start("b")).await;
    // In another order than their times, their ids and the times when they are due.
    journal.commit(nodes("a", vec![waiting("a", "1.2", 30, 300), waiting("a", "1.3", 20, 100)])).await;
    journal.commit(nodes("b", vec![waiting("b", "1.2", 20, 400), waiting("b", "1.4", 10, 200)])).await;
    for limit in 1..=5 {
        assert_eq!(list_by(&journal, None, limit).await, ["b/1.4", "a/1.3", "b/1.2", "a/1.2"]);
        assert_eq!(list_by(&journal, Some("a"), limit).await, ["a/1.3", "a/1.2"]);
        assert_eq!(list_by(&journal, Some("none"), limit).await, [""; 0]);
    }
    assert_eq!(journal.0.counts(at(0)).await.expect("counts can be read").approvals, 4);
}

pub async fn approvals_are_listed_while_their_nodes_wait(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    journal.commit(start("a")).await;
    let waiting = ["1.2", "1.3", "1.4", "1.5"].map(|path| waiting("a", path, 10, 100));
    journal.commit(nodes("a", waiting.to_vec())).await;
    assert_eq!(list(&journal).await, ["a/1.2", "a/1.3", "a/1.4", "a/1.5"]);
    // Decided: it waits for its dispatch, and keeps its approval.
    let stored = journal.node("a", "1.2").await.expect("stored");
    journal.commit(nodes("a", vec![NodeRecord { wake: Some(wake(Job::Dispatch, 50)), ..stored }])).await;
    // Ended as a whole record.
    let stored = journal.node("a", "1.3").await.expect("stored");
    journal.commit(nodes("a", vec![ended(stored)])).await;
    // Canceled by its head, as a cascade does.
    let head = journal.0.head_fetch(&"a/1.4".into()).await.expect("readable").expect("stored");
    let over = NodeHead { state: NodeRunState::Canceled, ended_at: Some(at(60)), wake: None, ..head };
    journal.commit(ChangeSet { heads: vec![over], ..change("a") }).await;
    assert_eq!(list(&journal).await, ["a/1.5"]);
    // Put back by its head: it keeps its place.
    let head = journal.0.head_fetch(&"a/1.5".into()).await.expect("readable").expect("stored");
    let later = NodeHead { wake: Some(wake(Job::Approval, 900)), ..head };
    journal.commit(ChangeSet { heads: vec![later], ..change("a") }).await;
    let entry =
        Waiting { place: WaitingPlace { since: at(10), node_run_id: "a/1.5".into() }, run_id: "a".into() };
    assert_eq!(page(&journal, None, None, 10).await.waiting, [entry]);
    assert_eq!(journal.0.counts(at(0)).await.expect("counts can be read").approvals, 1);
}

pub async fn wake_of_an_approval_is_claimed_like_any_other(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    journal.commit(start("a")).await;
    journal.commit(nodes("a", vec![waiting("a", "1.2", 10, 100), waiting("a", "1.3", 10, 20)])).await;
    assert_eq!(journal.0.wake_next(at(0)).await, Ok(Some(at(20))));
    let due = ClaimFilter { job: Some(Job::Approval), limit: 10, ..ClaimFilter::default() };
    let claimed = journal.0.claim_due(&"me".into(), at(50), &due).await.expect("claimed");
    let ids: Vec<_> = claimed.iter().map(|head| (head.node_run_id.as_str(), head.job())).collect();
    assert_eq!(ids, [("a/1.3", Some(Job::Approval))]);
    // A claim is nothing that the list would show, and survives its worker.
    assert_eq!(list(&journal).await, ["a/1.2", "a/1.3"]);
    let held =
        journal.0.claims_held(&"me".into(), &[Job::Approval], at(50)).await.expect("claims can be read");
    assert_eq!(held.len(), 1);
    assert_eq!(journal.0.reap_dead_workers(at(60)).await, Ok(1));
    let journal = reopened(journal, test.reopen).await;
    assert_eq!(list(&journal).await, ["a/1.2", "a/1.3"]);
    let stored = journal.node("a", "1.3").await.expect("stored");
    assert_eq!(stored.waits, waiting("a", "1.3", 10, 20).waits);
}
