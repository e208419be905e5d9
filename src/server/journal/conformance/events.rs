//! What the listing of events promises.

use super::{JournalUnderTest, samples::*};
use crate::{
    journal::PageLimit,
    record::{ChangeSet, RunRecord},
};

pub async fn events_are_listed_in_order_without_gaps(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    // Several in one commit, in the wrong order; another run in between.
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
        // Always at least one, or no reader would make progress.
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
    // Far more than a journal should examine for one page, and three that match.
    let about = |seq: u64| match seq {
        1 | 7000 => "1.2",
        9999 => "1.2.3",
        other if other % 3 == 0 => "1.20",
        _ => "1",
    };
    for chunk in 0..10 {
        let chunk = (chunk * 1000 + 1..=(chunk + 1) * 1000).map(|seq| event("a", seq, Some(about(seq))));
        journal.commit(events("a", chunk.collect())).await;
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
    // No match, but they were examined: a follower continues from there.
    let page = journal.page("a", 1, Some("1.2"), exactly).await;
    assert_eq!((page.events.len(), page.scanned_to, page.at_end), (0, 3, true));

    journal.commit(events("a", vec![event("a", 4, Some("1.2"))])).await;
    let page = journal.page("a", 3, Some("1.2"), exactly).await;
    assert_eq!((page.events.len(), page.scanned_to, page.at_end), (1, 4, true));
}

pub async fn adopted_events_may_have_gaps(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let old = vec![event("a", 3, None), event("a", 7, Some("1")), event("a", 9, Some("1.2"))];
    let adopted = ChangeSet { run: Some(RunRecord { last_seq: 9, ..run("a") }), events: old, ..start("a") };
    journal.commit(adopted).await;
    let run = journal.run("a").await.map(|run| RunRecord { last_seq: 10, ..run });
    journal.commit(ChangeSet { run, events: vec![event("a", 10, None)], ..change("a") }).await;
    for (after, seqs) in [(0, vec![3, 7, 9, 10]), (3, vec![7, 9, 10]), (5, vec![7, 9, 10]), (9, vec![10])] {
        let page = journal.page("a", after, None, NO_LIMIT).await;
        let there: Vec<u64> = page.events.iter().map(|(seq, _)| *seq).collect();
        assert_eq!((there, page.scanned_to, page.at_end), (seqs, 10, true), "after {after}");
    }
    assert_eq!(journal.seqs("a", Some("1"), NO_LIMIT).await, [7, 9]);
}
