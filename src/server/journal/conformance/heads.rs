//! What heads promise, and commits of heads alone.

use serde_json::json;

use super::{JournalUnderTest, samples::*};
use crate::{
    journal::{JournalError, OutboxItem},
    record::{ChangeSet, Job, NodeHead, NodePath, NodeRecord},
    types::{NodeKind, NodeRunState},
};

/// Listings of live nodes and claims return the head of the record.
pub async fn heads_agree_with_records(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let mut running = node("a", "1.2");
    running.node.kind = Some(NodeKind::Atomic);
    running.node.state = NodeRunState::Running;
    running.node.started_at = Some(at(40));
    running.node.inputs = json!({"text": "x".repeat(5000)}).as_object().cloned().map(Into::into);
    running = NodeRecord { attempt: 3, superseded_attempt_may_run: true, deadline: Some(at(70)), ..running };
    let mut over = ended(node("a", "1.3"));
    over.node.kind = Some(NodeKind::Composite);
    over.node.ended_at = Some(at(60));
    journal.commit(nodes("a", vec![node("a", "1"), running, over])).await;
    for path in ["1", "1.2", "1.3"] {
        let head = journal.node("a", path).await.map(|node| node.head());
        assert_eq!((journal.head("a", path).await, head.is_some()), (head, true), "{path}");
    }
    let live = journal.0.nodes_live(&"a".into(), Some(&NodePath::root())).await;
    assert_eq!(live, Ok(vec![journal.head("a", "1.2").await.expect("stored")]));
    let claimed = journal.claim(&"me".into(), 100, 10).await;
    assert_eq!(claimed.len(), 2);
    for head in claimed {
        assert_eq!(journal.head("a", head.path.as_str()).await, Some(head));
    }
    assert_eq!(journal.0.head_fetch(&"a/9".into()).await, Ok(None));
}

pub async fn head_commit_changes_only_state_end_and_wake(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let mut rich = node("a", "1");
    rich.node.kind = Some(NodeKind::Atomic);
    rich.node.inputs = json!({"text": "x".repeat(5000)}).as_object().cloned().map(Into::into);
    rich.node.outputs = json!({"few": 1}).as_object().cloned().map(Into::into);
    rich.node.extensions = json!({"theirs": [1, 2]}).as_object().cloned().map(Into::into);
    rich = NodeRecord { children: 4, retries: 2, attempt: 3, ..rich };
    journal.commit(ChangeSet { nodes: vec![rich.clone(), node("a", "1.2")], ..start("a") }).await;
    let head = journal.head("a", "1").await.expect("stored");
    let notify = Some(wake(Job::CancelExecutor, 300));
    let over = NodeHead {
        state: NodeRunState::Canceled,
        ended_at: Some(at(200)),
        wake: notify.clone(),
        ..head.clone()
    };
    // Other fields are not written.
    let odd = NodeHead {
        attempt: 9,
        superseded_attempt_may_run: true,
        kind: Some(NodeKind::Composite),
        ..over.clone()
    };
    journal.commit(heads("a", vec![odd])).await;
    rich.node.state = NodeRunState::Canceled;
    rich.node.ended_at = Some(at(200));
    assert_eq!(journal.node("a", "1").await, Some(NodeRecord { version: 2, wake: notify, ..rich.clone() }));
    assert_eq!(journal.head("a", "1").await, Some(NodeHead { version: 2, ..over.clone() }));
    assert_eq!(journal.live("a", None).await, ["1.2"]);
    let owed = journal.owed().await.pop().map(|entry| entry.item);
    assert_eq!(owed, Some(OutboxItem::NodeRun { node_run_id: "a/1".into(), new: false }));

    // Only over the version that was read, only if it exists, and only in its place.
    assert_eq!(journal.refused(heads("a", vec![over.clone()])).await, JournalError::Conflict);
    let ghost = NodeHead { node_run_id: "a/9".into(), ..head.clone() };
    assert_eq!(journal.refused(heads("a", vec![ghost.clone()])).await, JournalError::Conflict);
    let new = NodeHead { version: 0, ..ghost };
    assert_eq!(journal.refused(heads("a", vec![new])).await, JournalError::Conflict);
    let moved = NodeHead { version: 2, path: NodePath::root().child(9), ..over.clone() };
    assert_eq!(journal.refused(heads("a", vec![moved])).await, JournalError::Conflict);
    // All or nothing, together with whole records.
    let child = journal.node("a", "1.2").await.expect("stored");
    let stale = ChangeSet { nodes: vec![ended(child.clone())], ..heads("a", vec![over.clone()]) };
    assert_eq!(journal.refused(stale).await, JournalError::Conflict);
    assert_eq!(journal.node("a", "1.2").await.as_ref(), Some(&child));
    let notified = NodeHead { version: 2, wake: None, ..over };
    journal.commit(ChangeSet { nodes: vec![ended(child)], ..heads("a", vec![notified]) }).await;
    assert_eq!(journal.node("a", "1").await, Some(NodeRecord { version: 3, wake: None, ..rich }));
    assert!(journal.live("a", None).await.is_empty());

    let journal = reopened(journal, subject.reopen).await;
    assert_eq!(journal.head("a", "1").await.map(|head| head.state), Some(NodeRunState::Canceled));
}
