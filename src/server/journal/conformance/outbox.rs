//! What the outbox promises.

use futures::FutureExt;

use super::{JournalUnderTest, samples::*};
use crate::{
    journal::{OutboxEntry, OutboxId, OutboxItem, OutboxPage, Recipient},
    record::{ChangeSet, RunRecord},
    types::NodeRunId,
};

pub async fn outbox_has_exactly_the_entries_of_the_change_set(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let owed = async || journal.owed().await.into_iter().map(|entry| entry.item).collect::<Vec<_>>();
    let node_owed = |id: &str| OutboxItem::NodeRun { node_run_id: id.into(), new: true };
    let (same, changed) = (ended(node("a", "1")), ended(node("a", "1.2")));
    let whole = ChangeSet {
        run: Some(RunRecord { last_seq: 8, ..run_ended(run("a")) }),
        nodes: vec![same, changed],
        events: vec![event("a", 3, None), event("a", 7, Some("1")), event("a", 8, Some("1.2"))],
        ..change("a")
    };

    let outbox = vec![node_owed("a/1.2"), OutboxItem::Events { first: 8, last: 8 }];
    journal.0.commit(ChangeSet { outbox: outbox.clone(), ..whole }).await.expect("committed");
    assert_eq!(owed().await, outbox);
    assert!(journal.run("a").await.is_some() && journal.node("a", "1").await.is_some());
    assert_eq!(journal.seqs("a", None, NO_LIMIT).await, [3, 7, 8]);

    // In the order of the change set.
    let more = vec![node_owed("b/1"), OutboxItem::Run { new: true }];
    journal.0.commit(ChangeSet { outbox: more.clone(), ..start("b") }).await.expect("committed");
    assert_eq!(owed().await[2..], more);
}

pub async fn outbox_lists_entries_in_order_until_acknowledged(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let two = ChangeSet { events: vec![event("a", 1, None), event("a", 2, None)], ..start("a") };
    let first = journal.0.commit(two.owing_all()).await.expect("committed");
    let run = RunRecord { version: 1, ..run("a") };
    let both = ChangeSet { run: Some(run), nodes: vec![node("a", "1.2")], ..change("a") };
    let second = journal.0.commit(both.owing_all()).await.expect("committed");

    let owed = journal.owed().await;
    let what: Vec<_> = owed.iter().map(|entry| entry.item.clone()).collect();
    let node =
        |path: &str| OutboxItem::NodeRun { node_run_id: NodeRunId::new(format!("a/{path}")), new: true };
    let expected = [
        OutboxItem::Run { new: true },
        node("1"),
        OutboxItem::Events { first: 1, last: 2 },
        OutboxItem::Run { new: false },
        node("1.2"),
    ];
    assert_eq!(what, expected);
    assert!(owed.iter().all(|entry| entry.run_id == "a".into()));
    assert_eq!((first, second), (Some(owed[2].id), Some(owed[4].id)), "a commit returns its last entry");

    let ids = |entries: &[OutboxEntry]| entries.iter().map(|entry| entry.id).collect::<Vec<_>>();
    let (sent, rest) = owed.split_at(3);
    journal.0.outbox_ack(&ids(sent)).await.expect("entries can be acknowledged");
    journal.0.outbox_ack(&ids(sent)).await.expect("and again");
    assert_eq!(journal.owed().await, rest);
    journal.0.outbox_ack(&ids(rest)).await.expect("entries can be acknowledged");

    // An id is never reused: a late acknowledgement must not delete a newer entry.
    journal.commit(start("b")).await;
    assert!(journal.owed().await.iter().all(|entry| second < Some(entry.id)));
    let nothing = journal.0.commit(change("c")).await.expect("committed");
    assert_eq!(nothing, None, "an empty change set has no entries");
}

pub async fn listed_outbox_entries_can_be_read(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    journal.commit(start("a")).await;
    journal.commit(events("a", vec![event("a", 2, None)])).await;
    // The commit is not answered yet, and not polled for a while.
    let two = events("a", vec![event("a", 3, None), event("a", 4, None)]);
    let mut commit = journal.0.commit(two.owing_all());
    let mut answer = None;
    let named = |entry: &OutboxEntry| entry.item == OutboxItem::Events { first: 3, last: 4 };
    for look in 0.. {
        // Mostly one poll is enough to queue it.
        if look % 1000 == 0 && answer.is_none() {
            answer = (&mut commit).now_or_never();
        }
        if journal.owed().await.iter().any(named) {
            break;
        }
    }
    assert_eq!(journal.seqs("a", None, NO_LIMIT).await, [1, 2, 3, 4]);
    let page = journal.page("a", 2, None, NO_LIMIT).await;
    assert_eq!((page.events.len(), page.scanned_to), (2, 4));
    if answer.is_none() {
        answer = Some(commit.await);
    }
    assert!(answer.is_some_and(|answer| answer.is_ok()));
    assert_eq!(journal.seqs("a", None, NO_LIMIT).await, [1, 2, 3, 4]);
}

pub async fn outbox_page_is_for_one_recipient_and_reports_its_end(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let page = async |recipient, after, limit| {
        journal.0.outbox_after(recipient, after, limit).await.expect("the outbox can be read")
    };
    let none = OutboxId::default();
    for recipient in Recipient::ALL {
        assert_eq!(page(recipient, none, 9).await, OutboxPage::default());
    }
    journal.commit(ChangeSet { events: vec![event("a", 1, None)], ..start("a") }).await;
    journal.commit(nodes("a", vec![node("a", "1.2"), node("a", "1.3")])).await;
    let all = journal.owed().await;
    let last = all[4].id;

    // The entries: run, root, events; then two nodes.
    let events = page(Recipient::EventStream, none, 9).await;
    assert_eq!((events.entries.as_slice(), events.scanned_to), (&all[2..3], last));
    let events = page(Recipient::EventStream, none, 1).await;
    assert_eq!((events.entries.len(), events.scanned_to), (1, all[2].id), "there may be more");
    let events = page(Recipient::EventStream, events.scanned_to, 1).await;
    assert_eq!((events.entries.len(), events.scanned_to), (0, last));

    let objects = page(Recipient::RunStore, none, 2).await;
    assert_eq!((objects.entries.as_slice(), objects.scanned_to), (&all[..2], all[1].id));
    let objects = page(Recipient::RunStore, objects.scanned_to, 3).await;
    assert_eq!((objects.entries.as_slice(), objects.scanned_to), (&all[3..], last));

    // Acknowledged entries count as examined, too.
    let ids: Vec<_> = all.iter().map(|entry| entry.id).collect();
    journal.0.outbox_ack(&ids).await.expect("entries can be acknowledged");
    assert_eq!(page(Recipient::RunStore, none, 9).await, OutboxPage { entries: vec![], scanned_to: last });
}
