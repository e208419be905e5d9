//! Keeps the token of the caller that started a run, so that calls made for the
//! run can act for that caller, also after a restart (RFC 8693).
//!
//! ```text
//!   start ──token──▶ seal ──▶ RunRecord.subject_token ──▶ open ──▶ exchanged at each callee's audience
//!                     ▲              │                     │
//!              key (environment)     └─ gone when the run  └─ another key, another run: nothing is sent
//!                                       has ended
//! ```
//!
//! Sealed with AES-256-GCM under a random nonce. The id of the run is
//! authenticated with it: a sealed token that is moved to another run cannot be
//! opened.
//!
//! Secrets of webhooks are sealed in the same way, with the id of the webhook.
//!
//! **Invariant:** no journal, no backup, no log has the token itself.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::{Engine, prelude::BASE64_STANDARD};

use crate::{
    clients::{Subject, SubjectToken},
    record::SealedToken,
    types::RunId,
};

/// The length of the key.
const KEY_BYTES: usize = 32;

/// The key is not usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {KEY_BYTES} random bytes in base64 (openssl rand -base64 {KEY_BYTES})")]
pub struct KeyError;

/// Seals and opens small secrets. What a secret belongs to is authenticated with it.
pub struct Seal {
    key: RandomizedNonceKey,
}

impl Seal {
    /// From a key in base64.
    pub fn new(key: &str) -> Result<Self, KeyError> {
        let bytes = BASE64_STANDARD.decode(key.trim()).map_err(|_| KeyError)?;
        if bytes.len() != KEY_BYTES {
            return Err(KeyError);
        }
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| KeyError)?;
        Ok(Self { key })
    }

    /// The sealed secret; `None` if it cannot be sealed, which does not happen.
    pub fn seal(&self, owner: &str, secret: &str) -> Option<String> {
        let mut sealed = secret.as_bytes().to_vec();
        let nonce = self.key.seal_in_place_append_tag(Aad::from(owner), &mut sealed).ok()?;
        Some(BASE64_STANDARD.encode([&nonce.as_ref()[..], &sealed].concat()))
    }

    /// The secret; `None`: it was sealed with another key, or for another owner.
    pub fn open(&self, owner: &str, sealed: &str) -> Option<String> {
        let bytes = BASE64_STANDARD.decode(sealed).ok()?;
        let (nonce, text) = bytes.split_at_checked(NONCE_LEN)?;
        let mut text = text.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let secret = self.key.open_in_place(nonce, Aad::from(owner), &mut text).ok()?;
        std::str::from_utf8(secret).ok().map(str::to_owned)
    }
}

/// Seals and opens tokens of callers.
pub struct Delegation(Seal);

impl Delegation {
    /// From a key in base64.
    pub fn new(key: &str) -> Result<Self, KeyError> {
        Seal::new(key).map(Self)
    }

    /// The sealed token; `None` if it cannot be sealed, which does not happen.
    pub fn seal(&self, run: &RunId, token: &SubjectToken) -> Option<SealedToken> {
        self.0.seal(run.as_str(), token.expose()).map(SealedToken::new)
    }

    /// On whose behalf calls for a run are made.
    pub fn subject(&self, run: &RunId, sealed: Option<&SealedToken>) -> Subject {
        match sealed {
            None => Subject::Own,
            Some(sealed) => self.open(run, sealed).map_or(Subject::Lost, Subject::Caller),
        }
    }

    fn open(&self, run: &RunId, sealed: &SealedToken) -> Option<SubjectToken> {
        self.0.open(run.as_str(), sealed.as_str()).map(|token| SubjectToken::new(&token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> String {
        BASE64_STANDARD.encode([byte; KEY_BYTES])
    }

    #[test]
    fn sealed_token_is_opened_for_its_run_and_key_only() {
        let (delegation, other) =
            (Delegation::new(&key(1)).expect("a key"), Delegation::new(&key(2)).expect("a key"));
        let (run, token) = (RunId::new("run-1".to_owned()), SubjectToken::new("eyJ.the.token"));
        let sealed = delegation.seal(&run, &token).expect("sealed");
        assert!(!sealed.as_str().contains("token"));
        assert_ne!(delegation.seal(&run, &token), Some(sealed.clone()), "another nonce");
        assert_eq!(delegation.subject(&run, Some(&sealed)), Subject::Caller(token));
        assert_eq!(delegation.subject(&run, None), Subject::Own);
        for (delegation, run, sealed) in [
            (&other, "run-1", sealed.clone()),
            (&delegation, "run-2", sealed.clone()),
            (&delegation, "run-1", SealedToken::new(format!("A{}", &sealed.as_str()[1..]))),
            (&delegation, "run-1", SealedToken::new(sealed.as_str()[..8].to_owned())),
            (&delegation, "run-1", SealedToken::new("not base64".into())),
            (&delegation, "run-1", SealedToken::new(String::new())),
        ] {
            assert_eq!(
                delegation.subject(&RunId::new(run.to_owned()), Some(&sealed)),
                Subject::Lost,
                "{run}"
            );
        }
        assert_eq!(format!("{sealed:?}"), format!("SealedToken({} bytes)", sealed.as_str().len()));
    }

    #[test]
    fn key_is_32_bytes_of_base64() {
        for (text, good) in [
            (key(1).as_str(), true),
            (&format!(" {}\n", key(1)), true),
            ("", false),
            ("hush", false),
            (&BASE64_STANDARD.encode([1; 16]), false),
        ] {
            assert_eq!(Delegation::new(text).is_ok(), good, "{text}");
        }
    }
}
