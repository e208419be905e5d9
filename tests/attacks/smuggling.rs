//! Request smuggling: requests whose end two readers could see at different places; and
//! oversized or malformed heads.
//!
//! Each ambiguous request hides a cancel of a run in what may be its body. A server that
//! reads it as a second request lets callers of a proxy speak for others. So the run
//! must live, and the connection must be closed.

use serde_json::json;

use crate::{
    support::process::start_request,
    target::{AT_REST_MIB, Target},
};

const PEAK_MIB: u64 = AT_REST_MIB + 16;

/// The hidden request. The short lengths of the table end in front of it.
const HIDDEN: &str = "POST /v1/runs/victim:cancel HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn ambiguous_requests_smuggle_nothing() {
    let vars =
        [("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "off"), ("JARVIS_RUN_COORDINATOR_BODY_TIMEOUT_SECS", "1")];
    let target = Target::start(&vars).await;
    let (status, run) = target.process.post("/v1/runs", &start_request("victim", "composite.x")).await;
    assert_eq!(status, 200, "{run}");
    let before = target.written();
    let json = "content-type: application/json\r\n";
    for (what, headers, body) in [
        ("two lengths", "content-length: 4\r\ncontent-length: 5\r\n", "{}  "),
        ("two lengths in one", "content-length: 4, 5\r\n", "{}  "),
        ("a signed length", "content-length: +4\r\n", "{}  "),
        ("a negative length", "content-length: -4\r\n", "{}  "),
        ("a hexadecimal length", "content-length: 0x4\r\n", "{}  "),
        ("a length beyond 64 bits", "content-length: 99999999999999999999999\r\n", "{}  "),
        ("a length with blanks inside", "content-length: 4 4\r\n", "{}  "),
        ("a length and chunks", "content-length: 7\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
        ("chunks and a length", "transfer-encoding: chunked\r\ncontent-length: 7\r\n", "0\r\n\r\n"),
        ("chunks that are not last", "transfer-encoding: chunked, gzip\r\n", "0\r\n\r\n"),
        ("an unknown coding", "transfer-encoding: xchunked\r\n", "0\r\n\r\n"),
        ("chunks twice", "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", "0\r\n\r\n"),
        ("a blank before the colon", "transfer-encoding : chunked\r\ncontent-length: 4\r\n", "{}  "),
        ("a folded coding", "x: y\r\n transfer-encoding: chunked\r\ncontent-length: 4\r\n", "{}  "),
        ("a control character in a name", "content\x0b-length: 4\r\n", "{}  "),
        ("a NUL in a value", "x: a\0b\r\ncontent-length: 4\r\n", "{}  "),
        ("a bare CR", "x: a\rcontent-length: 4\r\n", "{}  "),
        ("a chunk of no size", "transfer-encoding: chunked\r\n", "\r\n{}\r\n"),
        ("a chunk of a signed size", "transfer-encoding: chunked\r\n", "+2\r\n{}\r\n0\r\n\r\n"),
        (
            "a chunk size beyond 64 bits",
            "transfer-encoding: chunked\r\n",
            "fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        ),
        ("a chunk that is longer than it says", "transfer-encoding: chunked\r\n", "1\r\n{}\r\n0\r\n\r\n"),
        ("an endless extension of a chunk", "transfer-encoding: chunked\r\n", "2;aaaaaaaaaaaaaaaa"),
    ] {
        let request = format!("POST /v1/runs HTTP/1.1\r\nhost: x\r\n{json}{headers}\r\n{body}{HIDDEN}");
        let replies = target.send(request.as_bytes()).await;
        let refused = replies.statuses().iter().all(|status| (400..500).contains(status));
        assert!(refused && replies.0.len() <= 1, "{what}: {replies:?}");
        let (_, run) = target.process.get("/v1/runs/victim").await;
        assert_eq!(run["state"], "running", "{what}: {replies:?}");
    }
    assert_eq!(target.written(), before);
    assert!(target.executors.calls().is_empty());
    target.alive(PEAK_MIB).await;
}

/// Plain requests in sequence on one connection.
#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let target = Target::start(&[("JARVIS_RUN_COORDINATOR_BODY_TIMEOUT_SECS", "1")]).await;
    let get = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n{more}\r\n");
    let three =
        [get("/v1/health", ""), get("/v1/runs/a", ""), get("/v1/version", "connection: close\r\n")].concat();
    assert_eq!(target.send(three.as_bytes()).await.statuses(), [200, 404, 200]);
    target.unharmed(PEAK_MIB).await;
}

#[tokio::test]
async fn oversized_or_malformed_heads_are_refused() {
    let target = Target::start(&[("JARVIS_RUN_COORDINATOR_BODY_TIMEOUT_SECS", "1")]).await;
    let get =
        |headers: &str| format!("GET /v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    for (what, headers, statuses) in [
        ("a header of 1 MiB", format!("x: {}\r\n", "a".repeat(1 << 20)), [431, 431]),
        ("a thousand headers", "x: y\r\n".repeat(1_000), [431, 431]),
        ("a name of 128 KiB", format!("{}: y\r\n", "x".repeat(128 << 10)), [400, 431]),
        ("a line without a colon", "nonsense\r\n".into(), [400, 400]),
        ("a folded line", "x: y\r\n z\r\n".into(), [400, 400]),
    ] {
        let reply = target.send(get(&headers).as_bytes()).await.only();
        assert!(statuses.contains(&reply.status), "{what}: {reply:?}");
    }
    for (what, request) in [
        ("no HTTP", "nonsense\r\n\r\n".into()),
        ("a version there is not", "GET /v1/health HTTP/9.9\r\n\r\n".into()),
        ("TLS", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}".repeat(50)),
        ("blanks for a method", " /v1/health HTTP/1.1\r\nhost: x\r\n\r\n".into()),
        (
            "two requests in a line",
            "GET /v1/health HTTP/1.1 GET /v1/version HTTP/1.1\r\nhost: x\r\n\r\n".into(),
        ),
    ] {
        let replies = target.send(request.as_bytes()).await;
        assert!(replies.statuses().iter().all(|status| *status == 400), "{what}: {replies:?}");
    }
    let (status, _) = target.process.post("/v1/runs/x:cancel", &json!({})).await;
    assert_eq!(status, 404);
    target.unharmed(PEAK_MIB).await;
}
