//! Admission (contract §3.8): the limits of each principal, and of what a body has.

use std::time::Duration;

use jarvis_run_coordinator::types::{Run, RunState};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Answer, Signer, Sts, TestServer, soon, spec, start_of, sts::claims};

/// A server that requires tokens, and dispatches nothing.
async fn guarded(sts: &Sts, more: &[(&str, &str)]) -> TestServer {
    let vars = sts.variables();
    let mut vars: Vec<(&str, &str)> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
    vars.extend(TestServer::IDLE);
    vars.extend_from_slice(more);
    TestServer::start_with(&vars).await
}

/// A caller with a token.
struct Caller<'t> {
    t: &'t TestServer,
    token: String,
}

impl<'t> Caller<'t> {
    fn new(t: &'t TestServer, subject: &str) -> Self {
        Self { t, token: Signer::known().sign(&claims(&json!({ "sub": subject }))) }
    }

    async fn get(&self, path: &str) -> Answer {
        Answer::of(self.t.request("GET", path).bearer_auth(&self.token)).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.t.request("POST", path).bearer_auth(&self.token).json(body)).await
    }

    async fn start(&self) -> Run {
        serde_json::from_value(self.post("/v1/runs", &start_of("composite.x")).await.ok()).expect("a Run")
    }

    async fn cancel(&self, run: &Run) -> Answer {
        let path = format!("/v1/runs/{}:cancel", run.run_id);
        Answer::of(self.t.request("POST", &path).bearer_auth(&self.token)).await
    }

    /// Sends the head of a request whose body does not come.
    async fn stall(&self, path: &str) -> TcpStream {
        let mut connection = connect(self.t).await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: 100\r\n\r\n{{",
            self.token
        );
        connection.write_all(head.as_bytes()).await.expect("sent");
        connection
    }
}

async fn connect(t: &TestServer) -> TcpStream {
    TcpStream::connect(t.url.strip_prefix("http://").expect("an address")).await.expect("a connection")
}

/// Asserts a refusal that names this limit and when to come back.
#[track_caller]
fn at_limit(answer: &Answer, status: u16, code: &str, limit: (&str, u64, &str)) {
    let error = answer.refused(status, code);
    let (name, value, unit) = limit;
    assert_eq!(error["retryable"], true, "{error}");
    assert_eq!(error["details"], json!({"limit": {"name": name, "value": value, "unit": unit}}));
    let message = format!("The limit of {value} {unit} is reached: try again later");
    assert_eq!(error["message"], message);
    assert_eq!(answer.header("retry-after"), Some("1"));
}

