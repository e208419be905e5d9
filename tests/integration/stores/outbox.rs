//! Outbox entries that the pump finds without being notified, and entries that it
//! cannot read or send.

use std::sync::{Arc, Mutex};

use jarvis_run_coordinator::{
    app::Surroundings,
    journal::{
        Journal,
        faulty::{Chances, Fault, Faults},
    },
    record::ChangeSet,
    time::{Clock, SystemClock},
    types::NodeRunState,
};
use serde_json::json;

use super::{FastClock, check, two_unsent_runs};
use crate::support::{FakeStores, TestServer, process::start_request, soon};

#[tokio::test]
async fn failed_outbox_read_is_retried_without_requests() {
    let (stores, faults) = (FakeStores::start(), Faults::none());
    // An answer comes only when every entry has been read and sent.
    let mut vars = vec![
        ("JARVIS_RUN_COORDINATOR_STORE_LAG_SECS", "0"),
        ("JARVIS_RUN_COORDINATOR_STORE_WAIT_SECS", "600"),
    ];
    vars.extend(stores.vars());
    vars.extend(TestServer::IDLE);
    let t = TestServer::start_with_faults(&faults, &vars).await;
    faults.set_chances(Chances { fail_read: 0.4, ..Chances::default() });
    let one = async || {
        soon("an answer", async {
            while t.post("/v1/runs", &start_request("", "atomic.echo")).await.status != 200 {}
        })
        .await;
    };
    for _ in 0..6 {
        one().await;
    }
    assert!(faults.injected() > 0);
}

#[tokio::test]
async fn durable_commit_with_an_error_answer_reaches_the_stores() {
    let (stores, faults) = (FakeStores::start(), Faults::none());
    let mut vars = stores.vars().to_vec();
    vars.extend(TestServer::IDLE);
    let t = TestServer::start_with_faults(&faults, &vars).await;
    let run = t.run_start("atomic.echo", json!({})).await;
    let key = format!("runs/{}", run.run_id);
    stores.have_state(&key, "running").await;
    faults.script_commit(Fault::FailAfter);
    let cancel = format!("/v1/{key}:cancel");
    t.post(&cancel, &json!({})).await.refused(503, "journal_unavailable");
    stores.have_state(&key, "canceled").await;
    stores.have_events(&run.run_id, t.events(&run.run_id).await.len() as u64).await;
    t.stop().await;
}

#[tokio::test]
async fn outbox_entry_without_a_notification_is_found() {
    let stores = FakeStores::start();
    let mut vars = stores.vars().to_vec();
    vars.extend(TestServer::IDLE);
    let journal = Arc::new(Mutex::new(None::<Arc<dyn Journal>>));
    let seen = Arc::clone(&journal);
    let surroundings = Surroundings {
        clock: Arc::new(FastClock(SystemClock.now())),
        before_journal: Box::new(move |journal| {
            let journal: Arc<dyn Journal> = Arc::new(journal);
            *seen.lock().expect("unpoisoned") = Some(Arc::clone(&journal));
            journal
        }),
        ..Surroundings::default()
    };
    let t = TestServer::start_among(surroundings, &vars).await;
    let run = t.run_start("atomic.echo", json!({})).await;
    let root = format!("node-runs/{}", run.root_node_run_id);
    stores.have_state(&root, "queued").await;
    // A commit that does not notify the outbox pump.
    let journal = journal.lock().expect("unpoisoned").take().expect("a journal");
    let mut record = journal.node_fetch(&run.root_node_run_id).await.expect("readable").expect("there");
    record.node.state = NodeRunState::Assigned;
    let change = ChangeSet { nodes: vec![record], ..ChangeSet::new(run.run_id.clone(), SystemClock.now()) };
    journal.commit(change.owing_all()).await.expect("committed");
    drop(journal);
    stores.have_state(&root, "assigned").await;
    t.stop().await;
}

fn damage(journal: &tempfile::TempDir, sql: &str) {
    let file = rusqlite::Connection::open(journal.path().join("journal.db")).expect("the journal");
    assert!(file.execute(sql, []).expect("SQL") > 0);
}

/// A shutdown timeout longer than a test.
const LONG_SHUTDOWN: (&str, &str) = ("JARVIS_RUN_COORDINATOR_SHUTDOWN_TIMEOUT_SECS", "600");

#[tokio::test]
async fn unreadable_object_delays_no_event_and_no_stop() {
    let stores = FakeStores::start();
    let ([damaged, sound], journal, executors) = two_unsent_runs(&stores).await;
    let root = &damaged.root_node_run_id;
    damage(&journal, &format!("UPDATE node_runs SET body = '{{' WHERE node_run_id = '{root}'"));

    let mut vars = stores.vars().to_vec();
    vars.push(LONG_SHUTDOWN);
    let t = TestServer::try_start(journal, executors, &vars).await.expect("it starts again");
    for run in [&sound, &damaged] {
        stores.have_state(&format!("runs/{}", run.run_id), "succeeded").await;
        stores.have_events(&run.run_id, t.events(&run.run_id).await.len() as u64).await;
    }
    assert!(stores.object(&format!("node-runs/{root}")).is_none());
    let reported = check(&t, "run_store").await;
    assert_eq!(reported["status"], "degraded");
    let message = reported["message"].as_str().expect("a message");
    assert!(message.contains("of 1 runs") && message.contains("cannot be read"), "{message}");
    assert_eq!(check(&t, "event_stream").await["status"], "ok");
    t.stop().await;
}

#[tokio::test]
async fn unsendable_event_delays_no_other_run_and_no_stop() {
    for damaged_body in ["{", "null"] {
        let stores = FakeStores::start();
        let ([damaged, sound], journal, executors) = two_unsent_runs(&stores).await;
        let run = &damaged.run_id;
        damage(
            &journal,
            &format!("UPDATE events SET body = '{damaged_body}' WHERE run_id = '{run}' AND seq = 2"),
        );

        let mut vars = stores.vars().to_vec();
        vars.push(LONG_SHUTDOWN);
        let t = TestServer::try_start(journal, executors, &vars).await.expect("it starts again");
        for run in [&sound, &damaged] {
            stores.have_state(&format!("runs/{}", run.run_id), "succeeded").await;
        }
        stores.have_events(&sound.run_id, t.events(&sound.run_id).await.len() as u64).await;
        let reported = soon("the degraded event stream", async {
            loop {
                let reported = check(&t, "event_stream").await;
                if reported["status"] == "degraded" {
                    return reported;
                }
            }
        });
        let message = reported.await["message"].as_str().expect("a message").to_owned();
        assert!(message.contains("of 1 runs"), "only one run is affected: {message}");
        assert_eq!(check(&t, "run_store").await["status"], "ok");
        let next = t.run_start("atomic.echo", json!({})).await;
        t.run_ended(&next.run_id).await;
        stores.have_events(&next.run_id, t.events(&next.run_id).await.len() as u64).await;
        t.stop().await;
    }
}
