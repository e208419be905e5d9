//! Who is calling (contract §19): bearer JWTs, checked against the signing
//! keys of the token service (STS).
//!
//! A request goes through [`Authenticator::authenticate`] in this order:
//!
//! ```text
//! exempt path ──────────────────────────────────────────────▶ Exempt: [`Authenticator::visitor`] takes a good
//!                                                             token, else the anonymous (or dev) subject
//! mode disabled ────────────────────────────────────────────▶ the dev subject
//! no header ────────▶ optional: the anonymous subject │ required: 401
//! not `Bearer <token>` ─────────────────────────────────────▶ 401
//! remembered token, not expired, its key not withdrawn ─────▶ its principal
//! says that we issued it ───▶ our HMAC and its `exp`: a NodeRun's executor │ 401
//! header, `kid`, `alg` ▶ key ▶ signature ▶ times ▶ iss ▶ aud ▶ sub ▶ remembered
//! ```
//!
//! The signing keys are fetched when first needed, so the coordinator starts
//! without the STS. The life of the key cache:
//!
//! ```text
//!            first token                 landed
//!   EMPTY ───────────────▶ FETCHING ───────────────▶ FRESH ◀──────────────┐
//!     ▲                       │ (all wait for           │ 5 min           │
//!     │ 1 s                   │  the one fetch)         ▼                 │ landed
//!     └── FAILED ◀────────────┘                       STALE ─▶ REFRESHING ┘
//!         (401 at once,         failed                  ▲  (requests use the
//!          nobody is asked)                             │   old keys) │ failed
//!                                                       └── 10 s ◀────┘
//! ```
//!
//! In every state at most one fetch is under way. An unknown `kid` starts one
//! at most every 10 s and waits for no more than the one under way, so that a
//! rotated key is picked up and a flood of invented ones costs nothing.
//!
//! Tokens of our own are the `assignment`'s: HMACs with a key that nobody else
//! has. They cause no fetch and are not remembered: an HMAC takes no time.
//!
//! **Invariants.** Only this module makes a [`Principal`]. Of others' tokens a
//! symmetric algorithm is never accepted, and a key only verifies the algorithms of its
//! own type, so a public key cannot be used as an HMAC secret. A token without
//! `exp` is refused. No token is kept: memory holds its SHA-256. A token is
//! remembered no longer than it or its key is valid.

mod assignment;
mod authenticator;
mod bearer;
mod fetch;
mod jwks;
mod keys;
mod principal;
mod refusal;
mod token_cache;
mod verifier;

#[cfg(test)]
mod proptests;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;

pub use assignment::{AssignmentTokens, KEY_BYTES};
pub use authenticator::{Admission, Authenticator, Clocks};
pub use jwks::KeyStatus;
pub use principal::{Principal, Scope, Subtree};
pub use refusal::AuthError;