/// The details of the health check of refusals, and its status.
async fn admission(t: &TestServer) -> (Value, Value) {
    let health = t.get("/v1/health").await.ok();
    let checks = health["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["name"] == "admission").expect("a check");
    (check["status"].clone(), check["details"]["refused_in_the_last_minute"].clone())
}

#[tokio::test]
async fn principal_at_its_rate_leaves_others_alone_and_can_steer() {
    let sts = Sts::start();
    let vars =
        [("JARVIS_RUN_COORDINATOR_RATE_PER_PRINCIPAL", "1"), ("JARVIS_RUN_COORDINATOR_RATE_BURST", "4")];
    let t = guarded(&sts, &vars).await;
    let (alice, bob) = (Caller::new(&t, "alice"), Caller::new(&t, "bob"));
    let run = alice.start().await;
    let refused = soon("the end of the burst", async {
        loop {
            let answer = alice.post("/v1/runs", &start_of("composite.x")).await;
            if answer.status != 200 {
                return answer;
            }
        }
    })
    .await;
    at_limit(&refused, 429, "rate_limited", ("rate_per_principal", 1, "requests per second and principal"));
    // What she needs to steer has a reserve of its own.
    alice.get(&format!("/v1/runs/{}", run.run_id)).await.ok();
    assert_eq!(alice.cancel(&run).await.ok()["state"], "canceled");
    // It is finite: a flood of reads is refused as well.
    soon("the end of the reserve", async { while alice.get("/v1/runs/none").await.status == 404 {} }).await;
    bob.start().await;
    let (status, refused) = admission(&t).await;
    assert_eq!(status, "ok", "a principal at its limit is not the server's trouble");
    assert!(refused["rate_limited"].as_u64() >= Some(2), "{refused}");
    // The time to wait is true.
    soon("its time", async { while alice.post("/v1/runs", &start_of("composite.x")).await.status != 200 {} })
        .await;
    t.stop().await;
}

#[tokio::test]
async fn slow_requests_of_a_principal_take_its_own_places() {
    let sts = Sts::start();
    let vars = [
        ("JARVIS_RUN_COORDINATOR_MAX_REQUESTS_PER_PRINCIPAL", "3"),
        ("JARVIS_RUN_COORDINATOR_BODY_TIMEOUT_SECS", "600"),
    ];
    let t = guarded(&sts, &vars).await;
    let (alice, bob) = (Caller::new(&t, "alice"), Caller::new(&t, "bob"));
    let run = alice.start().await;
    let mut stalled = Vec::new();
    for _ in 0..3 {
        stalled.push(alice.stall("/v1/runs").await);
    }
    let refused = soon("her places are taken", async {
        loop {
            let answer = alice.post("/v1/runs", &start_of("composite.x")).await;
            if answer.status != 200 {
                return answer;
            }
        }
    })
    .await;
    let limit = ("requests_per_principal", 3, "concurrent requests per principal");
    at_limit(&refused, 429, "rate_limited", limit);
    for _ in 0..5 {
        alice.get(&format!("/v1/runs/{}", run.run_id)).await.ok();
        bob.start().await;
    }
    // A slow completion takes her reserve, and none of bob's.
    let mut completion = alice.stall("/v1/node-runs/x:complete").await;
    soon("her reserve is taken", async { while alice.cancel(&run).await.status != 429 {} }).await;
    bob.cancel(&run).await.ok();
    completion.shutdown().await.expect("closed");
    soon("her reserve is free", async { while alice.cancel(&run).await.status != 200 {} }).await;
    drop(stalled);
    soon("room again", async {
        while alice.post("/v1/runs", &start_of("composite.x")).await.status != 200 {}
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn streams_of_a_principal_are_bounded() {
    let sts = Sts::start();
    let t = guarded(&sts, &[("JARVIS_RUN_COORDINATOR_MAX_STREAMS_PER_PRINCIPAL", "1")]).await;
    let (alice, bob) = (Caller::new(&t, "alice"), Caller::new(&t, "bob"));
    let run = alice.start().await;
    let path = format!("/v1/runs/{}/events?follow=1", run.run_id);
    let follow = async |caller: &Caller<'_>| {
        t.request("GET", &path).bearer_auth(&caller.token).send().await.expect("an answer")
    };
    let followed = follow(&alice).await;
    assert_eq!(followed.status(), 200);
    let limit = ("streams_per_principal", 1, "open event streams per principal");
    at_limit(&alice.get(&path).await, 429, "rate_limited", limit);
    assert_eq!(follow(&bob).await.status(), 200);
    drop(followed);
    soon("a free place", async { while follow(&alice).await.status() != 200 {} }).await;
    t.stop().await;
}

/// Assignment tokens are principals of their own: one composite cannot starve others.
#[tokio::test]
async fn callers_without_a_token_share_their_limits() {
    let sts = Sts::start();
    let vars = [("ARP_AUTH_MODE", "optional"), ("JARVIS_RUN_COORDINATOR_MAX_STREAMS_PER_PRINCIPAL", "1")];
    let t = guarded(&sts, &vars).await;
    let run = Caller::new(&t, "alice").start().await;
    let path = format!("/v1/runs/{}/events?follow=1", run.run_id);
    let anonymous = t.request("GET", &path).send().await.expect("an answer");
    assert_eq!(anonymous.status(), 200);
    let limit = ("streams_per_principal", 1, "open event streams per principal");
    at_limit(&t.get(&path).await, 429, "rate_limited", limit);
    let alice = t.request("GET", &path).bearer_auth(&Caller::new(&t, "alice").token);
    assert_eq!(alice.send().await.expect("an answer").status(), 200);
    drop(anonymous);
    t.stop().await;
}

#[tokio::test]
async fn long_strings_and_arrays_are_refused_with_their_place() {
    let vars = [
        TestServer::IDLE[0],
        ("JARVIS_RUN_COORDINATOR_MAX_STRING_BYTES", "1k"),
        ("JARVIS_RUN_COORDINATOR_MAX_ARRAY_ITEMS", "100"),
    ];
    let t = TestServer::start_with(&vars).await;
    let run = t.run_start("composite.x", json!({"fits": "x".repeat(1024), "too": vec![0; 100]})).await;
    let create = |member: &str, value: Value| {
        let mut spec = spec("atomic.x");
        spec[member] = value;
        json!({"run_id": run.run_id, "parent_node_run_id": run.root_node_run_id, "node_runs": [spec]})
    };
    for (member, value, kind, place) in [
        (
            "inputs",
            json!({"a": [{"b": "x".repeat(1025)}]}),
            "string_too_long",
            "body.node_runs.0.inputs.a.0.b",
        ),
        ("inputs", json!({"a": vec![0; 101]}), "too_long", "body.node_runs.0.inputs.a"),
        ("idempotency_key", json!("x".repeat(501)), "string_too_long", "body.node_runs.0.idempotency_key"),
    ] {
        let complaints = t.post("/v1/node-runs", &create(member, value)).await.complaints();
        assert_eq!(complaints, [(kind.to_owned(), place.to_owned())]);
    }
    t.post("/v1/node-runs", &create("idempotency_key", json!("x".repeat(500)))).await.ok();
    t.stop().await;
}

/// Reads one answer, of which the length is announced; returns its status and its head.
async fn one_answer(connection: &mut TcpStream) -> (u16, String) {
    let (mut bytes, mut end) = (Vec::new(), None);
    soon("an answer", async {
        while end.is_none_or(|end| bytes.len() < end) {
            let mut piece = [0; 4096];
            let length = connection.read(&mut piece).await.expect("an answer, not a reset");
            assert_ne!(length, 0, "{}", String::from_utf8_lossy(&bytes));
            bytes.extend_from_slice(&piece[..length]);
            let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
            if let Some(head) = text.find("\r\n\r\n") {
                let length =
                    text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                end = Some(head + 4 + length.unwrap_or(0_usize));
            }
        }
    })
    .await;
    let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    (status, text)
}

/// An operation without a body takes in one that it gets: the connection goes on.
#[tokio::test]
async fn late_body_of_a_cancel_does_not_reset_its_connection() {
    let t = TestServer::idle().await;
    let run = t.run_start("composite.x", json!({})).await;
    let head = |length: usize| {
        format!("POST /v1/runs/{}:cancel HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n", run.run_id)
    };
    let mut connection = connect(&t).await;
    connection.write_all(head(11).as_bytes()).await.expect("sent");
    // The cancel does not wait for the body.
    soon("the cancel", async { while t.run(&run.run_id).await.state != RunState::Canceled {} }).await;
    connection.write_all(b"{\"late\": 1}").await.expect("sent");
    assert_eq!(one_answer(&mut connection).await.0, 200);
    connection.write_all(b"GET /v1/version HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    let (status, answer) = one_answer(&mut connection).await;
    assert!(status == 200 && answer.contains("arp-jarvis-run-coordinator"), "{answer}");
    // One that does not arrive is given up, and one that is too large is not read.
    for length in [11, 100_000] {
        let mut connection = connect(&t).await;
        connection.write_all(head(length).as_bytes()).await.expect("sent");
        let (status, answer) = one_answer(&mut connection).await;
        assert!(status == 200 && answer.contains("connection: close"), "{answer}");
    }
    t.stop().await;
}

/// Silent connections make room for callers, and callers keep theirs.
#[tokio::test]
async fn connections_beyond_the_limit_are_answered_and_closed() {
    const LIMIT: usize = 16;
    let t = TestServer::start_with(&[("JARVIS_RUN_COORDINATOR_MAX_CONNECTIONS", "16")]).await;
    let request = b"GET /v1/runs/none HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut caller = connect(&t).await;
    caller.write_all(request).await.expect("sent");
    assert_eq!(one_answer(&mut caller).await.0, 404);
    let mut silent = Vec::new();
    for _ in 0..3 * LIMIT {
        silent.push(connect(&t).await);
    }
    // The oldest are closed, with an answer.
    for connection in silent.iter_mut().take(LIMIT) {
        let mut bytes = Vec::new();
        let _ = soon("the end of the connection", connection.read_to_end(&mut bytes)).await;
        let answer = String::from_utf8_lossy(&bytes);
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
        assert!(
            answer.contains("retry-after: 1\r\n") && answer.contains("connection: close\r\n"),
            "{answer}"
        );
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        let envelope: Value = serde_json::from_str(body).expect("an envelope");
        assert_eq!(envelope["error"]["code"], "overloaded");
        assert_eq!(envelope["error"]["details"]["limit"]["name"], "connections");
    }
    caller.write_all(request).await.expect("sent");
    assert_eq!(one_answer(&mut caller).await.0, 404);
    soon("a count", async {
        loop {
            let (status, refused) = admission(&t).await;
            if status == "degraded" && refused["connections"].as_u64() >= Some(LIMIT as u64) {
                return;
            }
        }
    })
    .await;
    drop(silent);
    t.stop().await;
}

/// All connections have a caller: a new one may read and steer, but not add work.
#[tokio::test]
async fn connection_too_many_may_still_read_and_steer() {
    let t = TestServer::start_with(&[("JARVIS_RUN_COORDINATOR_MAX_CONNECTIONS", "16")]).await;
    let ask = async |request: &str| {
        let mut connection = connect(&t).await;
        let head = format!("{request} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
        connection.write_all(head.as_bytes()).await.expect("sent");
        let (status, answer) = one_answer(&mut connection).await;
        (status, answer, connection)
    };
    let mut callers = Vec::new();
    soon("a connection too many", async {
        loop {
            let (status, answer, connection) = ask("GET /v1/runs/none").await;
            // One that is silent at a scan is refused: its request came too late.
            assert!(status == 404 || status == 503, "{answer}");
            if status == 404 && answer.contains("connection: close") {
                return;
            }
            callers.push(connection);
        }
    })
    .await;
    assert_eq!(ask("POST /v1/runs/none:cancel").await.0, 404);
    let (status, answer, _) = ask("POST /v1/runs").await;
    assert!(status == 503 && answer.contains(r#""name":"connections""#), "{answer}");
    drop(callers);
    t.stop().await;
}

/// A reader that takes nothing loses its connection, and with it its place.
#[tokio::test]
async fn unread_answers_and_streams_are_given_up() {
    let vars = [
        TestServer::IDLE[0],
        ("JARVIS_RUN_COORDINATOR_ANSWER_TIMEOUT_SECS", "1"),
        ("JARVIS_RUN_COORDINATOR_IDLE_TIMEOUT_SECS", "0.2"),
        ("JARVIS_RUN_COORDINATOR_MAX_STREAMS", "1"),
    ];
    let t = TestServer::start_with(&vars).await;
    let run = t.run_start("composite.x", json!({})).await;
    let evaluation = json!({"evaluation_result": {"status": "success", "message": "x".repeat(1 << 20)}});
    for _ in 0..12 {
        let path = format!("/v1/node-runs/{}:evaluation", run.root_node_run_id);
        t.post(&path, &evaluation).await.no_content();
    }
    let path = format!("/v1/runs/{}/events", run.run_id);
    let mut unread = Vec::new();
    for query in ["?follow=1", ""] {
        let mut connection = connect(&t).await;
        let request = format!("GET {path}{query} HTTP/1.1\r\nhost: x\r\n\r\n");
        connection.write_all(request.as_bytes()).await.expect("sent");
        soon("the only place is taken", async {
            while t.get(&format!("{path}?limit=1")).await.status == 200 {}
        })
        .await;
        // Without reading anything, after the time limit it is free again.
        let began = std::time::Instant::now();
        soon("a free place", async { while t.get(&format!("{path}?limit=1")).await.status != 200 {} }).await;
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        unread.push(connection);
    }
    // One that reads slowly, but reads, gets all of it.
    let mut reader = connect(&t).await;
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    reader.write_all(request.as_bytes()).await.expect("sent");
    let (mut received, mut ticks) = (0, tokio::time::interval(Duration::from_millis(20)));
    let mut piece = vec![0; 128 << 10];
    soon("all of the stream", async {
        loop {
            match reader.read(&mut piece).await.expect("more") {
                0 => return,
                length => received += length,
            }
            ticks.tick().await;
        }
    })
    .await;
    assert!(received > 12 << 20, "{received}");
    drop(unread);
    t.stop().await;
}
