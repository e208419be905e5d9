//! Calls with a time limit.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;

use super::{CallError, Service};
use crate::time::{Clock, within};

/// The time limit for calls of one service, by the coordinator's clock.
#[derive(Clone)]
pub struct CallTimeout {
    pub clock: Arc<dyn Clock>,
    pub limit: Duration,
}

impl CallTimeout {
    /// Awaits a call, as [`call_within`] with this limit.
    pub fn call<T>(
        &self,
        service: Service,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> impl Future<Output = Result<T, CallError>> {
        call_within(&*self.clock, self.limit, service, call)
    }
}

/// Awaits a call. One that takes longer than `limit` is dropped and has got no
/// response.
pub fn call_within<T>(
    clock: &dyn Clock,
    limit: Duration,
    service: Service,
    call: impl Future<Output = Result<T, CallError>>,
) -> impl Future<Output = Result<T, CallError>> {
    let late = move || Err(CallError::no_response(service, "no answer in time"));
    within(clock, limit, call).map(move |answer| answer.unwrap_or_else(late))
}
