//! The authenticator against a token service on loopback.

use std::time::Duration;

use futures::{FutureExt, future::join_all};
use http::HeaderMap;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::{
    Admission, AuthError, KeyStatus,
    jwks::{FRESH, RETRY_EMPTY, RETRY_STALE, RETRY_UNKNOWN},
    test_support::{AUDIENCE, Answer, EC, ED, Harness, ISSUER, NOW, OTHER_RSA, RSA, authorization},
};

const SECOND: Duration = Duration::from_secs(1);
const WELCOME: &str = "welcome";
const NO_JWKS: &str = "Unable to fetch JWKS";

#[tokio::test]
async fn who_gets_in_without_a_token() {
    let missing = ("invalid_request", "Missing Authorization header");
    let malformed = ("invalid_request", "Invalid Authorization header");
    let garbage = ("invalid_token", "Invalid token");
    let none = None;
    for (mode, header, expected) in [
        ("required", none, Err(missing)),
        ("required", Some(""), Err(missing)),
        ("required", Some("Basic abc"), Err(malformed)),
        ("required", Some("Bearer a.b.c"), Err(garbage)),
        ("optional", none, Ok("anonymous")),
        ("optional", Some(""), Ok("anonymous")),
        ("optional", Some("Bearer"), Err(malformed)),
        ("optional", Some("Bearer a.b.c"), Err(garbage)),
        ("disabled", none, Ok("dev")),
        ("disabled", Some("Basic abc"), Ok("dev")),
        ("disabled", Some("Bearer a.b.c"), Ok("dev")),
    ] {
        let harness = Harness::start(&[("MODE", mode)]).await;
        let headers = header.map_or_else(HeaderMap::new, authorization);
        for (path, exempt) in [
            ("/v1/health", true),
            ("/v1/version", true),
            ("/v1/runs", false),
            ("/v1/health/", false),
            ("/V1/health", false),
            ("/nowhere", false),
        ] {
            let admission = harness.auth.authenticate(path, &headers).await;
            let seen = match &admission {
                Ok(Admission::Exempt) => Ok("exempt"),
                Ok(Admission::Caller(principal)) => Ok(principal.subject()),
                Err(error) => Err((error.error, error.message)),
            };
            assert_eq!(seen, if exempt { Ok("exempt") } else { expected }, "{mode} {header:?} {path}");
        }
        assert_eq!(harness.sts.requests("/keys"), 0);
    }
}

#[tokio::test]
async fn who_comes_by_an_exempt_path_is_known_by_a_good_token_or_else_a_stranger() {
    for (mode, stranger, known) in
        [("required", "anonymous", "alice"), ("optional", "anonymous", "alice"), ("disabled", "dev", "dev")]
    {
        let harness = Harness::start(&[("MODE", mode), ("EXEMPT_PATHS", "/v1/runs")]).await;
        let good = format!("Bearer {}", harness.token(json!({"sub": "alice"})));
        for (header, expected) in [
            (None, stranger),
            (Some(""), stranger),
            (Some("Basic abc"), stranger),
            (Some("Bearer a.b.c"), stranger),
            (Some(&*good), known),
        ] {
            let headers = header.map_or_else(HeaderMap::new, authorization);
            assert_eq!(harness.auth.authenticate("/v1/runs", &headers).await, Ok(Admission::Exempt));
            assert_eq!(harness.auth.visitor(&headers).await.subject(), expected, "{mode} {header:?}");
        }
    }
}

