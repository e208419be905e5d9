//! The front door: the single route that dropshot serves, and through which
//! every request passes.
//!
//! Dropshot has no middleware, refuses `{id}:verb` paths, has its own answers
//! for unknown routes, and cannot set headers on an endpoint's error. So the
//! API that dropshot serves is a wildcard, the door; the endpoints are in an
//! *inner* API, which is not served but only used to look up routes:
//!
//! ```text
//! request ──▶ dropshot ──▶ door                                          inner API
//!                           │ 1. look up the route  ── path ───────────▶  router
//!                           │ 2. a foreign host?       403 ── hosts
//!                           │ 3. authenticate          401
//!                           │ 4. unknown route?        404, 405
//!                           │ 5. too many?             503, 429 ── limits
//!                           │ 6. body too large?       413
//!                           │ 7. call the endpoint  ── request_scope ──▶  extractors ──▶ endpoint
//!                           │ 8. error or panic?       an envelope
//!                           │ 9. body not read?        take it in  ── unread
//! response ◀── dropshot ◀───┘ 10. until it is taken    its place is held ── connections
//! ```
//!
//! **Invariants.** Of a request that is not admitted, only the route is looked
//! at, and its sender does not learn which routes exist: 401 comes before 404.
//! Every answer that leaves through the door is an endpoint's or an ARP
//! envelope.
//!
//! These do not reach the door, and dropshot or hyper answers them: paths with a
//! dot segment (`/v1/../x`) or with bytes that are not UTF-8 (`%FF`), with 400;
//! unregistered methods, with 405; requests that are not HTTP.
//!
//! The types of the router and its routes are public in dropshot but not
//! exported, so they can be used but not named. Hence the closure, and the exact
//! version in `Cargo.toml`: an upgrade that removes them breaks the build.

use std::{future::Future, panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Instant};

use async_trait::async_trait;
use dropshot::{
    ApiDescription, ApiEndpoint, ApiEndpointBodyContentType, ApiEndpointVersions, Body, CONTENT_TYPE_JSON,
    ExclusiveExtractor, ExtractorMetadata, HttpError, Path, RequestContext, ServerContext, SharedExtractor,
};
use futures::FutureExt;
use http::{
    HeaderMap, HeaderValue, Method, Request,
    header::{CONNECTION, EXPECT},
    request::Parts,
};
use hyper::body::Body as _;
use schemars::JsonSchema;
use serde::Deserialize;
use slog::{Logger, debug};

use super::{
    connections::sending,
    errors::ApiError,
    front::Front,
    hosts::Hosts,
    path,
    request_scope::{self, Admitted, BodyLimits},
    treatment::{Class, Treatment},
    unread,
};
use crate::{
    auth::{Admission, AuthError, Principal},
    runtime::tasks::panic_message,
    traces::{RequestScope, current},
};

/// The methods of the IANA registry. Each gets an ARP answer.
const METHODS: &str = "ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT CONNECT COPY DELETE GET HEAD LABEL LINK LOCK \
    MERGE MKACTIVITY MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH POST PRI PROPFIND \
    PROPPATCH PUT QUERY REBIND REPORT SEARCH TRACE UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF \
    VERSION-CONTROL";

/// Decides who is admitted, and within which limits. The server's context does.
pub(super) trait Admitter: ServerContext {
    fn admit(
        &self,
        path: &str,
        headers: &HeaderMap,
    ) -> impl Future<Output = Result<Admission, AuthError>> + Send;

    /// Notes that a limit of the caller refuses an operation.
    fn rate_limited(&self, operation: &str, caller: &Principal) -> impl Future<Output = ()> + Send;

    /// The limits for requests and connections.
    fn front(&self) -> &Front;

    /// The names under which the server may be asked for.
    fn hosts(&self) -> &Hosts;

    /// The caller of an operation that needs one, on an exempt path.
    fn exempt_caller(&self, headers: &HeaderMap) -> impl Future<Output = Principal> + Send;
}

