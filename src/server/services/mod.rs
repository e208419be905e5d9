//! The JARVIS stores (contract §14 to §16): where others read runs and events.
//! What their calls mean, without saying when they are made.
//!
//! ```text
//!   outbox (brings every change) ─────▶ RunStore, EventStream
//!   coordinator (adopts strangers) ───▶ RunStore, EventStream
//!   coordinator (large outputs) ──────▶ ArtifactStore
//! ```
//!
//! They know nothing of versions or transactions across objects. One writer
//! for each run, keys made from ids and numbered events make every write
//! repeatable.

mod artifact_store;
mod event_stream;
pub mod node_registry;
pub mod policy;
mod run_store;

use std::{sync::Arc, time::Duration};

pub use artifact_store::{Artifact, ArtifactStore};
pub use event_stream::{Appended, EventStream};
pub use run_store::RunStore;

use crate::{
    clients::{CallError, Service},
    time::{Clock, within},
};

/// The stores, as far as the coordinator brings them anything or asks them.
#[derive(Clone)]
pub struct Stores {
    pub runs: RunStore,
    pub events: EventStream,
    pub artifacts: ArtifactStore,
}

/// How long a call of a store may take.
#[derive(Clone)]
pub struct Patience {
    pub clock: Arc<dyn Clock>,
    pub limit: Duration,
}

impl Patience {
    /// What a call answers, unless it takes too long.
    async fn call<T>(
        &self,
        service: Service,
        call: impl Future<Output = Result<T, progenitor_client::Error<crate::types::ErrorEnvelope>>>,
    ) -> Result<T, CallError> {
        match within(&*self.clock, self.limit, call).await {
            Some(answer) => answer.map_err(|error| CallError::new(service, error)),
            None => Err(CallError::unavailable(service, "no answer in time")),
        }
    }
}

/// It answered, and that cannot be true: asking again will not help.
fn nonsense(service: Service, reason: &str) -> CallError {
    CallError { status: Some(200), retryable: false, ..CallError::unavailable(service, reason) }
}

/// None instead of an answer that there is no such thing.
fn found<T>(answer: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.status == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}
