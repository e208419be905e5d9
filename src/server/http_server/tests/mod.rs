//! The door in front of a real dropshot server.

mod server;

use std::time::Duration;

use futures::StreamExt;
use http::{StatusCode, header::AUTHORIZATION};
use serde_json::{Value, json};
use slog::Level;

use self::server::{BODY_LIMIT, START, envelope, start, start_for, start_with_level};
use crate::http_server::Hosts;

#[tokio::test]
async fn failures_are_envelopes() {
    let server = start();
    for (method, path, status, code, message) in [
        ("GET", "/v1/nothing", 404, "http_error", "Not Found"),
        ("GET", "/", 404, "http_error", "Not Found"),
        ("GET", "/v1/things/a/", 404, "http_error", "Not Found"),
        ("DELETE", "/v1/things/a", 405, "http_error", "Method Not Allowed"),
        ("OPTIONS", "/v1/things/a", 405, "http_error", "Method Not Allowed"),
        ("PROPFIND", "/v1/things/a", 405, "http_error", "Method Not Allowed"),
        ("GET", "/v1/failures/x", 404, "run_not_found", "Run 'x' not found"),
        ("GET", "/v1/failures/registry", 503, "node_registry_unavailable", "Node Registry request failed"),
        ("GET", "/v1/failures/panic", 500, "internal_error", "Internal server error"),
        ("GET", "/v1/lines?cursor=*", 400, "invalid_request", "Request validation failed"),
    ] {
        let error = envelope(server.send(method, path).await, status, code).await;
        assert_eq!(error["message"], message, "{method} {path}");
        assert!(!error.to_string().contains("secret"));
    }
    let response = server.send("PUT", "/v1/things").await;
    assert_eq!(response.headers()["allow"], "POST");
    let response = server.send("HEAD", "/v1/things/a").await;
    assert_eq!((response.status().as_u16(), &response.headers()["allow"]), (405, &"GET".parse().unwrap()));
    // A panic of the authenticator admits no caller.
    let response = server.request("GET", "/v1/things/a").bearer_auth("panic").send().await.unwrap();
    envelope(response, 500, "internal_error").await;
}

#[tokio::test]
async fn only_server_errors_are_logged() {
    let server = start();
    for path in ["/v1/things/a", "/v1/nothing", "/v1/failures/registry", "/v1/failures/panic"] {
        server.send("GET", path).await;
    }
    let logged = server.log.0.lock().unwrap().clone();
    assert_eq!(
        logged,
        [
            "WARN request failed error=a secret code=node_registry_unavailable status=503 operation=unknown",
            "WARN request failed error=panicked: a secret code=internal_error status=500 operation=unknown",
        ]
    );
    let server = start_with_level(Level::Debug);
    server.send("GET", "/v1/things/a").await;
    let logged = server.log.0.lock().unwrap().join("\n");
    assert!(logged.contains("DEBG admitted caller=me operation=thing_get"), "{logged}");
}

#[tokio::test]
async fn unauthenticated_requests_get_401_first() {
    let server = start();
    for (method, path) in [("GET", "/v1/things/a"), ("GET", "/v1/nothing"), ("PATCH", "/v1/things/a")] {
        let response = server.request(method, path).send().await.unwrap();
        assert_eq!(
            response.headers()["www-authenticate"],
            "Bearer error=\"invalid_request\", error_description=\"Missing Authorization header\""
        );
        let error = envelope(response, 401, "unauthorized").await;
        assert_eq!(error["message"], "Missing Authorization header");
    }
    let response = server.request("GET", "/v1/open").send().await.unwrap();
    assert_eq!(response.json::<String>().await.unwrap(), "open");
    // Exempt, with an operation that takes a caller.
    for (header, subject) in [(None, "anonymous"), (Some("Bearer alice"), "alice")] {
        let request = server.request("GET", "/v1/open-secret");
        let request =
            header.into_iter().fold(request, |request, header| request.header(AUTHORIZATION, header));
        assert_eq!(request.send().await.unwrap().json::<String>().await.unwrap(), subject);
    }
}

