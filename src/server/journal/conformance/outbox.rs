//! What the outbox promises.

use futures::FutureExt;

use super::{JournalUnderTest, samples::*};
use crate::{
    journal::{OutboxEntry, OutboxId, OutboxItem, Recipient},
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

pub async fn owed_entries_are_for_one_recipient_and_not_in_hand(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let owed = async |recipient, after, in_hand: &[OutboxId], limit| {
        let owed = journal.0.outbox_owed(recipient, after, in_hand, limit).await;
        owed.expect("the outbox can be read")
    };
    let none = OutboxId::default();
    for recipient in Recipient::ALL {
        assert_eq!(owed(recipient, none, &[], 9).await, []);
    }
    journal.commit(ChangeSet { events: vec![event("a", 1, None)], ..start("a") }).await;
    journal.commit(nodes("a", vec![node("a", "1.2"), node("a", "1.3")])).await;
    let all = journal.owed().await;
    let ids: Vec<_> = all.iter().map(|entry| entry.id).collect();

    // The entries: run, root, events; then two nodes.
    assert_eq!(owed(Recipient::EventStream, none, &[], 9).await, all[2..3]);
    assert_eq!(owed(Recipient::EventStream, ids[2], &[], 9).await, []);
    let objects = Recipient::RunStore;
    assert_eq!(owed(objects, none, &[], 2).await, all[..2]);
    assert_eq!(owed(objects, ids[1], &[], 9).await, all[3..]);
    // What is in hand is left out, wherever it is.
    let others = [all[0].clone(), all[4].clone()];
    assert_eq!(owed(objects, none, &[ids[3], ids[1]], 9).await, others);
    assert_eq!(owed(objects, none, &[ids[3], ids[1]], 1).await, others[..1]);
    assert_eq!(owed(objects, none, &ids, 9).await, []);
    assert_eq!(owed(objects, ids[0], &[ids[3], ids[1], OutboxId(1_000_000)], 9).await, all[4..]);
}

pub async fn run_is_settled_when_its_entries_are_acknowledged(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let settled = async |run: &str, upto: OutboxId| {
        journal.0.outbox_settled(&run.into(), upto).await.expect("the outbox can be read")
    };
    let first = journal.0.commit(start("a").owing_all()).await.expect("committed").expect("owed");
    let other = journal.0.commit(start("b").owing_all()).await.expect("committed").expect("owed");
    let run = RunRecord { version: 1, ..run("a") };
    let again = ChangeSet { run: Some(run), ..change("a") };
    let second = journal.0.commit(again.owing_all()).await.expect("committed").expect("owed");
    for (run, upto, is) in [("a", first, false), ("b", other, false), ("c", second, true)] {
        assert_eq!(settled(run, upto).await, is, "{run}");
    }
    assert!(settled("a", OutboxId(0)).await);
    let upto: Vec<_> = journal.owed().await.iter().map(|entry| entry.id).filter(|id| *id <= first).collect();
    journal.0.outbox_ack(&upto[1..]).await.expect("acknowledged");
    assert!(!settled("a", first).await, "one is left");
    journal.0.outbox_ack(&upto[..1]).await.expect("acknowledged");
    assert!(settled("a", first).await && !settled("a", second).await && !settled("b", other).await);
}
