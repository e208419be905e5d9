//! Assignment tokens (contract §9.4): the executor of a composite NodeRun uses one
//! to call us back, about that NodeRun and its descendants.
//!
//! For its bearer it is an opaque JWT. For us it has all that is needed to
//! authorize a call, without a lookup of its own:
//!
//! ```text
//! {"typ": "assignment+jwt", "alg": "HS256", "kid": key_id}
//! {"iss": "urn:jarvis:run-coordinator:assignment", "sub": node_run_id,
//!  "run": run_id, "path": "1.4", "born": created_at, "att": 1, "iat": …,
//!  "exp": the NodeRun's deadline}
//! ```
//!
//! It is valid for every attempt of its NodeRun: an executor that is asked to begin
//! again continues with the token that it has. That its NodeRun has ended is in the
//! journal, and not in the token.
//!
//! The keys ([`Keyring`]) are in the journal too, where they may be rotated while
//! the server runs:
//!
//! ```text
//!   issue ───▶ read the keys ──▶ sign with the newest
//!   verify ──▶ read the keys, if that was not done within LOOK_AGAIN ──▶ the key that is named
//! ```
//!
//! **Invariant.** The keys are read when the attempt that the token is for is
//! durable. So a key that signs after its rotation does so for a NodeRun that the
//! rotation has seen, and whose deadline it has noted.

use std::{borrow::Cow, sync::Arc, time::Duration};

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{
    keyring::Keyring,
    principal::{Principal, Subtree},
    refusal::Refusal,
    verifier::LIMIT_BYTES,
};
use crate::{
    record::NodePath,
    time::Timestamp,
    types::{NodeRunId, RunId},
};

const ISSUER: &str = "urn:jarvis:run-coordinator:assignment";

/// Checked as well as the issuer: anything else that this key may sign one day is
/// not an assignment token.
const TYPE: &str = "assignment+jwt";

/// How long a key that was revoked may still verify.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Where the keys are kept.
#[async_trait]
pub trait KeySource: Send + Sync + 'static {
    /// The keys as they are now. `None`: they cannot be read, and those that are
    /// known continue to serve.
    async fn read(&self) -> Option<Keyring>;
}

/// Issues and verifies assignment tokens.
pub struct AssignmentTokens {
    source: Arc<dyn KeySource>,
    known: Mutex<Known>,
    /// Held while the keys are read: a slow reader must not replace them by older
    /// ones.
    reading: tokio::sync::Mutex<()>,
    skew: Duration,
}

/// The keys as they were last read.
struct Known {
    keyring: Keyring,
    keys: Arc<Keys>,
    looked_at: Option<Timestamp>,
}

struct Keys {
    header: Header,
    signing: EncodingKey,
    verifying: Vec<(Option<String>, DecodingKey)>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: NodeRunId,
    run: RunId,
    path: NodePath,
    /// When the NodeRun was created, in microseconds. Tokens of earlier versions do
    /// not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    born: Option<i64>,
    /// The attempt that it was issued for. For people.
    att: u32,
    iat: i64,
    exp: i64,
}

impl Keys {
    fn of(keyring: &Keyring) -> Arc<Self> {
        let signing = keyring.signing();
        let (typ, kid) = (Some(TYPE.to_owned()), signing.kid.clone());
        let verifying =
            keyring.verifying().map(|key| (key.kid.clone(), DecodingKey::from_secret(&key.bytes)));
        Arc::new(Self {
            header: Header { typ, kid, ..Header::new(Algorithm::HS256) },
            signing: EncodingKey::from_secret(&signing.bytes),
            verifying: verifying.collect(),
        })
    }
}

impl AssignmentTokens {
    pub fn new(keyring: Keyring, source: Arc<dyn KeySource>, clock_skew: Duration) -> Self {
        let keys = Keys::of(&keyring);
        let known = Mutex::new(Known { keyring, keys, looked_at: None });
        Self { source, known, reading: tokio::sync::Mutex::default(), skew: clock_skew }
    }

