//! Stores that refuse, do not answer, or apply a call late: each change arrives in
//! the end, once.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use jarvis_run_coordinator::{
    time::{Clock, SystemClock},
    types::NodeRunState,
};
use serde_json::json;

use super::{FastClock, check, events, start};
use crate::support::{FakeStores, StoreFault, TestServer, soon};

#[tokio::test]
async fn event_stream_outage_delays_no_run_and_loses_no_event() {
    let stores = FakeStores::start();
    let t = start(&stores, &[("JARVIS_RUN_COORDINATOR_STORE_WAIT_SECS", "0.05")]).await;
    stores.faults(|call| (call == "POST /v1/run-events").then_some(StoreFault::Status(503)));
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
    let outbox = soon("the degraded outbox", async {
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
    soon("good health", async { while t.get("/v1/health").await.ok()["status"] != "ok" {} }).await;
}

#[tokio::test]
async fn unanswered_append_is_not_stored_twice() {
    let stores = FakeStores::start();
    let t = TestServer::start_with_clock(FastClock(SystemClock.now()), &stores.vars()).await;
    // Every other call takes effect and is not answered.
    let count = AtomicUsize::new(0);
    stores.faults(move |_| {
        let call = count.fetch_add(1, Ordering::SeqCst);
        call.is_multiple_of(2).then_some(StoreFault::Unanswered)
    });
    let mut runs = Vec::new();
    for number in 0..10 {
        runs.push(t.run_start("atomic.echo", json!({"number": number})).await);
    }
    for run in &runs {
        t.run_ended(&run.run_id).await;
        let ours = events(&t, &run.run_id).await;
        stores.have_events(&run.run_id, ours.len() as u64).await;
        assert_eq!(stores.events(run.run_id.as_str()), ours, "each event once and unchanged");
        stores.have_state(&format!("runs/{}", run.run_id), "succeeded").await;
        stores.have_state(&format!("node-runs/{}", run.root_node_run_id), "succeeded").await;
    }
}

#[tokio::test]
async fn faulty_stores_have_everything_in_the_end() {
    let stores = FakeStores::start();
    let t = TestServer::start_with_clock(FastClock(SystemClock.now()), &stores.vars()).await;
    let count = AtomicUsize::new(0);
    stores.faults(move |call| {
        // A fixed pattern without an evident period.
        let number = count.fetch_add(1, Ordering::SeqCst) as u64;
        match number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 61 {
            0 => Some(StoreFault::Status(500)),
            1 => Some(StoreFault::Status(503)),
            2 => Some(StoreFault::Unanswered),
            // For an event 409 would be wrong: it means that the event is stored.
            3 if call != "POST /v1/run-events" => Some(StoreFault::Status(409)),
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
async fn full_run_store_delays_no_event_and_catches_up() {
    let stores = FakeStores::start();
    let t = start(&stores, &[("JARVIS_RUN_COORDINATOR_STORE_WAIT_SECS", "0.05")]).await;
    stores.faults(|call| (call == "POST /v1/runs").then_some(StoreFault::Status(507)));
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
async fn refused_entry_of_one_run_does_not_delay_others() {
    let stores = FakeStores::start();
    let t = start(&stores, &[("JARVIS_RUN_COORDINATOR_STORE_WAIT_SECS", "0.05")]).await;
    let poison = t.run_start("atomic.hang", json!({"x": 1})).await;
    stores.have_state(&format!("node-runs/{}", poison.root_node_run_id), "running").await;
    let refused = format!("PUT /v1/runs/{}", poison.run_id);
    stores.faults({
        let refused = refused.clone();
        move |call| (call == refused).then_some(StoreFault::Status(422))
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
async fn late_store_call_does_not_restore_an_old_state() {
    let stores = FakeStores::start();
    let t = TestServer::start_with_clock(FastClock(SystemClock.now()), &stores.vars()).await;
    let run = t.run_start("atomic.hang", json!({"x": 1})).await;
    let root = format!("node-runs/{}", run.root_node_run_id);
    t.node_run_in(&run.root_node_run_id, NodeRunState::Running).await;
    stores.have_state(&root, "running").await;
    let put = format!("PUT /v1/{root}");
    let first = AtomicBool::new(true);
    stores.faults({
        let put = put.clone();
        move |call| (call == put && first.swap(false, Ordering::SeqCst)).then_some(StoreFault::Stalled)
    });
    // The stalled call is an evaluation, which is given up after (ten) seconds.
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
async fn failed_confirming_write_does_not_lose_later_changes() {
    let stores = FakeStores::start();
    let t = TestServer::start_with_clock(FastClock(SystemClock.now()), &stores.vars()).await;
    let run = t.run_start("atomic.hang", json!({"x": 1})).await;
    let root = format!("node-runs/{}", run.root_node_run_id);
    t.node_run_in(&run.root_node_run_id, NodeRunState::Running).await;
    stores.have_state(&root, "running").await;
    let put = format!("PUT /v1/{root}");
    // The first write is in doubt, the second repeats it, the third confirms it.
    let count = AtomicUsize::new(0);
    stores.faults({
        let put = put.clone();
        move |call| {
            let number = if call == put { count.fetch_add(1, Ordering::SeqCst) } else { 1 };
            matches!(number, 0 | 2).then_some(StoreFault::Unanswered)
        }
    });
    let before = stores.calls().iter().filter(|call| **call == put).count();
    let report = json!({"evaluation_result": {"status": "success"}});
    t.post(&format!("/v1/{root}:evaluation"), &report).await.no_content();
    stores.called(&put, before + 3).await;
    // The confirming write has failed, and immediate retries have been made.
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
