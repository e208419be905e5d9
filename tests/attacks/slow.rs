//! Slow clients: bodies and heads that never arrive, and silent connections.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    support::soon,
    target::{AT_REST_MIB, Target},
};

/// The concurrent connections of each kind.
const CONNECTIONS: usize = 50;

/// A connection costs its buffers and two tasks, less than 100 KiB. A body that is
/// announced and does not arrive costs nothing.
const PEAK_MIB: u64 = AT_REST_MIB + 3 * CONNECTIONS as u64 / 10;

/// The first bytes, the bytes that are sent repeatedly, and whether the request gets an
/// answer.
type Kind = (&'static [u8], Option<&'static [u8]>, bool);

const TIMEOUTS: [(&str, &str); 2] =
    [("JARVIS_RUN_COORDINATOR_BODY_TIMEOUT_SECS", "1"), ("JARVIS_RUN_COORDINATOR_IDLE_TIMEOUT_SECS", "4")];

/// Sends `beginning`, and then one byte after the other until the connection is closed;
/// returns what was received.
async fn drip(mut connection: TcpStream, beginning: &[u8], byte: Option<&[u8]>) -> String {
    connection.write_all(beginning).await.expect("sent");
    let (mut reader, mut writer) = connection.into_split();
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    let dripping = async {
        if let Some(byte) = byte {
            while writer.write_all(byte).await.is_ok() {
                ticks.tick().await;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    let reading = async {
        let _ = reader.read_to_end(&mut answer).await;
    };
    soon("the end of the connection", async {
        tokio::select! {
            () = dripping => {}
            () = reading => {}
        }
    })
    .await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn slow_clients_are_disconnected_and_delay_no_others() {
    let target = Target::start(&TIMEOUTS).await;
    let body = b"POST /v1/runs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
        content-length: 8000000\r\n\r\n{";
    let chunks = b"POST /v1/runs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
        transfer-encoding: chunked\r\n\r\n1\r\n{\r\n";
    let head = b"GET /v1/health HTTP/1.1\r\nhost: x\r\nx-slow: ";
    let kinds: [Kind; 7] = [
        (body, None, true),
        (body, Some(b" "), true),
        (chunks, Some(b"1\r\n \r\n"), true),
        (head, None, false),
        (head, Some(b"a"), false),
        (b"", None, false),
        (b"PRI * HTTP/2.0\r\n", None, false),
    ];
    let mut slow = Vec::new();
    for (beginning, byte, answered) in kinds {
        for _ in 0..CONNECTIONS {
            slow.push((target.connect().await, beginning, byte, answered));
        }
    }
    let slow = slow.into_iter().map(async |(connection, beginning, byte, answered)| {
        let answer = drip(connection, beginning, byte).await;
        assert_eq!(answer.contains("request_timeout"), answered, "{:?}: {answer}", str::from_utf8(beginning));
        assert_eq!(answer.starts_with("HTTP/1.1 408 "), answered, "{answer}");
    });
    let healthy = async {
        for _ in 0..20 {
            for (path, status) in [("/v1/health", 200), ("/v1/runs/nothing", 404)] {
                let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
                assert_eq!(target.send(request.as_bytes()).await.only().status, status);
            }
        }
    };
    tokio::join!(futures::future::join_all(slow), healthy);
    target.unharmed(PEAK_MIB).await;
}

/// Slow bodies hold every place for requests.
#[tokio::test]
async fn slow_bodies_leave_room_for_health_and_cancels() {
    let vars =
        [("JARVIS_RUN_COORDINATOR_MAX_REQUESTS", "16"), ("JARVIS_RUN_COORDINATOR_BODY_TIMEOUT_SECS", "600")];
    let target = Target::start(&vars).await;
    let mut stalled = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = target.connect().await;
        let head = b"POST /v1/runs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
            content-length: 8000000\r\n\r\n{";
        connection.write_all(head).await.expect("sent");
        stalled.push(connection);
    }
    soon("the program is full", async { while target.process.get("/v1/runs/x/events").await.0 != 503 {} })
        .await;
    for _ in 0..50 {
        assert_eq!(target.process.get("/v1/health").await.0, 200);
    }
    let cancel = target.process.post("/v1/runs/x:cancel", &serde_json::json!({})).await;
    assert_eq!((cancel.0, &cancel.1["error"]["code"]), (404, &"run_not_found".into()), "{cancel:?}");
    // A stop does not wait for the bodies, although each has ten minutes.
    let stop_began = Instant::now();
    let log = target.unharmed(PEAK_MIB).await;
    assert!(stop_began.elapsed() < Duration::from_secs(5), "{:?}", stop_began.elapsed());
    let overloaded = log.lines().filter(|line| line.contains("overloaded: refusing requests")).count();
    assert_eq!(overloaded, 1, "{log}");
    drop(stalled);
}

/// The open sockets of the program.
fn sockets(target: &Target) -> usize {
    let files = std::fs::read_dir(format!("/proc/{}/fd", target.process.id())).expect("its files");
    let links = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

/// Silent connections, many times as many as may be open.
#[tokio::test]
async fn flood_of_connections_leaves_files_and_callers() {
    const LIMIT: usize = 50;
    const FLOOD: usize = 1_500;
    let target = Target::start(&[("JARVIS_RUN_COORDINATOR_MAX_CONNECTIONS", "50")]).await;
    assert_eq!(target.process.get("/v1/runs/nothing").await.0, 404);
    let before = sockets(&target);
    let mut silent = Vec::new();
    for number in 0..FLOOD {
        silent.push(target.connect().await);
        if number % 50 == 0 {
            assert_eq!(target.process.get("/v1/runs/nothing").await.0, 404, "a caller keeps its connection");
        }
    }
    soon("room", async {
        while sockets(&target) > before + LIMIT {
            target.process.get("/v1/health").await;
        }
    })
    .await;
    // The first of them got an answer, and a new caller gets in.
    let mut answer = Vec::new();
    let _ = soon("an answer", silent[0].read_to_end(&mut answer)).await;
    assert!(answer.starts_with(b"HTTP/1.1 503 "), "{}", String::from_utf8_lossy(&answer));
    let request = b"GET /v1/runs/nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert_eq!(target.send(request).await.only().status, 404);
    let log = target.unharmed(AT_REST_MIB + 3 * FLOOD as u64 / 100).await;
    assert_eq!(log.lines().filter(|line| line.contains("too many connections")).count(), 1, "{log}");
    drop(silent);
}

/// Callers that ask for a large answer and do not read it. Each makes the program hold it.
#[tokio::test]
async fn unread_answers_hold_no_memory() {
    const ANSWER: usize = 4 << 20;
    let vars = [
        ("JARVIS_RUN_COORDINATOR_MAX_REQUESTS", "8"),
        ("JARVIS_RUN_COORDINATOR_ANSWER_TIMEOUT_SECS", "1"),
        ("JARVIS_RUN_COORDINATOR_IDLE_TIMEOUT_SECS", "1"),
        ("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "off"),
    ];
    let target = Target::start(&vars).await;
    let start = serde_json::json!({"run_id": "r", "input": {"x": "x".repeat(ANSWER)},
        "root_node_type_ref": {"node_type_id": "atomic.x", "version": "1"}});
    let (status, run) = target.process.post("/v1/runs", &start).await;
    assert_eq!(status, 200, "{run}");
    let path = format!("/v1/node-runs/{}", run["root_node_run_id"].as_str().expect("an id"));
    let before = sockets(&target);
    let mut unread = Vec::new();
    for _ in 0..3 * CONNECTIONS {
        let mut connection = target.connect().await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        connection.write_all(request.as_bytes()).await.expect("sent");
        unread.push(connection);
    }
    soon("the places are taken", async { while target.process.get("/v1/runs/r/events").await.0 != 503 {} })
        .await;
    // All are given up without a byte being read.
    soon("all are given up", async {
        while sockets(&target) > before {
            target.process.get("/v1/health").await;
        }
    })
    .await;
    assert_eq!(target.process.get(&path).await.0, 200);
    // Ten places, what the kernel takes of an answer, and the start itself.
    target.alive(AT_REST_MIB + 20 * ANSWER as u64 / (1 << 20)).await;
    drop(unread);
}