#[tokio::test]
async fn foreign_hosts_and_pages_get_403_first() {
    let server = start_for(Hosts::only("127.0.0.1", &[]), Level::Info);
    for (headers, code) in [
        (&[("host", "evil.example.com")][..], "forbidden_host"),
        (&[("origin", "http://evil.example.com")], "forbidden_origin"),
        (&[("origin", "null")], "forbidden_origin"),
    ] {
        // Whether there is such a path, and whether the caller has a token.
        for (path, token) in
            [("/v1/things/a", "me"), ("/v1/nothing", "me"), ("/v1/open", "me"), ("/v1/things/a", "")]
        {
            let request = server.request("GET", path);
            let request = if token.is_empty() { request } else { request.bearer_auth(token) };
            let request =
                headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            envelope(request.send().await.unwrap(), 403, code).await;
        }
        // Probes of machines come under any name, and without a token.
        let probe = headers
            .iter()
            .fold(server.request("GET", "/livez"), |request, (name, value)| request.header(*name, *value));
        assert_eq!(probe.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    }
    let own = format!("http://{}", server.http.local_addr());
    let request = server.request("GET", "/v1/things/a").bearer_auth("me").header("origin", own);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    let bare = "GET /v1/things/a HTTP/1.0\r\nauthorization: Bearer me\r\n\r\n";
    assert!(server.exchange(bare).await.contains("forbidden_host"));
    let logged = server.log.0.lock().unwrap().clone();
    assert_eq!(logged.len(), 1, "one line for all of them: {logged:?}");
    assert!(logged[0].starts_with("WARN requests for a foreign host"), "{logged:?}");
}

#[tokio::test]
async fn unusual_ids_reach_the_endpoint_unchanged() {
    let server = start();
    for (segment, id) in [
        ("a:b", "a:b"),
        ("a%3Ab", "a:b"),
        ("a%253Ab", "a%3Ab"),
        ("a%20b", "a b"),
        ("%C3%BC", "ü"),
        ("q%3Fx%23y", "q?x#y"),
        ("a:cancel", "a:cancel"),
    ] {
        let response = server.send("GET", &format!("/v1/things/{segment}")).await;
        assert_eq!(response.json::<Value>().await.unwrap(), json!(["me", id]), "{segment}");
        let response = server.send("POST", &format!("/v1/things/{segment}:cancel")).await;
        assert_eq!(response.json::<Value>().await.unwrap(), json!(id), "{segment}");
    }
    envelope(server.send("GET", "/v1/things/x%2Fy").await, 404, "http_error").await;
    envelope(server.send("POST", "/v1/things/x%2Fy:cancel").await, 404, "http_error").await;
    envelope(server.send("POST", "/v1/things/x/:cancel").await, 404, "http_error").await;
}

#[tokio::test]
async fn invalid_bodies_are_refused() {
    let server = start();
    for content_type in ["application/json", "application/json; charset=x", "application/arp+json"] {
        assert_eq!(server.post("/v1/things", content_type, START).await.status(), StatusCode::NO_CONTENT);
    }
    let error = envelope(server.post("/v1/things", "text/plain", START).await, 400, "invalid_request").await;
    assert_eq!(error["details"]["errors"][0]["loc"], json!(["header", "content-type"]));
    let body = r#"{"input": [], "odd": "secret"}"#;
    let error =
        envelope(server.post("/v1/things", "application/json", body).await, 400, "invalid_request").await;
    assert_eq!(
        error["details"]["errors"],
        json!([
            {"type": "dict_type", "loc": ["body", "input"], "msg": "Input should be a valid dictionary"},
            {"type": "missing", "loc": ["body", "root_node_type_ref"], "msg": "Field required"},
            {"type": "extra_forbidden", "loc": ["body", "odd"], "msg": "Extra inputs are not permitted"},
        ])
    );
}

#[tokio::test]
async fn oversized_bodies_are_refused_unread() {
    let server = start();
    // With an announced length: the body is never sent, and the answer arrives.
    let head = "POST /v1/things HTTP/1.1\r\nhost: x\r\nauthorization: Bearer me\r\nconnection: close\r\n";
    let answer = server.exchange(&format!("{head}content-length: 999999999999\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("payload_too_large"), "{answer}");
    // Without: the chunk that exceeds the limit is the last one read.
    let chunk = format!("{:x}\r\n{}\r\n", BODY_LIMIT + 1, " ".repeat(BODY_LIMIT + 1));
    let json = "content-type: application/json\r\n";
    let answer = server.exchange(&format!("{head}{json}transfer-encoding: chunked\r\n\r\n{chunk}")).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("payload_too_large"), "{answer}");
    // In pieces, within the limit.
    let steps = [START.as_bytes(), &[b' '; 1_000]].map(|step| Ok::<_, std::io::Error>(step.to_vec()));
    let body = reqwest::Body::wrap_stream(futures::stream::iter(steps));
    assert_eq!(server.post("/v1/things", "application/json", body).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn concurrent_failures_keep_their_own_errors() {
    let server = start();
    let one = |index: u32| {
        let server = &server;
        async move {
            let id = format!("r{index}");
            let error =
                envelope(server.send("GET", &format!("/v1/failures/{id}")).await, 404, "run_not_found");
            assert_eq!(error.await["message"], format!("Run '{id}' not found"));
        }
    };
    futures::stream::iter(0..500).for_each_concurrent(50, one).await;
}

#[tokio::test]
async fn following_stream_ends_when_the_server_stops() {
    let server = start();
    let whole = server.send("GET", "/v1/lines?limit=3").await;
    assert_eq!(whole.headers()["content-type"], "application/x-ndjson");
    assert_eq!(whole.text().await.unwrap(), "{}\n{}\n{}\n");

    let mut following = server.send("GET", "/v1/lines?limit=2&follow=1").await;
    let first = following.chunk().await.unwrap().unwrap();
    assert!(first.starts_with(b"{}\n"));
    server.stopping.cancel();
    let rest = async { while following.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(10), rest).await.expect("the stream ends");
    drop(server.client);
    tokio::time::timeout(Duration::from_secs(10), server.http.close()).await.expect("closes").unwrap();
}

/// Dropshot's router refuses these before the door.
#[tokio::test]
async fn requests_refused_by_dropshot_are_client_errors() {
    let server = start();
    for (line, status) in
        [("GET /v1/../x", "400"), ("GET /v1/things/%FF", "400"), ("FROBNICATE /v1/things/a", "405")]
    {
        let answer =
            server.exchange(&format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
}
