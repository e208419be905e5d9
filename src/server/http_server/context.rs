//! The context of endpoints and the door, of either API.

use std::sync::Arc;

use dropshot::{ErrorStatusCode, RequestContext};
use http::HeaderMap;
use tokio_util::sync::CancellationToken;

use super::{
    door::Admitter, errors::ApiError, front::Front, hosts::Hosts, limits::StreamPermit, request_scope::Caller,
};
use crate::{
    auth::{Admission, AuthError, Authenticator, Principal},
    config::InEffect,
    coordinator::Coordinator,
    health::HealthReport,
    metrics::Metrics,
};

/// The context of every endpoint.
pub struct ServerContext {
    pub coordinator: Arc<Coordinator>,
    pub authenticator: Arc<Authenticator>,
    pub health: Arc<HealthReport>,
    /// The settings, without secrets.
    pub in_effect: Arc<[InEffect]>,
    /// Cancelled when the server begins to stop. Streams that wait for more
    /// events end then, because closing waits for them.
    pub stopping: CancellationToken,
    pub front: Front,
    pub hosts: Hosts,
}

impl ServerContext {
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.front.metrics
    }

    /// A place for an event stream. That the caller has no more is audited.
    pub(crate) async fn stream_permit(
        rq: &RequestContext<Self>,
        caller: &Caller,
    ) -> Result<StreamPermit, ApiError> {
        let permit = rq.context().front.limits.stream(&caller.0, &rq.log);
        if permit.as_ref().is_err_and(|error| error.status() == ErrorStatusCode::TOO_MANY_REQUESTS) {
            rq.context().rate_limited(&rq.endpoint.operation_id, &caller.0).await;
        }
        permit
    }
}

impl Admitter for ServerContext {
    async fn admit(&self, path: &str, headers: &HeaderMap) -> Result<Admission, AuthError> {
        self.authenticator.authenticate(path, headers).await
    }

    async fn rate_limited(&self, operation: &str, caller: &Principal) {
        self.coordinator.audit_trail().rate_limited(caller, operation).await;
    }

    fn front(&self) -> &Front {
        &self.front
    }

    fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    async fn exempt_caller(&self, headers: &HeaderMap) -> Principal {
        self.authenticator.caller_of_exempt_path(headers).await
    }
}
