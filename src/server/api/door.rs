//! The front door: the one route that dropshot serves, and through which
//! every request passes.
//!
//! Dropshot has no middleware, refuses `{id}:verb` paths, has its own words
//! for unknown routes, and cannot put headers on an endpoint's error. So the
//! API that dropshot serves is a wildcard, the door; the endpoints are in an
//! *inner* API, which is never served, only looked up in:
//!
//! ```text
//! request ──> dropshot ──> door                                    inner API
//!                           │ 1. look the route up  ── path.rs ──>  router
//!                           │ 2. authenticate          401
//!                           │ 3. no such route?        404, 405
//!                           │ 4. no place?             503 ── crowd.rs
//!                           │ 5. body too large?       413
//!                           │ 6. call the endpoint  ── visit.rs ──> extractors ──> endpoint
//!                           │ 7. it failed or panicked? an envelope
//! response <── dropshot <───┘
//! ```
//!
//! **Invariants.** Without an admission nothing but the route is looked at, and
//! strangers do not learn which routes exist: 401 comes before 404. Every
//! answer that leaves through the door is what an endpoint returned or an ARP
//! envelope.
//!
//! What does not come through the door, and is answered by dropshot or hyper
//! in their words: paths with a dot segment (`/v1/../x`) or with bytes that
//! are not UTF-8 (`%FF`), which are 400; methods that nobody has ever heard
//! of, which are 405; requests that are not HTTP.
//!
//! The router's and its routes' types are public in dropshot but not exported,
//! so they can be used but not named. Hence the closure, and the exact version
//! in `Cargo.toml`: an upgrade that takes them away breaks the build.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc};

use async_trait::async_trait;
use dropshot::{
    ApiDescription, ApiEndpoint, ApiEndpointBodyContentType, ApiEndpointVersions, Body, CONTENT_TYPE_JSON,
    ExclusiveExtractor, ExtractorMetadata, HttpError, Path, RequestContext, ServerContext, SharedExtractor,
};
use futures::FutureExt;
use http::{HeaderMap, Method, Request};
use hyper::body::Body as _;
use schemars::JsonSchema;
use serde::Deserialize;
use slog::debug;

use super::{Front, connections::until_handed_over, errors::ApiError, path, visit};
use crate::{
    auth::{Admission, AuthError, Principal},
    runtime::tasks::panic_message,
};

/// All methods of the IANA registry: each gets an ARP answer.
const METHODS: &str = "ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT CONNECT COPY DELETE GET HEAD LABEL LINK LOCK \
    MERGE MKACTIVITY MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH POST PRI PROPFIND \
    PROPPATCH PUT QUERY REBIND REPORT SEARCH TRACE UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF \
    VERSION-CONTROL";

/// Who stands at the door. The server's context is one.
pub(super) trait Doorkeeper: ServerContext {
    fn admit(
        &self,
        path: &str,
        headers: &HeaderMap,
    ) -> impl Future<Output = Result<Admission, AuthError>> + Send;

    /// How many JSON values a body may have.
    fn body_values_max(&self) -> u64;

    /// What holds crowds and laggards off.
    fn front(&self) -> &Front;

    /// Who came by an exempt path, to an operation that has to know.
    fn visitor(&self, headers: &HeaderMap) -> impl Future<Output = Principal> + Send;
}

/// What these do does not depend on who calls, and must not wait for somebody
/// to be identified. (The document says of the same ones that they need no
/// token.)
const PUBLIC: [&str; 2] = ["health", "version"];

/// The API to serve: `inner`, behind a door.
pub(super) fn behind_door<C: Doorkeeper>(inner: ApiDescription<C>) -> ApiDescription<C> {
    let router = Arc::new(inner.into_router());
    let mut outer = ApiDescription::new();
    for method in METHODS.split_ascii_whitespace() {
        let router = Arc::clone(&router);
        let enter = move |mut rqctx: RequestContext<C>, Visitor(request)| {
            let router = Arc::clone(&router);
            async move {
                let (log, front) = (rqctx.log.clone(), rqctx.context().front().clone());
                let in_work = front.connections.enter(rqctx.request.remote_addr());
                let served = async move {
                    let (method, path) = (request.method(), request.uri().path());
                    let route = path::locate(method, path, |method, path| {
                        router.lookup_route(method, path.into(), None)
                    });
                    let admission = admit(rqctx.context(), &request).await?;
                    let route = route?;
                    let operation = &*route.endpoint.operation_id;
                    let is_public = PUBLIC.contains(&operation);
                    let _place = match is_public {
                        true => None,
                        false => Some(front.crowd.place(operation, &rqctx.log)?),
                    };
                    let caller = match admission {
                        Admission::Caller(principal) => Some(principal),
                        Admission::Exempt if is_public => None,
                        Admission::Exempt => Some(rqctx.context().visitor(request.headers()).await),
                    };
                    debug!(rqctx.log, "admitted";
                        "operation" => &route.endpoint.operation_id,
                        "caller" => caller.as_ref().map(Principal::subject));
                    rqctx.endpoint = route.endpoint;
                    limit_size(&request, rqctx.request_body_max_bytes())?;
                    let values = rqctx.context().body_values_max();
                    visit::conduct(
                        caller,
                        values,
                        front.patience,
                        route.handler.handle_request(rqctx, request),
                    )
                    .await
                };
                // Dropshot would break the connection off.
                let served = AssertUnwindSafe(served).catch_unwind().await;
                let answer = served.unwrap_or_else(|panic| {
                    Err(ApiError::internal(format!("panicked: {}", panic_message(&*panic))))
                });
                // Never an error for dropshot: it would lose the headers.
                let answer = answer.unwrap_or_else(|error| {
                    error.record(&log);
                    error.into_response()
                });
                Ok::<_, ApiError>(answer.map(|body| until_handed_over(body, in_work)))
            }
        };
        let method: Method = method.parse().expect("a registered method is a token");
        let name = format!("door_{method}");
        let route =
            ApiEndpoint::new(name, enter, method, CONTENT_TYPE_JSON, "/{path:.*}", ApiEndpointVersions::All);
        outer.register(route.visible(false)).expect("the wildcard is registered once a method");
    }
    outer
}

async fn admit<C: Doorkeeper>(keeper: &C, request: &Request<Body>) -> Result<Admission, ApiError> {
    let admission = keeper.admit(request.uri().path(), request.headers()).await;
    admission.map_err(|refusal| ApiError::unauthorized(&refusal))
}

/// Refuses what says itself that it is too large, before any of it is read.
/// What does not say is counted while it is read (see `body`).
fn limit_size(request: &Request<Body>, limit: usize) -> Result<(), ApiError> {
    let announced = request.body().size_hint().lower();
    if usize::try_from(announced).is_ok_and(|announced| announced <= limit) {
        Ok(())
    } else {
        Err(ApiError::too_large(limit))
    }
}

/// The whole request. Unlike dropshot's `RawRequest` it owns up to the
/// variable in the wildcard's path, on which dropshot insists.
struct Visitor(Request<Body>);

#[derive(Deserialize, JsonSchema)]
struct Wildcard {
    #[expect(dead_code, reason = "the door reads the path itself")]
    path: Vec<String>,
}

#[async_trait]
impl ExclusiveExtractor for Visitor {
    async fn from_request<C: ServerContext>(
        _: &RequestContext<C>,
        request: Request<Body>,
    ) -> Result<Self, HttpError> {
        Ok(Self(request))
    }

    fn metadata(content_type: ApiEndpointBodyContentType) -> ExtractorMetadata {
        <Path<Wildcard> as SharedExtractor>::metadata(content_type)
    }
}
