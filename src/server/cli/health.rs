//! `health`: prints the health report of a server. Made for the health check of
//! containers, which have no other HTTP client.
//!
//! ```text
//!   GET /v1/health ──▶ a report ──▶ GET /v1/version ──▶ ours ──▶ printed
//!         └─ no report of ours          └─ another service ──▶ foreign: an error
//! ```
//!
//! The services around have the same path and the same report: only the version says
//! whose it is.

use super::remote::{Remote, RemoteError, pretty};
use crate::{
    clients::{CallError, Failure},
    types::HealthStatus,
};

/// The name of this service (contract §6.2), also of the Python coordinator.
const SERVICE: &str = "arp-jarvis-run-coordinator";

/// Returns the report, and whether the server may keep running: a degraded server
/// works, and a restart would not remove the cause.
pub async fn health(remote: &Remote) -> Result<(String, bool), RemoteError> {
    let client = &remote.client;
    let report = remote.answer("GET /v1/health", client.call(client.health())).await?;
    let version = remote.answer("GET /v1/version", client.call(client.version())).await;
    match version {
        Ok(version) if version.service_name != SERVICE => {
            let found = format!("it is {} {}", version.service_name, version.service_version);
            return Err(remote.foreign(found));
        }
        Err(RemoteError::Call { error, .. }) if !is_envelope(&error) => {
            return Err(remote.foreign("it has a health report, and no version".to_owned()));
        }
        // A token may be needed for the version.
        Ok(_) | Err(_) => {}
    }
    let good = match report.status {
        HealthStatus::Ok | HealthStatus::Degraded => true,
        HealthStatus::Down => false,
    };
    Ok((pretty(&report), good))
}

/// Whether it is an answer of a service of the standard, or none at all.
fn is_envelope(error: &CallError) -> bool {
    match error.failure {
        Failure::HttpStatus { .. } | Failure::Malformed { .. } | Failure::TooLarge { .. } => false,
        Failure::Envelope { .. } | Failure::NotSent(_) | Failure::NoResponse { .. } => true,
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Asks a server that gives these answers, one after the other.
    async fn asked(answers: &[(u16, &str)]) -> Result<(String, bool), String> {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let remote = Remote::new(&format!("http://{}", server.local_addr().unwrap()), None).unwrap();
        let answer = async {
            for (status, body) in answers {
                let (mut socket, _) = server.accept().await.unwrap();
                assert_ne!(socket.read(&mut [0; 4096]).await.unwrap(), 0);
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
                socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            }
        };
        let (report, ()) = tokio::join!(health(&remote), answer);
        report.map_err(|error| error.to_string())
    }

    fn report(status: &str) -> String {
        format!("{{\"status\":\"{status}\",\"time\":\"2026-11-22T00:00:00Z\"}}")
    }

    fn version(name: &str) -> String {
        format!(
            "{{\"service_name\":\"{name}\",\"service_version\":\"0.3.5\",\"supported_api_versions\":[\"v1\"]}}"
        )
    }

    #[tokio::test]
    async fn only_a_server_that_is_down_is_unhealthy() {
        for (status, good) in [("ok", true), ("degraded", true), ("down", false)] {
            let (text, healthy) = asked(&[(200, &report(status)), (200, &version(SERVICE))]).await.unwrap();
            assert_eq!(healthy, good, "{text}");
            assert!(text.contains(&format!("\"status\": \"{status}\"")), "{text}");
        }
        // Who may ask for the version is a setting.
        let envelope = r#"{"error":{"code":"unauthorized","message":"Missing Authorization header"}}"#;
        assert!(asked(&[(200, &report("ok")), (401, envelope)]).await.unwrap().1);
    }

    #[tokio::test]
    async fn server_of_another_kind_is_recognised() {
        let (ok, store) = (report("ok"), version("arp-jarvis-runstore"));
        for (answers, says) in [
            (&[(200, &*ok), (200, &*store)][..], "is not a run coordinator: it is arp-jarvis-runstore 0.3.5"),
            (&[(200, &*ok), (404, "<html>")][..], "is not a run coordinator: it has a health report"),
            (&[(200, "<html>")][..], "No run coordinator has answered"),
            (&[(404, "nothing here")][..], "No run coordinator has answered"),
        ] {
            let error = asked(answers).await.expect_err("foreign");
            assert!(error.contains(says) && error.contains("--url"), "{error}");
        }
    }
}
