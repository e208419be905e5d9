//! Typed clients of the services around us, generated from `openapi/*.yaml`, and
//! what all of their calls share: the bearer token for the service, the limits
//! of its answers, and one error type.
//!
//! ```text
//!   services ──▶ Client::call ──▶ Peer::authorize ──▶ Peer::execute ──▶ service
//!                                      ▲ another token │ 401, once
//!                                      └───────────────┘
//!            ◀── CallError { service, failure } ◀── any failure, any body
//! ```
//!
//! A call has no time limit of its own: callers know the deadline and pass it to
//! [`call_within`] or keep a [`CallTimeout`].
//!
//! Programs that call a coordinator use [`coordinator`] and [`RunEvents`]
//! (`examples/start_and_follow.rs`). With the feature `client` alone, the client
//! of the coordinator is the only one.

mod bearer;
mod bounded;
#[cfg(feature = "server")]
mod call_timeout;
#[cfg(feature = "server")]
mod causes;
mod envelope;
mod error;
mod generated;
mod http;
pub(crate) mod path;
mod peer;
#[cfg(feature = "server")]
mod permit;
#[cfg(test)]
mod proptests;
#[cfg(feature = "server")]
mod redacted;
mod run_events;
mod service;
#[cfg(feature = "server")]
mod subject;
#[cfg(feature = "server")]
mod tokens;
pub mod verbatim;

use std::time::Duration;

#[cfg(feature = "server")]
pub use call_timeout::{CallTimeout, call_within};
#[cfg(feature = "server")]
pub(crate) use causes::with_causes;
pub use error::{CallError, Failure, NotSent};
pub use generated::*;
pub use http::http_client;
#[cfg(feature = "server")]
pub use http::http_client_with_tls;
#[cfg(feature = "server")]
pub use peer::CallObserver;
pub use peer::Peer;
#[cfg(feature = "server")]
pub use permit::Permit;
pub use run_events::RunEvents;
pub use service::Service;
#[cfg(feature = "server")]
pub use subject::{Subject, SubjectToken};
#[cfg(feature = "server")]
pub use tokens::{ClientSecret, TokenSource, TokenSourceOptions};

/// A client of a coordinator, for a program that calls nothing else.
pub fn coordinator(url: &str, token: Option<&str>) -> Result<run_coordinator::Client, String> {
    Ok(coordinator_over(http_client(CONNECT_TIMEOUT)?, url, token))
}

/// As [`coordinator`], over this HTTP client.
pub fn coordinator_over(http: reqwest::Client, url: &str, token: Option<&str>) -> run_coordinator::Client {
    let peer = match token {
        Some(token) => Peer::with_token(Service::RunCoordinator, token),
        None => Peer::anonymous(Service::RunCoordinator),
    };
    run_coordinator::Client::new_with_client(url, http, peer)
}

/// A client of a coordinator's operator API, over this HTTP client.
#[cfg(feature = "server")]
pub fn operator_over(http: reqwest::Client, url: &str, token: Option<&str>) -> operator::Client {
    let peer = match token {
        Some(token) => Peer::with_token(Service::Operator, token),
        None => Peer::anonymous(Service::Operator),
    };
    operator::Client::new_with_client(url, http, peer)
}

/// The time limit for connecting to a coordinator.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
