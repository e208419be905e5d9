//! The public keys that verify tokens, as read from a JWKS.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// One public key. It lives as long as a cached token was verified with it.
pub(super) struct VerifyingKey {
    jwk: Jwk,
    decoding: DecodingKey,
    algorithms: Vec<Algorithm>,
    withdrawn: AtomicBool,
}

impl VerifyingKey {
    /// `None` if the key is not for verifying signatures, or of an unknown kind: a
    /// JWKS may have keys for other purposes.
    fn from_jwk(jwk: Jwk) -> Option<Self> {
        match &jwk.common.public_key_use {
            None | Some(PublicKeyUse::Signature) => {}
            Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_)) => return None,
        }
        let operations = jwk.common.key_operations.as_deref();
        if operations.is_some_and(|operations| !operations.contains(&KeyOperations::Verify)) {
            return None;
        }
        let mut algorithms = algorithms_of(&jwk.algorithm).to_vec();
        if let Some(only) = jwk.common.key_algorithm {
            let only = Algorithm::try_from(only).ok()?;
            algorithms.retain(|algorithm| *algorithm == only);
        }
        if algorithms.is_empty() {
            return None;
        }
        let decoding = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { jwk, decoding, algorithms, withdrawn: AtomicBool::new(false) })
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    /// Whether the key's own type and `alg` permit `algorithm`.
    pub(super) fn suits(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// The STS no longer publishes this key.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Relaxed)
    }
}

/// The algorithms that a key of this type can verify: none for symmetric and
/// unknown types.
fn algorithms_of(parameters: &AlgorithmParameters) -> &'static [Algorithm] {
    if let AlgorithmParameters::RSA(_) = parameters {
        RSA
    } else if let AlgorithmParameters::EllipticCurve(key) = parameters {
        if key.curve == EllipticCurve::P256 {
            &[Algorithm::ES256]
        } else if key.curve == EllipticCurve::P384 {
            &[Algorithm::ES384]
        } else {
            &[]
        }
    } else if let AlgorithmParameters::OctetKeyPair(key) = parameters
        && key.curve == EllipticCurve::Ed25519
    {
        &[Algorithm::EdDSA]
    } else {
        &[]
    }
}

/// The usable keys of a JWKS, by `kid`.
#[derive(Default)]
pub(super) struct KeySet(HashMap<String, Arc<VerifyingKey>>);

impl KeySet {
    /// Reads a JWKS. A set without a usable key is an error: a fault of the STS is
    /// more likely than the wish to refuse all callers.
    pub(super) fn parse(document: &[u8]) -> Result<Self, String> {
        // One by one, because a key that cannot be read must not spoil the others.
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document =
            serde_json::from_slice(document).map_err(|error| format!("not a JWKS: {error}"))?;
        let mut keys = HashMap::new();
        for value in document.keys {
            let Ok(jwk) = serde_json::from_value::<Jwk>(value) else { continue };
            let Some(kid) = jwk.common.key_id.clone() else { continue };
            if let Some(key) = VerifyingKey::from_jwk(jwk) {
                keys.entry(kid).or_insert_with(|| Arc::new(key));
            }
        }
        if keys.is_empty() { Err("the JWKS has no usable key".to_owned()) } else { Ok(Self(keys)) }
    }

    /// This set as the successor of `old`. Keys that are in both stay the same
    /// object; keys that are gone are marked as withdrawn, so that the cache drops
    /// the tokens that they verified.
    pub(super) fn replacing(mut self, old: &Self) -> Self {
        for (kid, old) in &old.0 {
            match self.0.get_mut(kid) {
                Some(new) if new.jwk == old.jwk => *new = Arc::clone(old),
                Some(_) | None => old.withdrawn.store(true, Ordering::Relaxed),
            }
        }
        self
    }

    pub(super) fn get(&self, kid: &str) -> Option<Arc<VerifyingKey>> {
        self.0.get(kid).cloned()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::test_support::{EC, ED, RSA as RSA_SIGNER};

    fn parse(keys: &[Value]) -> Result<KeySet, String> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    #[test]
    fn key_set_has_only_signing_keys_with_a_kid() {
        let rsa = || RSA_SIGNER.jwk("good");
        let mut unusable: Vec<Value> = vec![
            json!(7),
            json!({"kty": "oct", "kid": "x", "k": "c2VjcmV0", "alg": "HS256"}),
            json!({"kty": "EC", "kid": "x", "crv": "secp256k1", "x": "AA", "y": "AA"}),
            json!({"kty": "OKP", "kid": "x", "crv": "X25519", "x": "AA"}),
            json!({"kty": "OKP", "kid": "x", "crv": "P-256", "x": "AA"}),
        ];
        for (member, value) in [
            ("use", json!("enc")),
            ("use", json!("tls")),
            ("alg", json!("RSA-OAEP")),
            ("alg", json!("ES256")),
            ("alg", json!("HS256")),
            ("key_ops", json!(["encrypt"])),
            ("n", json!("!")),
            ("kid", Value::Null),
        ] {
            let mut key = RSA_SIGNER.jwk("x");
            key[member] = value;
            unusable.push(key);
        }
        for key in &unusable {
            assert_eq!(
                parse(std::slice::from_ref(key)).err().as_deref(),
                Some("the JWKS has no usable key"),
                "{key}"
            );
        }
        unusable.push(rsa());
        let set = parse(&unusable).expect("one usable key is enough");
        assert_eq!(set.len(), 1);
        assert!(set.get("good").is_some());
        assert!(KeySet::parse(b"<html>").is_err());
        assert!(KeySet::parse(br#"{"keys":{}}"#).is_err());
    }

    #[test]
    fn key_suits_only_the_algorithms_of_its_type() {
        let mut any_rsa = RSA_SIGNER.jwk("any");
        any_rsa.as_object_mut().expect("an object").remove("alg");
        let set = parse(&[RSA_SIGNER.jwk("rsa"), EC.jwk("ec"), ED.jwk("ed"), any_rsa]).expect("keys");
        for (kid, expected) in [
            ("rsa", &[Algorithm::RS256][..]),
            ("ec", &[Algorithm::ES256]),
            ("ed", &[Algorithm::EdDSA]),
            ("any", RSA),
        ] {
            assert_eq!(set.get(kid).expect("a key").algorithms, expected, "{kid}");
        }
    }

    #[test]
    fn replaced_or_missing_key_is_withdrawn() {
        let old = parse(&[RSA_SIGNER.jwk("stays"), RSA_SIGNER.jwk("changes"), EC.jwk("goes")]).expect("keys");
        let new = parse(&[RSA_SIGNER.jwk("stays"), EC.jwk("changes"), EC.jwk("comes")]).expect("keys");
        let new = new.replacing(&old);
        let same =
            |kid: &str| new.get(kid).zip(old.get(kid)).is_some_and(|(new, old)| Arc::ptr_eq(&new, &old));
        assert!(same("stays") && !same("changes"));
        let withdrawn = |kid: &str| old.get(kid).expect("a key").is_withdrawn();
        assert!(!withdrawn("stays") && withdrawn("changes") && withdrawn("goes"));
        assert_eq!(new.len(), 3);
    }
}
