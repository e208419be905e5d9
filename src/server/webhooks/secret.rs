//! Secrets and signatures, as Standard Webhooks has them: HMAC-SHA256 over the id, the
//! time and the body, keyed with what is behind `whsec_` in base64.

use std::fmt;

use aws_lc_rs::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use base64::{Engine, prelude::BASE64_STANDARD};

const PREFIX: &str = "whsec_";

/// The length of a secret that is made here.
const BYTES: usize = 32;
/// The lengths that are accepted.
const BYTES_MIN: usize = 24;
const BYTES_MAX: usize = 64;

/// The key of signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

/// The text is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret is {PREFIX} and {BYTES_MIN} to {BYTES_MAX} random bytes in base64")]
pub struct BadSecret;

impl SigningSecret {
    /// Makes one at random; `None` if the system has no randomness.
    pub fn generate() -> Option<Self> {
        let mut bytes = vec![0; BYTES];
        SystemRandom::new().fill(&mut bytes).ok()?;
        Some(Self(bytes))
    }

    pub fn parse(text: &str) -> Result<Self, BadSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(BadSecret)?;
        if encoded.len() > 2 * BYTES_MAX {
            return Err(BadSecret);
        }
        let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| BadSecret)?;
        let is_of_length = (BYTES_MIN..=BYTES_MAX).contains(&bytes.len());
        if is_of_length { Ok(Self(bytes)) } else { Err(BadSecret) }
    }

    /// The secret as its holder needs it.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}", BASE64_STANDARD.encode(&self.0))
    }

    /// The value of `webhook-signature`.
    pub(super) fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let mut context = hmac::Context::with_key(&key);
        for part in [id, ".", &timestamp.to_string(), ".", body] {
            context.update(part.as_bytes());
        }
        format!("v1,{}", BASE64_STANDARD.encode(context.sign()))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification of Standard Webhooks.
    #[test]
    fn signature_is_that_of_standard_webhooks() {
        let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(format!("{secret:?}"), "SigningSecret(***)");
    }

    #[test]
    fn secret_has_a_prefix_and_a_length() {
        let of = |bytes: usize| format!("{PREFIX}{}", BASE64_STANDARD.encode(vec![7; bytes]));
        for (text, good) in [
            (of(24), true),
            (of(64), true),
            (of(23), false),
            (of(65), false),
            (of(9_000), false),
            (of(32).replace("whsec_", ""), false),
            ("whsec_".into(), false),
            ("whsec_%%%".into(), false),
            (String::new(), false),
        ] {
            assert_eq!(SigningSecret::parse(&text).map(|secret| secret.expose()).ok(), good.then_some(text));
        }
        let (one, other) = (SigningSecret::generate().expect("one"), SigningSecret::generate().expect("one"));
        assert_ne!(one, other);
        assert_eq!(SigningSecret::parse(&one.expose()), Ok(one));
    }
}
