//! The HTTP server that both APIs stand on: the front door, bodies, envelopes,
//! limits, TLS.
//!
//! ```text
//! door             every request: route, authentication, limits, envelopes
//!   hosts            under which names, and from which pages, it may be asked for
//!   path             verbs after a colon
//!   front            its limits
//!   treatment        what it knows of each operation
//!   limits           who gets a place, of the server and of each principal
//!   connections      closes what is idle, stuck or too many (found by sockets)
//!   descriptors      leaves files for the rest of the process
//!   unread           takes in bodies that no endpoint reads
//!   request_scope    the caller on its way in, the error on its way out
//! context          what endpoints have: the coordinator, the authenticator, health
//!   body             JSON in, within body_timeout, checked by schema_check
//!   query            parameters in, labels too
//!   stream           lines out (without delay: socket_options)
//!   prefer           a run when it has ended: `Prefer: wait`
//!   errors           failures out; repeated ones are one line of the log (folds)
//!   probes           is it alive, is it ready
//! tls              replaces certificates, counts failed handshakes
//! openapi          the document, made from the endpoints
//! ```
//!
//! `api` and `operator` have the endpoints, and nothing of this twice.
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
mod errors;
mod folds;
mod front;
mod hosts;
mod limits;
mod listen;
mod openapi;
mod path;
mod prefer;
mod probes;
#[cfg(test)]
mod proptests;
mod query;
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
pub(crate) use self::{
    body::{Json, RequestBody, request_bodies},
    openapi::document,
    prefer::{PreferWait, RunAnswer, Waiting},
    probes::{Probe, live, ready},
    query::{LabelParams, Params},
    request_scope::Caller,
    schema_check::BodySchema,
    stream::{Ndjson, StreamQuery},
};
pub use self::{
    context::ServerContext,
    errors::ApiError,
    front::{BodyBounds, Front, FrontLimits},
    hosts::Hosts,
    listen::{Http, ListenConfig, serve},
    tls::Running,
};
