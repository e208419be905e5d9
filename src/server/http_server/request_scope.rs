//! The scope of one request: what the door and an endpoint pass to each other
//! beyond what dropshot carries.
//!
//! ```text
//! door ── caller, limits ──▶ [ request scope ] ── Caller ──▶ endpoint
//! door ◀── ApiError ──────── [ request scope ] ◀─ report ─── endpoint or extractor that failed
//! ```
//!
//! **How errors leave dropshot.** Dropshot turns an endpoint's error into its
//! own type before the door sees it, and that type has no room for our headers
//! and details. But it first asks the error for its status. So
//! [`HttpResponseError::status_code`] has a side effect here: the error reports
//! a copy of itself to the request scope, and the door takes it from there
//! instead of dropshot's answer. Extractors, which must fail with dropshot's
//! error, report theirs with [`refuse`].
//!
//! The scope is a task-local that lives as long as the endpoint's future, so
//! concurrent requests cannot see each other's.

use std::{cell::Cell, future::Future};

use async_trait::async_trait;
use dropshot::{
    ApiEndpointBodyContentType, ErrorStatusCode, ExtractorMetadata, Header, HttpError, HttpResponseError,
    RequestContext, ServerContext, SharedExtractor,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    body_timeout::BodyTimeout,
    errors::ApiError,
    front::BodyBounds,
    limits::{Place, Share},
};
use crate::auth::{AuthError, Principal};

/// The limits for the body of a request.
#[derive(Clone)]
pub(super) struct BodyLimits {
    pub(super) bounds: BodyBounds,
    pub(super) timeout: BodyTimeout,
}

struct RequestScope {
    caller: Cell<Option<Principal>>,
    held: Cell<Held>,
    body_limits: BodyLimits,
    failure: Cell<Option<ApiError>>,
}

tokio::task_local! {
    static SCOPE: RequestScope;
}

/// The places that a request takes, of the server and of its principal.
pub(super) type Held = (Option<Place>, Option<Share>);

/// What an endpoint gets from the door.
pub(super) struct Admitted {
    pub(super) caller: Option<Principal>,
    pub(super) body_limits: BodyLimits,
    pub(super) held: Held,
}

/// Runs `endpoint`. If it fails, returns the error that it (or an extractor)
/// reported, not dropshot's version of it; and the places that it still has.
pub(super) async fn run<T, E>(
    admitted: Admitted,
    endpoint: impl Future<Output = Result<T, E>>,
) -> (Result<T, ApiError>, Held) {
    let Admitted { caller, body_limits, held } = admitted;
    let scope = RequestScope {
        caller: Cell::new(caller),
        held: Cell::new(held),
        body_limits,
        failure: Cell::new(None),
    };
    let answered = async {
        let answer = endpoint.await;
        let (failure, held) = SCOPE.with(|scope| (scope.failure.take(), scope.held.take()));
        (answer.map_err(|_| failure), held)
    };
    let (answer, held) = SCOPE.scope(scope, answered).await;
    let answer = answer.map_err(|reported| {
        reported.unwrap_or_else(|| ApiError::internal("an endpoint failed without reporting an error"))
    });
    (answer, held)
}

/// Gives back the places of this request, which goes on without: it waits, and has a
/// place for that.
pub(super) fn release_place() {
    let _released = SCOPE.try_with(|scope| scope.held.take());
}

/// The limits for the body of this request; `None` outside of a request.
pub(super) fn body_limits() -> Option<BodyLimits> {
    SCOPE.try_with(|scope| scope.body_limits.clone()).ok()
}

/// Reports `error` to the door. The first report counts: dropshot converts
/// errors repeatedly, and each conversion loses something.
fn report(error: &ApiError) {
    // Fails outside of a request, where no door waits for it: in a test, or in
    // the door itself.
    let _ = SCOPE.try_with(|scope| {
        let first = scope.failure.take().unwrap_or_else(|| error.clone());
        scope.failure.set(Some(first));
    });
}

/// Reports the error of an extractor, and makes the one that dropshot expects.
pub(super) fn refuse(error: &ApiError) -> HttpError {
    report(error);
    HttpError {
        status_code: ErrorStatusCode::BAD_REQUEST,
        error_code: None,
        external_message: String::new(),
        internal_message: error.to_string(),
        headers: None,
    }
}

/// The side effect is described in the documentation of this module.
impl HttpResponseError for ApiError {
    fn status_code(&self) -> ErrorStatusCode {
        report(self);
        self.status()
    }
}

/// The authenticated caller. An endpoint that takes one cannot run without; an
/// endpoint that does not is public, and `openapi` documents it so.
pub(crate) struct Caller(pub(crate) Principal);

/// Stands for a [`Caller`] in dropshot's document; `openapi` turns it into a
/// security requirement.
#[derive(Deserialize, JsonSchema)]
struct Credentials {
    #[serde(rename = "Authorization")]
    #[expect(dead_code, reason = "read by the authenticator")]
    authorization: String,
}

#[async_trait]
impl SharedExtractor for Caller {
    async fn from_request<C: ServerContext>(_: &RequestContext<C>) -> Result<Self, HttpError> {
        let caller = SCOPE.try_with(|scope| scope.caller.take()).ok().flatten();
        // The door provides a caller to every endpoint but the public ones,
        // which do not take one.
        caller.map(Self).ok_or_else(|| refuse(&ApiError::unauthorized(&AuthError::MISSING)))
    }

    fn metadata(content_type: ApiEndpointBodyContentType) -> ExtractorMetadata {
        <Header<Credentials> as SharedExtractor>::metadata(content_type)
    }
}
