//! The endpoints: each takes the request apart, calls the coordinator, and wraps
//! the answer.

use dropshot::{ApiDescription, Body, HttpResponseOk, RequestContext, endpoint};
use http::{Response, header::CONTENT_TYPE};

use super::{
    approvals, attempts, audit, bulk, bulk_results, dispatch, evidence, explain, holds, records, reruns,
    runs, steering, system, ui, webhooks, work,
};
use crate::{
    http_server::{ApiError, Caller, Probe, ServerContext, live, ready},
    metrics,
};

/// Makes the inner API, which spells `:verb` as `/:verb` (see `http_server::path`).
pub(crate) fn endpoints() -> ApiDescription<ServerContext> {
    let mut api = ApiDescription::new();
    let mut register = || {
        api.register(livez)?;
        api.register(readyz)?;
        api.register(metrics_scrape)?;
        approvals::register(&mut api)?;
        runs::register(&mut api)?;
        attempts::register(&mut api)?;
        holds::register(&mut api)?;
        dispatch::register(&mut api)?;
        steering::register(&mut api)?;
        reruns::register(&mut api)?;
        bulk::register(&mut api)?;
        bulk_results::register(&mut api)?;
        explain::register(&mut api)?;
        records::register(&mut api)?;
        system::register(&mut api)?;
        ui::register(&mut api)?;
        work::register(&mut api)?;
        audit::register(&mut api)?;
        evidence::register(&mut api)?;
        webhooks::register(&mut api)
    };
    register().expect("the endpoints do not contradict each other");
    api
}

type Rq = RequestContext<ServerContext>;
type Answer<T> = Result<T, ApiError>;

/// Probe whether the process lives
#[endpoint { method = GET, path = "/livez", operation_id = "livez", tags = ["health"] }]
async fn livez(_: Rq) -> Answer<HttpResponseOk<Probe>> {
    Ok(live())
}

/// Probe whether the server can take requests
#[endpoint { method = GET, path = "/readyz", operation_id = "readyz", tags = ["health"] }]
async fn readyz(rq: Rq) -> Answer<HttpResponseOk<Probe>> {
    ready(&rq)
}

/// The metrics, in the text format of Prometheus. They are not in the document:
/// their format is none of its own.
#[endpoint { method = GET, path = "/metrics", operation_id = "metrics", unpublished = true }]
async fn metrics_scrape(rq: Rq, _caller: Caller) -> Answer<Response<Body>> {
    let text = rq.context().metrics().encode();
    let text = text.map_err(|error| ApiError::internal(format!("could not encode the metrics: {error}")))?;
    let answer = Response::builder().header(CONTENT_TYPE, metrics::CONTENT_TYPE).body(Body::from(text));
    answer.map_err(|error| ApiError::internal(format!("could not answer with the metrics: {error}")))
}
