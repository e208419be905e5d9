//! Inbound authentication (contract §19): who sends a request. Callers send bearer
//! JWTs, which are verified with the signing keys of the token service (STS).
//!
//! [`Authenticator::authenticate`] handles a request in this order:
//!
//! ```text
//! exempt path ──────────────────────────────────────────────▶ Exempt: [`Authenticator::caller_of_exempt_path`] uses a valid
//!                                                             token, else the anonymous (or dev) subject
//! mode disabled ────────────────────────────────────────────▶ the dev subject
//! no header ────────▶ optional: the anonymous subject │ required: 401
//! not `Bearer <token>` ─────────────────────────────────────▶ 401
//! cached token, not expired, its key not withdrawn ─────────▶ its principal
//! `iss` is ours ───▶ our HMAC and `exp`: the executor of a NodeRun │ 401
//! header, `kid`, `alg` ▶ key ▶ signature ▶ times ▶ iss ▶ aud ▶ sub ▶ cached
//! ```
//!
//! The signing keys are fetched when they are first needed, so the coordinator
//! starts without the STS. The cache of keys:
//!
//! ```text
//!            first token                 fetched
//!   EMPTY ───────────────▶ FETCHING ───────────────▶ FRESH ◀──────────────┐
//!     ▲                       │ (all wait for           │ 5 min           │
//!     │ 1 s                   │  this one fetch)        ▼                 │ fetched
//!     └── FAILED ◀────────────┘                       STALE ─▶ REFRESHING ┘
//!         (401 at once,         failed                  ▲  (requests use the
//!          no request is sent)                          │   old keys) │ failed
//!                                                       └── 10 s ◀────┘
//! ```
//!
//! In every state at most one fetch is under way. An unknown `kid` starts a fetch
//! at most every 10 s, and waits for one fetch at most: a rotated key is picked up,
//! and a flood of invented key ids costs nothing.
//!
//! Assignment tokens are our own (`assignment`): HMACs with a key that only the
//! coordinator has. They cause no fetch and are not cached: an HMAC is fast.
//!
//! **Invariants.** Only this module makes a [`Principal`]. For tokens of the STS a
//! symmetric algorithm is never accepted, and a key verifies only the algorithms of
//! its own type, so a public key cannot be used as an HMAC secret. A token without
//! `exp` is refused. No token is kept: the cache holds its SHA-256. A token stays in
//! the cache no longer than the token and its key are valid.

mod assignment;
mod authenticator;
mod bearer;
mod fetch;
mod jwks;
mod keyring;
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

pub use assignment::{AssignmentTokens, KeySource};
pub use authenticator::{Admission, Authenticator, Clocks, Parts};
pub use fetch::count_keys;
pub use jwks::KeyStatus;
pub use keyring::{Keyring, KeyringError, OldKeys, Rotated};
pub use principal::{Principal, Roles, Scope, Subtree};
pub use refusal::AuthError;
pub use verifier::NAME_BYTES;
