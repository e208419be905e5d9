//! The limits that the front door keeps: concurrency, idle connections, slow
//! bodies.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{body_timeout::BodyTimeout, concurrency::ConcurrencyLimits, connections::Connections};

/// The limits for requests and connections, and what is in use of them. Clones
/// share them.
#[derive(Clone)]
pub struct Front {
    pub(super) concurrency: Arc<ConcurrencyLimits>,
    pub(super) connections: Arc<Connections>,
    pub(super) body_timeout: BodyTimeout,
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
    /// The time limit for a request body to arrive, and for an idle connection.
    pub body_timeout: Duration,
}

impl Front {
    pub fn new(limits: FrontLimits, stopping: &CancellationToken) -> Self {
        let FrontLimits { requests, streams, body_timeout } = limits;
        Self {
            concurrency: Arc::new(ConcurrencyLimits::new(requests, streams)),
            connections: Connections::new(),
            body_timeout: BodyTimeout { limit: body_timeout, stopping: stopping.clone() },
            closed: CancellationToken::new(),
        }
    }
}
