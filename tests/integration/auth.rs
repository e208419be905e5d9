//! Authentication of callers (contract §19), and the tokens of our own calls (§20).

use jarvis_run_coordinator::types::{NodeRunState, RunState};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::{
    Answer, Signer, Sts, TestServer, UNREACHABLE, soon, spec, start_of,
    sts::{AUDIENCE, ISSUER, claims, now},
};

/// A server that requires tokens of this token service.
async fn guarded(sts: &Sts, more: &[(&str, &str)]) -> TestServer {
    let vars = sts.variables();
    let mut vars: Vec<(&str, &str)> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
    vars.extend_from_slice(more);
    TestServer::start_with(&vars).await
}

fn good() -> String {
    Signer::known().sign(&claims(&json!({})))
}

async fn with(t: &TestServer, method: &str, path: &str, authorization: &str) -> Answer {
    Answer::of(t.request(method, path).header("authorization", authorization)).await
}

/// Asserts that an answer is exactly this 401.
#[track_caller]
fn refused(answer: &Answer, error: &str, message: &str) {
    let envelope = answer.refused(401, "unauthorized");
    assert_eq!(envelope, json!({"code": "unauthorized", "message": message}));
    let challenge = format!("Bearer error=\"{error}\", error_description=\"{message}\"");
    assert_eq!(answer.header("www-authenticate"), Some(&*challenge));
}

/// A token with valid claims, some of them changed.
fn token(changes: Value) -> String {
    Signer::known().sign(&claims(&changes))
}

#[tokio::test]
async fn malformed_authorization_headers_are_refused() {
    let sts = Sts::start();
    let t = guarded(&sts, &[]).await;
    let (missing, malformed) = ("Missing Authorization header", "Invalid Authorization header");
    refused(&t.get("/v1/runs/a").await, "invalid_request", missing);
    let good = good();
    for (header, message) in [
        ("", missing),
        ("Bearer", malformed),
        (&*good, malformed),
        ("Basic YTpi", malformed),
        (&format!("Bearer {good} {good}"), malformed),
        (&format!("Bearer,{good}"), malformed),
        (&format!("Token {good}"), malformed),
    ] {
        refused(&with(&t, "GET", "/v1/runs/a", header).await, "invalid_request", message);
    }
    let twice = t.request("GET", "/v1/runs/a").bearer_auth(&good).bearer_auth(&good);
    refused(&Answer::of(twice).await, "invalid_request", malformed);
    for header in [format!("Bearer {good}"), format!("bEARER   {good}")] {
        with(&t, "GET", "/v1/runs/a", &header).await.refused(404, "run_not_found");
    }
    t.stop().await;
}

