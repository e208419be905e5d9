//! The HTTP API: eleven operations of the ARP Standard.
//!
//! ```text
//! door             every request: route, authentication, limits, envelopes
//!   path             verbs after a colon
//!   front            its limits
//!   concurrency      limits of concurrent requests and streams
//!   connections      closes idle connections (found by sockets)
//!   request_scope    the caller on its way in, the error on its way out
//! endpoints        take the request apart, call the coordinator, wrap the answer
//!   body             JSON in, within body_timeout, checked by schema_check
//!   stream           lines out (without delay: nodelay)
//!   errors           failures out
//! tls              replaces certificates, counts failed handshakes
//! openapi          the document, made from the endpoints
//! ```
//!
//! **Invariant:** no decision is made here. An endpoint that is not public takes
//! a `Caller`, which only the door can provide; the coordinator requires its
//! principal in turn.

mod body;
mod body_timeout;
mod concurrency;
mod connections;
mod context;
mod door;
mod endpoints;
mod errors;
mod front;
mod listen;
mod nodelay;
pub mod openapi;
mod path;
#[cfg(test)]
mod proptests;
mod request_scope;
mod schema_check;
mod sockets;
mod stream;
#[cfg(test)]
mod tests;
mod tls;

#[cfg(any(test, feature = "test-util"))]
pub use self::body::read_strictly;
pub use self::{
    context::ServerContext,
    errors::ApiError,
    front::{Front, FrontLimits},
    listen::{Http, ListenConfig, serve},
    tls::Running,
};
