//! What the journal promises about inputs and outputs, whatever their size.

use serde_json::json;

use super::{JournalUnderTest, samples::*};
use crate::{
    record::{ChangeSet, NodeRecord},
    types::JsonObject,
};

/// Of any size, and through any change of size.
pub async fn inputs_and_outputs_of_any_size_are_read_whole(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let map = |bytes: usize| Some(JsonObject::from([("text", "é".repeat(bytes / 2).into())]));
    let sizes = [None, Some(0), Some(1000), Some(1012), Some(1014), Some(1100), Some(100_000)];
    let mut record = node("a", "1");
    for inputs in sizes {
        for outputs in sizes {
            record.node.inputs = inputs.and_then(map);
            record.node.outputs = outputs.and_then(map);
            journal.commit(nodes("a", vec![record.clone()])).await;
            record.version += 1;
            // After a claim, the record is not read from a cache.
            let worker = "me".into();
            record.version += journal.claim(&worker, 100, 1).await.len() as u64;
            journal.0.release_claims(&worker, at(100)).await.expect("claims can be released");
            record.version += 1;
            assert_eq!(journal.node("a", "1").await.as_ref(), Some(&record), "{inputs:?}, {outputs:?}");
        }
    }
    let journal = reopened(journal, subject.reopen).await;
    assert_eq!(journal.node("a", "1").await, Some(record));
}

/// A record that was read without them can be changed and written.
pub async fn unread_inputs_and_outputs_stay_stored(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let map = |bytes: usize| Some(JsonObject::from([("text", "x".repeat(bytes).into())]));
    for (run, inputs, outputs) in [("a", 5000, 10), ("b", 10, 5000), ("c", 5000, 5000), ("d", 10, 10)] {
        let mut whole = node(run, "1");
        (whole.node.inputs, whole.node.outputs) = (map(inputs), map(outputs));
        journal.commit(nodes(run, vec![whole.clone()])).await;
        // After this it is not read from a cache.
        let worker = "me".into();
        journal.claim(&worker, 100, 1).await;
        journal.0.release_claims(&worker, at(100)).await.expect("claims can be released");
        let id = whole.id().clone();
        for tries in 1..3 {
            let mut bare = journal.0.node_fetch_bare(&id).await.expect("readable").expect("stored");
            assert_eq!(bare.head(), journal.head(run, "1").await.expect("stored"));
            let kept = (!bare.unread.inputs, !bare.unread.outputs);
            assert_eq!(kept, (bare.node.inputs.is_some(), bare.node.outputs.is_some()), "{run}");
            bare.retries = tries;
            journal.commit(nodes(run, vec![bare])).await;
        }
        let written = journal.node(run, "1").await.expect("stored");
        assert_eq!(written, NodeRecord { version: 5, retries: 2, ..whole.clone() });
        // New content replaces the stored one.
        let mut bare = journal.0.node_fetch_bare(&id).await.expect("readable").expect("stored");
        (bare.node.outputs, bare.unread.outputs) = (map(7), false);
        journal.commit(nodes(run, vec![ended(bare)])).await;
        let written = journal.node(run, "1").await.expect("stored");
        assert_eq!((written.node.inputs, written.node.outputs), (map(inputs), map(7)), "{run}");
    }
}

pub async fn big_bodies_are_read_whole(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let text: String = "0123456789abcdé".repeat(200_000);
    let mut root = node("a", "1");
    root.node.inputs = json!({ "text": text }).as_object().cloned().map(Into::into);
    let mut big = event("a", 1, Some("1"));
    big.event.data = json!({ "text": text }).as_object().cloned().map(Into::into);
    journal.commit(ChangeSet { nodes: vec![root.clone()], events: vec![big], ..start("a") }).await;
    assert_eq!(journal.node("a", "1").await, Some(NodeRecord { version: 1, ..root }));
    let page = journal.page("a", 0, None, NO_LIMIT).await;
    assert!(page.events[0].1.contains(&text));
}