#[tokio::test]
async fn invalid_tokens_are_refused_with_their_reason() {
    let sts = Sts::start();
    let t = guarded(&sts, &[]).await;
    const INVALID: &str = "Invalid token";
    const NO_KEY: &str = "Unable to fetch JWKS";
    let now = now();
    let known = Signer::known();
    let good_parts = good();
    let (head, rest) = good_parts.split_once('.').expect("a token");
    let (payload, signature) = rest.split_once('.').expect("a token");
    let other = token(json!({"sub": "mallory"}));
    let other_payload = other.split('.').nth(1).expect("a payload");
    // {"alg":"none","kid":"known"}
    let none = "eyJhbGciOiJub25lIiwia2lkIjoia25vd24ifQ";
    let mut cases = vec![
        (token(json!({"exp": now - 120})), "Token expired"),
        (token(json!({"exp": 0})), "Token expired"),
        (token(json!({"aud": "another-audience"})), "Invalid token audience"),
        (token(json!({"aud": ["another-audience"]})), "Invalid token audience"),
        (token(json!({"iss": "https://evil.example"})), "Invalid token issuer"),
        (token(json!({"iss": format!("{ISSUER}/")})), "Invalid token issuer"),
        (known.sign_as(Algorithm::RS256, Some("unknown"), &claims(&json!({}))), NO_KEY),
        (known.sign_as(Algorithm::RS256, None, &claims(&json!({}))), NO_KEY),
        (Signer::other().sign(&claims(&json!({}))), INVALID),
        (known.sign_as(Algorithm::RS512, Some("known"), &claims(&json!({}))), INVALID),
        (known.sign_as(Algorithm::PS256, Some("known"), &claims(&json!({}))), INVALID),
        (token(json!({"iss": null})), INVALID),
        (token(json!({"aud": null})), INVALID),
        (token(json!({"exp": null})), INVALID),
        (token(json!({"exp": "tomorrow"})), INVALID),
        (token(json!({"nbf": now + 120})), INVALID),
        (token(json!({"iat": now + 120})), INVALID),
        (token(json!({"sub": 7})), INVALID),
        (token(json!({"sub": null})), INVALID),
        ("garbage".into(), INVALID),
        ("a.b.c".into(), INVALID),
        ("a".repeat(20_000), INVALID),
        (format!("{head}.{payload}."), INVALID),
        (format!("{head}.{other_payload}.{signature}"), INVALID),
        (format!("{none}.{payload}."), INVALID),
        (format!("{none}.{payload}.{signature}"), INVALID),
    ];
    // The public key, used as an HMAC secret.
    let secrets = [known.jwk()["n"].as_str().expect("n").to_owned(), known.jwk().to_string(), String::new()];
    for secret in &secrets {
        let header = Header { kid: Some("known".into()), ..Header::new(Algorithm::HS256) };
        let key = EncodingKey::from_secret(secret.as_bytes());
        cases.push((encode(&header, &claims(&json!({})), &key).expect("a token"), INVALID));
    }
    let before = t.journal_rows();
    let start = start_of("atomic.echo");
    for (token, message) in &cases {
        let answer = Answer::of(t.request("POST", "/v1/runs").bearer_auth(token).json(&start)).await;
        refused(&answer, "invalid_token", message);
        assert!(!answer.text.contains(token.as_str()), "the answer does not repeat the token");
    }
    assert_eq!(t.journal_rows(), before, "a refused request writes nothing");
    assert!(t.executors.calls().is_empty());
    for changes in [
        json!({}),
        json!({"exp": now - 30}),
        json!({"nbf": now + 30, "iat": now + 30}),
        json!({"aud": ["another-audience", AUDIENCE]}),
        json!({"sub": null, "azp": "gateway"}),
    ] {
        let answer = with(&t, "GET", "/v1/runs/a", &format!("Bearer {}", token(changes.clone()))).await;
        assert_eq!(answer.status, 404, "{changes}: {}", answer.text);
    }
    t.stop().await;
}

#[tokio::test]
async fn unauthenticated_requests_reveal_nothing() {
    let sts = Sts::start();
    let t = guarded(&sts, &[("JARVIS_RUN_COORDINATOR_MAX_BODY_BYTES", "100")]).await;
    let token = good();
    let large = "x".repeat(101);
    for (method, path, body, status) in [
        ("GET", "/v1/nothing", "", 404),
        ("GET", "/", "", 404),
        ("PUT", "/v1/runs", "", 405),
        ("POST", "/v1/health", "", 405),
        ("POST", "/v1/runs", "not JSON", 400),
        ("POST", "/v1/runs", &*large, 413),
        ("GET", "/v1/health/", "", 404),
        ("GET", "/v1/runs/a/events", "", 404),
        ("GET", "/v1/runs/a/events?cursor=*", "", 400),
        ("POST", "/v1/runs/a:cancel", "", 404),
        ("GET", "/v1/node-runs/a", "", 404),
        ("GET", "/v1/node-runs/a/events?follow=1", "", 404),
        ("POST", "/v1/node-runs/a:complete", "{}", 400),
        ("POST", "/v1/node-runs/a:evaluation", "{}", 400),
        ("POST", "/v1/node-runs", "{}", 400),
    ] {
        let request =
            || t.request(method, path).header("content-type", "application/json").body(body.to_owned());
        if path == "/v1/health" {
            // The path is exempt for every method.
            assert_eq!(Answer::of(request()).await.status, status);
        } else {
            refused(&Answer::of(request()).await, "invalid_request", "Missing Authorization header");
        }
        assert_eq!(Answer::of(request().bearer_auth(&token)).await.status, status, "{method} {path}");
    }
    t.stop().await;
}

