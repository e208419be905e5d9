//! The task that carries bulk jobs out.
//!
//! ```text
//!   ┌─▶ live jobs that are due ──▶ a step of each, side by side ─┐
//!   │     step: runs pending? ─yes─▶ act, one after the other in its time ─▶ commit
//!   │                        └─no──▶ list the next runs ───────────────────▶ commit
//!   └────────────────── a job has changed, or the next is due ◀──┘
//! ```
//!
//! **Invariants.** A run has a pending result before it is acted on. A step takes a
//! bounded number of runs, and ends early when the job is aborted or the server stops;
//! what it has done until then is committed. A process that dies loses the results of
//! one step: the next acts on those runs again, which changes nothing.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{StreamExt, future::Either, stream, stream::FuturesUnordered};
use slog::error;
use tokio_util::sync::CancellationToken;

use super::{principal, slot};
use crate::{
    auth::Principal,
    coordinator::{Coordinator, CoordinatorError},
    engine::{self, Listed},
    journal::{Duties, Duty, JournalError, RunPlace, RunSelect},
    record::{BulkAction, BulkJob, BulkOutcome, BulkResult},
    runtime::tasks::TaskSet,
    time::Timestamp,
    types::{BulkId, JsonObject, RunState},
};

/// Upper bound on the polling interval.
const POLL_EVERY: Duration = Duration::from_secs(60);

/// The same where other processes may have changed a job.
const POLL_SHARED_EVERY: Duration = Duration::from_secs(1);

/// The pause after a step that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs that are acted on at the same time, of one job.
const AT_ONCE: usize = 8;

/// Runs that a step acts on.
const STEP_RUNS: u32 = 500;

/// Runs that are listed in one step.
const LIST_RUNS: u32 = 500;

impl Coordinator {
    /// Starts the task. It works until the tasks are to stop, whenever this worker is the
    /// housekeeper.
    pub fn bulk_begin(self: &Arc<Self>, duties: &Arc<Duties>, tasks: &TaskSet) {
        let (coordinator, stopping) = (Arc::clone(self), tasks.stopping().clone());
        let (clock, duties) = (Arc::clone(&self.committer.clock), Arc::clone(duties));
        tasks.supervise("bulk jobs", clock, move || {
            let (coordinator, stopping) = (Arc::clone(&coordinator), stopping.clone());
            let duties = Arc::clone(&duties);
            async move { _ = coordinator.bulk_on_duty(&duties, &stopping).await }
        });
    }

    /// Returns `None` when the server stops.
    async fn bulk_on_duty(&self, duties: &Duties, stopping: &CancellationToken) -> Option<()> {
        let clock = &*self.committer.clock;
        while !stopping.is_cancelled() {
            stopping.run_until_cancelled(duties.held(Duty::Housekeeping, clock)).await?;
            // What is under way when the duty is lost is committed, as before a stop.
            let off_duty = stopping.child_token();
            let mut work = std::pin::pin!(self.bulk_work(&off_duty));
            tokio::select! {
                biased;
                () = &mut work => continue,
                () = duties.lost(Duty::Housekeeping, clock) => off_duty.cancel(),
            }
            work.await;
        }
        None
    }

    async fn bulk_work(&self, stopping: &CancellationToken) {
        let (mut steps, mut busy) = (FuturesUnordered::new(), BTreeSet::new());
        while !stopping.is_cancelled() {
            let now = self.committer.clock.now();
            let live = self.committer.journal.bulk_live(engine::BULK_LIVE_MAX * 2).await;
            let live = live.unwrap_or_else(|failure| {
                error!(self.committer.log, "could not read the bulk jobs"; "error" => %failure);
                Vec::new()
            });
            let mut next =
                now + if self.committer.journal.is_shared() { POLL_SHARED_EVERY } else { POLL_EVERY };
            for job in live {
                if busy.contains(&job.bulk_id) {
                    continue;
                }
                match job.wake_at {
                    Some(at) if at > now => next = next.min(at),
                    Some(_) | None => {
                        busy.insert(job.bulk_id.clone());
                        steps.push(self.bulk_step_or_pause(job.bulk_id, stopping));
                    }
                }
            }
            let ended = match steps.is_empty() {
                true => Either::Left(std::future::pending()),
                false => Either::Right(steps.next()),
            };
            tokio::select! {
                ended = ended => { ended.map(|id| busy.remove(&id)); }
                () = self.bulk.changed.notified() => {}
                () = self.committer.clock.sleep(next.since(now)) => {}
                () = stopping.cancelled() => {}
            }
        }
        // Steps see that the server stops, and commit what they have done.
        while steps.next().await.is_some() {}
    }

    async fn bulk_step_or_pause(&self, bulk: BulkId, stopping: &CancellationToken) -> BulkId {
        if let Err(failure) = self.bulk_step(&bulk, stopping).await {
            error!(self.committer.log, "could not go on with a bulk job"; "bulk_id" => %bulk,
                "error" => %failure);
            _ = stopping.run_until_cancelled(self.committer.clock.sleep(PAUSE)).await;
        }
        bulk
    }

