//! Typed clients of the services around us, generated from `openapi/*.yaml`
//! (see `build.rs`), and what all of their calls share: the bearer token of the
//! callee's audience, and one error type.
//!
//! ```text
//!   dispatch, policy, outbox ──▶ Client::operation(…) ──▶ Peer::authorize ──▶ Peer::execute ──▶ service
//!                                                              ▲ another token │ 401, once
//!                                                              └───────────────┘
//!                          ◀── CallError { code, message, … } ◀── any failure, any body
//! ```
//!
//! No call has a time limit of its own here: whoever calls knows the deadline.
//!
//! Programs that call a coordinator want [`coordinator`] and [`RunEvents`]
//! (`examples/start_and_follow.rs`). With the feature `client` alone there is
//! no other client than that.

mod bounded;
mod error;
pub(crate) mod path;
#[cfg(feature = "server")]
mod permit;
#[cfg(test)]
mod proptests;
mod run_events;
#[cfg(feature = "server")]
mod tokens;
pub mod verbatim;

use std::{sync::Arc, time::Duration};

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};

pub use error::CallError;
#[cfg(feature = "server")]
pub use permit::Permit;
pub use run_events::RunEvents;
#[cfg(feature = "server")]
pub use tokens::{TokenSource, TokenSourceOptions};

use crate::types::JSON_LEVELS_MAX;

macro_rules! clients {
    ($($(#[$when:meta])? $name:ident)*) => { $(
        $(#[$when])?
        #[allow(clippy::all, clippy::unwrap_used, unreachable_pub, unused, rustdoc::all, reason = "generated code is not ours to format")]
        pub mod $name {
            include!(concat!(env!("OUT_DIR"), "/", stringify!($name), ".rs"));

            impl ClientHooks<crate::clients::Peer> for Client {
                async fn pre<E>(&self, request: &mut reqwest::Request, _: &OperationInfo) -> Result<(), Error<E>> {
                    path::refuse_marked(request).map_err(Error::InvalidRequest)?;
                    self.inner().authorize(request).await.map_err(Error::Custom)
                }
                async fn exec(
                    &self,
                    request: reqwest::Request,
                    _: &OperationInfo,
                ) -> reqwest::Result<reqwest::Response> {
                    error::as_envelope(self.inner().execute(self.client(), request).await?).await
                }
            }
            use crate::clients::{error, path};

            #[cfg(feature = "server")]
            impl Client {
                /// The same, for calls that are sent only while the permit stands.
                pub(crate) fn with_permit(&self, permit: &crate::clients::Permit) -> Self {
                    Self { inner: self.inner.with_permit(permit), ..self.clone() }
                }
            }
        }
    )* };
}
clients! {
    run_coordinator
    #[cfg(feature = "server")] artifact_store
    #[cfg(feature = "server")] atomic_executor
    #[cfg(feature = "server")] composite_executor
    #[cfg(feature = "server")] event_stream
    #[cfg(feature = "server")] node_registry
    #[cfg(feature = "server")] pdp
    #[cfg(feature = "server")] run_store
    #[cfg(feature = "server")] selection
}

/// The other end of a client: who it is, and how we prove who we are.
#[derive(Clone, Debug)]
pub struct Peer {
    pub service: Service,
    token: Credential,
    /// Its answers may have so many bytes. `None`: as many as it likes.
    max_answer_bytes: Option<usize>,
    /// Without which nothing is sent; `None`: that is not asked.
    #[cfg(feature = "server")]
    permit: Option<Permit>,
}

#[derive(Clone, Debug)]
enum Credential {
    None,
    Fixed(Arc<str>),
    #[cfg(feature = "server")]
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
        Self::new(service, Credential::None)
    }

    /// A service that is called with this bearer token.
    pub fn with_token(service: Service, token: &str) -> Self {
        Self::new(service, Credential::Fixed(token.into()))
    }

    /// A service that is called with tokens for its audience.
    #[cfg(feature = "server")]
    pub fn with_audience(service: Service, tokens: Arc<TokenSource>, audience: &str) -> Self {
        Self::new(service, Credential::Audience(tokens, audience.into()))
    }

    /// The same, but answers are not read beyond so many bytes.
    #[must_use]
    pub fn answers_within(self, bytes: usize) -> Self {
        Self { max_answer_bytes: Some(bytes), ..self }
    }

    /// The same, for calls that are sent only while the permit stands.
    #[cfg(feature = "server")]
    pub(crate) fn with_permit(&self, permit: &Permit) -> Self {
        Self { permit: Some(permit.clone()), ..self.clone() }
    }

    fn new(service: Service, token: Credential) -> Self {
        Self {
            service,
            token,
            max_answer_bytes: None,
            #[cfg(feature = "server")]
            permit: None,
        }
    }

    async fn authorize(&self, request: &mut reqwest::Request) -> Result<(), String> {
        let token: Arc<str> = match &self.token {
            Credential::None => return Ok(()),
            Credential::Fixed(token) => Arc::clone(token),
            #[cfg(feature = "server")]
            Credential::Audience(tokens, audience) => tokens.token(audience).await?,
        };
        // The token may have taken its time.
        #[cfg(feature = "server")]
        if let Some(permit) = &self.permit {
            permit.check().map_err(|withdrawn| withdrawn.to_string())?;
        }
        bear(request, &token)
    }

    /// Sends a request that has been authorized.
    async fn execute(
        &self,
        http: &reqwest::Client,
        request: reqwest::Request,
    ) -> reqwest::Result<reqwest::Response> {
        let levels_max = self.levels_max(&request);
        let answer = self.send(http, request).await?;
        Ok(match (self.max_answer_bytes, levels_max) {
            (None, _) => answer,
            (Some(limit), Some(levels)) if answer.status().is_success() => {
                bounded::json(answer, limit, levels)
            }
            (Some(limit), Some(_) | None) => bounded::body(answer, limit),
        })
    }

    /// How deep the answer to this may be nested; `None`: it need not be JSON.
    fn levels_max(&self, request: &reqwest::Request) -> Option<u32> {
        match self.service {
            // An artifact is any bytes; about artifacts it speaks JSON.
            Service::ArtifactStore => request.headers().contains_key(ACCEPT).then_some(JSON_LEVELS_MAX),
            Service::AtomicExecutor
            | Service::CompositeExecutor
            | Service::NodeRegistry
            | Service::Pdp
            | Service::Selection => Some(JSON_LEVELS_MAX),
            // These give back what we have made of requests and answers.
            Service::EventStream | Service::RunCoordinator | Service::RunStore => Some(RECORD_LEVELS_MAX),
        }
    }

    async fn send(
        &self,
        http: &reqwest::Client,
        request: reqwest::Request,
    ) -> reqwest::Result<reqwest::Response> {
        #[cfg(feature = "server")]
        {
            let bind = |request| match &self.permit {
                Some(permit) => permit.bind(request),
                None => request,
            };
            match &self.token {
                Credential::None | Credential::Fixed(_) => http.execute(bind(request)).await,
                Credential::Audience(tokens, audience) => {
                    let send = |request| http.execute(bind(request));
                    tokens.execute(audience, request, send).await
                }
            }
        }
        #[cfg(not(feature = "server"))]
        http.execute(request).await
    }
}

/// Runs, node runs and events wrap what a request or an executor brought into
/// some levels more (an error's details are in its node's extensions, say).
const RECORD_LEVELS_MAX: u32 = JSON_LEVELS_MAX + 20;

const BEARER: &str = "Bearer ";

fn bear(request: &mut reqwest::Request, token: &str) -> Result<(), String> {
    let mut value = HeaderValue::try_from(format!("{BEARER}{token}"))
        .map_err(|_| "the token has characters that no header may have".to_owned())?;
    value.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, value);
    Ok(())
}