#[tokio::test]
async fn exempt_paths_ignore_the_authorization_header() {
    let sts = Sts::start();
    let t = guarded(&sts, &[]).await;
    for path in ["/v1/health", "/v1/version", "/v1/health?x=y"] {
        t.get(path).await.ok();
        with(&t, "GET", path, "Bearer garbage").await.ok();
        with(&t, "GET", path, "Basic").await.ok();
    }
    t.stop().await;
    let t = guarded(&sts, &[("ARP_AUTH_EXEMPT_PATHS", "/v1/version, /v1/runs/a")]).await;
    t.get("/v1/version").await.ok();
    refused(&t.get("/v1/health").await, "invalid_request", "Missing Authorization header");
    t.get("/v1/runs/a").await.refused(404, "run_not_found");
    t.stop().await;
}

/// On an exempt path a valid token identifies the caller; without one the caller is
/// anonymous.
#[tokio::test]
async fn exempt_path_knows_the_caller_of_a_valid_token() {
    let sts = Sts::start();
    let exempt = ("ARP_AUTH_EXEMPT_PATHS", "/v1/runs");
    let start = start_of("atomic.echo");
    for (mode, stranger, known) in
        [("required", "anonymous", "alice"), ("optional", "anonymous", "alice"), ("disabled", "dev", "dev")]
    {
        let t = guarded(&sts, &[exempt, ("ARP_AUTH_MODE", mode)]).await;
        for (header, owner) in
            [("", stranger), ("Bearer garbage", stranger), (&*format!("Bearer {}", good()), known)]
        {
            let request = t.request("POST", "/v1/runs").header("authorization", header).json(&start);
            let run = Answer::of(request).await.ok();
            assert_eq!(t.owner_of(run["run_id"].as_str().expect("an id")), owner, "{mode} {header}");
        }
        t.stop().await;
    }
}

#[tokio::test]
async fn run_records_the_subject_of_its_starter() {
    let sts = Sts::start();
    let t = guarded(&sts, &[]).await;
    for (changes, owner) in [
        (json!({}), "alice"),
        (json!({"sub": "bob"}), "bob"),
        (json!({"sub": null, "azp": "gw"}), "client:gw"),
    ] {
        let client = t.client_with_token(&token(changes));
        let request = start_of("atomic.echo");
        let request = serde_json::from_value(request).expect("a request");
        let run = client.start_run(&request).await.expect("the run starts").into_inner();
        assert_eq!(t.owner_of(run.run_id.as_str()), owner);
        assert_eq!(client.get_run(&run.run_id).await.expect("the run").run_id, run.run_id);
    }
    t.stop().await;
}

#[tokio::test]
async fn optional_mode_accepts_no_token_and_refuses_a_bad_one() {
    let sts = Sts::start();
    for (vars, owner) in [(&[][..], "anonymous"), (&[("ARP_AUTH_ANONYMOUS_SUBJECT", "nemo")], "nemo")] {
        let mut vars = vars.to_vec();
        vars.push(("ARP_AUTH_MODE", "optional"));
        let t = guarded(&sts, &vars).await;
        let run = t.run_start("atomic.echo", json!({})).await;
        assert_eq!(t.owner_of(run.run_id.as_str()), owner);
        let path = format!("/v1/runs/{}", run.run_id);
        with(&t, "GET", &path, "").await.ok();
        with(&t, "GET", &path, &format!("Bearer {}", good())).await.ok();
        let expired = format!("Bearer {}", token(json!({"exp": 0})));
        refused(&with(&t, "GET", &path, &expired).await, "invalid_token", "Token expired");
        let malformed = with(&t, "GET", &path, "Basic YTpi").await;
        refused(&malformed, "invalid_request", "Invalid Authorization header");
        t.stop().await;
    }
}

#[tokio::test]
async fn disabled_authentication_makes_callers_the_dev_subject() {
    for (vars, owner) in [(&[][..], "dev"), (&[("ARP_AUTH_DEV_SUBJECT", "me")], "me")] {
        let t = TestServer::start_with(vars).await;
        for header in ["", "Bearer garbage", "Basic YTpi"] {
            let start = start_of("atomic.echo");
            let request = t.request("POST", "/v1/runs").header("authorization", header).json(&start);
            let run = Answer::of(request).await.ok();
            assert_eq!(t.owner_of(run["run_id"].as_str().expect("an id")), owner);
        }
        t.stop().await;
    }
}