#[test]
fn the_challenge_repeats_the_error() {
    let error = AuthError { error: "invalid_token", message: "Token expired" };
    assert_eq!(error.challenge(), r#"Bearer error="invalid_token", error_description="Token expired""#);
}

#[tokio::test]
async fn claims_are_checked_one_by_one() {
    const INVALID: &str = "Invalid token";
    const AUD: &str = "Invalid token audience";
    const ISS: &str = "Invalid token issuer";
    const EXPIRED: &str = "Token expired";
    let harness = Harness::start(&[]).await;
    for (changes, expected) in [
        (json!({}), WELCOME),
        // Times, with the default skew of 60 s.
        (json!({"exp": null}), INVALID),
        (json!({"exp": "soon"}), INVALID),
        (json!({"exp": format!("{}", NOW + 300)}), INVALID),
        (json!({"exp": true}), INVALID),
        (json!({"exp": NOW - 59}), WELCOME),
        (json!({"exp": NOW - 60}), EXPIRED),
        (json!({"exp": NOW as f64 - 58.5}), WELCOME),
        (json!({"exp": 1e300}), WELCOME),
        (json!({"exp": -1e300}), EXPIRED),
        (json!({"exp": 0}), EXPIRED),
        (json!({"nbf": NOW + 60}), WELCOME),
        (json!({"nbf": NOW + 61}), INVALID),
        (json!({"nbf": "x"}), INVALID),
        (json!({"iat": NOW + 60}), WELCOME),
        (json!({"iat": NOW + 61}), INVALID),
        (json!({"iat": []}), INVALID),
        (json!({"iat": null}), WELCOME),
        // Issuer.
        (json!({"iss": null}), INVALID),
        (json!({"iss": ISSUER.trim_end_matches('/')}), ISS),
        (json!({"iss": "https://evil.example"}), ISS),
        (json!({"iss": [ISSUER]}), ISS),
        (json!({"iss": 7}), ISS),
        // Audience.
        (json!({"aud": null}), INVALID),
        (json!({"aud": ""}), INVALID),
        (json!({"aud": []}), INVALID),
        (json!({"aud": [AUDIENCE]}), WELCOME),
        (json!({"aud": ["other", AUDIENCE]}), WELCOME),
        (json!({"aud": "other"}), AUD),
        (json!({"aud": ["other"]}), AUD),
        (json!({"aud": [AUDIENCE, 7]}), AUD),
        (json!({"aud": {"a": AUDIENCE}}), AUD),
        (json!({"aud": 7}), AUD),
        // Subject.
        (json!({"sub": 7}), INVALID),
        (json!({"sub": ["alice"]}), INVALID),
        (json!({"sub": null}), INVALID),
        (json!({"sub": null, "azp": "gateway"}), WELCOME),
        // Of several mistakes the first in this order.
        (json!({"exp": 0, "iss": "x", "aud": "x", "sub": 7}), EXPIRED),
        (json!({"iss": "x", "aud": "x", "sub": 7}), ISS),
        (json!({"aud": "x", "sub": 7}), AUD),
    ] {
        let token = harness.token(changes.clone());
        // The second time it may be remembered, or not.
        for _ in 0..2 {
            assert_eq!(harness.refusal(&token).await, expected, "{changes}");
        }
    }
    let null_times = |name: &str| {
        let mut claims = harness.claims();
        claims[name] = Value::Null;
        RSA.sign("rsa", &claims)
    };
    for name in ["exp", "iat", "nbf", "aud", "sub"] {
        assert_eq!(harness.refusal(&null_times(name)).await, INVALID, "{name}: null");
    }
    assert_eq!(harness.refusal(&RSA.sign("rsa", &json!("no object"))).await, INVALID);
    assert_eq!(harness.sts.requests("/keys"), 1);
}

#[tokio::test]
async fn what_is_not_configured_is_not_checked() {
    let harness = Harness::start(&[("ISSUER", ""), ("AUDIENCE", ""), ("CLOCK_SKEW_SECONDS", "0")]).await;
    for changes in [json!({"iss": null, "aud": null}), json!({"iss": 7, "aud": 7})] {
        assert_eq!(harness.refusal(&harness.token(changes)).await, WELCOME);
    }
    assert_eq!(harness.refusal(&harness.token(json!({"exp": NOW}))).await, "Token expired");
    assert_eq!(harness.refusal(&harness.token(json!({"exp": NOW + 1}))).await, WELCOME);
}

#[tokio::test]
async fn the_principal_is_what_the_token_says() {
    let harness = Harness::start(&[]).await;
    let described = async |changes: Value| {
        let principal = harness.call(&harness.token(changes)).await.expect("a good token");
        assert_eq!(principal.issuer(), Some(ISSUER));
        let text = |value: Option<&str>| value.unwrap_or("-").to_owned();
        [principal.subject().to_owned(), text(principal.client_id()), text(principal.tenant())]
    };
    assert_eq!(described(json!({})).await, ["alice", "-", "-"]);
    assert_eq!(
        described(json!({"azp": "cli", "client_id": "x", "tenant_id": "t", "tid": "x"})).await,
        ["alice", "cli", "t"]
    );
    assert_eq!(
        described(json!({"sub": null, "client_id": "gw", "tid": "t", "tenant": 7})).await,
        ["client:gw", "gw", "t"]
    );
}

#[tokio::test]
async fn every_allowed_algorithm_verifies_with_its_own_key() {
    let harness = Harness::start(&[]).await;
    harness.sts.publish(&[RSA.jwk("rsa"), EC.jwk("ec"), ED.jwk("ed")]);
    let claims = harness.claims();
    for (signer, kid) in [(&RSA, "rsa"), (&EC, "ec"), (&ED, "ed")] {
        assert_eq!(harness.refusal(&signer.sign(kid, &claims)).await, WELCOME, "{kid}");
        for other in ["rsa", "ec", "ed"] {
            if other != kid {
                assert_eq!(harness.refusal(&signer.sign(other, &claims)).await, "Invalid token");
            }
        }
    }
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let harness = Harness::start(&[]).await;
    let good = harness.token(json!({}));
    assert_eq!(harness.refusal(&good).await, WELCOME);
    let parts: Vec<&str> = good.split('.').collect();
    let (payload, signature) = (parts[1], parts[2]);
    // {"alg":"none","kid":"rsa"}, and the same with "None"
    let none = "eyJhbGciOiJub25lIiwia2lkIjoicnNhIn0";
    let none_again = "eyJhbGciOiJOb25lIiwia2lkIjoicnNhIn0";
    let mallory = harness.token(json!({"sub": "mallory"}));
    let other_payload = mallory.split('.').nth(1).expect("a payload");
    let critical = Header {
        kid: Some("rsa".to_owned()),
        crit: Some(vec!["b64".to_owned()]),
        ..Header::new(Algorithm::RS256)
    };
    let mut forged = vec![
        String::from("abc"),
        String::from(".."),
        "a".repeat(100_000),
        format!("{}.{payload}.", parts[0]),
        format!("{}.{payload}", parts[0]),
        format!("{good}."),
        format!("{}.{other_payload}.{signature}", parts[0]),
        format!("{none}.{payload}."),
        format!("{none}.{payload}.{signature}"),
        format!("{none_again}.{payload}."),
        OTHER_RSA.sign("rsa", &harness.claims()),
        // Right key, algorithm not in the list.
        RSA.sign_as(Algorithm::PS256, Some("rsa"), &harness.claims()),
        RSA.sign_with(&critical, &harness.claims()),
    ];
    // The public key used as an HMAC secret, in the shapes that it comes in.
    let jwk = RSA.jwk("rsa");
    for secret in [jwk["n"].as_str().expect("n").to_owned(), jwk.to_string(), String::new()] {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let header = Header { kid: Some("rsa".to_owned()), ..Header::new(algorithm) };
            let secret = EncodingKey::from_secret(secret.as_bytes());
            forged.push(encode(&header, &harness.claims(), &secret).expect("a token"));
        }
    }
    for token in &forged {
        assert_eq!(harness.refusal(token).await, "Invalid token", "{token}");
    }
    assert_eq!(harness.sts.requests("/keys"), 1);
}

