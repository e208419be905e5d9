//! The checks of a token. Pure: callers pass the key and `now`.

use std::time::Duration;

use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::{
    keys::VerifyingKey,
    principal::{Principal, Roles},
    refusal::Refusal,
};
use crate::{config::AuthSettings, record::Identity, time::Timestamp};

/// The longest token that is looked at. Real ones have one or two kilobytes.
pub(super) const LIMIT_BYTES: usize = 16 * 1024;

/// The longest issuer, subject, client or tenant, in bytes. Each event of a run
/// names its actor, so an identity must not be as long as a token may be. (OpenID
/// allows subjects of 255 bytes.)
pub const NAME_BYTES: usize = 512;

type Claims = Map<String, Value>;

pub(super) struct Verifier {
    algorithms: Vec<Algorithm>,
    issuer: Option<String>,
    audience: Option<String>,
    skew: Duration,
    tenant_claim: String,
    roles_claim: String,
}

/// The header of a token: what it claims about its signature.
#[derive(Debug)]
pub(super) struct TokenHead {
    pub(super) kid: String,
    algorithm: Algorithm,
}

/// A valid token.
pub(super) struct Verified {
    pub(super) principal: Principal,
    /// `exp` plus the clock skew.
    pub(super) expires: Timestamp,
}

impl Verifier {
    pub(super) fn new(settings: &AuthSettings) -> Self {
        Self {
            algorithms: settings.algorithms.clone(),
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            skew: settings.clock_skew,
            tenant_claim: settings.tenant_claim.clone(),
            roles_claim: settings.roles_claim.clone(),
        }
    }

    /// Checks all that needs no key, so that a token that cannot be valid does not
    /// cause a fetch.
    pub(super) fn head(&self, token: &str) -> Result<TokenHead, Refusal> {
        if token.len() > LIMIT_BYTES {
            return Err(Refusal::Invalid("token too long"));
        }
        // `none` and unknown algorithms are refused here.
        let header = decode_header(token).map_err(|_| Refusal::Invalid("unreadable token header"))?;
        let kid = header.kid.ok_or(Refusal::NoKey("token names no signing key"))?;
        if !self.algorithms.contains(&header.alg) {
            return Err(Refusal::Invalid("algorithm not allowed"));
        }
        if header.crit.is_some() {
            // It requires unknown extensions (RFC 7515, section 4.1.11).
            return Err(Refusal::Invalid("token has critical headers"));
        }
        Ok(TokenHead { kid, algorithm: header.alg })
    }

    pub(super) fn verify(
        &self,
        token: &str,
        head: &TokenHead,
        key: &VerifyingKey,
        now: Timestamp,
    ) -> Result<Verified, Refusal> {
        if !key.suits(head.algorithm) {
            return Err(Refusal::Invalid("algorithm does not match the key"));
        }
        // The library checks the signature only. It would check the claims by the
        // machine's clock, and would distinguish a missing claim from a wrong one
        // differently from the contract.
        let mut signature_only = Validation::new(head.algorithm);
        signature_only.required_spec_claims.clear();
        signature_only.validate_exp = false;
        signature_only.validate_aud = false;
        let claims = decode::<Claims>(token, key.decoding(), &signature_only)
            .map_err(|_| Refusal::Invalid("bad signature or payload"))?
            .claims;
        self.check_claims(&claims, now)
    }

    fn check_claims(&self, claims: &Claims, now: Timestamp) -> Result<Verified, Refusal> {
        for name in ["iat", "nbf"] {
            if let Some(value) = claims.get(name) {
                let from = instant(value).ok_or(Refusal::Invalid("a time is not a number"))?;
                if from > now + self.skew {
                    return Err(Refusal::Invalid("token is not valid yet"));
                }
            }
        }
        let exp = claims.get("exp").ok_or(Refusal::Invalid("token without exp"))?;
        let expires = instant(exp).ok_or(Refusal::Invalid("a time is not a number"))? + self.skew;
        if expires <= now {
            return Err(Refusal::Expired);
        }
        if let Some(issuer) = &self.issuer {
            let claim = claims.get("iss").ok_or(Refusal::Invalid("token without iss"))?;
            if claim.as_str() != Some(issuer) {
                return Err(Refusal::Issuer);
            }
        }
        if let Some(audience) = &self.audience {
            check_audience(claims.get("aud"), audience)?;
        }
        Ok(Verified { principal: self.principal(claims)?, expires })
    }

    fn principal(&self, claims: &Claims) -> Result<Principal, Refusal> {
        let client = text(claims, "azp")?.or(text(claims, "client_id")?);
        if claims.get("sub").is_some_and(|sub| !sub.is_string()) {
            return Err(Refusal::Invalid("sub is not a string"));
        }
        // Some token services leave `sub` out of the token of a client. The prefix
        // prevents a user with the name of a client from being taken for it.
        let subject = text(claims, "sub")?
            .or_else(|| client.as_ref().map(|id| format!("client:{id}")))
            .ok_or(Refusal::Invalid("token names neither subject nor client"))?;
        let tenant = found(claims, &self.tenant_claim).and_then(Value::as_str).map(str::to_owned);
        let tenant = bounded(tenant)?;
        let identity = Identity { issuer: text(claims, "iss")?, subject, client, tenant };
        Ok(Principal::verified(identity, found(claims, &self.roles_claim).map(roles).unwrap_or_default()))
    }
}

/// An empty claim counts as missing.
fn check_audience(claim: Option<&Value>, audience: &str) -> Result<(), Refusal> {
    let missing = Refusal::Invalid("token without aud");
    let for_us = match claim {
        None | Some(Value::Null) => return Err(missing),
        Some(Value::String(one)) if one.is_empty() => return Err(missing),
        Some(Value::Array(many)) if many.is_empty() => return Err(missing),
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(many)) => {
            many.iter().all(Value::is_string) && many.iter().any(|one| one.as_str() == Some(audience))
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => false,
    };
    if for_us { Ok(()) } else { Err(Refusal::Audience) }
}

/// A claim that is text and not empty.
fn text(claims: &Claims, name: &str) -> Result<Option<String>, Refusal> {
    bounded(claims.get(name).and_then(Value::as_str).map(str::to_owned))
}

fn bounded(name: Option<String>) -> Result<Option<String>, Refusal> {
    match name {
        Some(name) if name.len() > NAME_BYTES => Err(Refusal::Invalid("a name in the token is too long")),
        name => Ok(name.filter(|name| !name.is_empty())),
    }
}

/// The claim of this name, or the member of an object that it leads to: `a.b`.
fn found<'c>(claims: &'c Claims, name: &str) -> Option<&'c Value> {
    claims.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        rest.split('.').try_fold(claims.get(first)?, |value, member| value.get(member))
    })
}

/// The roles of a claim: a list of names, or names separated by spaces.
fn roles(claim: &Value) -> Roles {
    match claim {
        Value::String(names) => Roles::of(names.split_ascii_whitespace()),
        Value::Array(names) => Roles::of(names.iter().filter_map(Value::as_str)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Roles::default(),
    }
}

/// A NumericDate, to the whole second. One out of range becomes the first or last
/// instant.
fn instant(value: &Value) -> Option<Timestamp> {
    let seconds = value.as_f64()?.trunc();
    // The cast saturates.
    Some(Timestamp::from_micros((seconds * 1e6) as i64))
}