    /// Issues a token for the executor of this NodeRun, valid until `deadline`. Its
    /// attempt must be durable.
    pub async fn issue(&self, subtree: Subtree, attempt: u32, deadline: Timestamp, now: Timestamp) -> String {
        self.known.lock().looked_at = Some(now);
        self.look().await;
        self.sign(subtree, attempt, deadline, now)
    }

    fn sign(&self, subtree: Subtree, attempt: u32, deadline: Timestamp, now: Timestamp) -> String {
        let Subtree { node, run, path, created_at } = subtree;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: node,
            run,
            path,
            born: created_at.map(Timestamp::as_micros),
            att: attempt,
            iat: now.as_micros().div_euclid(1_000_000),
            // Rounded up.
            exp: deadline.as_micros().div_euclid(1_000_000).saturating_add(1),
        };
        let keys = self.keys();
        encode(&keys.header, &claims, &keys.signing).expect("claims are JSON, and any key works")
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.known.lock().keys)
    }

    /// Reads the keys.
    async fn look(&self) {
        let _reading = self.reading.lock().await;
        let Some(keyring) = self.source.read().await else { return };
        let mut known = self.known.lock();
        if known.keyring != keyring {
            known.keys = Keys::of(&keyring);
            known.keyring = keyring;
        }
    }

    /// Whether a token claims to be ours. Does not verify it.
    pub(super) fn are_like(token: &str) -> bool {
        #[derive(Deserialize)]
        struct Issuer<'a> {
            #[serde(borrow)]
            iss: Cow<'a, str>,
        }
        if token.len() > LIMIT_BYTES {
            return false;
        }
        let Some(payload) = token.split('.').nth(1) else { return false };
        let Ok(payload) = BASE64_URL_SAFE_NO_PAD.decode(payload) else { return false };
        serde_json::from_slice::<Issuer<'_>>(&payload).is_ok_and(|claims| claims.iss == ISSUER)
    }

    /// Verifies a token. Returns its principal.
    pub(super) async fn verify(&self, token: &str, now: Timestamp) -> Result<Principal, Refusal> {
        let is_due = {
            let mut known = self.known.lock();
            let is_due = known.looked_at.is_none_or(|then| now.since(then) >= LOOK_AGAIN);
            if is_due {
                // Callers who come meanwhile need not look too.
                known.looked_at = Some(now);
            }
            is_due
        };
        if is_due {
            self.look().await;
        }
        self.verify_by_known(token, now)
    }

    fn verify_by_known(&self, token: &str, now: Timestamp) -> Result<Principal, Refusal> {
        // The library would check times by the machine's clock.
        let mut signature_only = Validation::new(Algorithm::HS256);
        signature_only.required_spec_claims.clear();
        signature_only.validate_exp = false;
        signature_only.validate_aud = false;
        let header = decode_header(token).map_err(|_| Refusal::Invalid("unreadable token header"))?;
        let keys = self.keys();
        let named = keys.verifying.iter().find(|(kid, _)| *kid == header.kid);
        let (_, key) =
            named.ok_or(Refusal::Invalid("signed with a key that this coordinator does not have"))?;
        let decoded = decode::<Claims>(token, key, &signature_only)
            .map_err(|_| Refusal::Invalid("not signed by this coordinator"))?;
        let Claims { iss, sub, run, path, born, exp, .. } = decoded.claims;
        if iss != ISSUER || decoded.header.typ.as_deref() != Some(TYPE) {
            return Err(Refusal::Invalid("signed by this coordinator, but not an assignment token"));
        }
        if Timestamp::from_micros(exp.saturating_mul(1_000_000)) + self.skew <= now {
            return Err(Refusal::Expired);
        }
        let created_at = born.map(Timestamp::from_micros);
        Ok(Principal::assigned(ISSUER, Subtree { node: sub, run, path, created_at }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::auth::{
        Scope,
        keyring::KEY_BYTES,
        test_support::{ASSIGNMENT_KEY, Harness, NOW, RSA, assignment_tokens},
    };

    const SKEW: Duration = Duration::from_secs(60);
    const INVALID: &str = "Invalid token";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn subtree() -> Subtree {
        let path = NodePath::root().child(4);
        Subtree { node: "node_run_4".into(), run: "run_1".into(), path, created_at: Some(at(NOW - 60)) }
    }

    fn issued(key: &[u8; KEY_BYTES]) -> String {
        assignment_tokens(key, SKEW).sign(subtree(), 2, at(NOW + 300), at(NOW))
    }

    /// Valid claims with changes; null removes one.
    fn claims(changes: &Value) -> Value {
        let mut claims = json!({"iss": ISSUER, "sub": "node_run_4", "run": "run_1", "path": "1.4", "att": 2,
            "born": (NOW - 60) * 1_000_000, "iat": NOW, "exp": NOW + 300});
        let members = claims.as_object_mut().expect("an object");
        members.extend(changes.as_object().expect("an object").clone());
        members.retain(|_, value| !value.is_null());
        claims
    }

    fn signed(algorithm: Algorithm, typ: Option<&str>, key: &[u8], claims: &Value) -> String {
        let header = Header { typ: typ.map(str::to_owned), ..Header::new(algorithm) };
        encode(&header, claims, &EncodingKey::from_secret(key)).expect("a token")
    }

    #[tokio::test]
    async fn assignment_token_is_scoped_to_its_subtree() {
        let harness = Harness::start(&[]).await;
        let token = issued(&ASSIGNMENT_KEY);
        let principal = harness.call(&token).await.expect("a valid token");
        assert_eq!(principal.subject(), "node_run_4");
        assert_eq!(principal.issuer(), Some(ISSUER));
        assert_eq!(principal.scope(), &Scope::Subtree(subtree()));
        assert_eq!(
            harness.call(&harness.token(json!({}))).await.expect("a valid token").scope(),
            &Scope::Identity
        );
        // The same claims by hand: the tests below change them one by one.
        let by_hand = signed(Algorithm::HS256, Some(TYPE), &ASSIGNMENT_KEY, &claims(&json!({})));
        assert_eq!(harness.refusal(&by_hand).await, "welcome");
    }

    #[tokio::test]
    async fn assignment_token_expires_after_deadline_and_clock_skew() {
        let tokens = assignment_tokens(&ASSIGNMENT_KEY, SKEW);
        let deadline = Timestamp::from_micros((NOW + 300) * 1_000_000 + 1);
        let token = tokens.sign(subtree(), 1, deadline, at(NOW));
        let verified = |now| tokens.verify_by_known(&token, now).map(|_| ());
        // Also after the clock went back.
        for now in [at(0), at(NOW), deadline, deadline + SKEW] {
            assert_eq!(verified(now), Ok(()), "{now}");
        }
        assert_eq!(verified(at(NOW + 361)), Err(Refusal::Expired));
        let forever = tokens.sign(subtree(), 1, Timestamp::from_micros(i64::MAX), at(NOW));
        assert!(tokens.verify_by_known(&forever, at(NOW)).is_ok());

        let harness = Harness::start(&[]).await;
        let token = issued(&ASSIGNMENT_KEY);
        harness.clock.advance(Duration::from_secs(360));
        assert_eq!(harness.refusal(&token).await, "welcome");
        harness.clock.advance(Duration::from_secs(1));
        assert_eq!(harness.refusal(&token).await, "Token expired");
        assert_eq!(harness.sts.requests("/keys"), 0);
    }

    #[tokio::test]
    async fn assignment_tokens_expire_by_the_steady_clock() {
        let harness = Harness::start(&[]).await;
        let (ours, theirs) = (issued(&ASSIGNMENT_KEY), harness.token(json!({})));
        for (wall_ahead, judged) in
            [(0, "welcome"), (3_600, "Token expired"), (0, "welcome"), (-3_600, "welcome")]
        {
            harness.wall.set_ahead(wall_ahead);
            assert_eq!(harness.refusal(&ours).await, "welcome", "{wall_ahead}");
            assert_eq!(harness.refusal(&theirs).await, judged, "{wall_ahead}");
        }
        // Theirs was cached. A new one would be from the future.
        assert_eq!(harness.refusal(&harness.token(json!({"jti": "new"}))).await, INVALID);
    }

    #[tokio::test]
    async fn forged_assignment_tokens_are_refused_without_a_fetch() {
        let harness = Harness::start(&[]).await;
        let good = issued(&ASSIGNMENT_KEY);
        let parts: Vec<&str> = good.split('.').collect();
        let [head, payload, signature] = parts[..] else { panic!("three parts") };
        let encoded = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let other_payload = encoded(claims(&json!({"path": "1"})));
        let ours = |algorithm, typ, changes| signed(algorithm, typ, &ASSIGNMENT_KEY, &claims(&changes));
        let mut forged = vec![
            // Signed with another key.
            issued(&[0; KEY_BYTES]),
            signed(Algorithm::HS256, Some(TYPE), b"", &claims(&json!({}))),
            RSA.sign("rsa", &claims(&json!({}))),
            // Changed after signing.
            format!("{head}.{other_payload}.{signature}"),
            format!("{head}.{payload}."),
            format!("{head}.{payload}"),
            format!("{good}."),
            format!("{good}A"),
            // Another algorithm.
            format!("{}.{payload}.", encoded(json!({"typ": TYPE, "alg": "none"}))),
            format!("{}.{payload}.{signature}", encoded(json!({"typ": TYPE, "alg": "none"}))),
            format!("{}.{payload}.{signature}", encoded(json!({"typ": TYPE, "alg": "RS256", "kid": "rsa"}))),
            ours(Algorithm::HS384, Some(TYPE), json!({})),
            ours(Algorithm::HS512, Some(TYPE), json!({})),
            // Signed with our key, but not an assignment token.
            ours(Algorithm::HS256, Some("JWT"), json!({})),
            ours(Algorithm::HS256, None, json!({})),
        ];
        for name in ["sub", "run", "path", "att", "iat", "exp"] {
            forged.push(ours(Algorithm::HS256, Some(TYPE), json!({name: null})));
            forged.push(ours(Algorithm::HS256, Some(TYPE), json!({name: {}})));
        }
        // Our public keys as HMAC secrets.
        let jwk = RSA.jwk("rsa");
        for secret in [jwk["n"].as_str().expect("n").to_owned(), jwk.to_string()] {
            forged.push(signed(Algorithm::HS256, Some(TYPE), secret.as_bytes(), &claims(&json!({}))));
        }
        for token in &forged {
            assert_eq!(harness.refusal(token).await, INVALID, "{token}");
        }
        assert_eq!(harness.sts.requests("/keys"), 0);
    }

    #[tokio::test]
    async fn assignment_key_verifies_only_assignment_tokens() {
        let harness = Harness::start(&[]).await;
        // As if it came from the STS, whose keys are known.
        assert_eq!(harness.refusal(&harness.token(json!({}))).await, "welcome");
        for kid in [Some("rsa"), None] {
            let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::HS256) };
            let key = EncodingKey::from_secret(&ASSIGNMENT_KEY);
            let token = encode(&header, &harness.claims(), &key).expect("a token");
            assert!([INVALID, "Unable to fetch JWKS"].contains(&harness.refusal(&token).await));
        }
        let tokens = assignment_tokens(&ASSIGNMENT_KEY, SKEW);
        let foreign = signed(Algorithm::HS256, Some(TYPE), &ASSIGNMENT_KEY, &claims(&json!({"iss": "x"})));
        assert!(!AssignmentTokens::are_like(&foreign));
        assert!(tokens.verify_by_known(&foreign, at(NOW)).is_err());
    }

    #[test]
    fn malformed_token_does_not_claim_to_be_ours() {
        let payload = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        for token in ["", ".", "a.b.c", "..", "a.!.c"] {
            assert!(!AssignmentTokens::are_like(token), "{token}");
        }
        for text in ["", "7", "[]", "{}", r#"{"iss": 7}"#, r#"{"iss": "x"}"#] {
            assert!(!AssignmentTokens::are_like(&format!("a.{}.c", payload(text))), "{text}");
        }
        // An escaped issuer is the same issuer.
        let escaped = payload(r#"{"iss": "\u0075rn:jarvis:run-coordinator:assignment"}"#);
        assert!(AssignmentTokens::are_like(&format!("a.{escaped}.c")));
        assert!(!AssignmentTokens::are_like(&format!("a.{escaped}.{}", "c".repeat(LIMIT_BYTES))));
    }
}
