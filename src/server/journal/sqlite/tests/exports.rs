//! Evidence for a reader elsewhere.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};

use super::*;
use crate::{evidence, journal::Pieces};

/// A journal with a run that is larger than what waits for a reader.
async fn big(directory: &Directory) -> SqliteJournal {
    let journal = open(directory.file("j.db"));
    let mut first = start("a");
    for (ordinal, node) in (2..22).map(|ordinal| (ordinal, node("a", &format!("1.{ordinal}")))) {
        let mut node = node;
        node.node.parent_node_run_id = Some("a/1".into());
        node.node.inputs = Some([("text", json!("x".repeat(100_000 + ordinal)))].into());
        first.nodes.push(node);
    }
    first.run = first.run.map(|run| crate::record::RunRecord { nodes: 21, ..run });
    journal.commit(first).await.expect("committed");
    journal
}

async fn export(journal: &SqliteJournal, within: Duration) -> Pieces {
    let Reads::Pool { readers, turns: _ } = &journal.reads else { panic!("it is in memory") };
    let pieces = export::from_thread(Arc::clone(readers), "a".into(), at(1), within).await;
    pieces.expect("readable").expect("there")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bundle_is_read_as_it_is_taken() {
    let directory = Directory::new();
    let journal = big(&directory).await;
    let mut pieces = export(&journal, Duration::from_secs(60)).await;
    let first = pieces.next().await.expect("a piece").expect("readable");
    assert!(first.len() < 400_000, "{}", first.len());
    let rest: Vec<_> = pieces.try_collect().await.expect("readable");
    assert!(rest.len() > 10);
    let whole = [first].into_iter().chain(rest).collect::<Vec<_>>().concat();
    assert_eq!(evidence::read(whole.as_slice()).expect("a bundle").nodes.len(), 21);
    // One that is not taken to its end holds up nothing.
    let dropped = export(&journal, Duration::from_secs(60)).await;
    drop(dropped);
    journal.commit(events("a", vec![event("a", 2, None)])).await.expect("committed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_reader_of_a_bundle_gets_an_error() {
    let directory = Directory::new();
    let journal = big(&directory).await;
    let pieces: Vec<_> = export(&journal, Duration::ZERO).await.collect().await;
    let Some(Err(JournalError::Failed(why))) = pieces.last() else { panic!("{pieces:?}") };
    assert!(why.contains("not read in time"), "{why}");
    assert!(pieces.iter().rev().skip(1).all(Result::is_ok));
}
