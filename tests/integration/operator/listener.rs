//! The second listener: its address, its certificates, its names, its probes.

use jarvis_run_coordinator::{app::StartError, operator::openapi};
use serde_json::{Value, json};

use super::{LISTEN, PARK, get};
use crate::support::{Answer, Authority, FakeExecutors, Mounted, Signer, Sts, TestServer, sts::claims};

#[tokio::test]
async fn probes_answer_on_both_listeners_without_a_token() {
    let sts = Sts::start();
    let t = crate::bearer::guarded(&sts, &[LISTEN]).await;
    for probe in ["/livez", "/readyz"] {
        assert_eq!(t.get(probe).await.ok(), json!({"status": "ok"}), "{probe}");
        assert_eq!(get(&t, probe).await.ok(), json!({"status": "ok"}), "{probe}");
        for listener in [t.request("POST", probe), t.operator_request("POST", probe)] {
            Answer::of(listener).await.refused(401, "unauthorized");
        }
    }
    // Everything else needs one, and there is nothing of the other API.
    let token = Signer::known().sign(&claims(&json!({})));
    for path in ["/x/approvals", "/x/nothing", "/v1/health", "/v1/version"] {
        let bare = get(&t, path).await;
        let known = Answer::of(t.operator_request("GET", path).bearer_auth(&token)).await;
        match path {
            "/x/approvals" => {
                bare.refused(401, "unauthorized");
                assert_eq!(known.ok(), json!({"items": []}));
            }
            _ => {
                known.refused(404, "http_error");
            }
        }
    }
    Answer::of(t.request("GET", "/x/approvals").bearer_auth(&token)).await.refused(404, "http_error");
    t.stop().await;
}

#[tokio::test]
async fn probes_are_only_in_the_operators_document() {
    let paths = |document: &Value| -> Vec<String> {
        document["paths"].as_object().expect("paths").keys().cloned().collect()
    };
    let own = paths(&openapi::document());
    let standard = paths(&jarvis_run_coordinator::api::openapi::document());
    assert!(own.contains(&"/livez".to_owned()) && own.contains(&"/readyz".to_owned()), "{own:?}");
    assert!(standard.iter().all(|path| path.starts_with("/v1/")), "{standard:?}");
}

#[tokio::test]
async fn operator_api_is_off_unless_it_has_an_address() {
    let t = TestServer::start().await;
    t.get("/x/approvals").await.refused(404, "http_error");
    t.stop().await;
}

/// The start fails, and leaves neither a listener nor a lock behind.
#[tokio::test]
async fn taken_operator_address_fails_the_start_and_nothing_is_left() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let journal = tempfile::tempdir().expect("a folder");
    let path = journal.path().to_owned();
    let listen = [("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", address.as_str())];
    let error =
        TestServer::try_start(journal, FakeExecutors::start(), &listen).await.err().expect("a failure");
    let StartError::Listen { address: named, .. } = &error else { panic!("{error}") };
    assert_eq!(*named, format!("{address} (operator API)"));
    assert!(error.to_string().contains("in use"), "{error}");
    drop(taken);
    // The folder is gone with the first attempt: another journal at the same place.
    std::fs::create_dir_all(&path).expect("the folder");
    let journal = tempfile::tempdir_in(&path).expect("a folder");
    let t = TestServer::try_start(journal, FakeExecutors::start(), &listen).await.expect("it starts");
    get(&t, "/livez").await.ok();
    let url = t.operator_url();
    t.stop().await;
    assert!(reqwest::get(format!("{url}/livez")).await.is_err(), "a stop closes both");
}

