//! The gate before an executor: how many calls may be under way, and whether
//! any may be sent.
//!
//! ```text
//!   execute, begin ──▶ slot ──▶ breaker closed? ──yes──▶ call
//!                                     └─────────no──▶ deferred
//!   cancel ──────────▶ permit, first in first out ─────▶ call
//! ```

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::slots::Slots;
use crate::{
    clients::{CallError, Failure, NotSent, Service},
    resilience::{Breaker, CallHealth},
    time::Timestamp,
};

/// The most cancel calls to an executor at the same time.
const CANCELS: usize = 64;

pub(super) struct Gate {
    pub(super) service: Service,
    pub(super) slots: Arc<Slots>,
    breaker: Mutex<Breaker>,
    cancels: Semaphore,
}

impl Gate {
    pub(super) fn new(service: Service, max_in_flight: usize) -> Self {
        Self {
            service,
            slots: Slots::new(max_in_flight),
            breaker: Mutex::new(Breaker::new()),
            cancels: Semaphore::new(CANCELS),
        }
    }

    /// Admits a call, or returns when to ask again.
    pub(super) fn admit(&self, now: Timestamp) -> Result<(), Timestamp> {
        self.breaker.lock().admit(now)
    }

    /// Records the outcome of a call.
    pub(super) fn report<T>(&self, answer: &Result<T, CallError>, now: Timestamp) {
        let health = match answer {
            Ok(_) => Some(CallHealth::Healthy),
            Err(error) => health(error),
        };
        if let Some(health) = health {
            self.breaker.lock().report(health, now);
        }
    }

    /// Records that a call was dropped before its outcome.
    pub(super) fn dropped(&self, now: Timestamp) {
        self.breaker.lock().dropped(now);
    }

    /// Until when calls are refused, if they are.
    pub(super) fn open_until(&self) -> Option<Timestamp> {
        self.breaker.lock().open_until()
    }

    /// Waits for the permit to send a cancel call.
    pub(super) async fn cancel_permit(&self) -> Option<SemaphorePermit<'_>> {
        self.cancels.acquire().await.ok()
    }
}

/// What a failed call says about the health of the executor, if anything.
fn health(error: &CallError) -> Option<CallHealth> {
    let retry_after = error.retry_after();
    match error.failure {
        // The executor was not even looked for.
        Failure::NotSent(NotSent::NoToken { .. }) => None,
        Failure::NotSent(NotSent::NoConnection | NotSent::Invalid { .. })
        | Failure::NoResponse { .. }
        | Failure::HttpStatus { status: 429 | 502..=504, .. }
        | Failure::Envelope { status: 429 | 502..=504, .. } => Some(CallHealth::Failed { retry_after }),
        Failure::HttpStatus { .. }
        | Failure::Envelope { .. }
        | Failure::Malformed { .. }
        | Failure::TooLarge { .. } => Some(CallHealth::Healthy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_executor_that_cannot_serve_has_failed() {
        let status = |status| Failure::HttpStatus { status, reason: "why".into(), retry_after: None };
        let failed = Some(CallHealth::Failed { retry_after: None });
        let healthy = Some(CallHealth::Healthy);
        for (failure, expected) in [
            (Failure::NotSent(NotSent::NoToken { reason: "why".into() }), None),
            (Failure::NotSent(NotSent::NoConnection), failed),
            (Failure::NoResponse { reason: "why".into() }, failed),
            (status(404), healthy),
            (status(429), failed),
            (status(500), healthy),
            (status(502), failed),
            (status(503), failed),
            (status(504), failed),
            (Failure::Malformed { reason: "why".into() }, healthy),
        ] {
            let error = CallError::new(Service::AtomicExecutor, failure);
            assert_eq!(health(&error), expected, "{error:?}");
        }
    }
}
