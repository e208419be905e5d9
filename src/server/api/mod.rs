//! The HTTP API: eleven operations of the ARP Standard.
//!
//! ```text
//!   http_server ──▶ endpoints ──▶ coordinator
//!                     take the request apart, wrap the answer
//!   openapi           the document, made from the endpoints
//! ```
//!
//! **Invariant:** what is documented is the standard's. The probes `/livez` and
//! `/readyz` are not part of it, and not in the document.

mod endpoints;
pub mod openapi;

pub(crate) use self::endpoints::endpoints;
