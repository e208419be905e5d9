//! What an endpoint and the door know about one request beyond what dropshot
//! carries between them.
//!
//! ```text
//! door ── caller ──> [ visit ] ── Caller ───> endpoint
//! door <── ApiError ─ [ visit ] <─ leave() ── endpoint or extractor that failed
//! ```
//!
//! Dropshot hands neither extra data to an endpoint nor the endpoint's own
//! error back, so both travel in a task-local that lives exactly as long as
//! the endpoint's future: requests cannot get at each other's.

use std::{cell::Cell, future::Future, time::Duration};

use async_trait::async_trait;
use dropshot::{
    ApiEndpointBodyContentType, ErrorStatusCode, ExtractorMetadata, Header, HttpError, RequestContext,
    ServerContext, SharedExtractor,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{ListenConfig, errors::ApiError};
use crate::{
    auth::{AuthError, Principal},
    coordinator::CoordinatorError,
};

struct Visit {
    caller: Cell<Option<Principal>>,
    body_values_max: u64,
    patience: Patience,
    failure: Cell<Option<ApiError>>,
}

/// How long a request may take to arrive. In real time, whatever the clock of
/// the server says: the network knows no other.
#[derive(Clone)]
pub(super) struct Patience {
    pub(super) body: Duration,
    pub(super) stopping: CancellationToken,
}

impl Patience {
    /// When the server stops, a body has so long to be there.
    pub(super) const AT_A_STOP: Duration = Duration::from_secs(1);

    /// What `body` gives, unless it takes too long.
    pub(super) async fn wait_for<T>(&self, body: impl Future<Output = T>) -> Result<T, ApiError> {
        let last_moment = async {
            self.stopping.cancelled().await;
            let _ = tokio::time::timeout(Self::AT_A_STOP, std::future::pending::<()>()).await;
        };
        tokio::select! {
            biased;
            read = tokio::time::timeout(self.body, body) => read.map_err(|_| ApiError::body_too_slow(self.body)),
            () = last_moment => Err(ApiError::from(CoordinatorError::ShuttingDown).closing()),
        }
    }
}

tokio::task_local! {
    static VISIT: Visit;
}

/// Lets `endpoint` work for `caller`, on a body of at most so many JSON values
/// that comes in time. If it fails, the error is the one that it (or its
/// extractors) left, not what dropshot made of that.
pub(super) async fn conduct<T, E>(
    caller: Option<Principal>,
    body_values_max: u64,
    patience: Patience,
    endpoint: impl Future<Output = Result<T, E>>,
) -> Result<T, ApiError> {
    let visit = Visit { caller: Cell::new(caller), body_values_max, patience, failure: Cell::new(None) };
    let answered = async {
        let answer = endpoint.await;
        answer.map_err(|_| VISIT.with(|visit| visit.failure.take()))
    };
    let answer = VISIT.scope(visit, answered).await;
    answer.map_err(|left| left.unwrap_or_else(|| ApiError::internal("an endpoint failed and left no error")))
}

/// How many JSON values the body of this request may have.
pub(super) fn body_values_max() -> u64 {
    VISIT.try_with(|visit| visit.body_values_max).unwrap_or(ListenConfig::DEFAULT_BODY_VALUES_MAX)
}

/// Leaves `error` for the door. The first one counts: dropshot converts it on,
/// and each conversion knows less.
pub(super) fn leave(error: &ApiError) {
    // Outside of a visit there is nobody to leave it for: a test, or the door
    // itself.
    let _ = VISIT.try_with(|visit| {
        let first = visit.failure.take().unwrap_or_else(|| error.clone());
        visit.failure.set(Some(first));
    });
}

/// How long the body of this request is waited for; `None` outside of a visit.
pub(super) fn patience() -> Option<Patience> {
    VISIT.try_with(|visit| visit.patience.clone()).ok()
}

/// How our extractors fail: dropshot wants its own error from them, which can
/// tell less than ours.
pub(super) fn refuse(error: &ApiError) -> HttpError {
    leave(error);
    HttpError {
        status_code: ErrorStatusCode::BAD_REQUEST,
        error_code: None,
        external_message: String::new(),
        internal_message: error.to_string(),
        headers: None,
    }
}

/// The verified caller. An endpoint that asks for it cannot run without one;
/// one that does not ask is public, and `openapi` says so.
pub(super) struct Caller(pub(super) Principal);

/// How an endpoint that needs a [`Caller`] shows in dropshot's document. Each
/// such operation is listed as secured there (see `openapi`).
#[derive(Deserialize, JsonSchema)]
struct Credentials {
    #[serde(rename = "Authorization")]
    #[expect(dead_code, reason = "read by the authenticator")]
    authorization: String,
}

#[async_trait]
impl SharedExtractor for Caller {
    async fn from_request<C: ServerContext>(_: &RequestContext<C>) -> Result<Self, HttpError> {
        let caller = VISIT.try_with(|visit| visit.caller.take()).ok().flatten();
        // The door gives a caller to every endpoint but the public ones, which
        // do not ask.
        caller.map(Self).ok_or_else(|| {
            let refusal = AuthError { error: "invalid_request", message: "Missing Authorization header" };
            refuse(&ApiError::unauthorized(&refusal))
        })
    }

    fn metadata(content_type: ApiEndpointBodyContentType) -> ExtractorMetadata {
        <Header<Credentials> as SharedExtractor>::metadata(content_type)
    }
}
