//! The endpoints: each takes the request apart, calls the coordinator, and wraps
//! the answer.

use dropshot::{ApiDescription, HttpResponseOk, RequestContext, endpoint};

use super::{approvals, runs};
use crate::http_server::{ApiError, Probe, ServerContext, live, ready};

/// Makes the inner API, which spells `:verb` as `/:verb` (see `http_server::path`).
pub(crate) fn endpoints() -> ApiDescription<ServerContext> {
    let mut api = ApiDescription::new();
    let mut register = || {
        api.register(livez)?;
        api.register(readyz)?;
        approvals::register(&mut api)?;
        runs::register(&mut api)
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
