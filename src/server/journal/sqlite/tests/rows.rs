//! Heads, bodies and payloads.

use super::*;

/// The head of a damaged node is enough to cancel it like any other.
#[tokio::test]
async fn head_of_a_damaged_record_is_readable() {
    let directory = Directory::new();
    let path = directory.file("j.db");
    let journal = probe(open(path.clone()));
    let mut large = node("a", "1.2");
    large.node.inputs = json!({"text": "x".repeat(5000)}).as_object().cloned().map(Into::into);
    journal.commit(nodes("a", vec![node("a", "1.1"), large, node("a", "1.3")])).await;
    let heads_before = journal.0.nodes_live(&"a".into(), None).await.expect("readable");
    drop(journal);
    raw(&path)
        .execute_batch(
            "UPDATE node_runs SET body = '{' WHERE path = '1.1';
             DELETE FROM node_payloads WHERE node_run_id = 'a/1.2'",
        )
        .expect("damaged");
    let journal = probe(open(path));
    for damaged in ["a/1.1", "a/1.2"] {
        let read = journal.0.node_fetch(&damaged.into()).await;
        assert!(matches!(read, Err(JournalError::Damaged(_))), "{read:?}");
    }
    let heads = journal.0.nodes_live(&"a".into(), None).await.expect("readable");
    assert_eq!(heads, heads_before);
    let claimed = journal.claim(&"me".into(), 1000, 10).await;
    assert_eq!((claimed.len(), journal.0.parked_list(10).await), (3, Ok(Vec::new())));
    let over = claimed.into_iter().map(|head| NodeHead {
        state: NodeRunState::Canceled,
        ended_at: Some(at(5)),
        wake: None,
        ..head
    });
    journal.commit(ChangeSet { heads: over.collect(), ..change("a") }).await;
    assert!(journal.live("a", None).await.is_empty());
    assert_eq!(journal.node("a", "1.3").await.map(|node| node.node.ended_at), Some(Some(at(5))));
}

#[tokio::test]
async fn unreadable_head_is_parked_and_does_not_block_the_queue() {
    let directory = Directory::new();
    let path = directory.file("j.db");
    let journal = probe(open(path.clone()));
    journal.commit(nodes("a", vec![node("a", "1.1"), node("a", "1.2"), node("a", "1.3")])).await;
    drop(journal);
    raw(&path).execute_batch("UPDATE node_runs SET wake_job = 'a nap' WHERE path = '1.1'").expect("damaged");
    let journal = probe(open(path));
    let me = "me".into();
    assert_eq!(journal.claim(&me, 1000, 2).await.len(), 1);
    let parked = journal.0.parked_list(10).await.expect("listed");
    let [item] = parked.as_slice() else { panic!("{parked:?}") };
    assert_eq!((item.run_id.as_str(), item.job.as_str()), ("a", "a nap"));
    assert_eq!(item.node_run_id, Some("a/1.1".into()));
    assert!(item.error.contains("damaged") && item.error.contains("nap"), "{}", item.error);
    assert_eq!((item.since, item.until), (at(1000), at(1000) + UNREADABLE_FOR));
    assert_eq!(journal.claim(&me, 1000, 2).await.len(), 1);
    assert_eq!(journal.claim(&me, 1000, 2).await.len(), 0);
    assert_eq!(
        journal.0.wake_next(Timestamp::from_micros(0)).await,
        Ok(Some(item.until)),
        "it is unclaimed and will be retried"
    );
}

/// Cascades, claims and cancel notifications write columns: the content of a node is
/// not written again, wherever it is stored.
#[tokio::test]
async fn node_payload_is_written_once() {
    let directory = Directory::new();
    let path = directory.file("j.db");
    let journal = probe(open(path.clone()));
    let mut root = node("a", "1");
    root.node.inputs = json!({"text": "x".repeat(1_000_000)}).as_object().cloned().map(Into::into);
    journal.commit(nodes("a", vec![root.clone()])).await;
    let log = || fs::metadata(format!("{}-wal", path.display())).expect("there").len();
    let before = log();
    // As a whole record, by a claim, and by its head.
    root.version = 1;
    root.node.outputs = json!({"text": "few"}).as_object().cloned().map(Into::into);
    journal.commit(nodes("a", vec![root.clone()])).await;
    let claimed = journal.claim(&"me".into(), 1000, 1).await.remove(0);
    journal.commit(ChangeSet { heads: vec![claimed], ..change("a") }).await;
    let written = log() - before;
    assert!(written < 100_000, "{written} bytes for three changes of a node with a megabyte");
    assert_eq!(journal.node("a", "1").await.map(|node| node.node.inputs), Some(root.node.inputs));
}

#[tokio::test]
async fn journal_without_an_outbox_drops_its_entries() {
    let directory = Directory::new();
    let options = SqliteOptions { path: directory.file("j.db"), max_bytes: None, outbox: false };
    let journal = probe(open_with(options).expect("the journal opens"));
    journal.commit(start("a")).await;
    assert_eq!(journal.owed().await, Vec::new());
}

#[tokio::test]
async fn empty_change_set_commits() {
    let directory = Directory::new();
    probe(open(directory.file("j.db"))).commit(change("a")).await;
}
