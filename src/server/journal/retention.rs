//! Forgets runs that have been finished for long, so that the journal need not
//! grow for ever. Only if the settings say for how long they are kept.
//!
//! ```text
//!   look ──none──▶ wait LOOK ─▶ look
//!     └──some──▶ deleted, a batch ─▶ wait PAUSE ─▶ look
//! ```
//!
//! What is deleted, and what must not be, is the store's business. A run that
//! the Run Store has is adopted again when somebody asks for it.

use std::{sync::Arc, time::Duration};

use slog::{Logger, error, info};

use crate::{
    journal::{Journal, JournalError},
    runtime::tasks::TaskSet,
    time::Clock,
};

/// The longest time between two looks.
const LOOK: Duration = Duration::from_secs(60);
/// Runs deleted in one batch.
const BATCH: u32 = 64;
/// Between two batches: what callers want written comes first.
const PAUSE: Duration = Duration::from_millis(50);

pub struct Retention {
    pub journal: Arc<dyn Journal>,
    pub clock: Arc<dyn Clock>,
    /// How long a finished run is kept.
    pub keep: Duration,
    pub log: Logger,
}

impl Retention {
    /// Works in the background until the tasks are told to stop.
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
            let wait = self.forget_some().await.unwrap_or_else(|failure| {
                error!(self.log, "cannot forget finished runs"; "error" => %failure);
                LOOK
            });
            self.clock.sleep(wait).await;
        }
    }

    /// A batch. How long to wait before the next.
    async fn forget_some(&self) -> Result<Duration, JournalError> {
        let before = self.clock.now() - self.keep;
        match self.journal.runs_prune(before, BATCH).await? {
            0 => Ok(LOOK.min(self.keep)),
            runs => {
                info!(self.log, "finished runs forgotten"; "runs" => runs, "finished_before" => %before);
                Ok(PAUSE)
            }
        }
    }
}
