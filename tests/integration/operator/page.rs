//! The files of the web page, and what it asks for besides lists: records, events, who
//! it is that asks.

use jarvis_run_coordinator::operator::ui::POLICY;
use serde_json::{Value, json};

use super::{LISTEN, get};
use crate::support::{Answer, Signer, Sts, TestServer, sts::claims};

#[tokio::test]
async fn page_is_served_to_browsers_without_a_token() {
    let sts = Sts::start();
    let t = crate::bearer::guarded(&sts, &[LISTEN]).await;
    for (path, kind) in [
        ("/ui", "text/html; charset=utf-8"),
        ("/ui/app.js", "text/javascript; charset=utf-8"),
        ("/ui/app.css", "text/css; charset=utf-8"),
        ("/ui/icon.svg", "image/svg+xml"),
        ("/ui/vendor/preact.mjs", "text/javascript; charset=utf-8"),
    ] {
        let file = get(&t, path).await;
        assert_eq!(file.status, 200, "{path}");
        for (name, value) in [
            ("content-type", kind),
            ("content-security-policy", POLICY),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-cache"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(file.header(name), Some(value), "{path}: {name}");
        }
        let etag = file.header("etag").expect("a validator").to_owned();
        let again = Answer::of(t.operator_request("GET", path).header("if-none-match", &etag)).await;
        assert_eq!((again.status, again.text.as_str()), (304, ""), "{path}");
        assert_eq!(again.header("etag"), Some(etag.as_str()), "{path}");
        let other = Answer::of(t.operator_request("GET", path).header("if-none-match", "\"other\"")).await;
        assert_eq!(other.status, 200, "{path}");
        // It is no secret, but under a foreign name it would be another's page.
        let foreign = t.operator_request("GET", path).header("host", "evil.example.com");
        Answer::of(foreign).await.refused(403, "forbidden_host");
        t.get(path).await.refused(401, "unauthorized");
    }
    for path in ["/ui/nothing", "/ui/app.js/more", "/ui/vendor", "/ui/index.html", "/ui/%2e%2e%5cCargo.toml"]
    {
        get(&t, path).await.refused(404, "http_error");
    }
    // What is not the page is asked for a token first.
    for path in ["/ui/", "/uix", "/x/me", "/x/system", "/x/runs/r", "/x/runs/r/events", "/x/node-runs/n"] {
        get(&t, path).await.refused(401, "unauthorized");
    }
    t.stop().await;
}

#[tokio::test]
async fn records_and_events_are_those_of_the_arp_api() {
    let t = TestServer::start_with(&[LISTEN]).await;
    let run = t.run_start("atomic.echo", json!({"city": "Lisbon"})).await;
    t.run_ended(&run.run_id).await;
    let (id, root) = (&run.run_id, &run.root_node_run_id);
    for (own, standard) in [
        (format!("/x/runs/{id}"), format!("/v1/runs/{id}")),
        (format!("/x/node-runs/{root}"), format!("/v1/node-runs/{root}")),
    ] {
        assert_eq!(get(&t, &own).await.ok(), t.get(&standard).await.ok(), "{own}");
    }
    let events = t.get(&format!("/v1/runs/{id}/events")).await.text;
    let lines: Vec<&str> = events.lines().collect();
    let last = lines.len();
    for (query, from) in [
        (String::new(), 0),
        ("?follow=1".to_owned(), 0),
        ("?tail=2".to_owned(), last - 2),
        ("?tail=2&follow=1".to_owned(), last - 2),
        ("?tail=0".to_owned(), last),
        (format!("?tail={}", u64::MAX), 0),
        // What is further on counts.
        ("?tail=100&cursor=MQ".to_owned(), 1),
        ("?tail=1&cursor=MQ".to_owned(), last - 1),
    ] {
        let answer = get(&t, &format!("/x/runs/{id}/events{query}")).await;
        assert_eq!(answer.header("content-type"), Some("application/x-ndjson"), "{query}");
        assert_eq!(answer.text.lines().collect::<Vec<_>>(), lines[from..], "{query}");
    }
    for query in ["?tail=x", "?tail=-1", "?tail=18446744073709551616"] {
        assert_eq!(get(&t, &format!("/x/runs/{id}/events{query}")).await.status, 400, "{query}");
    }
    get(&t, "/x/runs/nothing").await.refused(404, "run_not_found");
    get(&t, "/x/runs/nothing/events?follow=1").await.refused(404, "run_not_found");
    get(&t, "/x/node-runs/nothing").await.refused(404, "node_run_not_found");
    t.stop().await;
}

