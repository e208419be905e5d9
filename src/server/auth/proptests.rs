//! Any `Authorization` header: only signed tokens are accepted.

use std::sync::LazyLock;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::HeaderValue;
use proptest::{collection::vec, prelude::*, sample::Index, sample::select};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{
    Admission, AuthError,
    test_support::{ASSIGNMENT_KEY, EC, Harness, NOW, RSA, assignment_tokens},
};
use crate::{record::NodePath, time::Timestamp};

/// An authenticator that has its keys, and valid tokens of each kind.
struct World {
    runtime: Runtime,
    harness: Harness,
    good: Vec<String>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let harness = runtime.block_on(Harness::start(&[]));
    harness.sts.publish(&[RSA.jwk("rsa"), EC.jwk("ec")]);
    let subtree =
        super::Subtree { node: "n".into(), run: "r".into(), path: NodePath::root(), created_at: None };
    let at = |seconds| Timestamp::from_micros(seconds * 1_000_000);
    let ours = assignment_tokens(&ASSIGNMENT_KEY, std::time::Duration::ZERO);
    let good = vec![
        harness.token(json!({})),
        EC.sign("ec", &harness.claims()),
        runtime.block_on(ours.issue(subtree, 1, at(NOW + 300), at(NOW))),
    ];
    let world = World { runtime, harness, good };
    for token in &world.good {
        assert!(world.admits(format!("Bearer {token}").as_bytes()).is_ok(), "{token}");
    }
    world
});

impl World {
    /// Whether a request with this `Authorization` is admitted. The error is `None`
    /// for what no header can have.
    fn admits(&self, header: &[u8]) -> Result<(), Option<AuthError>> {
        let value = HeaderValue::from_bytes(header).map_err(|_| None)?;
        let headers = http::HeaderMap::from_iter([(http::header::AUTHORIZATION, value)]);
        match self.runtime.block_on(self.harness.auth.authenticate("/v1/runs", &headers)) {
            Ok(Admission::Caller(_)) => Ok(()),
            Ok(Admission::Exempt) => panic!("not exempt"),
            Err(refusal) => Err(Some(refusal)),
        }
    }
}

fn good() -> impl Strategy<Value = String> {
    (0..WORLD.good.len()).prop_map(|which| WORLD.good[which].clone())
}

fn part(json: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(json.to_string())
}

/// The header of a forged token.
fn head() -> impl Strategy<Value = Value> {
    let algorithm = select(vec![
        json!("none"),
        json!("None"),
        json!("RS256"),
        json!("ES256"),
        json!("HS256"),
        json!("PS256"),
        json!("EdDSA"),
        json!(""),
        json!(null),
        json!(1),
    ]);
    let key = select(vec![json!("rsa"), json!("ec"), json!("new"), json!(null), json!("../rsa"), json!(0)]);
    let type_ = select(vec![json!("JWT"), json!("assignment+jwt"), json!(null)]);
    (algorithm, key, type_, any::<bool>()).prop_map(|(algorithm, key, type_, own_key)| {
        let mut head = json!({"alg": algorithm, "kid": key, "typ": type_});
        if own_key {
            head["jwk"] = EC.jwk("ec");
            head["jku"] = json!("http://127.0.0.1:1/keys");
            head["x5u"] = json!("http://127.0.0.1:1/keys");
        }
        head
    })
}

/// Claims that would be valid if they were signed.
fn claims() -> impl Strategy<Value = Value> {
    let ours = json!({"iss": "urn:jarvis:run-coordinator:assignment", "sub": "n", "run": "r", "path": "1", "att": 1,
        "iat": NOW, "exp": NOW + 300});
    (select(vec![WORLD.harness.claims(), ours]), ".{0,8}").prop_map(|(mut claims, subject)| {
        claims["sub"] = subject.into();
        claims
    })
}

/// Random, taken from another token, or near.
fn signature() -> impl Strategy<Value = String> {
    let stolen = good().prop_map(|good| good.rsplit('.').next().unwrap().to_owned());
    let random = vec(any::<u8>(), 0..300).prop_map(|bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes));
    prop_oneof![stolen, random, "[A-Za-z0-9_=.-]{0,8}"]
}

fn known_secret() -> impl Strategy<Value = Vec<u8>> {
    let text = |value: &Value| value.as_str().unwrap().as_bytes().to_vec();
    let (rsa, ec) = (RSA.jwk("rsa"), EC.jwk("ec"));
    select(vec![
        vec![0; 32],
        text(&rsa["n"]),
        rsa.to_string().into_bytes(),
        text(&ec["x"]),
        b"secret".to_vec(),
    ])
}

proptest! {
    #[test]
    fn changed_token_is_refused(
        good in good(), edits in vec((any::<Index>(), 0..=255u8), 1..4),
    ) {
        let mut token = good.clone().into_bytes();
        for (at, byte) in edits {
            let at = at.index(token.len());
            token[at] = byte;
        }
        prop_assume!(token != good.as_bytes());
        let refused = WORLD.admits(&[b"Bearer ", &*token].concat());
        prop_assert!(refused.is_err());
    }

    #[test]
    fn part_of_a_token_or_more_than_one_is_refused(
        good in good(), from in any::<Index>(), to in any::<Index>(), more in "[A-Za-z0-9_=.-]{0,8}",
    ) {
        let (from, to) = (from.index(good.len() + 1), to.index(good.len() + 1));
        prop_assume!((from.min(to), from.max(to), &*more) != (0, good.len(), ""));
        let token = format!("{}{more}", &good[from.min(to)..from.max(to)]);
        prop_assume!(token != good);
        let refused = WORLD.admits(format!("Bearer {token}").as_bytes());
        prop_assert!(refused.is_err());
    }

    #[test]
    fn header_without_a_signed_token_is_refused(header in prop_oneof![
        vec(any::<u8>(), 0..80),
        "(Bearer|bearer|Basic|DPoP|) ?[\\PC\t]{0,40}".prop_map(String::into_bytes),
        "Bearer [A-Za-z0-9_-]{0,40}(\\.[A-Za-z0-9_=-]{0,40}){0,4}".prop_map(String::into_bytes),
    ]) {
        if let Err(Some(refusal)) = WORLD.admits(&header) {
            prop_assert!(["invalid_request", "invalid_token"].contains(&refusal.error), "{:?}", refusal);
        } else {
            prop_assert!(HeaderValue::from_bytes(&header).is_err(), "a caller was admitted");
        }
    }

    #[test]
    fn forged_tokens_are_refused(head in head(), claims in claims(), signature in signature()) {
        let token = format!("{}.{}.{signature}", part(&head), part(&claims));
        let refused = WORLD.admits(format!("Bearer {token}").as_bytes());
        prop_assert!(refused.is_err());
    }

    #[test]
    fn tokens_signed_with_public_values_are_refused(
        secret in known_secret(), kid in select(vec![None, Some("rsa"), Some("ec")]), claims in claims(),
    ) {
        let header = jsonwebtoken::Header {
            kid: kid.map(str::to_owned),
            typ: Some("assignment+jwt".into()),
            ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256)
        };
        let key = jsonwebtoken::EncodingKey::from_secret(&secret);
        let token = jsonwebtoken::encode(&header, &claims, &key).unwrap();
        let refused = WORLD.admits(format!("Bearer {token}").as_bytes());
        prop_assert!(refused.is_err());
    }
}
