//! Deletes runs that finished long ago, so that the journal does not grow without
//! bound. Only if the settings say how long finished runs are kept.
//!
//! ```text
//!   prune ──none──▶ wait POLL_EVERY ─▶ prune
//!     └──some──▶ deleted, a batch ─▶ wait PAUSE ─▶ prune
//! ```
//!
//! The journal knows which runs must stay. A deleted run that the Run Store has is
//! adopted again when a caller asks for it.

use std::{sync::Arc, time::Duration};

use slog::{Logger, error, info};

use crate::{
    journal::{Journal, JournalError},
    runtime::tasks::TaskSet,
    time::Clock,
};

/// Upper bound on the polling interval.
const POLL_EVERY: Duration = Duration::from_secs(60);
/// Runs deleted in one batch.
const BATCH: u32 = 64;
/// The pause between two batches, which lets commits go first.
const PAUSE: Duration = Duration::from_millis(50);

pub struct Retention {
    pub journal: Arc<dyn Journal>,
    pub clock: Arc<dyn Clock>,
    /// How long a finished run is kept.
    pub keep: Duration,
    pub log: Logger,
}

impl Retention {
    /// Starts a background task that works until the tasks are to stop.
    pub fn begin(self, tasks: &TaskSet) {
        let (clock, stopping) = (Arc::clone(&self.clock), tasks.stopping().clone());
        let retention = Arc::new(self);
        tasks.supervise("retention", clock, move || {
            let (retention, stopping) = (Arc::clone(&retention), stopping.clone());
            async move { _ = stopping.run_until_cancelled(retention.work()).await }
        });
    }

    async fn work(&self) {
        loop {
            let wait = self.prune_batch().await.unwrap_or_else(|failure| {
                error!(self.log, "could not delete finished runs"; "error" => %failure);
                POLL_EVERY
            });
            self.clock.sleep(wait).await;
        }
    }

    /// Deletes a batch. Returns how long to wait before the next.
    async fn prune_batch(&self) -> Result<Duration, JournalError> {
        let before = self.clock.now() - self.keep;
        match self.journal.runs_prune(before, BATCH).await? {
            0 => Ok(POLL_EVERY.min(self.keep)),
            runs => {
                info!(self.log, "finished runs deleted"; "runs" => runs, "finished_before" => %before);
                Ok(PAUSE)
            }
        }
    }
}
