//! The operator API: foreign names and pages, bodies that are large or never arrive,
//! strange targets, and more approvals than a page holds.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    support::soon,
    target::{AT_REST_MIB, Target},
};

const PEAK_MIB: u64 = AT_REST_MIB + 16;

/// A request with these header lines, and no other.
fn request(target: &str, headers: &str) -> String {
    format!("{target} HTTP/1.1\r\n{headers}connection: close\r\n\r\n")
}

#[tokio::test]
async fn rebound_names_and_foreign_pages_read_nothing() {
    let target = Target::start_with_operator(&[]).await;
    let own = "host: localhost\r\n";
    for (line, headers, status, code) in [
        ("GET /x/approvals", "host: evil.example.com\r\n", 403, "forbidden_host"),
        ("GET /x/approvals", "", 403, "forbidden_host"),
        ("GET /x/approvals", "host:\r\n", 403, "forbidden_host"),
        ("GET /x/approvals", "host: localhost\r\nhost: evil.example.com\r\n", 403, "forbidden_host"),
        (
            "GET /x/approvals",
            "host: evil.example.com\r\nx-forwarded-host: localhost\r\n",
            403,
            "forbidden_host",
        ),
        ("GET http://evil.example.com/x/approvals", own, 403, "forbidden_host"),
        ("GET /x/nothing", "host: evil.example.com\r\n", 403, "forbidden_host"),
        (
            "OPTIONS /x/approvals",
            "host: localhost\r\norigin: http://evil.example.com\r\n",
            403,
            "forbidden_origin",
        ),
        ("POST /x/approvals/n.1:approve", "host: localhost\r\norigin: null\r\n", 403, "forbidden_origin"),
        (
            "POST /x/approvals/n.1:approve",
            "host: localhost\r\norigin: http://localhost\r\norigin: http://evil.example.com\r\n",
            403,
            "forbidden_origin",
        ),
    ] {
        let reply = target.send(request(line, headers).as_bytes()).await.only();
        let error = reply.refused(status, code);
        assert!(!error.to_string().contains("evil"), "{error}");
    }
    let reply = target.send(request("GET /x/approvals", own).as_bytes()).await.only();
    assert_eq!((reply.status, reply.json()), (200, json!({"items": []})));
    let log = target.unharmed(PEAK_MIB).await;
    let lines = log.lines().filter(|line| line.contains("requests for a foreign host or of a foreign page"));
    assert!(lines.count() <= 3, "refusals are folded: {log}");
}

#[tokio::test]
async fn large_and_slow_decisions_are_cut_short() {
    let timeout = ("JARVIS_RUN_COORDINATOR_BODY_TIMEOUT_SECS", "1");
    let target =
        Target::start_with_operator(&[timeout, ("JARVIS_RUN_COORDINATOR_MAX_BODY_BYTES", "64k")]).await;
    let head = "POST /x/approvals/n.1:deny HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    // Announced, and never sent.
    let announced = format!("{head}content-length: 99999999999\r\n\r\n");
    target.send(announced.as_bytes()).await.only().refused(413, "payload_too_large");
    // Not announced.
    let body = format!("{{\"reason\": \"{}\"}}", "x".repeat(100_000));
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    target.send(chunked.as_bytes()).await.only().refused(413, "payload_too_large");
    // A byte, and then nothing.
    let mut connections = Vec::new();
    for _ in 0..50 {
        let mut connection = target.connect().await;
        let slow = format!("{head}content-length: 100\r\n\r\n{{");
        connection.write_all(slow.as_bytes()).await.expect("sent");
        connections.push(connection);
    }
    // Meanwhile others are served.
    let reply = target.send(request("GET /livez", "host: probe\r\n").as_bytes()).await.only();
    assert_eq!(reply.status, 200);
    for mut connection in connections {
        let mut answer = Vec::new();
        soon("the end of the connection", connection.read_to_end(&mut answer)).await.expect("read");
        assert!(answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
    }
    target.unharmed(PEAK_MIB).await;
}

#[tokio::test]
async fn strange_approval_ids_find_nothing() {
    let target = Target::start_with_operator(&[]).await;
    let own = "host: localhost\r\n";
    for (path, status) in [
        ("/x/approvals/../approvals", 400),
        ("/x/approvals/%2e%2e/approvals", 404),
        ("/x/approvals/%2F..%2Fv1", 404),
        ("/x/approvals//", 404),
        ("/x/approvals/%00.1", 404),
        ("/x/approvals/%FF.1", 400),
        ("/x/approvals/%E2%80%AE.1", 404),
        ("/x/approvals/'%20OR%201=1--.1", 404),
        ("/x/approvals/%3Aapprove", 400),
        ("/x/approvals/:approve.1", 404),
        ("/x/approvals/a%3Ab%3Aapprove.1", 404),
        ("/x/approvals/a.1?page_token=%00", 404),
        ("/v1/runs", 404),
    ] {
        let reply = target.send(request(&format!("GET {path}"), own).as_bytes()).await.only();
        assert_eq!(reply.status, status, "{path}: {reply:?}");
    }
    let long = format!("GET /x/approvals/{}.1", "a".repeat(8_000));
    let reply = target.send(request(&long, own).as_bytes()).await.only();
    reply.refused(404, "approval_not_found");
    target.unharmed(PEAK_MIB).await;
}

/// A list costs its page, however many wait.
#[tokio::test]
async fn thousands_of_approvals_page_in_bounded_memory_and_time() {
    const COUNT: usize = 3_000;
    let target = Target::start_with_operator(&[("JARVIS_RUN_COORDINATOR_APPROVALS", "park")]).await;
    for run in 0..COUNT {
        let request = json!({
            "run_id": format!("run-{run}"),
            "root_node_type_ref": {"node_type_id": "atomic.echo", "version": "1.0.0"},
            "input": {"text": "x".repeat(1_000)},
            "constraints": {"gates": {"require_approval": true}},
        });
        let (status, answer) = target.process.post("/v1/runs", &request).await;
        assert_eq!(status, 200, "{answer}");
    }
    let before = target.peak_mib();
    let page = async |query: &str| -> (Value, Duration) {
        let began = Instant::now();
        let line = format!("GET /x/approvals{query}");
        let reply = target.send(request(&line, "host: localhost\r\n").as_bytes()).await.only();
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(reply.body.len() < 200 << 10, "no inputs: {}", reply.body.len());
        (reply.json(), began.elapsed())
    };
    // All of them wait.
    let seen = soon("all approvals", async {
        loop {
            let (mut seen, mut slowest, mut query) = (0, Duration::ZERO, "?limit=1000".to_owned());
            loop {
                let (answer, took) = page(&query).await;
                let items = answer["items"].as_array().expect("items").len();
                assert!(items <= 200, "{items}");
                (seen, slowest) = (seen + items, slowest.max(took));
                let Some(token) = answer["next_page"].as_str() else { break };
                query = format!("?limit=1000&page_token={token}");
            }
            if seen == COUNT {
                return slowest;
            }
        }
    })
    .await;
    assert!(seen < Duration::from_secs(2), "{seen:?}");
    // One that looks for a run that is not there.
    let (answer, took) = page("?run_id=nowhere").await;
    assert_eq!(answer["items"], json!([]));
    assert!(took < Duration::from_secs(2), "{took:?}");
    target.alive(before + 16).await;
}
