//! Our own calls to services behind a private authority that demand a certificate.

use jarvis_run_coordinator::{app::StartError, types::RunState};
use serde_json::json;

use crate::support::{Authority, FakeExecutors, FakeService, Mounted, Signer, TestServer, soon, sts::ISSUER};

const CA: &str = "JARVIS_RUN_COORDINATOR_CA_BUNDLE";
const CERT: &str = "JARVIS_RUN_COORDINATOR_CLIENT_CERT";
const KEY: &str = "JARVIS_RUN_COORDINATOR_CLIENT_KEY";
const RELOAD: (&str, &str) = ("JARVIS_RUN_COORDINATOR_TLS_RELOAD_SECS", "0.02");

/// Is all services: executor, PDP, token and key endpoint.
fn services(ca: &Authority) -> FakeService {
    FakeService::start_with_tls(Some(ca.demanding(&ca.issue("services"))), |path, body| {
        let answer = match path {
            "/token" => json!({"access_token": "t", "expires_in": 300}),
            "/keys" => json!({"keys": [Signer::known().jwk()]}),
            "/v1/policy:decide" => json!({"decision": "allow"}),
            _ => json!({"node_run_id": body["node_run_id"], "state": "succeeded", "outputs": {"a": 1}}),
        };
        (200, answer)
    })
}

#[tokio::test]
async fn every_call_shows_our_certificate() {
    let ca = Authority::new("ca");
    let (own, root) = (ca.issue("run-coordinator"), ca.pem());
    let mounted = Mounted::new(&[("ca", &root), ("crt", &own.cert), ("key", &own.key)]);
    let services = services(&ca);
    let (token, keys) = (format!("{}/token", services.url()), format!("{}/keys", services.url()));
    let paths = ["ca", "crt", "key"].map(|name| mounted.path(name));
    let all = [
        ("ARP_AUTH_PROFILE", ""),
        ("ARP_AUTH_MODE", "optional"),
        ("ARP_AUTH_ISSUER", ISSUER),
        ("ARP_AUTH_JWKS_URI", &keys),
        ("ARP_AUTH_CLIENT_ID", "me"),
        ("ARP_AUTH_CLIENT_SECRET", "hush"),
        ("ARP_AUTH_TOKEN_ENDPOINT", &token),
        ("JARVIS_PDP_URL", services.url()),
        ("JARVIS_ATOMIC_EXECUTOR_URL", services.url()),
        (CA, &paths[0]),
        (CERT, &paths[1]),
        (KEY, &paths[2]),
    ];
    let t = TestServer::start_with(&all).await;
    let run = t.run_start("atomic.echo", json!({})).await;
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
    let health = t.get("/v1/health").await.ok();
    let checks = health["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["name"] == "client_certificate").expect("the check");
    assert_eq!(check["status"], "ok");
    let keys = checks.iter().find(|check| check["name"] == "signing_keys").expect("the check");
    assert_eq!(keys["status"], "ok", "keys are fetched with it, too");
    t.stop().await;

    // The same without a certificate, and without trust.
    for without in [&[(CERT, ""), (KEY, "")][..], &[(CA, "")][..]] {
        let vars =
            [&all[..], &[("JARVIS_PDP_URL", ""), ("ARP_AUTH_TOKEN_ENDPOINT", &token)], without].concat();
        let t = TestServer::start_with(&vars).await;
        let run = t.run_start("atomic.echo", json!({})).await;
        assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Failed, "{without:?}");
        t.stop().await;
    }
}

#[tokio::test]
async fn changed_trust_and_identity_are_taken_over() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let (own, foreign, root, foreign_root) = (ca.issue("me"), other.issue("me"), ca.pem(), other.pem());
    let wrong =
        [("ca", foreign_root.as_str()), ("crt", foreign.cert.as_str()), ("key", foreign.key.as_str())];
    let right = [("ca", root.as_str()), ("crt", own.cert.as_str()), ("key", own.key.as_str())];
    let mut mounted = Mounted::new(&wrong);
    let services = services(&ca);
    let paths = ["ca", "crt", "key"].map(|name| mounted.path(name));
    let t = TestServer::start_with(&[
        ("JARVIS_ATOMIC_EXECUTOR_URL", services.url()),
        (CA, &paths[0]),
        (CERT, &paths[1]),
        (KEY, &paths[2]),
        ("JARVIS_RUN_COORDINATOR_MAX_RETRIES", "0"),
        RELOAD,
    ])
    .await;
    let end = async || {
        let run = t.run_start("atomic.echo", json!({})).await;
        t.run_ended(&run.run_id).await.state
    };
    assert_eq!(end().await, RunState::Failed);
    mounted.replace(&right);
    soon("a run with the right certificate", async { while end().await != RunState::Succeeded {} }).await;
    // What is broken changes nothing.
    mounted.replace(&[("ca", "junk"), right[1], right[2]]);
    let degraded = async {
        loop {
            let health = t.get("/v1/health").await.ok();
            let checks = health["checks"].as_array().expect("checks").clone();
            let check = checks.into_iter().find(|check| check["name"] == "client_certificate");
            if check.expect("the check")["status"] == "degraded" {
                return;
            }
        }
    };
    soon("the check", degraded).await;
    assert_eq!(end().await, RunState::Succeeded);
    t.stop().await;
}

#[tokio::test]
async fn broken_files_prevent_the_start() {
    let ca = Authority::new("ca");
    let (own, root) = (ca.issue("me"), ca.pem());
    let mounted = Mounted::new(&[("ca", &root), ("crt", &own.cert), ("key", &own.key)]);
    for (ca, cert, key, named) in [
        ("key", "crt", "key", "key"),
        ("ca", "ca", "key", "ca"),
        ("ca", "crt", "missing", "missing"),
        ("missing", "crt", "key", "missing"),
    ] {
        let (ca, cert, key) = (mounted.path(ca), mounted.path(cert), mounted.path(key));
        let vars = [(CA, ca.as_str()), (CERT, cert.as_str()), (KEY, key.as_str())];
        let journal = tempfile::tempdir().expect("a folder");
        match TestServer::try_start(journal, FakeExecutors::start(), &vars).await {
            Err(StartError::Tls(error)) => {
                assert!(error.to_string().contains(&mounted.path(named)), "{error}")
            }
            Err(error) => panic!("{vars:?}: {error}"),
            Ok(_) => panic!("{vars:?}: it starts"),
        }
    }
}
