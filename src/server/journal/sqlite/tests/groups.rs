//! The writer, its groups, and what is durable.

use super::*;

#[tokio::test]
async fn long_reads_are_limited_and_short_reads_never_wait() {
    const LONG: usize = 100;
    let directory = Directory::new();
    let journal = Arc::new(open(directory.file("j.db")));
    let (reading, gate) = (tokio::sync::watch::Sender::new((0, 0)), tokio::sync::watch::Sender::new(false));
    let long = join_all((0..LONG).map(|_| {
        let (journal, reading, mut gate) = (&journal, reading.clone(), gate.subscribe());
        async move {
            let read = journal.reads.aside(move |_| {
                reading.send_modify(|(now, most)| {
                    *now += 1;
                    *most = (*now).max(*most);
                });
                futures::executor::block_on(gate.wait_for(|open| *open)).expect("it opens");
                reading.send_modify(|(now, _)| *now -= 1);
                Ok(())
            });
            read.await.expect("read");
        }
    }));
    let short = async {
        let mut seen = reading.subscribe();
        seen.wait_for(|(now, _)| *now >= LONG_READS).await.expect("they read");
        for number in 0..100 {
            let run = format!("run-{number}").as_str().into();
            assert_eq!(journal.run_fetch(&run).await, Ok(None), "a fetch by key never waits");
            tokio::task::yield_now().await;
        }
        gate.send_replace(true);
    };
    futures::join!(long, short);
    assert_eq!(*reading.borrow(), (0, LONG_READS));
}

#[tokio::test]
async fn panic_in_the_writer_is_declared_and_fails_all_callers() {
    let directory = Directory::new();
    let journal = open(directory.file("j.db"));
    journal.commit(start("before")).await.expect("committed");
    assert!(journal.fatal().declared().now_or_never().is_none());
    let poison = journal.writes.run(|_| -> Result<(), JournalError> { panic!("poison") });
    let ended = JournalError::Failed("the journal's writer has ended".into());
    let (poisoned, beside) = futures::join!(poison, journal.commit(start("beside")));
    assert_eq!(poisoned, Err(ended.clone()));
    assert_eq!(journal.fatal().declared().await, "the thread 'journal-writer' panicked: poison");
    // It was in the same group, or queued too late.
    assert_eq!(beside, Err(ended.clone()));
    assert_eq!(journal.commit(start("after")).await, Err(ended));
    assert!(journal.run_fetch(&"before".into()).await.is_ok_and(|run| run.is_some()), "reads still work");
    drop(journal);
    let journal = probe(open(directory.file("j.db")));
    assert_eq!((journal.run("beside").await, journal.run("after").await), (None, None));
    journal.commit(start("after")).await;
}

#[tokio::test]
async fn queued_commit_is_executed_when_the_journal_is_dropped() {
    let directory = Directory::new();
    let journal = open(directory.file("j.db"));
    {
        // Polled once: the operation is queued, and its caller is dropped.
        let mut commit = std::pin::pin!(journal.commit(start("a")));
        assert!(futures::poll!(commit.as_mut()).is_pending());
    }
    drop(journal);
    assert!(probe(open(directory.file("j.db"))).run("a").await.is_some());
}

/// A commit is durable before its task continues. A change of the row in between must
/// not be lost from the cache.
#[tokio::test]
async fn late_commit_answer_does_not_undo_a_claim_in_the_cache() {
    let directory = Directory::new();
    let journal = probe(open(directory.file("j.db")));
    journal.commit(start("a")).await;
    let root = journal.node("a", "1").await.expect("stored");
    let mut late =
        std::pin::pin!(journal.0.commit(nodes("a", vec![NodeRecord { retries: 1, ..root.clone() }])));
    assert!(futures::poll!(late.as_mut()).is_pending());
    let claimed = loop {
        // Once the commit is durable, before its task continues.
        let claimed = journal.claim(&"me".into(), 1000, 10).await;
        match claimed.first() {
            Some(head) if head.version == root.version + 2 => break head.clone(),
            Some(_) => journal.0.release_claims(&"me".into(), at(1000)).await.expect("released"),
            None => {}
        }
    };
    late.await.expect("committed");
    assert_eq!(journal.head("a", "1").await, Some(claimed));
}

