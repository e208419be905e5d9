//! The time limit for a request's body to arrive.
//!
//! In real time, whatever the clock of the server says: the network knows no
//! other.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::errors::ApiError;
use crate::coordinator::CoordinatorError;

/// The time limit for a body to arrive.
#[derive(Clone)]
pub(super) struct BodyTimeout {
    pub(super) limit: Duration,
    pub(super) stopping: CancellationToken,
}

impl BodyTimeout {
    /// The time limit from the moment when the server begins to stop.
    pub(super) const WHEN_STOPPING: Duration = Duration::from_secs(1);

    /// Waits for `body`, within the limit.
    pub(super) async fn wait_for<T>(&self, body: impl Future<Output = T>) -> Result<T, ApiError> {
        let stopped = async {
            self.stopping.cancelled().await;
            let _ = tokio::time::timeout(Self::WHEN_STOPPING, std::future::pending::<()>()).await;
        };
        tokio::select! {
            biased;
            read = tokio::time::timeout(self.limit, body) => {
                read.map_err(|_| ApiError::body_too_slow(self.limit))
            }
            () = stopped => Err(ApiError::from(CoordinatorError::ShuttingDown).closing()),
        }
    }
}