#[tokio::test]
async fn a_key_is_known_by_its_kid() {
    let harness = Harness::start(&[]).await;
    let without = RSA.sign_as(Algorithm::RS256, None, &harness.claims());
    assert_eq!(harness.refusal(&without).await, NO_JWKS);
    assert_eq!(harness.sts.requests("/keys"), 0, "no fetch can help that");
    assert_eq!(harness.refusal(&RSA.sign("other", &harness.claims())).await, NO_JWKS);
}

#[tokio::test]
async fn a_flood_of_unknown_keys_asks_once_and_hinders_nobody() {
    let harness = Harness::start(&[]).await;
    let claims = harness.claims();
    let good = harness.token(json!({}));
    let unknown: Vec<String> = (0..1_000).map(|n| EC.sign(&format!("no-{n}"), &claims)).collect();
    let flood = async || {
        for refusal in join_all(unknown.iter().map(|token| harness.refusal(token))).await {
            assert_eq!(refusal, NO_JWKS);
        }
    };
    // Cold: all wait for the first fetch.
    flood().await;
    assert_eq!(harness.sts.requests("/keys"), 1);

    // Warm: one fetch for all of them, and known keys are served meanwhile.
    harness.sts.hold();
    let meanwhile = async {
        harness.sts.requested("/keys", 2).await;
        let before = harness.call(&good).now_or_never().expect("no waiting");
        assert_eq!(before.expect("a good token").subject(), "alice");
        harness.sts.release();
    };
    tokio::join!(flood(), meanwhile);
    assert_eq!(harness.sts.requests("/keys"), 2);

    harness.clock.advance(RETRY_UNKNOWN - SECOND);
    join_all(unknown.iter().map(|token| async {
        assert_eq!(harness.refusal(token).now_or_never(), Some(NO_JWKS), "no waiting");
    }))
    .await;
    assert_eq!(harness.sts.requests("/keys"), 2);
    harness.clock.advance(SECOND);
    flood().await;
    assert_eq!(harness.sts.requests("/keys"), 3);
}

