//! HTTPS on the listener: its certificate is reloaded, reported on, and demanded of
//! clients.

use jarvis_run_coordinator::types::RunState;
use serde_json::{Value, json};

use crate::support::{Authority, FakeExecutors, Mounted, TestServer, certificates::Issued, soon};

const CERT: &str = "JARVIS_RUN_COORDINATOR_TLS_CERT";
const KEY: &str = "JARVIS_RUN_COORDINATOR_TLS_KEY";
const CLIENT_CA: &str = "JARVIS_RUN_COORDINATOR_TLS_CLIENT_CA";
/// So that tests need not wait long.
const RELOAD: (&str, &str) = ("JARVIS_RUN_COORDINATOR_TLS_RELOAD_SECS", "0.02");

fn files(issued: &Issued) -> [(&str, &str); 2] {
    [("tls.crt", &issued.cert), ("tls.key", &issued.key)]
}

async fn server(mounted: &Mounted, more: &[(&str, &str)]) -> TestServer {
    let (cert, key) = (mounted.path("tls.crt"), mounted.path("tls.key"));
    let vars = [(CERT, cert.as_str()), (KEY, key.as_str()), RELOAD];
    TestServer::start_with(&[&vars, more].concat()).await
}

/// The check `tls_certificate`, as callers of this client see it.
async fn check(t: &TestServer, client: &reqwest::Client) -> Value {
    let answer = client.get(format!("{}/v1/health", t.url)).send().await.expect("an answer");
    let health: Value = answer.json().await.expect("a report");
    let checks = health["checks"].as_array().expect("checks").clone();
    checks.into_iter().find(|check| check["name"] == "tls_certificate").expect("the check")
}

/// Waits for a status of the check.
async fn check_until(t: &TestServer, client: &reqwest::Client, status: &str) -> Value {
    soon(status, async {
        loop {
            let check = check(t, client).await;
            if check["status"] == status {
                return check;
            }
        }
    })
    .await
}

async fn is_trusted_by(t: &TestServer, client: &reqwest::Client) -> bool {
    client.get(format!("{}/v1/version", t.url)).send().await.is_ok()
}

#[tokio::test]
async fn server_with_a_certificate_speaks_https_only() {
    let ca = Authority::new("ca");
    let mounted = Mounted::new(&files(&ca.issue("server")));
    let t = server(&mounted, &[]).await.called_through(ca.client(None));
    let run = t.run_start("atomic.echo", json!({"a": 1})).await;
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
    let (plain, other) = (t.url.replace("https:", "http:"), Authority::new("other").client(None));
    assert!(other.get(format!("{plain}/v1/health")).send().await.is_err(), "plain HTTP");
    assert!(!is_trusted_by(&t, &other).await, "an authority that did not sign it");
    t.stop().await;
}

#[tokio::test]
async fn replaced_certificate_is_used_at_once_and_no_stream_ends() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let mut mounted = Mounted::new(&files(&old.issue("server")));
    let t = server(&mounted, &[]).await.called_through(old.client(None));
    let run = t.run_start("composite.accept", json!({})).await;
    let url = format!("{}/v1/runs/{}/events?follow=1", t.url, run.run_id);
    let stream = t.http.get(url).send().await.expect("a stream");

    mounted.replace(&files(&new.issue("server")));
    let renewed = new.client(None);
    soon("the new certificate", async { while !is_trusted_by(&t, &renewed).await {} }).await;
    assert!(!is_trusted_by(&t, &old.client(None)).await, "the old one is not shown any more");

    let t = t.called_through(renewed);
    t.cancel(&run.run_id).await;
    let events = soon("the end of the stream", stream.text()).await.expect("it was not cut off");
    let last: Value = serde_json::from_str(events.lines().last().expect("events")).expect("JSON");
    assert_eq!(last["type"], "run_completed");
    t.stop().await;
}

