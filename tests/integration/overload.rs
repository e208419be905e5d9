//! Callers that send too much, too slowly, or nothing at all: requests, streams and
//! connections are bounded. (`tests/attacks/slow.rs` does the same to the real
//! program, over raw sockets.)

use std::{sync::Arc, time::Duration};

use jarvis_run_coordinator::{
    clients::RunEvents,
    journal::faulty::{Chances, Faults},
    time::SystemClock,
    types::RunState,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{FakeStores, Program, TestServer, process::start_request, soon};

#[tokio::test]
async fn follower_beyond_the_last_event_ends_with_the_run() {
    let t = TestServer::idle().await;
    let run = t.run_start("composite.accept", json!({})).await;
    // As after a restore: the client's cursor is beyond the last event.
    let mut follower =
        RunEvents::follow(t.client.clone(), run.run_id.clone(), Arc::new(SystemClock)).after(999_999);
    let end = async {
        // It waits once a later follower with a valid cursor waits.
        let honest = t.follow(&run.run_id);
        let (events, ()) = tokio::join!(honest, t.complete(&run.root_node_run_id, "succeeded"));
        assert_eq!(events.last().map(|event| event.seq), Some(4));
    };
    let (given, ()) = tokio::join!(soon("the end of the stream", follower.next()), end);
    assert_eq!(given, Ok(None));
    t.stop().await;
}

#[tokio::test]
async fn dropped_extension_keys_are_logged_once_per_request() {
    let program = Program::server().var("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "off");
    let process = program.start().await;
    let own: Value =
        ["constraints", "jarvis.constraints", "completion_error", "idempotency_key", "a.key.of.its.own"]
            .iter()
            .map(|key| ((*key).to_owned(), json!(1)))
            .collect::<serde_json::Map<_, _>>()
            .into();
    let run = process.run_start("run", "composite.x").await;
    let spec = json!({"node_type_ref": {"node_type_id": "atomic.x", "version": "1"}, "inputs": {},
        "extensions": own});
    let request = json!({"run_id": run.id, "parent_node_run_id": run.root, "node_runs": vec![spec; 1000]});
    let (status, answer) = process.post("/v1/node-runs", &request).await;
    assert_eq!(status, 200, "{answer}");
    let ended = process.terminate().await;
    let lines = ended.stdout.lines().filter(|line| line.contains("reserved keys")).count();
    assert_eq!(lines, 1, "{}", ended.stdout);
}

/// Health is public and may be requested at any rate.
#[tokio::test]
async fn health_does_not_read_the_journal() {
    let (stores, faults) = (FakeStores::start(), Faults::none());
    let t = TestServer::start_with_faults(&faults, &stores.vars()).await;
    t.run_start("atomic.hang", json!({})).await;
    // From now on every read fails.
    faults.set_chances(Chances { fail_read: 1.0, ..Chances::default() });
    for _ in 0..20 {
        let health = t.get("/v1/health").await.ok();
        let checks = health["checks"].as_array().expect("checks");
        let outbox = checks.iter().find(|check| check["name"] == "outbox").expect("a check");
        assert!(outbox["details"]["entries"].is_u64(), "{outbox}");
    }
    faults.set_chances(Chances::default());
    t.stop().await;
}

/// Opens a connection to the server, for requests that no client sends.
async fn connect(t: &TestServer) -> TcpStream {
    TcpStream::connect(t.url.strip_prefix("http://").expect("an address")).await.expect("a connection")
}

/// Sends the head of a request whose body is announced and does not come.
async fn stall(t: &TestServer, path: &str) -> TcpStream {
    let mut connection = connect(t).await;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    connection.write_all(head.as_bytes()).await.expect("sent");
    connection
}

/// Reads until the server closes the connection; returns status, head and body.
async fn answer(connection: &mut TcpStream) -> (u16, String, Value) {
    let mut bytes = Vec::new();
    let _ = soon("the end of the connection", connection.read_to_end(&mut bytes)).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    (status, head.to_ascii_lowercase(), serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test]
async fn late_body_is_refused_and_its_connection_closed() {
    let vars = [TestServer::IDLE[0], ("JARVIS_RUN_COORDINATOR_BODY_TIMEOUT_SECS", "0.2")];
    let t = TestServer::start_with(&vars).await;
    for path in ["/v1/runs", "/v1/node-runs", "/v1/node-runs/x:complete", "/v1/node-runs/x:evaluation"] {
        let (status, head, body) = answer(&mut stall(&t, path).await).await;
        assert_eq!((status, &body["error"]["code"]), (408, &json!("request_timeout")), "{path}");
        assert_eq!(body["error"]["message"], "The request body did not arrive within 0.2 s");
        assert!(head.contains("connection: close"), "{head}");
    }
    // A body that drips: the timeout is for the whole body.
    let mut connection = stall(&t, "/v1/runs").await;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    soon("an end to the dripping", async {
        while connection.write_all(b" ").await.is_ok() {
            ticks.tick().await;
        }
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn silent_connections_are_closed() {
    let vars = [("JARVIS_RUN_COORDINATOR_BODY_TIMEOUT_SECS", "0.2")];
    let t = TestServer::start_with(&vars).await;
    let run = t.run_start("atomic.deaf", json!({})).await;
    // A follower sends nothing either, and must not be disconnected.
    let mut follower = connect(&t).await;
    let request = format!("GET /v1/runs/{}/events?follow=1 HTTP/1.1\r\nhost: x\r\n\r\n", run.run_id);
    follower.write_all(request.as_bytes()).await.expect("sent");
    for beginning in ["", "PRI * HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut connection = connect(&t).await;
        connection.write_all(beginning.as_bytes()).await.expect("sent");
        let mut bytes = Vec::new();
        let _ = soon("the end of the connection", connection.read_to_end(&mut bytes)).await;
    }
    t.cancel(&run.run_id).await;
    let mut seen = String::new();
    soon("the end of the run", async {
        while !seen.contains("run_completed") {
            let mut piece = [0; 4096];
            let length = follower.read(&mut piece).await.expect("events");
            assert_ne!(length, 0, "{seen}");
            seen.push_str(&String::from_utf8_lossy(&piece[..length]));
        }
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn overloaded_server_still_serves_health_and_cancels() {
    let vars =
        [("JARVIS_RUN_COORDINATOR_MAX_REQUESTS", "4"), ("JARVIS_RUN_COORDINATOR_BODY_TIMEOUT_SECS", "600")];
    let t = TestServer::start_with(&vars).await;
    let run = t.run_start("composite.accept", json!({})).await;
    let other = t.run_start("composite.accept", json!({})).await;
    let mut stalled = Vec::new();
    for _ in 0..4 {
        stalled.push(stall(&t, "/v1/runs").await);
    }
    let path = format!("/v1/runs/{}/events", run.run_id);
    let refused = soon("the server is full", async {
        loop {
            let answer = t.get(&path).await;
            if answer.status != 200 {
                return answer;
            }
        }
    })
    .await;
    let error = refused.refused(503, "overloaded");
    assert_eq!(error["retryable"], true);
    assert!(
        error["message"].as_str().is_some_and(|message| message.contains("4 concurrent requests")),
        "{error}"
    );
    assert_eq!(
        error["details"],
        json!({"limit": {"name": "requests", "value": 4, "unit": "concurrent requests"}})
    );
    assert_eq!(refused.header("retry-after"), Some("1"));
    t.post("/v1/runs", &start_request("x", "atomic.echo")).await.refused(503, "overloaded");
    // Requests that end work, reads and health are still served.
    for _ in 0..20 {
        t.run(&run.run_id).await;
        t.node_run(&run.root_node_run_id).await;
        t.get("/v1/health").await.ok();
        t.get("/v1/version").await.ok();
    }
    let evaluation = json!({"evaluation_result": {"status": "success"}});
    t.post(&format!("/v1/node-runs/{}:evaluation", run.root_node_run_id), &evaluation).await.no_content();
    t.complete(&run.root_node_run_id, "succeeded").await;
    assert_eq!(t.cancel(&other.run_id).await.state, RunState::Canceled);
    // When the stalled connections are dropped there is room again.
    drop(stalled);
    soon("room again", async { while t.get(&path).await.status != 200 {} }).await;
    t.stop().await;
}

#[tokio::test]
async fn followers_are_bounded_and_a_dropped_one_frees_its_place() {
    let vars = [TestServer::IDLE[0], ("JARVIS_RUN_COORDINATOR_MAX_STREAMS", "2")];
    let t = TestServer::start_with(&vars).await;
    let run = t.run_start("atomic.echo", json!({})).await;
    let url = format!("{}/v1/runs/{}/events?follow=1", t.url, run.run_id);
    let mut followers = Vec::new();
    for _ in 0..2 {
        followers.push(t.http.get(&url).send().await.expect("a stream"));
    }
    let node = format!("/v1/node-runs/{}/events", run.root_node_run_id);
    for path in [&*format!("/v1/runs/{}/events?follow=1", run.run_id), &node] {
        let refused = t.get(path).await;
        let error = refused.refused(503, "overloaded");
        assert!(
            error["message"].as_str().is_some_and(|text| text.contains("2 open event streams")),
            "{error}"
        );
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    assert_eq!(t.run(&run.run_id).await.run_id, run.run_id);
    followers.pop();
    soon("a free place", async { while t.get(&node).await.status != 200 {} }).await;
    t.stop().await;
}

/// Neither bodies nor heads that never arrive delay a stop.
#[tokio::test]
async fn stop_does_not_wait_for_stalled_connections() {
    let limit = Duration::from_secs(60);
    let vars = [("JARVIS_RUN_COORDINATOR_SHUTDOWN_TIMEOUT_SECS", "60")];
    let t = TestServer::start_with(&vars).await;
    let mut body = stall(&t, "/v1/runs").await;
    let mut head = connect(&t).await;
    head.write_all(b"GET /v1/health HTTP/1.1\r\nhost:").await.expect("sent");
    let silent = connect(&t).await;
    t.get("/v1/health").await.ok();
    let stop_began = std::time::Instant::now();
    let (_, (status, head_of_answer, refusal)) = tokio::join!(t.stop(), answer(&mut body));
    assert!(stop_began.elapsed() < limit / 6, "{:?}", stop_began.elapsed());
    assert_eq!((status, &refusal["error"]["code"]), (503, &json!("shutting_down")));
    assert!(head_of_answer.contains("connection: close"), "{head_of_answer}");
    drop((head, silent));
}
