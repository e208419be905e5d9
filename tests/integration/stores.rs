//! The JARVIS stores get every change, in order, once, however they behave; and
//! callers never wait for long (contract §14, §15, design §2).

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jarvis_run_coordinator::{
    app::{Server, StartError, Surroundings},
    config::{Flags, Settings},
    journal::{
        Journal,
        faulty::{Chances, Fault, Faults},
    },
    record::ChangeSet,
    time::{Clock, MachineClock, SystemClock, Timestamp},
    types::{NodeRunState, Run, RunId, RunState},
};
use serde_json::{Value, json};
use slog::{Discard, Logger, o};

use crate::support::{
    FakeExecutors, FakeStores, JournalFault, NOBODY, TestServer, process::start_request, soon,
};

async fn start(stores: &FakeStores, more: &[(&str, &str)]) -> TestServer {
    let mut vars = stores.vars().to_vec();
    vars.extend(more);
    TestServer::start_with(&vars).await
}

/// A machine on which ten seconds pass in one.
struct Hasty(Timestamp);

#[async_trait]
impl Clock for Hasty {
    fn now(&self) -> Timestamp {
        self.0 + SystemClock.now().since(self.0) * 10
    }
    async fn sleep(&self, time: Duration) {
        SystemClock.sleep(time / 10).await;
    }
}

impl MachineClock for Hasty {
    fn monotonic(&self) -> Duration {
        SystemClock.monotonic() * 10
    }
}

/// What the coordinator itself says of a run's events.
async fn events(t: &TestServer, run: &RunId) -> Vec<Value> {
    t.events(run).await.iter().map(|event| serde_json::to_value(event).expect("JSON")).collect()
}

