//! Deletes runs that finished long ago and audit records that are old, so that the
//! journal does not grow without bound. Each has a time of its own; runs are only
//! deleted if the settings say how long they are kept.
//!
//! ```text
//!   prune runs, prune audit records ──none──▶ wait POLL_EVERY ─▶ prune
//!     └──some──▶ deleted, a batch of either ─▶ wait PAUSE ─▶ prune
//! ```
//!
//! Of several workers, the housekeeper does it. The journal knows which runs must stay. A deleted run that the Run Store has is
//! adopted again when a caller asks for it. Its audit records stay until they are
//! old themselves.

use std::{sync::Arc, time::Duration};

use slog::{Logger, error, info};

use crate::{
    journal::{Duties, Duty, Journal, JournalError},
    runtime::tasks::TaskSet,
    time::Clock,
};

/// Upper bound on the polling interval.
const POLL_EVERY: Duration = Duration::from_secs(60);
/// Runs deleted in one batch.
const RUNS: u32 = 64;
/// Audit records deleted in one batch.
const AUDIT_RECORDS: u32 = 2048;
/// The pause between two batches, which lets commits go first.
const PAUSE: Duration = Duration::from_millis(50);

pub struct Retention {
    pub journal: Arc<dyn Journal>,
    pub clock: Arc<dyn Clock>,
    /// Housekeeping is one of them.
    pub duties: Arc<Duties>,
    /// How long a finished run is kept. `None`: without limit.
    pub runs: Option<Duration>,
    /// How long an audit record and a bulk job that has ended are kept.
    pub audit: Duration,
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
            self.duties.held(Duty::Housekeeping, &*self.clock).await;
            let runs = self.prune_runs().await.unwrap_or_else(|failure| {
                error!(self.log, "could not delete finished runs"; "error" => %failure);
                POLL_EVERY
            });
            let audit = self.prune_audit().await.unwrap_or_else(|failure| {
                error!(self.log, "could not delete old audit records"; "error" => %failure);
                POLL_EVERY
            });
            let bulk = self.prune_bulk().await.unwrap_or_else(|failure| {
                error!(self.log, "could not delete old bulk jobs"; "error" => %failure);
                POLL_EVERY
            });
            self.clock.sleep(runs.min(audit).min(bulk)).await;
        }
    }

    /// Deletes a batch. Returns how long to wait before the next.
    async fn prune_runs(&self) -> Result<Duration, JournalError> {
        let Some(keep) = self.runs else { return Ok(POLL_EVERY) };
        let before = self.clock.now() - keep;
        match self.journal.runs_prune(before, RUNS).await? {
            0 => Ok(POLL_EVERY.min(keep)),
            runs => {
                info!(self.log, "finished runs deleted"; "runs" => runs, "finished_before" => %before);
                Ok(PAUSE)
            }
        }
    }

    /// The same for bulk jobs, which say who did what, and are kept like audit records.
    async fn prune_bulk(&self) -> Result<Duration, JournalError> {
        let before = self.clock.now() - self.audit;
        match self.journal.bulk_prune(before, AUDIT_RECORDS).await? {
            0 => Ok(POLL_EVERY.min(self.audit)),
            rows => {
                info!(self.log, "old bulk jobs deleted"; "rows" => rows, "before" => %before);
                Ok(PAUSE)
            }
        }
    }

    /// The same for audit records.
    async fn prune_audit(&self) -> Result<Duration, JournalError> {
        let before = self.clock.now() - self.audit;
        match self.journal.audit_prune(before, AUDIT_RECORDS).await? {
            0 => Ok(POLL_EVERY.min(self.audit)),
            records => {
                info!(self.log, "old audit records deleted"; "records" => records, "before" => %before);
                Ok(PAUSE)
            }
        }
    }
}
