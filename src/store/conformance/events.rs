//! What the listing of events promises, and the outbox.

use super::{Specimen, samples::*};
use crate::{
    record::{ChangeSet, RunRecord},
    store::{OutboxEntry, Owed, PageLimit},
};

pub async fn events_come_in_order_without_gaps(specimen: Specimen) {
    let store = Probe(specimen.store);
    // Several in one commit, given in the wrong order; another run between.
    store.commit(events("a", vec![event("a", 2, None), event("a", 1, None)])).await;
    store.commit(events("b", vec![event("b", 1, None)])).await;
    store.commit(events("a", (3..=300).map(|seq| event("a", seq, None)).collect())).await;
    let every: Vec<u64> = (1..=300).collect();
    for entries in [1, 7, 100, 299, 300, 301, u32::MAX] {
        let limit = PageLimit { entries, ..NO_LIMIT };
        assert_eq!(store.seqs("a", None, limit).await, every, "{entries} a page");
    }
    let rest = store.page("a", 298, None, NO_LIMIT).await;
    assert_eq!(rest.events.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [299, 300]);
    let json: serde_json::Value = serde_json::from_str(&rest.events[0].1).expect("an event is JSON");
    assert_eq!((&json["seq"], &json["run_id"]), (&299.into(), &"a".into()));
    assert!(!rest.events[0].1.contains('\n'));
}

pub async fn a_page_of_events_keeps_both_limits(specimen: Specimen) {
    let store = Probe(specimen.store);
    store.commit(events("a", (1..=9).map(|seq| event("a", seq, None)).collect())).await;
    let size = store.page("a", 0, None, NO_LIMIT).await.events[0].1.len();
    for (entries, bytes, expected) in [
        (4, usize::MAX, 4),
        (u32::MAX, 3 * size, 3),
        (u32::MAX, 4 * size - 1, 3),
        (2, 3 * size, 2),
        // Always at least one, or nobody would ever get on.
        (0, 0, 1),
        (u32::MAX, 1, 1),
    ] {
        let page = store.page("a", 2, None, PageLimit { entries, bytes }).await;
        assert_eq!(page.events.len(), expected, "{entries} entries, {bytes} bytes");
        assert_eq!((page.scanned_to, page.at_end), (2 + expected as u64, false));
        assert_eq!(store.seqs("a", None, PageLimit { entries, bytes }).await.len(), 9);
    }
}

pub async fn events_within_a_subtree_are_found_across_sparse_pages(specimen: Specimen) {
    let store = Probe(specimen.store);
    // Far more than any store should look at for one page, and three that count.
    let about = |seq: u64| match seq {
        1 | 7000 => "1.2",
        9999 => "1.2.3",
        other if other % 3 == 0 => "1.20",
        _ => "1",
    };
    for chunk in 0..10 {
        let told = (chunk * 1000 + 1..=(chunk + 1) * 1000).map(|seq| event("a", seq, Some(about(seq))));
        store.commit(events("a", told.collect())).await;
    }
    store.commit(events("a", vec![event("a", 10_001, None)])).await;
    for limit in [NO_LIMIT, PageLimit { entries: 1, ..NO_LIMIT }, PageLimit { bytes: 1, ..NO_LIMIT }] {
        assert_eq!(store.seqs("a", Some("1.2"), limit).await, [1, 7000, 9999]);
    }
    assert_eq!(store.seqs("a", Some("1"), NO_LIMIT).await.len(), 10_000);
    assert!(store.seqs("a", Some("1.3"), NO_LIMIT).await.is_empty());
}

pub async fn a_page_that_ends_with_the_last_event_says_so(specimen: Specimen) {
    let store = Probe(specimen.store);
    store.commit(events("a", (1..=3).map(|seq| event("a", seq, Some("1"))).collect())).await;
    let exactly = PageLimit { entries: 3, ..NO_LIMIT };
    let page = store.page("a", 0, None, exactly).await;
    assert_eq!((page.events.len(), page.scanned_to, page.at_end), (3, 3, true));
    // Nothing for us, but it was looked at: a follower goes on from there.
    let page = store.page("a", 1, Some("1.2"), exactly).await;
    assert_eq!((page.events.len(), page.scanned_to, page.at_end), (0, 3, true));

    store.commit(events("a", vec![event("a", 4, Some("1.2"))])).await;
    let page = store.page("a", 3, Some("1.2"), exactly).await;
    assert_eq!((page.events.len(), page.scanned_to, page.at_end), (1, 4, true));
}

pub async fn the_outbox_lists_what_changed_in_order_until_acknowledged(specimen: Specimen) {
    let store = Probe(specimen.store);
    let two = ChangeSet { events: vec![event("a", 1, None), event("a", 2, None)], ..start("a") };
    store.commit(two).await;
    let run = RunRecord { version: 1, ..run("a") };
    store.commit(ChangeSet { run: Some(run), nodes: vec![node("a", "1.2")], ..change("a") }).await;

    let owed = store.0.outbox_page(100).await.expect("the outbox can be read");
    let what: Vec<_> = owed.iter().map(|entry| entry.what.clone()).collect();
    let expected = [
        Owed::Run,
        Owed::NodeRun("a/1".into()),
        Owed::Event(1),
        Owed::Event(2),
        Owed::Run,
        Owed::NodeRun("a/1.2".into()),
    ];
    assert_eq!(what, expected);
    assert!(owed.is_sorted_by_key(|entry| entry.id) && owed.iter().all(|entry| entry.run_id == "a".into()));
    assert_eq!(store.0.outbox_page(2).await.as_deref(), Ok(&owed[..2]));

    let ids = |entries: &[OutboxEntry]| entries.iter().map(|entry| entry.id).collect::<Vec<_>>();
    let (sent, rest) = owed.split_at(3);
    store.0.outbox_ack(&ids(sent)).await.expect("entries can be acknowledged");
    store.0.outbox_ack(&ids(sent)).await.expect("and again");
    assert_eq!(store.0.outbox_page(100).await.as_deref(), Ok(rest));
    store.0.outbox_ack(&ids(rest)).await.expect("entries can be acknowledged");

    // A number is never used again: an acknowledgement that comes late must
    // not hit something newer.
    store.commit(start("b")).await;
    let newer = store.0.outbox_page(100).await.expect("the outbox can be read");
    assert!(newer.iter().all(|entry| rest.iter().all(|old| old.id < entry.id)));
}
