//! Typed clients of the services around us, generated from `openapi/*.yaml`
//! (see `build.rs`), and what all of their calls share: the bearer token of the
//! callee's audience, and one error type.
//!
//! ```text
//!   dispatch, policy, outbox ──▶ Client::operation(…) ──▶ Peer::authorize ──▶ Peer::send ──▶ service
//!                          ◀── CallError { code, message, … } ◀── any failure, any body
//! ```
//!
//! No call has a time limit of its own here: whoever calls knows the deadline.

mod error;
mod tokens;

use std::{sync::Arc, time::Duration};

pub use error::CallError;
pub use tokens::{TokenSource, TokenSourceOptions};

macro_rules! clients {
    ($($name:ident)*) => { $(
        #[allow(clippy::all, clippy::unwrap_used, unreachable_pub, unused, rustdoc::all, reason = "generated code is not ours to format")]
        pub mod $name {
            include!(concat!(env!("OUT_DIR"), "/", stringify!($name), ".rs"));

            impl ClientHooks<crate::clients::Peer> for Client {
                async fn pre<E>(&self, request: &mut reqwest::Request, _: &OperationInfo) -> Result<(), Error<E>> {
                    self.inner().authorize(request).await.map_err(Error::Custom)
                }
                async fn exec(
                    &self,
                    request: reqwest::Request,
                    _: &OperationInfo,
                ) -> reqwest::Result<reqwest::Response> {
                    error::as_envelope(self.client().execute(request).await?).await
                }
            }
            use crate::clients::error;
        }
    )* };
}
clients! {
    artifact_store
    atomic_executor
    composite_executor
    event_stream
    node_registry
    pdp
    run_coordinator
    run_store
    selection
}

/// The other end of a client: who it is, and how we prove who we are.
#[derive(Clone, Debug)]
pub struct Peer {
    pub service: Service,
    token: Credential,
}

#[derive(Clone, Debug)]
enum Credential {
    None,
    Fixed(Arc<str>),
    Audience(Arc<TokenSource>, Arc<str>),
}

/// The services that we have clients for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    ArtifactStore,
    AtomicExecutor,
    CompositeExecutor,
    EventStream,
    NodeRegistry,
    Pdp,
    RunCoordinator,
    RunStore,
    Selection,
}

impl Service {
    /// As messages name it (contract §17.1).
    pub fn label(self) -> &'static str {
        match self {
            Self::ArtifactStore => "Artifact Store",
            Self::AtomicExecutor => "Atomic Executor",
            Self::CompositeExecutor => "Composite Executor",
            Self::EventStream => "Event Stream",
            Self::NodeRegistry => "Node Registry",
            Self::Pdp => "PDP",
            Self::RunCoordinator => "Run Coordinator",
            Self::RunStore => "Run Store",
            Self::Selection => "Selection",
        }
    }

    /// As codes name it: `<name>_unavailable`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ArtifactStore => "artifact_store",
            Self::AtomicExecutor => "atomic_executor",
            Self::CompositeExecutor => "composite_executor",
            Self::EventStream => "event_stream",
            Self::NodeRegistry => "node_registry",
            Self::Pdp => "pdp",
            Self::RunCoordinator => "run_coordinator",
            Self::RunStore => "run_store",
            Self::Selection => "selection",
        }
    }
}

impl Peer {
    /// A service that is called without credentials.
    pub fn anonymous(service: Service) -> Self {
        Self { service, token: Credential::None }
    }

    /// A service that is called with this bearer token.
    pub fn with_token(service: Service, token: &str) -> Self {
        Self { service, token: Credential::Fixed(token.into()) }
    }

    /// A service that is called with tokens for its audience.
    pub fn with_audience(service: Service, tokens: Arc<TokenSource>, audience: &str) -> Self {
        Self { service, token: Credential::Audience(tokens, audience.into()) }
    }

    async fn authorize(&self, request: &mut reqwest::Request) -> Result<(), String> {
        let token: Arc<str> = match &self.token {
            Credential::None => return Ok(()),
            Credential::Fixed(token) => Arc::clone(token),
            Credential::Audience(tokens, audience) => tokens.token(audience).await?,
        };
        let mut value = reqwest::header::HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| "the token has characters that no header may have".to_owned())?;
        value.set_sensitive(true);
        request.headers_mut().insert(reqwest::header::AUTHORIZATION, value);
        Ok(())
    }
}

/// The one pool of connections to all services.
///
/// Redirects are not followed: no service of the stack sends any, and a token
/// must not travel to where somebody else points.
pub fn http_client(connect_timeout: Duration) -> Result<reqwest::Client, String> {
    reqwest::Client::builder()
        .connect_timeout(connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .pool_idle_timeout(Duration::from_secs(60))
        .tcp_nodelay(true)
        .build()
        .map_err(|error| format!("cannot set up the HTTP client: {error}"))
}
