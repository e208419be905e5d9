//! The size limit, and deletion of finished runs.

use super::*;

#[tokio::test]
async fn reserve_admits_what_ends_work_and_refuses_new_work() {
    let directory = Directory::new();
    let options = SqliteOptions { path: directory.file("j.db"), max_bytes: Some(2 << 20), outbox: true };
    let journal = probe(open_with(options).expect("the journal opens"));
    let mut started = 0;
    let refused = loop {
        let mut root = node(&format!("run-{started}"), "1");
        root.node.inputs = json!({ "text": "x".repeat(20_000) }).as_object().cloned().map(Into::into);
        let id = format!("run-{started}");
        match journal.0.commit(ChangeSet { nodes: vec![root], ..start(&id) }).await {
            Ok(_) => started += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!((refused, journal.0.room()), (JournalError::Reserved, Room::Reserve));
    // Three quarters of the limit. (Of a larger limit it would be more.)
    assert!((50..75).contains(&started), "{started}");
    assert_eq!(journal.run(&format!("run-{started}")).await, None);
    let child = ChangeSet { nodes: vec![node("run-0", "1.1")], ..change("run-0") };
    // A small one may still fit, but not ten.
    let children = join_all((1..=10).map(|number| {
        let child = ChangeSet { nodes: vec![node("run-0", &format!("1.{number}"))], ..child.clone() };
        let (journal, padding) = (&journal, "x".repeat(10_000));
        async move {
            let mut child = child;
            child.nodes[0].node.inputs = json!({ "text": padding }).as_object().cloned().map(Into::into);
            journal.0.commit(child).await
        }
    }))
    .await;
    assert!(children.contains(&Err(JournalError::Reserved)), "{children:?}");

    // Everything that exists can end, with outputs.
    for number in 0..started {
        let root = journal.node(&format!("run-{number}"), "1").await.expect("stored");
        let mut done = ended(root);
        done.node.outputs = json!({ "text": "y".repeat(2_000) }).as_object().cloned().map(Into::into);
        journal.commit(nodes(&format!("run-{number}"), vec![done])).await;
    }
    assert_eq!(journal.0.room(), Room::Reserve);
    // Pruning makes room for new work.
    let before = run_ended(journal.run("run-0").await.expect("stored"));
    journal.commit(ChangeSet { run: Some(before), ..change("run-0") }).await;
    for number in 1..started {
        let over = run_ended(journal.run(&format!("run-{number}")).await.expect("stored"));
        journal.commit(ChangeSet { run: Some(over), ..change(&format!("run-{number}")) }).await;
    }
    let owed: Vec<_> = journal.owed().await.iter().map(|entry| entry.id).collect();
    journal.0.outbox_ack(&owed).await.expect("acknowledged");
    assert!(journal.0.runs_prune(at(1_000_000), 1000).await.expect("pruned") > 10);
    assert_eq!(journal.0.room(), Room::Enough);
    journal.commit(start("another")).await;
}

#[tokio::test]
async fn full_journal_refuses_whole_changes_and_continues() {
    let directory = Directory::new();
    // A quarter is reserved for what ends work.
    const MAX_BYTES: u64 = 640_000;
    let options = SqliteOptions { path: directory.file("j.db"), max_bytes: Some(MAX_BYTES), outbox: true };
    let journal = probe(open_with(options).expect("the journal opens"));
    let big = |id: &str, bytes: usize| {
        let mut root = node(id, "1");
        root.node.inputs = json!({ "text": "x".repeat(bytes) }).as_object().cloned().map(Into::into);
        ChangeSet { nodes: vec![root], ..start(id) }
    };
    journal.commit(big("a", 200_000)).await;
    let a = journal.run("a").await;

    // Together with small ones, each of which gets its own answer.
    let mut group: Vec<_> = (0..20).map(|number| start(&format!("small-{number}"))).collect();
    group.insert(10, big("b", 300_000));
    let outcomes = join_all(group.into_iter().map(|change| journal.0.commit(change.owing_all()))).await;
    for (index, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(_) => assert_ne!(index, 10),
            Err(error) => assert!(index == 10 && matches!(error, JournalError::Full(_)), "{index}: {error}"),
        }
    }
    // Nothing of it was written, and what was there stays.
    assert_eq!((journal.run("b").await, journal.node("b", "1").await), (None, None));
    assert!(journal.seqs("b", None, NO_LIMIT).await.is_empty());
    assert_eq!(journal.run("a").await, a);
    assert_eq!(journal.owed().await.len(), 63);
    assert!(fs::metadata(directory.file("j.db")).expect("there").len() <= MAX_BYTES);

    // In a full journal, what exists can still be finished, and makes room.
    let mut filled = 0;
    while journal.0.commit(start(&format!("more-{filled}"))).await.is_ok() {
        filled += 1;
    }
    let root = journal.node("a", "1").await.expect("stored");
    let mut done = ended(root);
    done.node.inputs = None;
    journal.commit(nodes("a", vec![done])).await;
    journal.commit(big("c", 100_000)).await;
}

#[tokio::test]
async fn acknowledged_entries_make_room_in_a_full_journal() {
    let directory = Directory::new();
    let options = SqliteOptions { path: directory.file("j.db"), max_bytes: Some(400_000), outbox: true };
    let journal = probe(open_with(options).expect("the journal opens"));
    let mut number = 0;
    while journal.0.commit(start(&format!("run-{number}")).owing_all()).await.is_ok() {
        number += 1;
    }
    let owed = journal.owed().await;
    assert_eq!(owed.len(), 3 * number, "the refused one left nothing behind");
    let ids: Vec<_> = owed.iter().map(|entry| entry.id).collect();
    journal.0.outbox_ack(&ids).await.expect("acknowledged");
    journal.commit(start("another")).await;
}

#[tokio::test]
async fn big_run_is_pruned_in_a_call_of_its_own() {
    let directory = Directory::new();
    let options = SqliteOptions { path: directory.file("j.db"), max_bytes: None, outbox: false };
    let journal = open_with(options).expect("the journal opens");
    let whole = |id: &str, nodes: u32| {
        let crowd = (0..nodes).map(|number| {
            let mut over = ended(node(id, &format!("1.{number}")));
            let large = (number % 100 == 0).then(|| json!({"text": "x".repeat(2000)}));
            over.node.inputs = large.and_then(|large| large.as_object().cloned().map(Into::into));
            over
        });
        let events = (1..=2 * u64::from(nodes)).map(|seq| event(id, seq, None));
        let over = run_ended(run(id));
        ChangeSet { run: Some(over), nodes: crowd.collect(), events: events.collect(), ..change(id) }
    };
    journal.commit(whole("big", 10_000)).await.expect("committed");
    journal.commit(whole("small", 1)).await.expect("committed");
    assert_eq!(journal.runs_prune(at(100), 10).await, Ok(1), "a big run is enough for one call");
    assert_eq!(journal.runs_prune(at(100), 10).await, Ok(1));
    let rows: i64 = journal
        .reads
        .here(|connection| {
            let sql = "SELECT (SELECT count(*) FROM runs) + (SELECT count(*) FROM node_runs)
                            + (SELECT count(*) FROM node_payloads)
                            + (SELECT count(*) FROM events) + (SELECT count(*) FROM attempts)";
            Ok(connection.query_one(sql, [], |row| row.get(0))?)
        })
        .expect("readable");
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn run_that_becomes_owed_during_pruning_stays() {
    let directory = Directory::new();
    let journal = open(directory.file("j.db"));
    let over = ChangeSet { run: Some(run_ended(run("a"))), nodes: vec![ended(node("a", "1"))], ..start("a") };
    journal.commit(over.owing_all()).await.expect("committed");
    let ids: Vec<_> = (1..=3).map(OutboxId).collect();
    journal.outbox_ack(&ids).await.expect("acknowledged");
    let look = |connection: &_| prune::prunable(connection, at(100), 10);
    let seen = journal.reads.here(look).expect("readable");
    assert_eq!((seen.runs.as_slice(), seen.outbox_seen), (["a".into()].as_slice(), 3));
    let root = journal.node_fetch(&"a/1".into()).await.expect("readable").expect("there");
    journal.commit(nodes("a", vec![root]).owing_all()).await.expect("committed");
    let prune = journal.writes.run(move |connection| {
        prune::run_prune(connection, &"a".into(), at(100), 3).map(|gone| gone.is_some())
    });
    assert_eq!(prune.await, Ok(false));
}
