//! The HTTP API: eleven operations of the ARP Standard.
//!
//! ```text
//! door             every request: route, authentication, limits, envelopes
//!   path             verbs after a colon
//!   front            its limits
//!   treatment        what it knows of each operation
//!   limits           who gets a place, of the server and of each principal
//!   connections      closes what is idle, stuck or too many (found by sockets)
//!   descriptors      leaves files for the rest of the process
//!   unread           takes in bodies that no endpoint reads
//!   request_scope    the caller on its way in, the error on its way out
//! endpoints        take the request apart, call the coordinator, wrap the answer
//!   body             JSON in, within body_timeout, checked by schema_check
//!   stream           lines out (without delay: socket_options)
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
mod connections;
mod context;
mod descriptors;
mod door;
mod endpoints;
mod errors;
mod front;
mod limits;
mod listen;
pub mod openapi;
mod path;
#[cfg(test)]
mod proptests;
mod request_scope;
mod schema_check;
mod socket_options;
mod sockets;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod treatment;
mod unread;

#[cfg(any(test, feature = "test-util"))]
pub use self::body::read_strictly;
pub use self::{
    context::ServerContext,
    errors::ApiError,
    front::{BodyBounds, Front, FrontLimits},
    listen::{Http, ListenConfig, serve},
    tls::Running,
};
