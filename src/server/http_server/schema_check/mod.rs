//! Checks a request's body against the schema of its type.
//!
//! ```text
//!   type ── JSON Schema ──▶ BodySchema (compiled once)
//!                               │ how far to read      │ what to check
//!   text ───────────────────────┴──▶ Tree ─────────────┴──▶ errors, or the type
//! ```
//!
//! A general JSON Schema validator is not what the contract asks for
//! (contract §3.2, §3.6): `null` for an optional member counts as absent, `1.0`
//! is not an integer, an integer of any size is one, and errors have the words
//! of pydantic, which callers know. The ARP types use little of JSON Schema, so
//! walking it is simple; what they do not use is refused when a schema is
//! compiled.
//!
//! A valid body costs one walk and no allocation.

mod check;
mod schema;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use self::schema::BodySchema;
pub(super) use self::{check::MAX_NAME, tree::Tree};
