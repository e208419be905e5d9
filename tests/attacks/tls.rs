//! A server with HTTPS whose clients do not speak TLS, or begin and do something
//! else: certificates are not the authority of such a client, and neither the log
//! nor the memory is.

use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    support::{Authority, Mounted, soon},
    target::{AT_REST_MIB, Target},
};

/// TLS itself, with its tables and a provider.
const PEAK_MIB: u64 = AT_REST_MIB + 16;
/// Connections of each kind.
const CONNECTIONS: usize = 200;

#[tokio::test]
async fn junk_for_handshakes_floods_neither_log_nor_memory() {
    let ca = Authority::new("ca");
    let issued = ca.issue("server");
    let mounted = Mounted::new(&[("crt", &issued.cert), ("key", &issued.key)]);
    let target = Target::start(&[
        ("JARVIS_RUN_COORDINATOR_TLS_CERT", &mounted.path("crt")),
        ("JARVIS_RUN_COORDINATOR_TLS_KEY", &mounted.path("key")),
        ("JARVIS_RUN_COORDINATOR_IDLE_TIMEOUT_SECS", "1"),
    ])
    .await;
    let forged =
        b"GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n\n2026-01-01T00:00:00Z CRIT server: all is lost\n";
    let largest = [&[22, 3, 1, 0x40, 0][..], &[1; 0x4000]].concat();
    let empty_records = [22, 3, 3, 0, 0].repeat(1000);
    for junk in [
        &forged[..],
        &largest,
        &empty_records,
        &[0x80, 0x2e, 1, 0, 2],
        &[22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff],
    ] {
        let attack = async || {
            let mut connection = target.connect().await;
            // The server may close it before everything is sent.
            let _ = connection.write_all(junk).await;
            let mut answer = Vec::new();
            let read = async {
                let _ = connection.read_to_end(&mut answer).await;
            };
            soon("the end of the connection", read).await;
            assert!(answer.is_empty() || answer[0] == 21, "nothing but an alert: {answer:?}");
        };
        join_all((0..CONNECTIONS).map(|_| attack())).await;
    }
    let url = format!("{}/v1/health", target.process.url().replace("http:", "https:"));
    let health: serde_json::Value =
        ca.client(None).get(url).send().await.expect("an answer").json().await.expect("a report");
    assert_eq!(health["status"], "ok", "{health}");
    assert!(target.written().iter().all(|(_, rows)| *rows == 0));
    let peak = target.peak_mib();
    assert!(peak <= PEAK_MIB, "{peak} MiB of {PEAK_MIB}");
    let log = target.process.terminate().await.stdout;
    let failed = log.lines().filter(|line| line.contains("TLS handshakes failed")).count();
    assert!((1..=5).contains(&failed), "one line in ten seconds: {log}");
    assert!(!log.contains("all is lost"), "{log}");
}