#[tokio::test]
async fn broken_pair_keeps_the_certificate_and_degrades() {
    let ca = Authority::new("ca");
    let (first, second) = (ca.issue("first"), ca.issue("second"));
    let mut mounted = Mounted::new(&files(&first));
    let t = server(&mounted, &[]).await;
    let client = ca.client(None);
    assert_eq!(check(&t, &client).await["status"], "ok");
    let half = [("tls.crt", second.cert.as_str()), ("tls.key", first.key.as_str())];
    for broken in [&half[..], &half[..1], &[("tls.crt", ""), ("tls.key", "")], &[("tls.crt", "junk")]] {
        mounted.replace(broken);
        let check = check_until(&t, &client, "degraded").await;
        let message = "The changed certificate files cannot be used: the previous ones stay in use";
        assert_eq!(check["message"], message, "and the old certificate serves: {check}");
        mounted.replace(&files(&second));
        check_until(&t, &client, "ok").await;
    }
    t.stop().await;
}

#[tokio::test]
async fn certificate_that_expires_within_a_week_degrades() {
    let ca = Authority::new("ca");
    for (days, message) in [(90, None), (3, Some("The certificate expires within 7 days"))] {
        let mounted = Mounted::new(&files(&ca.issue_for_days("server", days)));
        let t = server(&mounted, &[]).await;
        let check = check(&t, &ca.client(None)).await;
        assert_eq!(check["message"].as_str(), message, "{check}");
        assert!(check["details"]["expires_at"].is_string(), "{check}");
        t.stop().await;
    }
    // No client accepts an expired one: health is asked for on the spot.
    let mounted = Mounted::new(&files(&ca.issue_for_days("server", -1)));
    let t = server(&mounted, &[]).await;
    let any = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().expect("a client");
    assert_eq!(check(&t, &any).await["message"], "The certificate has expired");
    t.stop().await;
}

#[tokio::test]
async fn clients_need_a_certificate_of_the_authority() {
    let (ca, clients, other) = (Authority::new("ca"), Authority::new("clients"), Authority::new("other"));
    let server_files = ca.issue("server");
    let mut all = files(&server_files).to_vec();
    let (before, after) = (clients.pem(), other.pem());
    all.push(("clients.pem", &before));
    let mut mounted = Mounted::new(&all);
    let bundle = mounted.path("clients.pem");
    let t = server(&mounted, &[(CLIENT_CA, &bundle)]).await;
    let (good, bad) = (clients.issue("gateway"), other.issue("gateway"));
    let trusted = async |identity| is_trusted_by(&t, &ca.client(identity)).await;
    assert_eq!((trusted(Some(&good)).await, trusted(Some(&bad)).await), (true, false));
    assert!(!trusted(None).await, "none at all");

    all[2].1 = &after;
    mounted.replace(&all);
    soon("the other authority", async { while !trusted(Some(&bad)).await {} }).await;
    assert!(!trusted(Some(&good)).await, "the first authority is not trusted any more");
    t.stop().await;
}

#[tokio::test]
async fn files_that_cannot_be_used_prevent_the_start() {
    let ca = Authority::new("ca");
    let (one, other) = (ca.issue("one"), ca.issue("other"));
    let mounted = Mounted::new(&[
        ("one.crt", &one.cert),
        ("one.key", &one.key),
        ("other.key", &other.key),
        ("empty", ""),
        ("junk", "-----BEGIN CERTIFICATE-----\nhush\n-----END CERTIFICATE-----\n"),
    ]);
    let mut golden = String::new();
    for (cert, key, client_ca) in [
        ("missing", "one.key", None),
        ("one.crt", "missing", None),
        ("one.crt", "other.key", None),
        ("one.key", "one.key", None),
        ("one.crt", "one.crt", None),
        ("empty", "one.key", None),
        ("junk", "one.key", None),
        ("..data", "one.key", None),
        ("one.crt", "one.key", Some("one.key")),
        ("one.crt", "one.key", Some("missing")),
    ] {
        let path = |name| mounted.path(name);
        let (cert, key, client_ca) = (path(cert), path(key), client_ca.map(path).unwrap_or_default());
        let vars = [(CERT, cert.as_str()), (KEY, key.as_str()), (CLIENT_CA, client_ca.as_str())];
        let journal = tempfile::tempdir().expect("a folder");
        let started = TestServer::try_start(journal, FakeExecutors::start(), &vars).await;
        let Err(error) = started else { panic!("{vars:?}: it starts") };
        golden.push_str(&format!("{error}\n"));
    }
    let golden = golden.replace(&mounted.path(""), "");
    assert!(!golden.contains("hush"));
    expectorate::assert_contents("tests/output/tls-start-errors.txt", &golden);
}