/// A client of a coordinator, for a program that calls nothing else.
pub fn coordinator(url: &str, token: Option<&str>) -> Result<run_coordinator::Client, String> {
    let peer = match token {
        Some(token) => Peer::with_token(Service::RunCoordinator, token),
        None => Peer::anonymous(Service::RunCoordinator),
    };
    Ok(run_coordinator::Client::new_with_client(url, http_client(CONNECT_WITHIN)?, peer))
}

const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How long a connection is kept that nobody uses. The Python services close
/// theirs after five seconds: a request that is just on its way then is lost,
/// and nobody may know whether to send it again.
const IDLE: Duration = Duration::from_secs(4);

/// The one pool of connections to all services.
///
/// Redirects are not followed: no service of the stack sends any, and a token
/// must not travel to where somebody else points.
///
/// The environment's proxies are used, but never for this machine itself: a
/// service on loopback is not to be found from anywhere else.
pub fn http_client(connect_timeout: Duration) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder();
    for proxy in proxies(|name| std::env::var(name).ok()) {
        builder = builder.proxy(proxy);
    }
    builder
        .connect_timeout(connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .pool_idle_timeout(IDLE)
        .tcp_nodelay(true)
        .build()
        .map_err(|error| format!("cannot set up the HTTP client: {error}"))
}

const NEVER_PROXIED: &str = "localhost,127.0.0.0/8,::1";

/// What `http_proxy`, `https_proxy` and `all_proxy` say, less `no_proxy`; each
/// also in capitals. One that makes no sense counts as unset.
fn proxies(env: impl Fn(&str) -> Option<String>) -> Vec<reqwest::Proxy> {
    let var = |name: &str| env(name).or_else(|| env(&name.to_uppercase())).filter(|value| !value.is_empty());
    let never = var("no_proxy").map_or(NEVER_PROXIED.to_owned(), |more| format!("{NEVER_PROXIED},{more}"));
    let never = reqwest::NoProxy::from_string(&never);
    let proxy = |name, make: fn(String) -> reqwest::Result<reqwest::Proxy>| {
        Some(make(var(name)?).ok()?.no_proxy(never.clone()))
    };
    let all = [
        proxy("http_proxy", reqwest::Proxy::http::<String>),
        proxy("https_proxy", reqwest::Proxy::https::<String>),
        proxy("all_proxy", reqwest::Proxy::all::<String>),
    ];
    all.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Answers one request, whatever it is, with these words.
    async fn answer(listener: &TcpListener, words: &str) {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        assert_ne!(socket.read(&mut request).await.unwrap(), 0);
        let length = words.len();
        let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        socket.write_all(format!("{head}{words}").as_bytes()).await.unwrap();
    }

    #[tokio::test]
    async fn a_proxy_is_used_but_not_for_this_machine() {
        let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy_url = format!("http://{}", proxy.local_addr().unwrap());
        let mut builder = reqwest::Client::builder();
        for proxy in proxies(|name| (name == "HTTP_PROXY").then(|| proxy_url.clone())) {
            builder = builder.proxy(proxy);
        }
        let http = builder.build().unwrap();
        let get = async |url: String| http.get(url).send().await.unwrap().text().await.unwrap();

        let port = service.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost"] {
            let (got, ()) = tokio::join!(get(format!("http://{host}:{port}")), answer(&service, "itself"));
            assert_eq!(got, "itself");
        }
        let (got, ()) = tokio::join!(get("http://service.example".into()), answer(&proxy, "proxy"));
        assert_eq!(got, "proxy");
        assert!(proxies(|_| None).is_empty());
    }
}
