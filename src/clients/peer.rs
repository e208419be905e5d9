//! The other end of a client: which service it is, how we authenticate to it,
//! and the limits of its answers.

use std::sync::Arc;
#[cfg(feature = "server")]
use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use reqwest::header::ACCEPT;

use super::{CallError, bearer, bounded, service::Service};
#[cfg(feature = "server")]
use super::{Permit, Subject, TokenSource, tokens::AudienceToken};
#[cfg(feature = "server")]
use crate::redact::Redactor;
use crate::types::{ErrorEnvelope, JSON_LEVELS_MAX};

/// The service that a client calls.
#[derive(Clone, Debug)]
pub struct Peer {
    pub service: Service,
    credential: Credential,
    /// The largest answer that is read; `None`: no limit.
    max_answer_bytes: Option<usize>,
    /// If there is one, nothing is sent after it is withdrawn.
    #[cfg(feature = "server")]
    permit: Option<Permit>,
    /// For what the service says about failures.
    #[cfg(feature = "server")]
    redactor: Option<Redactor>,
    #[cfg(feature = "server")]
    observer: Option<Arc<dyn CallObserver>>,
}

/// Hears of each call: when its answer has begun, or that there was none.
#[cfg(feature = "server")]
pub trait CallObserver: Debug + Send + Sync + 'static {
    fn answered(&self, service: Service, status: Option<u16>, time: Duration);
}

/// A call that is under way; if it is dropped, there was no answer.
#[cfg(feature = "server")]
struct UnderWay<'p> {
    peer: &'p Peer,
    began: Instant,
    status: Option<u16>,
}

#[cfg(feature = "server")]
impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(observer) = &self.peer.observer {
            observer.answered(self.peer.service, self.status, self.began.elapsed());
        }
    }
}

#[derive(Clone, Debug)]
enum Credential {
    None,
    Fixed(Arc<str>),
    #[cfg(feature = "server")]
    Audience(Audience),
    /// The caller on whose behalf the call is cannot be known any more.
    #[cfg(feature = "server")]
    Lost,
}

/// Tokens for an audience: the coordinator's own, and where to get others.
#[cfg(feature = "server")]
#[derive(Clone, Debug)]
struct Audience {
    name: Arc<str>,
    source: Arc<TokenSource>,
    token: AudienceToken,
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
    pub fn with_audience(service: Service, tokens: &Arc<TokenSource>, audience: &str) -> Self {
        let (source, token) = (Arc::clone(tokens), tokens.audience(audience));
        Self::new(service, Credential::Audience(Audience { name: audience.into(), source, token }))
    }

    /// The same service, whose answers are not read beyond this many bytes.
    #[must_use]
    pub fn answers_within(self, bytes: usize) -> Self {
        Self { max_answer_bytes: Some(bytes), ..self }
    }

    /// The same service, whose words about failures are redacted.
    #[cfg(feature = "server")]
    #[must_use]
    pub fn redacted_by(self, redactor: &Redactor) -> Self {
        Self { redactor: Some(redactor.clone()), ..self }
    }

    /// The same service, whose calls are observed.
    #[cfg(feature = "server")]
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn CallObserver>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// A failure of a call of this service.
    pub(super) fn failed(&self, error: progenitor_client::Error<ErrorEnvelope>) -> CallError {
        let failed = CallError::from_client(self.service, error);
        #[cfg(feature = "server")]
        if let Some(redactor) = &self.redactor {
            return failed.redacted(redactor);
        }
        failed
    }

    /// The same service, for calls that are sent only while the permit stands.
    #[cfg(feature = "server")]
    pub(super) fn with_permit(&self, permit: &Permit) -> Self {
        Self { permit: Some(permit.clone()), ..self.on_behalf_of(&permit.subject) }
    }

    /// The same service, for calls on behalf of `subject`. A service that is
    /// called without tokens is called without here, too.
    #[cfg(feature = "server")]
    pub(super) fn on_behalf_of(&self, subject: &Subject) -> Self {
        let credential = match (&self.credential, subject) {
            (Credential::Audience(own), Subject::Caller(caller)) => {
                let token = own.source.exchanged(&own.name, caller);
                Credential::Audience(Audience { token, ..own.clone() })
            }
            (Credential::Audience(_), Subject::Lost) => Credential::Lost,
            (own, Subject::Own | Subject::Caller(_) | Subject::Lost) => own.clone(),
        };
        Self { credential, ..self.clone() }
    }

    fn new(service: Service, credential: Credential) -> Self {
        Self {
            service,
            credential,
            max_answer_bytes: None,
            #[cfg(feature = "server")]
            permit: None,
            #[cfg(feature = "server")]
            redactor: None,
            #[cfg(feature = "server")]
            observer: None,
        }
    }

    /// Puts the token into a request.
    pub(super) async fn authorize(&self, request: &mut reqwest::Request) -> Result<(), String> {
        let token: Arc<str> = match &self.credential {
            Credential::None => return Ok(()),
            Credential::Fixed(token) => Arc::clone(token),
            #[cfg(feature = "server")]
            Credential::Audience(audience) => audience.token.get().await?,
            #[cfg(feature = "server")]
            Credential::Lost => return Err("the token of the run's starter cannot be read".to_owned()),
        };
        // Getting the token may have taken a while.
        #[cfg(feature = "server")]
        if let Some(permit) = &self.permit {
            permit.check().map_err(|withdrawn| withdrawn.to_string())?;
        }
        bearer::set(request, &token)
    }

    /// Sends a request that has been authorized.
    pub(super) async fn execute(
        &self,
        http: &reqwest::Client,
        request: reqwest::Request,
    ) -> reqwest::Result<reqwest::Response> {
        let levels_max = self.levels_max(&request);
        #[cfg(feature = "server")]
        let mut under_way = UnderWay { peer: self, began: Instant::now(), status: None };
        let answer = self.send(http, request).await?;
        #[cfg(feature = "server")]
        {
            under_way.status = Some(answer.status().as_u16());
            drop(under_way);
        }
        Ok(match (self.max_answer_bytes, levels_max) {
            (None, _) => answer,
            (Some(limit), Some(levels)) if answer.status().is_success() => {
                bounded::json(answer, limit, levels)
            }
            (Some(limit), Some(_) | None) => bounded::body(answer, limit),
        })
    }

    /// How deep the answer may be nested; `None`: it need not be JSON.
    fn levels_max(&self, request: &reqwest::Request) -> Option<u32> {
        match self.service {
            // An artifact is any bytes; answers about artifacts are JSON.
            Service::ArtifactStore => request.headers().contains_key(ACCEPT).then_some(JSON_LEVELS_MAX),
            Service::AtomicExecutor
            | Service::CompositeExecutor
            | Service::NodeRegistry
            | Service::Operator
            | Service::Pdp
            | Service::Selection => Some(JSON_LEVELS_MAX),
            // These return records that we made of requests and answers.
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
            match &self.credential {
                Credential::None | Credential::Fixed(_) | Credential::Lost => {
                    http.execute(bind(request)).await
                }
                Credential::Audience(audience) => {
                    audience.token.execute(request, |request| http.execute(bind(request))).await
                }
            }
        }
        #[cfg(not(feature = "server"))]
        http.execute(request).await
    }
}

/// Runs, node runs and events wrap what a request or an executor brought into
/// some more levels (the details of an error are in the extensions of its node,
/// for example).
const RECORD_LEVELS_MAX: u32 = JSON_LEVELS_MAX + 20;