#[tokio::test]
async fn error_that_undoes_a_group_fails_only_its_operation() {
    let directory = Directory::new();
    let journal = open(directory.file("j.db"));
    // As SQLite does by itself when a disk fails.
    let poison = journal.writes.run(|connection| -> Result<(), JournalError> {
        connection.execute_batch("ROLLBACK")?;
        Err(JournalError::Failed("poison".into()))
    });
    let commits = |numbers: std::ops::Range<u32>| {
        join_all(numbers.map(|number| {
            let (journal, id) = (&journal, format!("run-{number}"));
            async move { journal.commit(start(&id).owing_all()).await }
        }))
    };
    // The writer is busy with the first: the others meet in one group.
    let (before, poisoned, after) = futures::join!(commits(0..20), poison, commits(20..40));
    assert_eq!(poisoned, Err(JournalError::Failed("poison".into())));
    assert!(before.into_iter().chain(after).all(|outcome| outcome.is_ok()));
    let counts = journal.counts(at(1000)).await.expect("readable");
    assert_eq!((counts.runs_live, counts.nodes_live, counts.outbox), (40, 40, 120));
}

#[tokio::test]
async fn answered_commits_survive_a_crash() {
    let directory = Directory::new();
    let journal = probe(open(directory.file("j.db")));
    join_all((0..100).map(|number| {
        let (journal, id) = (&journal, format!("run-{number}"));
        async move { journal.commit(start(&id)).await }
    }))
    .await;
    let claimed = journal
        .0
        .claim_due(&"me".into(), at(1000), &ClaimFilter { limit: 10, ..ClaimFilter::default() })
        .await
        .expect("claimed");

    // The content of the disk at this moment, as a crash would leave it.
    for suffix in ["", "-wal"] {
        let from = directory.file(&format!("j.db{suffix}"));
        fs::copy(from, directory.file(&format!("copy.db{suffix}"))).expect("copied");
    }
    let copy = probe(open(directory.file("copy.db")));
    for number in 0..100 {
        let id = format!("run-{number}");
        assert_eq!(copy.run(&id).await, journal.run(&id).await);
        assert_eq!(copy.node(&id, "1").await, journal.node(&id, "1").await);
    }
    assert_eq!(claimed.len(), 10);
    assert_eq!(copy.0.counts(at(1000)).await, journal.0.counts(at(1000)).await);
    copy.commit(start("after")).await;
}

#[tokio::test]
async fn torn_log_loses_only_incomplete_commits() {
    let directory = Directory::new();
    let journal = probe(open(directory.file("j.db")));
    journal.commit(start("a")).await;
    let log = directory.file("j.db-wal");
    let before = fs::read(&log).expect("readable").len();
    journal.commit(start("b")).await;
    let whole = fs::read(&log).expect("readable");
    for cut in [before, before + 1, before + 5000, whole.len() - 1, whole.len()] {
        let name = format!("cut-{cut}.db");
        fs::copy(directory.file("j.db"), directory.file(&name)).expect("copied");
        fs::write(directory.file(&format!("{name}-wal")), &whole[..cut]).expect("written");
        let copy = probe(open(directory.file(&name)));
        assert!(copy.run("a").await.is_some());
        let b = (copy.run("b").await.is_some(), copy.node("b", "1").await.is_some());
        assert_eq!(b, (cut == whole.len(), cut == whole.len()), "cut at {cut} of {}", whole.len());
    }
}

#[tokio::test]
async fn log_size_does_not_grow_with_the_bytes_written() {
    let directory = Directory::new();
    let journal = probe(open(directory.file("j.db")));
    let mut root = node("a", "1");
    for version in 0..800 {
        let text = format!("{version} {}", "x".repeat(100_000));
        root.node.outputs = json!({ "text": text }).as_object().cloned().map(Into::into);
        journal.commit(nodes("a", vec![NodeRecord { version, ..root.clone() }])).await;
    }
    let log = fs::metadata(directory.file("j.db-wal")).expect("there").len();
    assert!(log < 50_000_000, "80 MB were written and the log has {log} bytes");
}