#[tokio::test]
async fn a_rotated_key_is_picked_up_and_the_old_one_withdrawn() {
    let harness = Harness::start(&[]).await;
    let old = harness.token(json!({"exp": NOW + 10_000}));
    assert_eq!(harness.refusal(&old).await, WELCOME);

    harness.sts.publish(&[EC.jwk("next"), RSA.jwk("rsa")]);
    assert_eq!(harness.refusal(&EC.sign("next", &harness.claims())).await, WELCOME);
    assert_eq!(harness.sts.requests("/keys"), 2);
    assert_eq!(harness.refusal(&old).await, WELCOME, "still published");

    // Revoked. That only remembered tokens come does not keep us from noticing.
    harness.sts.publish(&[EC.jwk("next")]);
    harness.clock.advance(FRESH);
    assert_eq!(harness.refusal(&old).await, WELCOME);
    harness.auth.landed().await;
    assert_eq!(harness.refusal(&old).await, NO_JWKS);

    // The same name for another key is another key.
    harness.sts.publish(&[OTHER_RSA.jwk("rsa")]);
    harness.clock.advance(RETRY_UNKNOWN);
    assert_eq!(harness.refusal(&old).await, "Invalid token");
}

#[tokio::test]
async fn old_keys_serve_while_they_are_refreshed() {
    let harness = Harness::start(&[]).await;
    let good = |subject: &str| harness.token(json!({"sub": subject, "exp": NOW + 10_000}));
    assert_eq!(harness.refusal(&good("a")).await, WELCOME);
    harness.clock.advance(FRESH - SECOND);
    assert_eq!(harness.refusal(&good("b")).now_or_never(), Some(WELCOME));
    assert_eq!(harness.auth.status(), KeyStatus::Fresh { keys: 1 });

    harness.clock.advance(SECOND);
    harness.sts.hold();
    for subject in ["a", "c", "d"] {
        assert_eq!(harness.refusal(&good(subject)).now_or_never(), Some(WELCOME));
    }
    assert_eq!(harness.auth.status(), KeyStatus::Stale { keys: 1, age: FRESH, error: None });
    harness.sts.requested("/keys", 2).await;
    harness.sts.release();
    harness.auth.landed().await;
    assert_eq!(harness.auth.status(), KeyStatus::Fresh { keys: 1 });
    assert_eq!(harness.sts.requests("/keys"), 2);
}

