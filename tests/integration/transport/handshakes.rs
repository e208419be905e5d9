//! Handshakes that never end, and those of old protocols.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Authority, Mounted, TestServer, soon};

async fn server(ca: &Authority, timeout: &str) -> (TestServer, SocketAddr) {
    let issued = ca.issue("server");
    let mounted = Mounted::new(&[("crt", &issued.cert), ("key", &issued.key)]);
    let (cert, key) = (mounted.path("crt"), mounted.path("key"));
    let t = TestServer::start_with(&[
        ("JARVIS_RUN_COORDINATOR_TLS_CERT", &cert),
        ("JARVIS_RUN_COORDINATOR_TLS_KEY", &key),
        ("JARVIS_RUN_COORDINATOR_IDLE_TIMEOUT_SECS", timeout),
    ])
    .await;
    let address = t.url.trim_start_matches("https://").parse().expect("an address");
    (t, address)
}

/// A ClientHello of this version at most, with one old cipher.
fn hello(version: u8) -> Vec<u8> {
    let mut body = vec![3, version];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0, 0x2f, 1, 0]);
    // The extensions signature_algorithms and supported_groups.
    body.extend([0, 16, 0, 13, 0, 4, 0, 2, 4, 3, 0, 10, 0, 4, 0, 2, 0, 23]);
    let mut message = vec![22, 3, 1, 0, body.len() as u8 + 4, 1, 0, 0, body.len() as u8];
    message.extend(body);
    message
}

#[tokio::test]
async fn handshakes_that_do_not_end_are_cut_off() {
    let ca = Authority::new("ca");
    let (t, address) = server(&ca, "0.4").await;
    let mut silent = Vec::new();
    for beginning in [&b""[..], &hello(3)[..1], &hello(3)[..20], &[22, 3, 1, 0x3f, 0xff, 1]] {
        for _ in 0..10 {
            let mut connection = TcpStream::connect(address).await.expect("a connection");
            connection.write_all(beginning).await.expect("sent");
            silent.push(connection);
        }
    }
    let others = ca.client(None);
    let version = others.get(format!("{}/v1/version", t.url)).send().await.expect("others are served");
    assert_eq!(version.status().as_u16(), 200);
    for mut connection in silent {
        let mut rest = Vec::new();
        let _ = soon("the end of the connection", connection.read_to_end(&mut rest)).await;
        assert!(rest.is_empty() || rest[0] == 21, "nothing but an alert: {rest:?}");
    }
    t.stop().await;
}

#[tokio::test]
async fn versions_before_tls_1_2_are_refused() {
    let ca = Authority::new("ca");
    let (t, address) = server(&ca, "30").await;
    for version in [0, 1, 2] {
        let mut connection = TcpStream::connect(address).await.expect("a connection");
        connection.write_all(&hello(version)).await.expect("sent");
        let mut answer = Vec::new();
        soon("the refusal", connection.read_to_end(&mut answer)).await.expect("closed");
        assert_eq!((answer[0], &answer[5..]), (21, &[2, 70][..]), "alert protocol_version: {answer:?}");
    }
    t.stop().await;
}
