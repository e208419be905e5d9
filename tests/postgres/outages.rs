//! The database goes away, comes back, stands still, or is busy with a stranger.

use std::{sync::Arc, time::Duration};

use jarvis_run_coordinator::journal::{
    Heartbeats, Journal, JournalError, Workers,
    conformance::{Probe, start},
    inspect::Inspect,
};
use private_postgres::Stop;
use tokio::time::{Instant, timeout};

use crate::world::{open, raw, schema, server, url_of};

/// How long the journal may take to notice that the database is back.
const BACK_WITHIN: Duration = Duration::from_secs(15);

/// Commits runs with these ids until one goes through; the outcome of the others is in
/// doubt. Returns its id.
async fn until_committed(journal: &dyn Journal, name: &str) -> String {
    let until = Instant::now() + BACK_WITHIN;
    for number in 0.. {
        let id = format!("{name}-{number}");
        match journal.commit(start(&id)).await {
            Ok(_) => return id,
            Err(failure) => assert!(Instant::now() < until, "{failure}"),
        }
        tokio::task::yield_now().await;
    }
    unreachable!("it returns or panics")
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_connections_are_made_again_and_no_answer_is_lost() {
    let url = schema().await;
    let journal = Arc::new(open(&url).await);
    let stranger = raw(&url).await;
    let mut answered = Vec::new();
    for round in 0..10 {
        let commits = (0..20).map(|number| {
            let (journal, id) = (Arc::clone(&journal), format!("{round}-{number}"));
            async move { journal.commit(start(&id)).await.map(|_| id) }
        });
        // Those of this journal: others have other schemas, and no locks in this one.
        let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                    WHERE application_name = 'jarvis-run-coordinator' AND pid IN (
                        SELECT pid FROM pg_locks JOIN pg_class ON relation = pg_class.oid
                        WHERE relnamespace = current_schema()::regnamespace)";
        let (commits, _) = futures::join!(futures::future::join_all(commits), stranger.query(kill, &[]));
        answered.extend(commits.into_iter().flatten());
    }
    answered.push(until_committed(&*journal, "after").await);
    for id in answered {
        let stored = journal.run_fetch(&id.as_str().into()).await.expect("read");
        assert!(stored.is_some(), "{id} was answered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outage_fails_what_waits_and_nothing_after_it() {
    let mut database = server(&[]);
    let journal = open(&url_of(&database)).await;
    let worker = "me".into();
    journal.register_worker(&worker).await.expect("registered");
    journal.commit(start("before")).await.expect("committed");
    for stop in [Stop::Fast, Stop::Immediate, Stop::Kill] {
        database.stop(stop).expect("stopped");
        let failed = timeout(Duration::from_secs(20), journal.commit(start("during"))).await;
        assert!(matches!(failed, Ok(Err(JournalError::Failed(_)))), "{stop:?}: {failed:?}");
        assert!(journal.run_fetch(&"before".into()).await.is_err(), "{stop:?}");
        database.start_again().expect("started");
        until_committed(&journal, &format!("{stop:?}")).await;
        assert!(journal.run_fetch(&"before".into()).await.expect("read").is_some());
        journal.beat(&worker).await.expect("it is still registered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_database_is_answered_for_within_seconds() {
    let database = server(&[]);
    let journal = open(&url_of(&database)).await;
    journal.commit(start("before")).await.expect("committed");
    database.freeze().expect("frozen");
    let (begin, before) = (Instant::now(), "before".into());
    let (written, read) = futures::join!(journal.commit(start("during")), journal.run_fetch(&before));
    assert!(matches!(written, Err(JournalError::Failed(_))), "{written:?}");
    assert!(matches!(read, Err(JournalError::Failed(_))), "{read:?}");
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    database.thaw().expect("thawed");
    until_committed(&journal, "after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_is_declared_dead_after_its_transaction_or_before_it() {
    let url = schema().await;
    let (one, other, stranger) = (open(&url).await, open(&url).await, raw(&url).await);
    let worker = "one".into();
    one.register_worker(&worker).await.expect("registered");
    other.register_worker(&"other".into()).await.expect("registered");
    // As the first statement of each transaction of the worker does.
    stranger
        .batch_execute("BEGIN; UPDATE hands SET transactions = transactions + 1 WHERE owner_id = 'one'")
        .await
        .expect("begun");
    let seen = Heartbeats { worker, count: 0 };
    let mut declared = Box::pin(other.declare_dead(&seen));
    assert!(timeout(Duration::from_millis(300), &mut declared).await.is_err(), "it waits");
    stranger.batch_execute("COMMIT").await.expect("committed");
    assert_eq!(declared.await, Ok(true));
    assert_eq!(one.commit(start("a")).await, Err(JournalError::Fenced));
    assert_eq!(one.run_fetch(&"a".into()).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn process_frozen_in_a_transaction_holds_up_nothing() {
    let url = schema().await;
    let (journal, stranger) = (Probe(Arc::new(open(&url).await) as Arc<dyn Inspect>), raw(&url).await);
    journal.commit(start("a")).await;
    // A session as ours are, whose process does not go on.
    stranger
        .batch_execute(
            "SET idle_in_transaction_session_timeout = '2s';
             BEGIN; UPDATE runs SET changed_at = 2 WHERE run_id = 'a'",
        )
        .await
        .expect("begun");
    let run = journal.run("a").await.expect("stored");
    let change = jarvis_run_coordinator::record::ChangeSet { run: Some(run), ..start("a") };
    let change = jarvis_run_coordinator::record::ChangeSet { nodes: vec![], events: vec![], ..change };
    // The lock ends with the session, which the database ends.
    let committed = journal.0.commit(change).await;
    assert!(committed.is_ok(), "{committed:?}");
}
