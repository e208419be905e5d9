//! What adopted runs ask of a store.

use super::{NO_LIMIT, Probe, Specimen, change, ended, event, node, run, run_ended, start};
use crate::{
    journal::Owed,
    record::{ChangeSet, RunRecord},
};

pub async fn what_came_from_the_jarvis_stores_is_written_but_not_owed(specimen: Specimen) {
    let journal = Probe(specimen.journal);
    let owed = async || journal.owed().await.into_iter().map(|entry| entry.what).collect::<Vec<_>>();
    let node_owed = |id: &str| Owed::NodeRun { node_run_id: id.into(), new: true };
    let (same, changed) = (ended(node("a", "1")), ended(node("a", "1.2")));
    let theirs = [same.node.clone(), node("a", "1.2").node];
    let whole = ChangeSet {
        run: Some(RunRecord { last_seq: 8, ..run_ended(run("a")) }),
        nodes: vec![same, changed],
        events: vec![event("a", 3, None), event("a", 7, Some("1")), event("a", 8, Some("1.2"))],
        ..change("a")
    };

    let as_stored = whole.clone().adopted_from(&run_ended(run("a")).run, &theirs, 7);
    journal.commit(as_stored).await;
    assert_eq!(owed().await, [node_owed("a/1.2"), Owed::Events { first: 8, last: 8 }]);
    assert!(journal.run("a").await.is_some() && journal.node("a", "1").await.is_some());
    assert_eq!(journal.seqs("a", None, NO_LIMIT).await, [3, 7, 8]);

    journal.commit(start("b").adopted_from(&run_ended(run("b")).run, &[], 0)).await;
    let all = owed().await;
    let everything = [Owed::Run { new: true }, node_owed("b/1"), Owed::Events { first: 1, last: 1 }];
    assert_eq!(all[2..], everything, "theirs are others");
}

pub async fn events_that_were_adopted_may_have_gaps(specimen: Specimen) {
    let journal = Probe(specimen.journal);
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
