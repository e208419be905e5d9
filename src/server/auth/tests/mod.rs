//! The authenticator against a token service on loopback.

mod assignment_keys;
mod signing_keys;

use std::time::Duration;

use http::HeaderMap;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::{
    Admission, AuthError, Roles,
    test_support::{AUDIENCE, EC, ED, Harness, ISSUER, NOW, OTHER_RSA, RSA, authorization},
};

const SECOND: Duration = Duration::from_secs(1);
const WELCOME: &str = "welcome";
const NO_JWKS: &str = "Unable to fetch JWKS";

#[tokio::test]
async fn mode_decides_what_happens_without_a_token() {
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
async fn exempt_caller_is_a_valid_bearer_or_unidentified() {
    for (mode, unidentified, known) in
        [("required", "anonymous", "alice"), ("optional", "anonymous", "alice"), ("disabled", "dev", "dev")]
    {
        let harness = Harness::start(&[("MODE", mode), ("EXEMPT_PATHS", "/v1/runs")]).await;
        let good = format!("Bearer {}", harness.token(json!({"sub": "alice"})));
        for (header, expected) in [
            (None, unidentified),
            (Some(""), unidentified),
            (Some("Basic abc"), unidentified),
            (Some("Bearer a.b.c"), unidentified),
            (Some(&*good), known),
        ] {
            let headers = header.map_or_else(HeaderMap::new, authorization);
            assert_eq!(harness.auth.authenticate("/v1/runs", &headers).await, Ok(Admission::Exempt));
            assert_eq!(
                harness.auth.caller_of_exempt_path(&headers).await.subject(),
                expected,
                "{mode} {header:?}"
            );
        }
    }
}

#[test]
fn challenge_repeats_the_error() {
    let error = AuthError { error: "invalid_token", message: "Token expired" };
    assert_eq!(error.challenge(), r#"Bearer error="invalid_token", error_description="Token expired""#);
}

#[tokio::test]
async fn each_claim_is_checked() {
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
        // The first fault in this order is reported.
        (json!({"exp": 0, "iss": "x", "aud": "x", "sub": 7}), EXPIRED),
        (json!({"iss": "x", "aud": "x", "sub": 7}), ISS),
        (json!({"aud": "x", "sub": 7}), AUD),
    ] {
        let token = harness.token(changes.clone());
        // The second time, a valid token is cached.
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
async fn unconfigured_claims_are_not_checked() {
    let harness = Harness::start(&[("ISSUER", ""), ("AUDIENCE", ""), ("CLOCK_SKEW_SECONDS", "0")]).await;
    for changes in [json!({"iss": null, "aud": null}), json!({"iss": 7, "aud": 7})] {
        assert_eq!(harness.refusal(&harness.token(changes)).await, WELCOME);
    }
    assert_eq!(harness.refusal(&harness.token(json!({"exp": NOW}))).await, "Token expired");
    assert_eq!(harness.refusal(&harness.token(json!({"exp": NOW + 1}))).await, WELCOME);
}

#[tokio::test]
async fn principal_has_the_claims_of_the_token() {
    let harness = Harness::start(&[]).await;
    let described = async |changes: Value| {
        let principal = harness.call(&harness.token(changes)).await.expect("a valid token");
        assert_eq!(principal.issuer(), Some(ISSUER));
        let text = |value: Option<&str>| value.unwrap_or("-").to_owned();
        [principal.subject().to_owned(), text(principal.client_id()), text(principal.tenant())]
    };
    assert_eq!(described(json!({})).await, ["alice", "-", "-"]);
    let foreign = json!({"azp": "cli", "client_id": "x", "tenant_id": "t", "tid": "x"});
    assert_eq!(described(foreign).await, ["alice", "cli", "t"]);
    let client = json!({"sub": null, "client_id": "gw", "tid": "t", "tenant": "t"});
    assert_eq!(described(client).await, ["client:gw", "gw", "-"]);
}

#[tokio::test]
async fn tenant_and_roles_come_from_the_configured_claims() {
    let vars = [
        ("JARVIS_RUN_COORDINATOR_TENANT_CLAIM", "org.id"),
        ("JARVIS_RUN_COORDINATOR_ROLES_CLAIM", "realm_access.roles"),
    ];
    let harness = Harness::start(&vars).await;
    let described = async |changes: Value| {
        let principal = harness.call(&harness.token(changes)).await.expect("a valid token");
        let Roles { read, operate, admin } = principal.roles();
        (principal.tenant().map(str::to_owned), [read, operate, admin])
    };
    assert_eq!(described(json!({"tenant_id": "t", "roles": ["arp.admin"]})).await, (None, [false; 3]));
    let nested = json!({"org": {"id": "acme"}, "realm_access": {"roles": ["arp.run.read", 7, "x"]}});
    assert_eq!(described(nested).await, (Some("acme".into()), [true, false, false]));
    // The name itself has precedence over the path.
    let named = json!({"org.id": "beta", "org": {"id": "acme"}, "realm_access.roles": "x arp.run.operate"});
    assert_eq!(described(named).await, (Some("beta".into()), [false, true, false]));
    for odd in [json!(7), json!({}), json!([["arp.admin"]]), json!("ARP.ADMIN arp.admins"), json!(null)] {
        let claims = json!({"org": odd, "realm_access": {"roles": odd}});
        assert_eq!(described(claims).await, (None, [false; 3]), "{odd}");
    }
}

#[tokio::test]
async fn names_in_tokens_are_bounded() {
    let harness = Harness::start(&[]).await;
    for claim in ["sub", "azp", "tenant_id"] {
        let token = |bytes: usize| harness.token(json!({claim: "x".repeat(bytes)}));
        assert_eq!(harness.refusal(&token(512)).await, WELCOME, "{claim}");
        assert_eq!(harness.refusal(&token(513)).await, "Invalid token", "{claim}");
    }
}

#[tokio::test]
async fn each_algorithm_verifies_only_with_its_own_key() {
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
        // The right key, with an algorithm that is not allowed.
        RSA.sign_as(Algorithm::PS256, Some("rsa"), &harness.claims()),
        RSA.sign_with(&critical, &harness.claims()),
    ];
    // The public key used as an HMAC secret, in several encodings.
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
async fn token_without_a_known_kid_is_refused() {
    let harness = Harness::start(&[]).await;
    let without = RSA.sign_as(Algorithm::RS256, None, &harness.claims());
    assert_eq!(harness.refusal(&without).await, NO_JWKS);
    assert_eq!(harness.sts.requests("/keys"), 0, "a fetch could not help");
    assert_eq!(harness.refusal(&RSA.sign("other", &harness.claims())).await, NO_JWKS);
}

#[tokio::test]
async fn valid_token_is_cached_until_it_expires() {
    let harness = Harness::start(&[]).await;
    let token = harness.token(json!({"exp": NOW + 100}));
    let first = harness.call(&token).await.expect("a valid token");
    harness.clock.advance(Duration::from_micros(159_999_999));
    let again = harness.call(&token).await.expect("a valid token");
    assert!(std::ptr::eq(first.subject(), again.subject()), "the same object: not verified again");
    harness.clock.advance(Duration::from_micros(1));
    assert_eq!(harness.refusal(&token).await, "Token expired");
}
