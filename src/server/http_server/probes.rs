//! The probes: is the process alive, and should it get requests?
//!
//! ```text
//!   /livez   ──▶ 200, as long as requests are answered at all
//!   /readyz  ──▶ 200, or 503 not_ready: the server stops, or a check is down
//! ```
//!
//! A degraded server is ready: it works, and taking it out of service would
//! remove more than is broken.

use dropshot::{HttpResponseOk, RequestContext};
use schemars::JsonSchema;
use serde::Serialize;

use super::{context::ServerContext, errors::ApiError};
use crate::types::HealthStatus;

/// The answer to a probe.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub(crate) struct Probe {
    /// ok, or degraded: it works, but not all of it
    status: HealthStatus,
}

/// Always alive: a process that cannot answer does not.
pub(crate) fn live() -> HttpResponseOk<Probe> {
    HttpResponseOk(Probe { status: HealthStatus::Ok })
}

/// Ready, unless the server stops or is down.
pub(crate) fn ready(rq: &RequestContext<ServerContext>) -> Result<HttpResponseOk<Probe>, ApiError> {
    let context = rq.context();
    // A server that is taken out of service for want of keys would otherwise
    // never fetch them.
    context.authenticator.warm_up();
    if context.stopping.is_cancelled() {
        return Err(ApiError::not_ready("The server is stopping", &[]));
    }
    let health = context.health.now();
    match health.status {
        HealthStatus::Ok | HealthStatus::Degraded => Ok(HttpResponseOk(Probe { status: health.status })),
        HealthStatus::Down => {
            let checks = health.checks.into_iter().flatten();
            let down = checks.filter(|check| check.status == HealthStatus::Down).map(|check| check.name);
            Err(ApiError::not_ready("The server is down", &down.collect::<Vec<_>>()))
        }
    }
}
