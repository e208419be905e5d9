//! What the front door keeps of a server: its limits, and what is in use of them.

use std::{sync::Arc, time::Duration};

use slog::Logger;
use tokio_util::sync::CancellationToken;

use super::{
    body_timeout::BodyTimeout,
    connections::{ConnectionLimits, Connections},
    descriptors,
    errors::ApiError,
    folds::Folds,
    limits::Limits,
};
use crate::{config::PerPrincipal, metrics::Metrics, traces::Traces, types::HealthCheck};

/// The limits for requests and connections, and what is in use of them. Clones
/// share them.
#[derive(Clone)]
pub struct Front {
    pub(super) limits: Arc<Limits>,
    pub(super) connections: Arc<Connections>,
    pub(super) body: BodyBounds,
    pub(super) body_timeout: BodyTimeout,
    pub(super) answer_timeout: Duration,
    pub(super) max_wait: Duration,
    pub(super) metrics: Metrics,
    pub(super) folds: Arc<Folds>,
    /// Of the listener. That of a request has warnings only, unless debugging.
    pub(super) log: Logger,
    pub(super) traces: Traces,
    /// Cancelled when the server has closed.
    pub(super) closed: CancellationToken,
}

/// The limits for requests and connections.
#[derive(Clone, Copy, Debug)]
pub struct FrontLimits {
    /// The maximum number of concurrent requests.
    pub requests: usize,
    /// The maximum number of open event streams.
    pub streams: usize,
    pub per_principal: PerPrincipal,
    /// The maximum number of open connections.
    pub connections: usize,
    /// The maximum number of calls to other services, which need files as well.
    pub calls: usize,
    pub body: BodyBounds,
    /// The time limit for a request body to arrive.
    pub body_timeout: Duration,
    /// The time limit for a connection without a request in progress.
    pub idle_timeout: Duration,
    /// The time limit for a caller to take its answer.
    pub answer_timeout: Duration,
    /// The longest time that a caller may wait for the end of a run.
    pub max_wait: Duration,
}

/// The bounds of the JSON in a request body.
#[derive(Clone, Copy, Debug)]
pub struct BodyBounds {
    /// The maximum number of JSON values.
    pub values: u64,
    /// The maximum number of bytes of a string.
    pub string_bytes: usize,
    /// The maximum number of items of an array or members of an object.
    pub items: u64,
}

impl Front {
    pub fn new(limits: FrontLimits, stopping: &CancellationToken, metrics: Metrics, log: &Logger) -> Self {
        let connections = ConnectionLimits {
            open: descriptors::room_for(limits.connections, limits.calls, log),
            idle: limits.idle_timeout,
            answer: limits.answer_timeout,
        };
        Self {
            limits: Arc::new(Limits::new(
                limits.requests,
                limits.streams,
                limits.per_principal,
                metrics.clone(),
            )),
            connections: Connections::new(connections),
            body: limits.body,
            body_timeout: BodyTimeout { limit: limits.body_timeout, stopping: stopping.clone() },
            answer_timeout: limits.answer_timeout,
            max_wait: limits.max_wait,
            metrics,
            folds: Arc::new(Folds::new(log)),
            log: log.clone(),
            traces: Traces::off(),
            closed: CancellationToken::new(),
        }
    }

    /// The same, with spans of requests.
    #[must_use]
    pub fn traced(self, traces: &Traces) -> Self {
        Self { traces: traces.clone(), ..self }
    }

    /// Makes a 503 for a request on a connection too many, which is closed.
    pub(super) fn too_many_connections(&self, log: &Logger) -> ApiError {
        self.limits.connections_reached(self.connections.limit(), log)
    }

    /// The check of what was refused.
    pub fn check(&self) -> impl Fn() -> HealthCheck + Send + Sync + 'static {
        let refusals = Arc::clone(self.limits.refusals());
        move || refusals.check(std::time::Instant::now())
    }
}