/// The checks of health by name.
async fn check(t: &TestServer, name: &str) -> Value {
    let health: Value = t.get("/v1/health").await.ok();
    let checks = health["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["name"] == name);
    check.unwrap_or_else(|| panic!("no check {name} in {health}")).clone()
}

#[tokio::test]
async fn an_answer_comes_when_the_stores_have_what_it_says() {
    let stores = FakeStores::start();
    // Longer than the test: that is not what ends the waiting.
    let t = start(&stores, &[("JARVIS_RUN_COORDINATOR_STORE_WAIT_SECS", "600")]).await;
    let run = t.run_start("atomic.hang", json!({"x": 1})).await;
    let root = &run.root_node_run_id;
    assert!(stores.object(&format!("runs/{}", run.run_id)).is_some());
    assert_eq!(stores.key_of(&format!("node-runs/{root}")), Some(root.to_string()), "FIX G07");
    assert!(stores.seqs(run.run_id.as_str()).starts_with(&[1, 2, 3]));

    let canceled = t.cancel(&run.run_id).await;
    let stored = stores.object(&format!("runs/{}", run.run_id)).expect("stored");
    assert_eq!(stored, serde_json::to_value(&canceled).expect("JSON"));
    assert_eq!(stores.events(run.run_id.as_str()), events(&t, &run.run_id).await);
    assert_eq!(check(&t, "outbox").await["status"], "ok");
}

#[tokio::test]
async fn health_knows_of_a_store_that_is_not_there_before_it_is_needed() {
    let stores = FakeStores::start();
    let vars = [("JARVIS_ARTIFACT_STORE_URL", NOBODY)];
    let t = start(&stores, &vars).await;
    let artifacts = soon("the artifact store is missed", async {
        loop {
            let artifacts = check(&t, "artifact_store").await;
            if artifacts["status"] == "degraded" {
                return artifacts;
            }
        }
    })
    .await;
    let message = artifacts["message"].as_str().expect("a message");
    assert_eq!(message, "The probe of the store failed: the connection could not be made");
    for there in ["run_store", "event_stream", "outbox"] {
        assert_eq!(check(&t, there).await["status"], "ok");
    }
    assert_eq!(t.get("/v1/health").await.ok()["status"], "degraded");
    // Nothing else is the worse for it.
    let run = t.run_start("atomic.echo", json!({"x": 1})).await;
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
}

#[tokio::test]
async fn a_run_costs_few_calls_and_its_events_come_after_what_they_tell() {
    let stores = FakeStores::start();
    let t = start(&stores, &[]).await;
    let run = t.run_start("atomic.echo", json!({"x": 1})).await;
    t.run_ended(&run.run_id).await;
    let (run_key, node_key) = (format!("runs/{}", run.run_id), format!("node-runs/{}", run.root_node_run_id));
    let last = t.events(&run.run_id).await.last().expect("events").seq;
    stores.have_events(&run.run_id, last).await;
    for key in [&run_key, &node_key] {
        assert_eq!(stores.object(key).expect("stored")["state"], "succeeded", "{key}");
    }
    let calls = stores.calls();
    let first = |call: &str| calls.iter().position(|made| made.starts_with(call)).expect(call);
    assert!(first("POST /v1/run-events") > first("POST /v1/runs"), "{calls:?}");
    assert!(first("POST /v1/run-events") > first("POST /v1/node-runs"), "{calls:?}");
    // Created, perhaps running, ended; for each at most one append.
    assert!((2..=8).contains(&calls.len()), "{calls:?}");
    let puts = |key: &str| calls.iter().filter(|call| **call == format!("PUT /v1/{key}")).count();
    assert!(puts(&run_key) <= 1, "the run changed once: {calls:?}");
}

#[tokio::test]
async fn a_stream_that_is_down_holds_up_nobody_and_misses_nothing() {
    let stores = FakeStores::start();
    let t = start(&stores, &[("JARVIS_RUN_COORDINATOR_STORE_WAIT_SECS", "0.05")]).await;
    stores.faults(|call| (call == "POST /v1/run-events").then_some(JournalFault::Status(503)));
    let mut runs = Vec::new();
    for number in 0..5 {
        let run = t.run_start("atomic.echo", json!({"number": number})).await;
        t.run_ended(&run.run_id).await;
        stores.have_state(&format!("runs/{}", run.run_id), "succeeded").await;
        runs.push(run.run_id);
    }
    let stream = check(&t, "event_stream").await;
    assert_eq!(stream["status"], "degraded");
    let message = stream["message"].as_str().expect("a message");
    assert!(message.contains("a fault (503)") && !message.contains("http"), "{message}");
    assert_eq!(check(&t, "run_store").await["status"], "ok");
    let outbox = soon("the outbox lags", async {
        loop {
            let outbox = check(&t, "outbox").await;
            if outbox["status"] == "degraded" {
                return outbox;
            }
        }
    })
    .await;
    assert!(outbox["details"]["entries"].as_u64() >= Some(5), "{outbox}");
    assert_eq!(t.get("/v1/health").await.ok()["status"], "degraded");

    stores.no_faults();
    for run in &runs {
        let ours: Vec<u64> = t.events(run).await.iter().map(|event| event.seq).collect();
        stores.have_events(run, ours[ours.len() - 1]).await;
        assert_eq!(stores.seqs(run.as_str()), ours);
    }
    soon("health", async { while t.get("/v1/health").await.ok()["status"] != "ok" {} }).await;
}

#[tokio::test]
async fn an_append_without_an_answer_is_not_there_twice() {
    let stores = FakeStores::start();
    let t = TestServer::start_with_clock(Hasty(SystemClock.now()), &stores.vars()).await;
    // Each call takes effect and is not answered, every other time.
    let count = AtomicUsize::new(0);
    stores.faults(move |_| {
        let call = count.fetch_add(1, Ordering::SeqCst);
        call.is_multiple_of(2).then_some(JournalFault::Unanswered)
    });
    let mut runs = Vec::new();
    for number in 0..10 {
        runs.push(t.run_start("atomic.echo", json!({"number": number})).await);
    }
    for run in &runs {
        t.run_ended(&run.run_id).await;
        let ours = events(&t, &run.run_id).await;
        stores.have_events(&run.run_id, ours.len() as u64).await;
        assert_eq!(stores.events(run.run_id.as_str()), ours, "each once, as it is");
        stores.have_state(&format!("runs/{}", run.run_id), "succeeded").await;
        stores.have_state(&format!("node-runs/{}", run.root_node_run_id), "succeeded").await;
    }
}

#[tokio::test]
async fn whatever_the_stores_do_they_have_it_all_in_the_end() {
    let stores = FakeStores::start();
    let t = TestServer::start_with_clock(Hasty(SystemClock.now()), &stores.vars()).await;
    let count = AtomicUsize::new(0);
    stores.faults(move |call| {
        // A fixed pattern of no evident period.
        let number = count.fetch_add(1, Ordering::SeqCst) as u64;
        match number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 61 {
            0 => Some(JournalFault::Status(500)),
            1 => Some(JournalFault::Status(503)),
            2 => Some(JournalFault::Unanswered),
            // Of an event it would be a lie: it is there.
            3 if call != "POST /v1/run-events" => Some(JournalFault::Status(409)),
            _ => None,
        }
    });
    let one = async |number: usize| {
        let kind = ["atomic.echo", "atomic.fail", "atomic.hang"][number % 3];
        let run = t.run_start(kind, json!({"number": number})).await;
        if kind == "atomic.hang" {
            t.cancel(&run.run_id).await;
        }
        t.run_ended(&run.run_id).await
    };
    let runs = futures::future::join_all((0..24).map(one)).await;
    stores.no_faults();
    for run in &runs {
        let ours = events(&t, &run.run_id).await;
        stores.have_events(&run.run_id, ours.len() as u64).await;
        assert_eq!(stores.events(run.run_id.as_str()), ours);
        let (run_key, node_key) =
            (format!("runs/{}", run.run_id), format!("node-runs/{}", run.root_node_run_id));
        stores.have_state(&run_key, &run.state.to_string()).await;
        let node = serde_json::to_value(t.node_run(&run.root_node_run_id).await).expect("JSON");
        stores.have_state(&node_key, node["state"].as_str().expect("a state")).await;
        assert_eq!(stores.object(&run_key), Some(serde_json::to_value(run).expect("JSON")));
        assert_eq!(stores.object(&node_key), Some(node));
    }
}

#[tokio::test]
async fn a_full_run_store_keeps_no_event_back_and_gets_its_runs_later() {
    let stores = FakeStores::start();
    let t = start(&stores, &[("JARVIS_RUN_COORDINATOR_STORE_WAIT_SECS", "0.05")]).await;
    stores.faults(|call| (call == "POST /v1/runs").then_some(JournalFault::Status(507)));
    let run = t.run_start("atomic.echo", json!({"x": 1})).await;
    t.run_ended(&run.run_id).await;
    let last = t.events(&run.run_id).await.len() as u64;
    stores.have_events(&run.run_id, last).await;
    let message = check(&t, "run_store").await["message"].to_string();
    assert!(message.contains("507"), "{message}");
    assert!(stores.object(&format!("runs/{}", run.run_id)).is_none());
    stores.no_faults();
    stores.have_state(&format!("runs/{}", run.run_id), "succeeded").await;
}

#[tokio::test]
async fn what_one_run_is_refused_does_not_hold_up_the_others() {
    let stores = FakeStores::start();
    let t = start(&stores, &[("JARVIS_RUN_COORDINATOR_STORE_WAIT_SECS", "0.05")]).await;
    let poison = t.run_start("atomic.hang", json!({"x": 1})).await;
    stores.have_state(&format!("node-runs/{}", poison.root_node_run_id), "running").await;
    let refused = format!("PUT /v1/runs/{}", poison.run_id);
    stores.faults({
        let refused = refused.clone();
        move |call| (call == refused).then_some(JournalFault::Status(422))
    });
    t.cancel(&poison.run_id).await;
    stores.called(&refused, 2).await;
    let other = t.run_start("atomic.echo", json!({"x": 2})).await;
    t.run_ended(&other.run_id).await;
    stores.have_state(&format!("runs/{}", other.run_id), "succeeded").await;
    stores.have_events(&poison.run_id, t.events(&poison.run_id).await.len() as u64).await;
    let message = check(&t, "run_store").await["message"].to_string();
    assert!(message.contains("of 1 runs") && message.contains("a fault (422)"), "{message}");
    stores.no_faults();
    stores.have_state(&format!("runs/{}", poison.run_id), "canceled").await;
}

#[tokio::test]
async fn what_is_owed_outlives_the_process_that_owes_it() {
    let stores = FakeStores::start();
    let wait = [("JARVIS_RUN_COORDINATOR_STORE_WAIT_SECS", "0.05")];
    let t = start(&stores, &wait).await;
    // Some of it has arrived, unknown to us.
    stores.faults(|_| Some(JournalFault::Unanswered));
    let first = t.run_start("atomic.echo", json!({"x": 1})).await;
    t.run_ended(&first.run_id).await;
    stores.faults(|_| Some(JournalFault::Status(500)));
    let second = t.run_start("atomic.echo", json!({"x": 2})).await;
    t.run_ended(&second.run_id).await;
    let events = t.events(&second.run_id).await.len() as u64;
    let (journal, executors) = t.stop().await;

    stores.no_faults();
    let mut vars = stores.vars().to_vec();
    vars.extend(wait);
    let t = TestServer::try_start(journal, executors, &vars).await.expect("it starts again");
    for run in [&first, &second] {
        stores.have_state(&format!("runs/{}", run.run_id), "succeeded").await;
        stores.have_events(&run.run_id, events).await;
        assert_eq!(stores.seqs(run.run_id.as_str()), (1..=events).collect::<Vec<_>>());
    }
    soon("an empty outbox", async { while check(&t, "outbox").await["details"]["entries"] != 0 {} }).await;
}

#[tokio::test]
async fn a_call_that_takes_effect_late_does_not_bring_an_old_state_back() {
    let stores = FakeStores::start();
    let t = TestServer::start_with_clock(Hasty(SystemClock.now()), &stores.vars()).await;
    let run = t.run_start("atomic.hang", json!({"x": 1})).await;
    let root = format!("node-runs/{}", run.root_node_run_id);
    t.node_run_in(&run.root_node_run_id, NodeRunState::Running).await;
    stores.have_state(&root, "running").await;
    let put = format!("PUT /v1/{root}");
    let first = AtomicBool::new(true);
    stores.faults({
        let put = put.clone();
        move |call| (call == put && first.swap(false, Ordering::SeqCst)).then_some(JournalFault::Stalled)
    });
    // What is stalled is an evaluation; it gives up after (ten) seconds.
    let report = json!({"evaluation_result": {"status": "success"}});
    t.post(&format!("/v1/{root}:evaluation"), &report).await.no_content();
    stores.called(&format!("{put} stalled"), 1).await;
    t.cancel(&run.run_id).await;
    stores.have_state(&root, "canceled").await;
    stores.unstall();
    stores.called(&format!("{put} late"), 1).await;
    stores.have_state(&root, "canceled").await;
    soon("an empty outbox", async { while check(&t, "outbox").await["details"]["entries"] != 0 {} }).await;
    assert_eq!(stores.object(&root).expect("stored")["state"], "canceled");
}

#[tokio::test]
async fn making_sure_may_fail_and_what_changes_then_arrives_all_the_same() {
    let stores = FakeStores::start();
    let t = TestServer::start_with_clock(Hasty(SystemClock.now()), &stores.vars()).await;
    let run = t.run_start("atomic.hang", json!({"x": 1})).await;
    let root = format!("node-runs/{}", run.root_node_run_id);
    t.node_run_in(&run.root_node_run_id, NodeRunState::Running).await;
    stores.have_state(&root, "running").await;
    let put = format!("PUT /v1/{root}");
    // The first is in doubt, the second settles it, the third is to make sure.
    let count = AtomicUsize::new(0);
    stores.faults({
        let put = put.clone();
        move |call| {
            let number = if call == put { count.fetch_add(1, Ordering::SeqCst) } else { 1 };
            matches!(number, 0 | 2).then_some(JournalFault::Unanswered)
        }
    });
    let before = stores.calls().iter().filter(|call| **call == put).count();
    let report = json!({"evaluation_result": {"status": "success"}});
    t.post(&format!("/v1/{root}:evaluation"), &report).await.no_content();
    stores.called(&put, before + 3).await;
    // That has failed, and whatever would be tried again at once has been.
    let failed = SystemClock.now();
    while SystemClock.now().since(failed) < Duration::from_millis(100) {
        let other = t.run_start("atomic.echo", json!({"x": 2})).await;
        stores.have_state(&format!("runs/{}", t.run_ended(&other.run_id).await.run_id), "succeeded").await;
    }
    t.cancel(&run.run_id).await;
    stores.have_state(&root, "canceled").await;
    stores.have_events(&run.run_id, t.events(&run.run_id).await.len() as u64).await;
    soon("an empty outbox", async { while check(&t, "outbox").await["details"]["entries"] != 0 {} }).await;
}

#[tokio::test]
async fn an_outbox_that_cannot_be_read_is_read_again_although_nobody_comes() {
    let (stores, faults) = (FakeStores::start(), Faults::none());
    // An answer comes only when all is read and sent.
    let mut vars = vec![("JARVIS_RUN_COORDINATOR_STORE_WAIT_SECS", "600")];
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
async fn a_start_that_fails_leaves_nobody_at_the_journal() {
    let stores = FakeStores::start();
    let journal = tempfile::tempdir().expect("a folder for the journal");
    let path = journal.path().join("journal.db").display().to_string();
    let mut vars = vec![("ARP_AUTH_PROFILE", "dev-insecure"), ("JARVIS_RUN_COORDINATOR_JOURNAL", &*path)];
    vars.extend(stores.vars());
    let vars: BTreeMap<String, String> =
        vars.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let start = async |port: u16| {
        let flags = Flags { port: Some(port), ..Flags::default() };
        let settings = Settings::from_vars(&vars, &flags).expect("sound settings");
        Server::start(&settings, Surroundings::default(), &Logger::root(Discard, o!())).await
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let refused = start(taken.local_addr().expect("an address").port()).await;
    assert!(matches!(refused, Err(StartError::Listen { .. })));
    start(0).await.expect("it can be tried again").stop().await;
}

#[tokio::test]
async fn a_commit_that_was_said_to_have_failed_reaches_the_stores_although_nobody_comes() {
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
async fn what_comes_into_the_outbox_without_a_word_is_found_there() {
    let stores = FakeStores::start();
    let mut vars = stores.vars().to_vec();
    vars.extend(TestServer::IDLE);
    let journal = Arc::new(Mutex::new(None::<Arc<dyn Journal>>));
    let seen = Arc::clone(&journal);
    let surroundings = Surroundings {
        clock: Arc::new(Hasty(SystemClock.now())),
        before_journal: Box::new(move |store| {
            let store: Arc<dyn Journal> = Arc::new(store);
            *seen.lock().expect("unpoisoned") = Some(Arc::clone(&store));
            store
        }),
        ..Surroundings::default()
    };
    let t = TestServer::start_among(surroundings, &vars).await;
    let run = t.run_start("atomic.echo", json!({})).await;
    let root = format!("node-runs/{}", run.root_node_run_id);
    stores.have_state(&root, "queued").await;
    // Behind the coordinator's back.
    let journal = journal.lock().expect("unpoisoned").take().expect("a journal");
    let mut record = journal.node_fetch(&run.root_node_run_id).await.expect("readable").expect("there");
    record.node.state = NodeRunState::Assigned;
    let change = ChangeSet { nodes: vec![record], ..ChangeSet::new(run.run_id.clone(), SystemClock.now()) };
    journal.commit(change.owing_all()).await.expect("committed");
    drop(journal);
    stores.have_state(&root, "assigned").await;
    t.stop().await;
}

/// A server whose stores refused everything until it stopped, with the two runs
/// that it owes.
async fn two_runs_owed(stores: &FakeStores) -> ([Run; 2], tempfile::TempDir, FakeExecutors) {
    stores.faults(|_| Some(JournalFault::Status(503)));
    let t = start(stores, &[("JARVIS_RUN_COORDINATOR_STORE_WAIT_SECS", "0.05")]).await;
    let mut runs = Vec::new();
    for number in 0..2 {
        let run = t.run_start("atomic.echo", json!({"number": number})).await;
        runs.push(t.run_ended(&run.run_id).await);
    }
    let (journal, executors) = t.stop().await;
    stores.no_faults();
    (runs.try_into().expect("two"), journal, executors)
}

fn damage(journal: &tempfile::TempDir, sql: &str) {
    let file = rusqlite::Connection::open(journal.path().join("journal.db")).expect("the journal");
    assert!(file.execute(sql, []).expect("SQL") > 0);
}

/// So long that a test does not wait for it.
const FOR_EVER: (&str, &str) = ("JARVIS_RUN_COORDINATOR_SHUTDOWN_TIMEOUT_SECS", "600");

#[tokio::test]
async fn an_object_that_cannot_be_read_holds_back_no_event_and_no_stop() {
    let stores = FakeStores::start();
    let ([damaged, sound], journal, executors) = two_runs_owed(&stores).await;
    let root = &damaged.root_node_run_id;
    damage(&journal, &format!("UPDATE node_runs SET body = '{{' WHERE node_run_id = '{root}'"));

    let mut vars = stores.vars().to_vec();
    vars.push(FOR_EVER);
    let t = TestServer::try_start(journal, executors, &vars).await.expect("it starts again");
    for run in [&sound, &damaged] {
        stores.have_state(&format!("runs/{}", run.run_id), "succeeded").await;
        stores.have_events(&run.run_id, t.events(&run.run_id).await.len() as u64).await;
    }
    assert!(stores.object(&format!("node-runs/{root}")).is_none());
    let told = check(&t, "run_store").await;
    assert_eq!(told["status"], "degraded");
    let message = told["message"].as_str().expect("a message");
    assert!(message.contains("of 1 runs") && message.contains("cannot be read"), "{message}");
    assert_eq!(check(&t, "event_stream").await["status"], "ok");
    t.stop().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_sent_holds_back_no_other_run_and_no_stop() {
    for damaged_body in ["{", "null"] {
        let stores = FakeStores::start();
        let ([damaged, sound], journal, executors) = two_runs_owed(&stores).await;
        let run = &damaged.run_id;
        damage(
            &journal,
            &format!("UPDATE events SET body = '{damaged_body}' WHERE run_id = '{run}' AND seq = 2"),
        );

        let mut vars = stores.vars().to_vec();
        vars.push(FOR_EVER);
        let t = TestServer::try_start(journal, executors, &vars).await.expect("it starts again");
        for run in [&sound, &damaged] {
            stores.have_state(&format!("runs/{}", run.run_id), "succeeded").await;
        }
        stores.have_events(&sound.run_id, t.events(&sound.run_id).await.len() as u64).await;
        let told = soon("the event stream's trouble", async {
            loop {
                let told = check(&t, "event_stream").await;
                if told["status"] == "degraded" {
                    return told;
                }
            }
        });
        let message = told.await["message"].as_str().expect("a message").to_owned();
        assert!(message.contains("of 1 runs"), "others are not concerned: {message}");
        assert_eq!(check(&t, "run_store").await["status"], "ok");
        let next = t.run_start("atomic.echo", json!({})).await;
        t.run_ended(&next.run_id).await;
        stores.have_events(&next.run_id, t.events(&next.run_id).await.len() as u64).await;
        t.stop().await;
    }
}

/// A run of a server with stores that is under way when that stops.
async fn one_run_under_way(stores: &FakeStores) -> (Run, tempfile::TempDir, FakeExecutors) {
    let t = start(stores, &[]).await;
    let run = t.run_start("composite.accept", json!({})).await;
    t.node_run_in(&run.root_node_run_id, NodeRunState::Running).await;
    stores.have_state(&format!("node-runs/{}", run.root_node_run_id), "running").await;
    stores.have_events(&run.run_id, t.events(&run.run_id).await.len() as u64).await;
    let (journal, executors) = t.stop().await;
    (run, journal, executors)
}

const WITHOUT_STORES: &str = "JARVIS_RUN_COORDINATOR_WITHOUT_STORES";

/// The same settings as a server in `journal` has, without stores.
async fn start_without(journal: &tempfile::TempDir, vars: &[(&str, &str)]) -> Result<Server, StartError> {
    let path = journal.path().join("journal.db").display().to_string();
    let all = [("ARP_AUTH_PROFILE", "dev-insecure"), ("JARVIS_RUN_COORDINATOR_JOURNAL", &*path)];
    let vars: BTreeMap<String, String> =
        all.iter().chain(vars).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let settings = Settings::from_vars(&vars, &Flags { port: Some(0), ..Flags::default() });
    let log = Logger::root(Discard, o!());
    Server::start(&settings.expect("sound settings"), Surroundings::default(), &log).await
}

#[tokio::test]
async fn a_journal_that_owes_is_not_used_without_the_stores() {
    let stores = FakeStores::start();
    let (_, journal, _) = one_run_under_way(&stores).await;
    // Nothing is left to send; what is decided next would be owed.
    for vars in [&[][..], &[(WITHOUT_STORES, "refuse")]] {
        let refused = start_without(&journal, vars).await.err().expect("refused").to_string();
        for word in ["owes the JARVIS stores", "JARVIS_RUN_STORE_URL", WITHOUT_STORES] {
            assert!(refused.contains(word), "{refused}");
        }
    }
    // One that never had any is.
    let other = tempfile::tempdir().expect("a folder");
    start_without(&other, &[]).await.expect("it starts").stop().await;
}

#[tokio::test]
async fn what_was_decided_without_the_stores_gets_there_if_it_was_owed() {
    let stores = FakeStores::start();
    let (run, journal, executors) = one_run_under_way(&stores).await;
    let t = TestServer::try_start(journal, executors, &[(WITHOUT_STORES, "owe")]).await.expect("it starts");
    let outbox = soon("the debts", async {
        loop {
            let outbox = check(&t, "outbox").await;
            if outbox["details"]["entries"].as_u64() > Some(0) {
                return outbox;
            }
            t.complete(&run.root_node_run_id, "succeeded").await;
        }
    });
    assert_eq!(outbox.await["status"], "degraded");
    let ended = t.run_ended(&run.run_id).await;
    let events = events(&t, &run.run_id).await;
    let (journal, executors) = t.stop().await;
    assert_eq!(stores.object(&format!("runs/{}", run.run_id)).expect("stored")["state"], "running");

    let t = TestServer::try_start(journal, executors, &stores.vars()).await.expect("it starts");
    stores.have_events(&run.run_id, events.len() as u64).await;
    stores.have_state(&format!("runs/{}", run.run_id), "succeeded").await;
    assert_eq!(stores.events(run.run_id.as_str()), events);
    assert_eq!(
        stores.object(&format!("runs/{}", run.run_id)),
        Some(serde_json::to_value(ended).expect("JSON"))
    );
    t.stop().await;
}

#[tokio::test]
async fn a_debt_that_is_forgotten_is_gone_for_good() {
    let stores = FakeStores::start();
    let ([run, _], journal, executors) = two_runs_owed(&stores).await;
    let t =
        TestServer::try_start(journal, executors, &[(WITHOUT_STORES, "forget")]).await.expect("it starts");
    assert_eq!(t.run(&run.run_id).await.state, RunState::Succeeded);
    let health: Value = t.get("/v1/health").await.ok();
    assert!(!health.to_string().contains("outbox"), "{health}");
    let (journal, executors) = t.stop().await;
    // It need not be said again.
    let t = TestServer::try_start(journal, executors, &[]).await.expect("it starts");
    let (journal, executors) = t.stop().await;
    let calls = stores.calls().len();
    let t = TestServer::try_start(journal, executors, &stores.vars()).await.expect("it starts");
    let next = t.run_start("atomic.echo", json!({})).await;
    t.run_ended(&next.run_id).await;
    stores.have_events(&next.run_id, t.events(&next.run_id).await.len() as u64).await;
    soon("an empty outbox", async { while check(&t, "outbox").await["details"]["entries"] != 0 {} }).await;
    assert!(stores.calls().len() > calls);
    assert_eq!(stores.object(&format!("runs/{}", run.run_id)), None);
    assert_eq!(stores.seqs(run.run_id.as_str()), [] as [u64; 0]);
    t.stop().await;
}
