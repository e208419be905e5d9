//! Large outputs on their way to the Artifact Store. The store is optional:
//! outputs that it does not take in time stay in the journal.

use std::{sync::Arc, time::Duration};

use super::ArtifactStore;
use crate::{
    clients::CallError,
    resilience::CoolDown,
    time::{Clock, within},
    types::ResourceRef,
};
use parking_lot::Mutex;

/// How long the store is left alone after a failure: results must not wait for
/// it one after the other.
const COOL_DOWN: Duration = Duration::from_secs(5);

/// How long health reports a failure. Whether the store is back, only the next
/// large outputs will show.
const REPORTED: Duration = Duration::from_secs(60);

const JSON: &str = "application/json";

/// Puts outputs into the store, unless that failed a moment ago.
pub struct OutputOffload {
    store: ArtifactStore,
    clock: Arc<dyn Clock>,
    cool_down: Mutex<CoolDown>,
}

/// Why outputs were not put into the store.
#[derive(Debug, thiserror::Error)]
pub enum OffloadSkipped {
    #[error("the artifact store failed a moment ago")]
    CoolingDown,
    #[error("not stored within the time that the node has left")]
    OutOfTime,
    #[error("{}: {}", .0.code(), .0.reason())]
    Failed(CallError),
}

impl OutputOffload {
    pub fn new(store: ArtifactStore, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, cool_down: Mutex::default() }
    }

    /// Puts outputs into the store within `limit`. Returns a reference to them.
    pub async fn put(&self, outputs: Vec<u8>, limit: Duration) -> Result<ResourceRef, OffloadSkipped> {
        if !self.cool_down.lock().is_over(COOL_DOWN, self.clock.now()) {
            return Err(OffloadSkipped::CoolingDown);
        }
        match within(&*self.clock, limit, self.store.put(outputs.into(), JSON)).await {
            Some(Ok(artifact)) => {
                self.cool_down.lock().succeeded();
                Ok(artifact.reference())
            }
            Some(Err(error)) => {
                // 413: the store works, these outputs are too large for it.
                if error.status() != Some(413) {
                    self.cool_down.lock().failed(self.clock.now());
                }
                Err(OffloadSkipped::Failed(error))
            }
            None => Err(OffloadSkipped::OutOfTime),
        }
    }

    /// Whether the store has failed recently and not worked since. For health.
    pub fn has_failed_recently(&self) -> bool {
        !self.cool_down.lock().is_over(REPORTED, self.clock.now())
    }
}