#[tokio::test]
async fn only_the_operator_api_refuses_foreign_hosts_and_pages() {
    let hosts = ("JARVIS_RUN_COORDINATOR_OPERATOR_HOSTS", "ops.example.com, Board.example.com");
    let t = TestServer::start_with(&[LISTEN, hosts]).await;
    let with = |name: &'static str, value: &str| {
        Answer::of(t.operator_request("GET", "/x/approvals").header(name, value))
    };
    for host in ["localhost:8089", "ops.example.com", "board.example.com:443", "127.0.0.1"] {
        with("host", host).await.ok();
    }
    for host in ["evil.example.com", "ops.example.com.evil.com", "localhost.evil.com:8089"] {
        let refused = with("host", host).await.refused(403, "forbidden_host");
        assert_eq!(refused["retryable"], false);
        assert!(!refused.to_string().contains(host), "{refused}");
    }
    for origin in ["https://ops.example.com", &t.operator_url()] {
        with("origin", origin).await.ok();
    }
    for origin in ["null", "http://evil.example.com", "http://localhost:3000", t.url()] {
        with("origin", origin).await.refused(403, "forbidden_origin");
    }
    // A decision too, whatever its body.
    let post =
        t.operator_request("POST", "/x/approvals/n.1:approve").header("origin", "http://evil.example.com");
    Answer::of(post.header("content-type", "text/plain").body("{}")).await.refused(403, "forbidden_origin");
    // The first listener is called through gateways, under any name.
    Answer::of(t.request("GET", "/v1/version").header("host", "evil.example.com")).await.ok();
    t.stop().await;
}

#[tokio::test]
async fn both_listeners_have_the_same_certificates_and_renew_them() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let issued = old.issue("server");
    let mut mounted = Mounted::new(&[("tls.crt", &issued.cert), ("tls.key", &issued.key)]);
    let clients = Authority::new("clients");
    let client_ca = Mounted::new(&[("ca.pem", &clients.pem())]);
    let (cert, key, ca) = (mounted.path("tls.crt"), mounted.path("tls.key"), client_ca.path("ca.pem"));
    let t = TestServer::start_with(&[
        LISTEN,
        ("JARVIS_RUN_COORDINATOR_TLS_CERT", &cert),
        ("JARVIS_RUN_COORDINATOR_TLS_KEY", &key),
        ("JARVIS_RUN_COORDINATOR_TLS_CLIENT_CA", &ca),
        ("JARVIS_RUN_COORDINATOR_TLS_RELOAD_SECS", "0.02"),
    ])
    .await;
    let known = clients.issue("caller");
    let urls = [format!("{}/livez", t.url()), format!("{}/livez", t.operator_url())];
    for url in &urls {
        assert!(old.client(Some(&known)).get(url).send().await.is_ok(), "{url}");
        assert!(old.client(None).get(url).send().await.is_err(), "{url}: without a certificate of its own");
        let plain = url.replace("https:", "http:");
        assert!(reqwest::get(plain).await.is_err(), "{url}: plain HTTP");
    }
    let issued = new.issue("server");
    mounted.replace(&[("tls.crt", &issued.cert), ("tls.key", &issued.key)]);
    let renewed = new.client(Some(&known));
    for url in &urls {
        crate::support::soon("the new certificate", async {
            while renewed.get(url).send().await.is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    t.stop().await;
}

#[tokio::test]
async fn document_has_what_the_operator_api_answers() {
    let t = TestServer::start_with(&[LISTEN, PARK]).await;
    let document = openapi::document();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("an item").keys() {
            let path = path.replace("{approval_id}", "node_run_unknown.1");
            let path = path.replace("{run_id}", "unknown").replace("{node_run_id}", "unknown");
            let path = if path.ends_with(":count") { format!("{path}?by=state") } else { path };
            let path = path
                .replace("{bulk_id}", "unknown")
                .replace("{webhook_id}", "unknown")
                .replace("{delivery_id}", "1");
            let body = match path.as_str() {
                "/x/dispatch:pause" | "/x/dispatch:resume" => {
                    json!({"scope": {"kind": "tenant", "tenant": "acme"}, "reason": "x"})
                }
                "/x/webhooks" => json!({"url": "https://hooks.example.com/", "events": ["run.completed"]}),
                "/x/bulk" => json!({"action": "cancel", "ids": ["unknown"], "dry_run": true, "reason": "x"}),
                _ => json!({"reason": "x"}),
            };
            let request = t.operator_request(&method.to_uppercase(), &path).json(&body);
            let answer = Answer::of(request).await;
            let is_known = match answer.status {
                200 => true,
                404 => path.contains("unknown"),
                // They are off.
                409 => path.starts_with("/x/webhooks"),
                _ => false,
            };
            assert!(is_known, "{method} {path}: {}", answer.text);
        }
    }
    t.stop().await;
}
