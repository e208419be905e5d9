//! What the listing of events promises, and the outbox.

use futures::FutureExt;

use super::{JournalUnderTest, samples::*};
use crate::{
    journal::{OutboxEntry, OutboxId, OutboxItem, OutboxPage, PageLimit, Recipient},
    record::{ChangeSet, RunRecord},
    types::NodeRunId,
};

pub async fn events_are_listed_in_order_without_gaps(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    // Several in one commit, given in the wrong order; another run between.
    journal.commit(events("a", vec![event("a", 2, None), event("a", 1, None)])).await;
    journal.commit(events("b", vec![event("b", 1, None)])).await;
    journal.commit(events("a", (3..=300).map(|seq| event("a", seq, None)).collect())).await;
    let every: Vec<u64> = (1..=300).collect();
    for entries in [1, 7, 100, 299, 300, 301, u32::MAX] {
        let limit = PageLimit { entries, ..NO_LIMIT };
        assert_eq!(journal.seqs("a", None, limit).await, every, "{entries} a page");
    }
    let rest = journal.page("a", 298, None, NO_LIMIT).await;
    assert_eq!(rest.events.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [299, 300]);
    let json: serde_json::Value = serde_json::from_str(&rest.events[0].1).expect("an event is JSON");
    assert_eq!((&json["seq"], &json["run_id"]), (&299.into(), &"a".into()));
    assert!(!rest.events[0].1.contains('\n'));
}

pub async fn event_page_keeps_both_limits(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    journal.commit(events("a", (1..=9).map(|seq| event("a", seq, None)).collect())).await;
    let size = journal.page("a", 0, None, NO_LIMIT).await.events[0].1.len();
    for (entries, bytes, expected) in [
        (4, usize::MAX, 4),
        (u32::MAX, 3 * size, 3),
        (u32::MAX, 4 * size - 1, 3),
        (2, 3 * size, 2),
        // Always at least one, or nobody would ever get on.
        (0, 0, 1),
        (u32::MAX, 1, 1),
    ] {
        let page = journal.page("a", 2, None, PageLimit { entries, bytes }).await;
        assert_eq!(page.events.len(), expected, "{entries} entries, {bytes} bytes");
        assert_eq!((page.scanned_to, page.at_end), (2 + expected as u64, false));
        assert_eq!(journal.seqs("a", None, PageLimit { entries, bytes }).await.len(), 9);
    }
}

pub async fn subtree_events_are_found_across_sparse_pages(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    // Far more than any store should look at for one page, and three that count.
    let about = |seq: u64| match seq {
        1 | 7000 => "1.2",
        9999 => "1.2.3",
        other if other % 3 == 0 => "1.20",
        _ => "1",
    };
    for chunk in 0..10 {
        let told = (chunk * 1000 + 1..=(chunk + 1) * 1000).map(|seq| event("a", seq, Some(about(seq))));
        journal.commit(events("a", told.collect())).await;
    }
    journal.commit(events("a", vec![event("a", 10_001, None)])).await;
    for limit in [NO_LIMIT, PageLimit { entries: 1, ..NO_LIMIT }, PageLimit { bytes: 1, ..NO_LIMIT }] {
        assert_eq!(journal.seqs("a", Some("1.2"), limit).await, [1, 7000, 9999]);
    }
    assert_eq!(journal.seqs("a", Some("1"), NO_LIMIT).await.len(), 10_000);
    assert!(journal.seqs("a", Some("1.3"), NO_LIMIT).await.is_empty());
}

pub async fn event_page_reports_the_last_event(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    journal.commit(events("a", (1..=3).map(|seq| event("a", seq, Some("1"))).collect())).await;
    let exactly = PageLimit { entries: 3, ..NO_LIMIT };
    let page = journal.page("a", 0, None, exactly).await;
    assert_eq!((page.events.len(), page.scanned_to, page.at_end), (3, 3, true));
    // Nothing for us, but it was looked at: a follower goes on from there.
    let page = journal.page("a", 1, Some("1.2"), exactly).await;
    assert_eq!((page.events.len(), page.scanned_to, page.at_end), (0, 3, true));

    journal.commit(events("a", vec![event("a", 4, Some("1.2"))])).await;
    let page = journal.page("a", 3, Some("1.2"), exactly).await;
    assert_eq!((page.events.len(), page.scanned_to, page.at_end), (1, 4, true));
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
    assert_eq!((first, second), (Some(owed[2].id), Some(owed[4].id)), "a commit says how far to wait");

    let ids = |entries: &[OutboxEntry]| entries.iter().map(|entry| entry.id).collect::<Vec<_>>();
    let (sent, rest) = owed.split_at(3);
    journal.0.outbox_ack(&ids(sent)).await.expect("entries can be acknowledged");
    journal.0.outbox_ack(&ids(sent)).await.expect("and again");
    assert_eq!(journal.owed().await, rest);
    journal.0.outbox_ack(&ids(rest)).await.expect("entries can be acknowledged");

    // A number is never used again: an acknowledgement that comes late must
    // not hit something newer.
    journal.commit(start("b")).await;
    assert!(journal.owed().await.iter().all(|entry| second < Some(entry.id)));
    let nothing = journal.0.commit(change("c")).await.expect("committed");
    assert_eq!(nothing, None, "what changes nothing owes nothing");
}

pub async fn listed_outbox_entries_can_be_read(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    journal.commit(start("a")).await;
    journal.commit(events("a", vec![event("a", 2, None)])).await;
    // Whoever commits has not been answered yet, and will not be for a while.
    let told = events("a", vec![event("a", 3, None), event("a", 4, None)]);
    let mut commit = journal.0.commit(told.owing_all());
    let mut answer = None;
    let named = |entry: &OutboxEntry| entry.item == OutboxItem::Events { first: 3, last: 4 };
    for look in 0.. {
        // Mostly once is enough to have it queued.
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

    // Run, root, events; two nodes.
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

    // What was acknowledged was looked at, too.
    let ids: Vec<_> = all.iter().map(|entry| entry.id).collect();
    journal.0.outbox_ack(&ids).await.expect("entries can be acknowledged");
    assert_eq!(page(Recipient::RunStore, none, 9).await, OutboxPage { entries: vec![], scanned_to: last });
}