#[tokio::test]
async fn server_without_signing_keys_refuses_every_token() {
    let sts = Sts::start();
    let t = guarded(&sts, &[("ARP_AUTH_JWKS_URI", UNREACHABLE)]).await;
    t.get("/v1/health").await.ok();
    let answer = with(&t, "GET", "/v1/runs/a", &format!("Bearer {}", good())).await;
    refused(&answer, "invalid_token", "Unable to fetch JWKS");
    t.stop().await;
}

#[tokio::test]
async fn tokens_for_any_audience_pass_if_none_is_configured() {
    let sts = Sts::start();
    let t = guarded(&sts, &[("ARP_AUTH_AUDIENCE", ""), ("ARP_AUTH_ISSUER", "")]).await;
    for changes in [json!({"aud": "another-audience"}), json!({"aud": null, "iss": null})] {
        let header = format!("Bearer {}", token(changes));
        with(&t, "GET", "/v1/runs/a", &header).await.refused(404, "run_not_found");
    }
    t.stop().await;
}

#[tokio::test]
async fn executor_calls_carry_a_token_for_their_audience() {
    let sts = Sts::start();
    let t = guarded(
        &sts,
        &[("ARP_AUTH_MODE", "optional"), ("JARVIS_COMPOSITE_EXECUTOR_AUDIENCE", "the-composer")],
    )
    .await;
    let run = t.run_start("composite.accept", json!({})).await;
    let spec = spec("atomic.hang");
    let child = t.children(&run.run_id, &run.root_node_run_id, &[spec]).await.remove(0);
    t.executors.called(":execute", 1).await;
    t.executors.called(":begin", 1).await;
    t.node_run_in(&child.node_run_id, NodeRunState::Running).await;
    t.cancel(&run.run_id).await;
    let calls = t.executors.called(":cancel", 2).await;
    assert!(calls.len() >= 4);
    for call in calls {
        let audience =
            if call.path.contains("composite") { "the-composer" } else { "arp-jarvis-atomicexecutor" };
        assert_eq!(call.authorization, Some(format!("Bearer token-for-{audience}")), "{}", call.path);
    }
    t.stop().await;
}

#[tokio::test]
async fn nothing_is_executed_without_an_outbound_token() {
    let sts = Sts::start();
    for (vars, retryable) in
        [([("ARP_AUTH_CLIENT_SECRET", "wrong")], true), ([("ARP_AUTH_TOKEN_ENDPOINT", UNREACHABLE)], true)]
    {
        let mut vars = vars.to_vec();
        vars.push(("ARP_AUTH_MODE", "optional"));
        let t = guarded(&sts, &vars).await;
        let run = t.run_start("atomic.echo", json!({})).await;
        assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Failed);
        let node = t.node_run(&run.root_node_run_id).await;
        let error = node.extensions.expect("extensions").value("completion_error");
        assert_eq!(
            (&error["code"], &error["retryable"]),
            (&json!("token_request_failed"), &json!(retryable))
        );
        assert_eq!(error["message"], "Atomic Executor token request failed");
        assert!(!error.to_string().contains("127.0.0.1"), "no internal address: {error}");
        assert!(t.executors.calls().is_empty());
        t.stop().await;
    }
}

#[tokio::test]
async fn health_reports_signing_keys_without_a_token() {
    let sts = Sts::start();
    let jwks_down = format!("{UNREACHABLE}/keys");
    for (more, expected) in [(vec![], "ok"), (vec![("ARP_AUTH_JWKS_URI", &*jwks_down)], "degraded")] {
        let t = guarded(&sts, &more).await;
        soon("the check of the signing keys", async {
            loop {
                let health = t.get("/v1/health").await.ok();
                let checks = health["checks"].as_array().expect("checks");
                let keys = checks.iter().find(|check| check["name"] == "signing_keys").expect("a check");
                if health["status"] == expected {
                    assert_eq!(keys["status"], expected);
                    assert!(!health.to_string().contains("127.0.0.1"), "no topology: {health}");
                    return;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        t.stop().await;
    }
}
