//! What adopted runs ask of a store.

use super::{JournalUnderTest, NO_LIMIT, Probe, change, ended, event, node, run, run_ended, start};
use crate::{
    journal::OutboxItem,
    record::{ChangeSet, RunRecord},
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

    // In the order given, whatever it is.
    let more = vec![node_owed("b/1"), OutboxItem::Run { new: true }];
    journal.0.commit(ChangeSet { outbox: more.clone(), ..start("b") }).await.expect("committed");
    assert_eq!(owed().await[2..], more);
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