/// Makes the API to serve: `inner`, behind the door.
pub(super) fn behind_door<C: Admitter>(inner: ApiDescription<C>) -> ApiDescription<C> {
    let router = Arc::new(inner.into_router());
    let mut outer = ApiDescription::new();
    for method in METHODS.split_ascii_whitespace() {
        let router = Arc::clone(&router);
        let enter = move |mut rqctx: RequestContext<C>, RawRequest(request)| {
            let router = Arc::clone(&router);
            async move {
                let (log, front) = (rqctx.log.clone(), rqctx.context().front().clone());
                let (began, _active) = (Instant::now(), front.metrics.active_request());
                let in_progress = front.connections.enter(rqctx.request.remote_addr());
                let (head, body) = request.into_parts();
                let is_too_many = in_progress.is_too_many();
                let is_awaited = head.headers.contains_key(EXPECT);
                let (named, method) = (current::named_in(&head.headers), head.method.clone());
                let (mut unread, mut held, mut operation) = (Some(body), (None, None), "unknown");
                let (answer, span) = {
                    // In its place once, however many futures it is wrapped in.
                    let served = pin!(async {
                        let (method, path) = (&head.method, head.uri.path());
                        let route = path::locate(method, path, |method, path| {
                            router.lookup_route(method, path.into(), None)
                        });
                        let class = route
                            .as_ref()
                            .ok()
                            .map(|route| Treatment::of_id(&route.endpoint.operation_id).class);
                        let admission = match class {
                            // From any host: the answer says nothing that is worth a token.
                            Some(Class::Probe) => Admission::Exempt,
                            // Only under a name of the server: what the page shows is its own.
                            Some(Class::Page) => {
                                own_host(rqctx.context(), &head, &log)?;
                                Admission::Exempt
                            }
                            Some(Class::Public | Class::Read | Class::End | Class::Work) | None => {
                                admit(rqctx.context(), &head, &log).await?
                            }
                        };
                        let route = route?;
                        operation = Treatment::name_of(&route.endpoint.operation_id);
                        let treatment = Treatment::of_id(&route.endpoint.operation_id);
                        let class = treatment.class;
                        if class == Class::Work && is_too_many {
                            return Err(front.too_many_connections(&log));
                        }
                        if !class.is_public() {
                            held.0 = Some(front.limits.place(class, &log)?);
                        }
                        let caller = match admission {
                            Admission::Caller(principal) => {
                                if !is_too_many {
                                    in_progress.admitted();
                                }
                                if !class.is_public() {
                                    match front.limits.share(class, &principal, &log) {
                                        Ok(share) => held.1 = share,
                                        Err(refusal) => {
                                            let operation = &route.endpoint.operation_id;
                                            Box::pin(rqctx.context().rate_limited(operation, &principal))
                                                .await;
                                            return Err(refusal);
                                        }
                                    }
                                }
                                Some(principal)
                            }
                            Admission::Exempt if class.is_public() => None,
                            Admission::Exempt => {
                                Some(Box::pin(rqctx.context().exempt_caller(&head.headers)).await)
                            }
                        };
                        debug!(log, "admitted";
                            "operation" => &route.endpoint.operation_id,
                            "caller" => caller.as_ref().map(Principal::subject));
                        rqctx.endpoint = route.endpoint;
                        limit_size(unread.as_ref(), rqctx.request_body_max_bytes())?;
                        let limits = BodyLimits { bounds: front.body, timeout: front.body_timeout.clone() };
                        let body = if treatment.reads_body { unread.take() } else { None };
                        let request = Request::from_parts(head, body.unwrap_or_else(Body::empty));
                        let admitted =
                            Admitted { caller, body_limits: limits, held: std::mem::take(&mut held) };
                        let (answer, kept) =
                            request_scope::run(admitted, route.handler.handle_request(rqctx, request)).await;
                        held = kept;
                        answer
                    });
                    let served = async {
                        // At a panic, dropshot would close the connection.
                        AssertUnwindSafe(served).catch_unwind().await.unwrap_or_else(|panic| {
                            Err(ApiError::internal(format!("panicked: {}", panic_message(&*panic))))
                        })
                    };
                    RequestScope::serve(&front.traces, named, served).await
                };
                // Never an error of dropshot, which would lose the headers.
                let mut answer = answer.unwrap_or_else(|error| {
                    error.record(operation, &front.folds, &log);
                    error.into_response()
                });
                if let Some(span) = span.filter(|_| Treatment::is_traced(operation)) {
                    span.record(&front.traces, method.as_str(), operation, answer.status().as_u16());
                }
                front.metrics.request_answered(operation, answer.status().as_u16(), began.elapsed());
                let is_taken_in = match unread {
                    Some(body) if body.is_end_stream() => true,
                    Some(body) => Box::pin(unread::take_in(body, is_awaited)).await,
                    None => true,
                };
                if is_too_many || !is_taken_in {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, ApiError>(sending(answer, in_progress, held))
            }
        };
        let method: Method = method.parse().expect("a registered method is a token");
        let name = format!("door_{method}");
        let route =
            ApiEndpoint::new(name, enter, method, CONTENT_TYPE_JSON, "/{path:.*}", ApiEndpointVersions::All);
        outer.register(route.visible(false)).expect("the wildcard is registered once per method");
    }
    outer
}

/// Refuses a request for a foreign name, or of a page of one.
fn own_host<C: Admitter>(admitter: &C, head: &Parts, log: &Logger) -> Result<(), ApiError> {
    admitter.hosts().check(&head.uri, &head.headers).map_err(|foreign| {
        admitter.front().limits.foreign(foreign.code(), log);
        ApiError::foreign(foreign)
    })
}

async fn admit<C: Admitter>(admitter: &C, head: &Parts, log: &Logger) -> Result<Admission, ApiError> {
    own_host(admitter, head, log)?;
    let admission = admitter.admit(head.uri.path(), &head.headers).await;
    admission.map_err(|refusal| {
        let front = admitter.front();
        front.limits.no_caller(&refusal, &front.log);
        ApiError::unauthorized(&refusal)
    })
}

/// Refuses a body whose announced length is too large before any of it is read.
/// A body without an announced length is counted while it is read (see `body`).
fn limit_size(body: Option<&Body>, limit: usize) -> Result<(), ApiError> {
    let announced = body.map_or(0, |body| body.size_hint().lower());
    if usize::try_from(announced).is_ok_and(|announced| announced <= limit) {
        Ok(())
    } else {
        Err(ApiError::too_large(limit))
    }
}

/// The whole request. Unlike dropshot's type of this name, it declares the
/// variable in the wildcard's path, which dropshot requires.
struct RawRequest(Request<Body>);

#[derive(Deserialize, JsonSchema)]
struct Wildcard {
    #[expect(dead_code, reason = "the door parses the path itself")]
    path: Vec<String>,
}

#[async_trait]
impl ExclusiveExtractor for RawRequest {
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