#[tokio::test]
async fn old_keys_serve_as_long_as_refreshing_fails() {
    let harness = Harness::start(&[]).await;
    let day = Duration::from_secs(86_400);
    let good = |subject: &str| harness.token(json!({"sub": subject, "exp": NOW + 1_000_000}));
    assert_eq!(harness.refusal(&good("a")).await, WELCOME);
    for (n, answer) in [
        Answer::HangUp,
        Answer::Status(503),
        Answer::Text("<html>".to_owned()),
        Answer::Text(" ".repeat(2_000_000)),
        Answer::Json(json!({"keys": []})),
    ]
    .into_iter()
    .enumerate()
    {
        harness.sts.answer("/keys", answer);
        harness.clock.advance(day);
        for subject in [format!("b{n}"), format!("c{n}")] {
            assert_eq!(harness.refusal(&good(&subject)).now_or_never(), Some(WELCOME));
            harness.auth.landed().await;
        }
        // One attempt, and another after the pause.
        assert_eq!(harness.sts.requests("/keys"), 2 + 2 * n);
        harness.clock.advance(RETRY_STALE);
        assert_eq!(harness.refusal(&good("a")).now_or_never(), Some(WELCOME));
        harness.auth.landed().await;
        assert_eq!(harness.sts.requests("/keys"), 3 + 2 * n);
        let status = harness.auth.status();
        assert!(matches!(status, KeyStatus::Stale { keys: 1, error: Some(_), .. }), "{status:?}");
        assert!(ready(&harness.auth));
    }
    harness.sts.publish(&[RSA.jwk("rsa")]);
    harness.clock.advance(RETRY_STALE);
    assert_eq!(harness.refusal(&good("a")).await, WELCOME);
    harness.auth.landed().await;
    assert_eq!(harness.auth.status(), KeyStatus::Fresh { keys: 1 });
}

#[tokio::test]
async fn the_sts_may_be_down_at_start() {
    let harness = Harness::start(&[]).await;
    let good = harness.token(json!({}));
    assert_eq!(harness.auth.status(), KeyStatus::NotFetched);
    harness.sts.answer("/keys", Answer::HangUp);
    let hundred = async || join_all((0..100).map(|_| harness.refusal(&good))).await;
    assert!(hundred().await.iter().all(|refusal| *refusal == NO_JWKS));
    // What is known to be down is left in peace for a moment.
    assert_eq!(harness.refusal(&good).now_or_never(), Some(NO_JWKS));
    assert_eq!(harness.sts.requests("/keys"), 1);
    assert!(matches!(harness.auth.status(), KeyStatus::Unavailable { .. }) && !ready(&harness.auth));

    harness.sts.publish(&[RSA.jwk("rsa")]);
    harness.clock.advance(RETRY_EMPTY);
    assert!(hundred().await.iter().all(|refusal| *refusal == WELCOME));
    assert_eq!(harness.sts.requests("/keys"), 2);
    assert!(ready(&harness.auth));
}

#[tokio::test]
async fn warming_up_fetches_without_waiting_and_only_if_need_be() {
    let harness = Harness::start(&[]).await;
    harness.sts.answer("/keys", Answer::Status(500));
    for (advance, requests) in [(SECOND, 1), (SECOND / 2, 1), (SECOND / 2, 2)] {
        harness.clock.advance(advance);
        for _ in 0..10 {
            harness.auth.warm_up();
            harness.auth.landed().await;
        }
        assert_eq!(harness.sts.requests("/keys"), requests);
    }
    harness.sts.publish(&[RSA.jwk("rsa")]);
    harness.clock.advance(SECOND);
    harness.auth.warm_up();
    harness.auth.landed().await;
    assert!(ready(&harness.auth));

    let open = Harness::start(&[("MODE", "disabled")]).await;
    open.auth.warm_up();
    assert_eq!((open.auth.status(), ready(&open.auth)), (KeyStatus::NotNeeded, true));
    assert_eq!(open.sts.requests("/keys"), 0);
}