async fn me(t: &TestServer, changes: Value) -> (Value, Vec<String>) {
    let token = Signer::known().sign(&claims(&changes));
    let me = Answer::of(t.operator_request("GET", "/x/me").bearer_auth(token)).await.ok();
    (me["principal"].clone(), serde_json::from_value(me["operations"].clone()).expect("names"))
}

#[tokio::test]
async fn callers_learn_who_they_are_and_what_they_may_ask_for() {
    let sts = Sts::start();
    let tenant = ("JARVIS_RUN_COORDINATOR_AUTHORIZATION", "tenant");
    let t = crate::bearer::guarded(&sts, &[LISTEN, tenant]).await;
    let (principal, reader) = me(&t, json!({"tenant_id": "acme", "roles": ["arp.run.read"]})).await;
    assert_eq!((&principal["subject"], &principal["tenant"]), (&json!("alice"), &json!("acme")));
    let (_, operator) = me(&t, json!({"tenant_id": "acme", "roles": ["arp.run.operate"]})).await;
    let (_, bare) = me(&t, json!({})).await;
    for operation in ["list_runs", "show_run", "explain_run", "who_am_i", "get_system"] {
        for operations in [&reader, &operator, &bare] {
            assert!(operations.iter().any(|name| name == operation), "{operation}: {operations:?}");
        }
    }
    for operation in ["approve_node_run", "deny_node_run"] {
        assert!(operator.iter().any(|name| name == operation), "{operator:?}");
        assert!(!reader.iter().chain(&bare).any(|name| name == operation), "{reader:?} {bare:?}");
    }
    // Nothing of the other API, whatever the caller may do there.
    assert!(!operator.iter().any(|name| name == "start_run"), "{operator:?}");
    t.stop().await;
}

#[tokio::test]
async fn system_has_the_version_and_the_health_of_the_server() {
    let t = TestServer::start_with(&[LISTEN]).await;
    t.run_ended(&t.run_start("atomic.echo", json!({})).await.run_id).await;
    let system = get(&t, "/x/system").await.ok();
    assert_eq!(system["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(system["health"]["status"], "ok");
    let names = |health: &Value| -> Vec<Value> {
        health["checks"].as_array().expect("checks").iter().map(|check| check["name"].clone()).collect()
    };
    assert_eq!(names(&system["health"]), names(&t.get("/v1/health").await.ok()));
    t.stop().await;
}

#[tokio::test]
async fn configuration_has_every_setting_its_source_and_no_secret() {
    let secret = ("JARVIS_RUN_COORDINATOR_TOKEN", "hush-hush");
    let t = TestServer::start_with(&[LISTEN, secret]).await;
    let answer = get(&t, "/x/configuration").await.ok();
    assert!(!answer.to_string().contains("hush"), "{answer}");
    let settings = answer["settings"].as_array().expect("settings");
    let find = |name: &str| settings.iter().find(|setting| setting["name"] == name).expect("the setting");
    let listen = find(LISTEN.0);
    assert_eq!((&listen["value"], &listen["source"]), (&json!(LISTEN.1), &json!("env")));
    assert_eq!((&listen["is_default"], &find(secret.0)["is_default"]), (&json!(false), &json!(false)));
    let untouched = find("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT");
    assert_eq!((&untouched["value"], &untouched["source"]), (&json!("256"), &json!("default")));
    assert_eq!(untouched["is_default"], true);
    t.stop().await;
}
