//! A primary whose processes stand still, and whose standby is promoted.

use std::time::Duration;

use jarvis_run_coordinator::{
    journal::{JournalError, Workers, postgres::PostgresJournal},
    types::WorkerId,
};
use private_postgres::{Programs, Server, USER};
use tokio::time::{Instant, interval, timeout};

use crate::world::open;

/// How long a journal may take to find the new primary.
const WITHIN: Duration = Duration::from_secs(40);

/// Beats until that succeeds.
async fn beat(journal: &PostgresJournal, worker: &WorkerId) {
    let (begin, mut ticks) = (Instant::now(), interval(Duration::from_millis(100)));
    loop {
        ticks.tick().await;
        match timeout(Duration::from_millis(1_500), journal.beat(worker)).await {
            Ok(Ok(())) => return,
            Ok(Err(JournalError::Fenced)) => panic!("the new primary does not know the worker"),
            Ok(Err(_)) | Err(_) => assert!(begin.elapsed() < WITHIN, "no beat within {WITHIN:?}"),
        }
    }
}

fn beats(server: &Server) -> String {
    server.query("SELECT beats FROM owners").expect("the heartbeats")
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_primary_is_left_for_its_promoted_standby() {
    let primary = Server::start(&Programs::find().expect("PostgreSQL"), &[]).expect("a primary");
    let standby = Server::standby_of(&primary, "standby").expect("a standby");
    primary.query("ALTER SYSTEM SET synchronous_standby_names = 'standby'").expect("set");
    primary.query("SELECT pg_reload_conf()").expect("reloaded");
    let url = format!("postgres://{USER}@127.0.0.1:{},127.0.0.1:{}/postgres", primary.port(), standby.port());
    let journal = open(&url).await;
    let worker = WorkerId::new("worker");
    journal.register_worker(&worker).await.expect("registered");
    beat(&journal, &worker).await;

    primary.freeze().expect("frozen");
    standby.promote().expect("promoted");
    beat(&journal, &worker).await;

    // The old one takes itself for the primary, but is not used any more.
    primary.thaw().expect("thawed");
    let old = beats(&primary);
    for _ in 0..5 {
        beat(&journal, &worker).await;
        assert_eq!(journal.heartbeats().await.expect("read").len(), 1);
    }
    assert_eq!(beats(&primary), old);
    assert_ne!(beats(&standby), old);
}
