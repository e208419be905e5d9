//! The cache of signing keys against a token service on loopback.

use std::time::Duration;

use futures::{FutureExt, future::join_all};
use serde_json::json;

use super::{NO_JWKS, SECOND, WELCOME};
use crate::auth::{
    Authenticator, KeyStatus,
    jwks::{FRESH, RETRY_EMPTY, RETRY_STALE, RETRY_UNKNOWN},
    test_support::{Answer, EC, Harness, NOW, OTHER_RSA, RSA},
};

#[tokio::test]
async fn flood_of_unknown_keys_causes_one_fetch() {
    let harness = Harness::start(&[]).await;
    let claims = harness.claims();
    let good = harness.token(json!({}));
    let unknown: Vec<String> = (0..1_000).map(|n| EC.sign(&format!("no-{n}"), &claims)).collect();
    let flood = async || {
        for refusal in join_all(unknown.iter().map(|token| harness.refusal(token))).await {
            assert_eq!(refusal, NO_JWKS);
        }
    };
    // Without keys, all wait for the first fetch.
    flood().await;
    assert_eq!(harness.sts.requests("/keys"), 1);

    // With keys, one fetch for all of them, while known keys are used.
    harness.sts.hold();
    let meanwhile = async {
        harness.sts.requested("/keys", 2).await;
        let before = harness.call(&good).now_or_never().expect("no waiting");
        assert_eq!(before.expect("a valid token").subject(), "alice");
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
async fn rotated_key_is_used_and_the_old_one_withdrawn() {
    let harness = Harness::start(&[]).await;
    let old = harness.token(json!({"exp": NOW + 10_000}));
    assert_eq!(harness.refusal(&old).await, WELCOME);

    harness.sts.publish(&[EC.jwk("next"), RSA.jwk("rsa")]);
    assert_eq!(harness.refusal(&EC.sign("next", &harness.claims())).await, WELCOME);
    assert_eq!(harness.sts.requests("/keys"), 2);
    assert_eq!(harness.refusal(&old).await, WELCOME, "still published");

    // Withdrawn: noticed although only cached tokens are used.
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
async fn old_keys_are_used_while_they_are_refreshed() {
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
async fn old_keys_are_used_while_refreshing_fails() {
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
async fn server_starts_without_the_sts() {
    let harness = Harness::start(&[]).await;
    let good = harness.token(json!({}));
    assert_eq!(harness.auth.status(), KeyStatus::NotFetched);
    harness.sts.answer("/keys", Answer::HangUp);
    let hundred = async || join_all((0..100).map(|_| harness.refusal(&good))).await;
    assert!(hundred().await.iter().all(|refusal| *refusal == NO_JWKS));
    // An STS that has failed is left alone for a moment.
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
async fn warm_up_fetches_without_waiting_if_a_fetch_is_due() {
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
async fn caller_that_hangs_up_does_not_cancel_the_fetch() {
    let harness = Harness::start(&[]).await;
    harness.sts.hold();
    assert_eq!(harness.refusal(&harness.token(json!({}))).now_or_never(), None, "waits, then is dropped");
    harness.sts.requested("/keys", 1).await;
    harness.sts.release();
    harness.auth.landed().await;
    assert_eq!(harness.auth.status(), KeyStatus::Fresh { keys: 1 });
}

#[tokio::test]
async fn shutdown_does_not_wait_for_the_sts() {
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

    // Refreshed where they were; discovered again once they are gone.
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

/// Whether tokens can be verified, with fresh or old keys.
fn ready(auth: &Authenticator) -> bool {
    match auth.status() {
        KeyStatus::NotNeeded | KeyStatus::Fresh { .. } | KeyStatus::Stale { .. } => true,
        KeyStatus::NotFetched | KeyStatus::Unavailable { .. } => false,
    }
}
