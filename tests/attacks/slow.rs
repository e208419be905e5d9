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

const TIMEOUT: (&str, &str) = ("JARVIS_RUN_COORDINATOR_BODY_TIMEOUT_SECS", "1");

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
    let target = Target::start(&[TIMEOUT]).await;
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