#[tokio::test]
async fn a_caller_who_hangs_up_takes_no_fetch_away() {
    let harness = Harness::start(&[]).await;
    harness.sts.hold();
    assert_eq!(harness.refusal(&harness.token(json!({}))).now_or_never(), None, "waits, then is dropped");
    harness.sts.requested("/keys", 1).await;
    harness.sts.release();
    harness.auth.landed().await;
    assert_eq!(harness.auth.status(), KeyStatus::Fresh { keys: 1 });
}

#[tokio::test]
async fn shutting_down_waits_for_no_sts() {
    let harness = Harness::start(&[]).await;
    harness.sts.hold();
    let token = harness.token(json!({}));
    let stop = async {
        harness.sts.requested("/keys", 1).await;
        harness.tasks.stopping().cancel();
    };
    let (refusal, ()) = tokio::join!(harness.refusal(&token), stop);
    assert_eq!(refusal, NO_JWKS);
}

#[tokio::test]
async fn keys_are_found_by_discovery() {
    let harness = Harness::start(&[("JWKS_URI", ""), ("OIDC_DISCOVERY_URL", "{sts}/doc")]).await;
    let good = harness.token(json!({"exp": NOW + 10_000}));
    let try_again = async |expected: &str| {
        harness.clock.advance(RETRY_EMPTY);
        assert_eq!(harness.refusal(&good).await, expected);
    };
    let at = |path: &str| Answer::Json(json!({"jwks_uri": format!("{}{path}", harness.sts.address)}));
    for (document, error) in [
        (Answer::Status(404), "status 404"),
        (Answer::Text("<html>".to_owned()), "not an OIDC discovery document"),
        (Answer::Json(json!({"jwks_uri": "keys"})), "its jwks_uri is no URL"),
        (Answer::Json(json!({"jwks_uri": ""})), "OIDC discovery document missing jwks_uri: http"),
        (Answer::Json(json!({"issuer": "x"})), "OIDC discovery document missing jwks_uri: http"),
    ] {
        harness.sts.answer("/doc", document);
        try_again(NO_JWKS).await;
        let status = harness.auth.status();
        assert!(
            matches!(&status, KeyStatus::Unavailable { error: seen } if seen.contains(error)),
            "{status:?}"
        );
    }
    harness.sts.answer("/doc", at("/keys"));
    try_again(WELCOME).await;
    assert_eq!((harness.sts.requests("/doc"), harness.sts.requests("/keys")), (6, 1));

    // Refreshed where they were; discovered anew once they are gone.
    let refresh = async |pause| {
        harness.clock.advance(pause);
        assert_eq!(harness.refusal(&good).await, WELCOME);
        harness.auth.landed().await;
    };
    refresh(FRESH).await;
    assert_eq!((harness.sts.requests("/doc"), harness.sts.requests("/keys")), (6, 2));
    harness.sts.answer("/keys", Answer::Status(404));
    harness.sts.answer("/moved", Answer::Json(json!({"keys": [RSA.jwk("rsa")]})));
    harness.sts.answer("/doc", at("/moved"));
    refresh(FRESH).await;
    refresh(RETRY_STALE).await;
    assert_eq!((harness.sts.requests("/doc"), harness.sts.requests("/moved")), (7, 1));
    assert_eq!(harness.auth.status(), KeyStatus::Fresh { keys: 1 });
}

#[tokio::test]
async fn a_token_is_remembered_until_it_expires() {
    let harness = Harness::start(&[]).await;
    let token = harness.token(json!({"exp": NOW + 100}));
    let first = harness.call(&token).await.expect("a good token");
    harness.clock.advance(Duration::from_micros(159_999_999));
    let again = harness.call(&token).await.expect("a good token");
    assert!(std::ptr::eq(first.subject(), again.subject()), "the very same, not verified again");
    harness.clock.advance(Duration::from_micros(1));
    assert_eq!(harness.refusal(&token).await, "Token expired");
}

/// Whether tokens can be verified, be it with old keys.
fn ready(auth: &super::Authenticator) -> bool {
    match auth.status() {
        KeyStatus::NotNeeded | KeyStatus::Fresh { .. } | KeyStatus::Stale { .. } => true,
        KeyStatus::NotFetched | KeyStatus::Unavailable { .. } => false,
    }
}
