//! Times by name, and the runs that changed since one.

use super::{JournalUnderTest, samples::*};
use crate::{record::ChangeSet, types::RunId};

pub async fn marks_are_kept_by_name(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    assert_eq!(journal.0.mark_find("a").await, Ok(None));
    for (name, time) in [("a", 30), ("b", 10), ("a", 20)] {
        assert_eq!(journal.0.mark_set(name, at(time)).await, Ok(()));
    }
    let journal = reopened(journal, subject.reopen).await;
    assert_eq!(journal.0.mark_find("a").await, Ok(Some(at(20))), "the newest, not the latest");
    assert_eq!(journal.0.mark_find("b").await, Ok(Some(at(10))));
}

pub async fn changed_runs_are_found_from_a_time_on(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    for (run, time) in [("a", 10), ("b", 20), ("c", 30)] {
        journal.commit(ChangeSet { at: at(time), ..start(run) }).await;
    }
    let over = journal.run("a").await.map(run_ended);
    journal
        .commit(ChangeSet { at: at(25), run: over, events: vec![event("a", 2, None)], ..change("a") })
        .await;
    let since = async |time, limit| {
        let runs = journal.0.runs_changed(at(time), limit).await.expect("readable");
        let mut runs: Vec<String> = runs.iter().map(RunId::to_string).collect();
        runs.sort();
        runs
    };
    assert_eq!(since(0, 10).await, ["a", "b", "c"]);
    assert_eq!(since(20, 10).await, ["a", "b", "c"]);
    assert_eq!(since(21, 10).await, ["a", "c"], "live or over");
    assert_eq!(since(26, 10).await, ["c"]);
    assert_eq!(since(31, 10).await, [""; 0]);
    assert_eq!(since(0, 2).await.len(), 2);
}