    async fn bulk_fetch(&self, bulk: &BulkId) -> Result<Option<BulkJob>, CoordinatorError> {
        let found = self.committer.journal.bulk_fetch(bulk).await;
        found.map_err(|failure| self.committer.read_failed(failure))
    }

    /// One step of a job.
    async fn bulk_step(&self, bulk: &BulkId, stopping: &CancellationToken) -> Result<(), CoordinatorError> {
        let Some(job) = self.bulk_fetch(bulk).await?.filter(BulkJob::is_live) else { return Ok(()) };
        let most = job.per_second.clamp(1, STEP_RUNS);
        let pending = self.committer.journal.bulk_results(bulk, 0, Some(BulkOutcome::Pending), most).await;
        let pending = pending.map_err(|failure| self.committer.read_failed(failure))?;
        let caller = principal(&job);
        if pending.is_empty() && !job.is_listed {
            let listed = self.bulk_next_runs(&caller, &job).await?;
            let Some(change) = engine::bulk_list(job, listed, self.committer.clock.now()) else {
                return Ok(());
            };
            return ignoring_conflict(self.bulk_write(change).await);
        }
        let began = self.committer.clock.now();
        let (mut acted, failure) = self.bulk_act_on(&caller, &job, pending, stopping).await;
        acted.sort_by_key(|result| result.number);
        let next = slot(began, acted.len(), job.per_second);
        self.bulk_record(bulk, acted, next).await?;
        failure.map_or(Ok(()), Err)
    }

    /// Acts on runs, each in its time. Returns the results that there are, and the error
    /// because of which there are no others.
    async fn bulk_act_on(
        &self,
        caller: &Principal,
        job: &BulkJob,
        pending: Vec<BulkResult>,
        stopping: &CancellationToken,
    ) -> (Vec<BulkResult>, Option<CoordinatorError>) {
        let began = self.committer.clock.now();
        let act = |(number, pending): (usize, BulkResult)| async move {
            let wait = slot(began, number, job.per_second).since(self.committer.clock.now());
            if !wait.is_zero() {
                _ = stopping.run_until_cancelled(self.committer.clock.sleep(wait)).await;
            }
            let is_live = self.bulk_fetch(&job.bulk_id).await?.is_some_and(|job| job.is_live());
            if stopping.is_cancelled() || !is_live {
                return Ok(None);
            }
            self.bulk_act(caller, job, &pending).await.map(Some)
        };
        let acting = stream::iter(pending.into_iter().enumerate()).map(act).buffer_unordered(AT_ONCE);
        let (mut results, mut failed) = (Vec::new(), None);
        let mut acting = std::pin::pin!(acting);
        while let Some(acted) = acting.next().await {
            match acted {
                Ok(Some(result)) => results.push(result),
                Ok(None) => {}
                Err(failure) => failed = Some(failure),
            }
        }
        (results, failed)
    }

    /// Commits results, whatever became of the job meanwhile.
    async fn bulk_record(
        &self,
        bulk: &BulkId,
        acted: Vec<BulkResult>,
        next: Timestamp,
    ) -> Result<(), CoordinatorError> {
        loop {
            let Some(job) = self.bulk_fetch(bulk).await? else { return Ok(()) };
            let change = engine::bulk_record(job, acted.clone(), next, self.committer.clock.now());
            match self.bulk_write(change).await {
                // It was aborted in this moment, which happens once.
                Err(CoordinatorError::Journal(JournalError::Conflict)) => {}
                written => return written,
            }
        }
    }

    /// The next runs that a job's filter selects.
    async fn bulk_next_runs(&self, caller: &Principal, job: &BulkJob) -> Result<Listed, CoordinatorError> {
        let stored = job.filter.as_ref().map_or("{}", JsonObject::as_str);
        let Ok(select) = serde_json::from_str::<RunSelect>(stored) else {
            // A filter of another program: nothing is selected by what cannot be read.
            return Ok(Listed { at_end: true, ..Listed::default() });
        };
        let filter = self.readable_by(caller, select);
        let after = job.place.clone().map(|(started_at, run_id)| RunPlace { started_at, run_id });
        let page = self.committer.journal.runs_page(after.as_ref(), &filter, LIST_RUNS).await;
        let page = page.map_err(|failure| self.committer.read_failed(failure))?;
        let runs = page.runs.into_iter();
        Ok(Listed {
            runs: runs.map(|run| (run.place.run_id, skipped(job.action, run.state))).collect(),
            place: page.scanned_to.map(|place| (place.started_at, place.run_id)),
            at_end: page.at_end,
        })
    }
}

/// Why a run in this state is skipped without being looked at.
fn skipped(action: BulkAction, state: RunState) -> Option<String> {
    match (action, state.is_terminal()) {
        (BulkAction::Cancel, true) => Some(format!("run_terminal: {state}")),
        (BulkAction::Rerun { .. }, false) => Some("run_not_terminal".to_owned()),
        (BulkAction::Cancel, false) | (BulkAction::Rerun { .. }, true) => None,
    }
}

/// A job that changed meanwhile is looked at again.
fn ignoring_conflict(written: Result<(), CoordinatorError>) -> Result<(), CoordinatorError> {
    match written {
        Err(CoordinatorError::Journal(JournalError::Conflict)) => Ok(()),
        written => written,
    }
}
