//! `health`: prints the health report of a server. Made for the health check of
//! containers, which have no other HTTP client.

use super::remote::{Remote, RemoteError, pretty};
use crate::types::HealthStatus;

/// Returns the report, and whether the server may keep running: a degraded server
/// works, and a restart would not remove the cause.
pub async fn health(remote: &Remote) -> Result<(String, bool), RemoteError> {
    let call = remote.client.call(remote.client.health());
    let report = remote.answer("GET /v1/health", call).await?;
    let good = match report.status {
        HealthStatus::Ok | HealthStatus::Degraded => true,
        HealthStatus::Down => false,
    };
    Ok((pretty(&report), good))
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn only_a_server_that_is_down_is_unhealthy() {
        for (status, good) in [("ok", true), ("degraded", true), ("down", false)] {
            let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let remote = Remote::new(&format!("http://{}", server.local_addr().unwrap()), None).unwrap();
            let body = format!("{{\"status\":\"{status}\",\"time\":\"2026-11-22T00:00:00Z\"}}");
            let answer = async {
                let (mut socket, _) = server.accept().await.unwrap();
                assert_ne!(socket.read(&mut [0; 4096]).await.unwrap(), 0);
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            };
            let (report, ()) = tokio::join!(health(&remote), answer);
            let (report, healthy) = report.unwrap();
            assert_eq!(healthy, good, "{report}");
            assert!(report.contains(&format!("\"status\": \"{status}\"")), "{report}");
        }
    }
}
