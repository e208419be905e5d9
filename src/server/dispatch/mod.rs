//! Gets nodes executed: claims due wake-ups from the journal and sees each job
//! through.
//!
//! ```text
//!   journal ──claim──▶ queue ──▶ Dispatch ───────▶ executor ──▶ result committed
//!      ▲                 │  ├──▶ CancelExecutor ─▶ executor ──▶ wake-up cleared
//!      │                 │  ├──▶ Approval ───────▶ policy asked again, or node failed
//!      │                 └─────▶ Deadline ───────▶ node failed, or attempt lost
//!      └── sweep: wake-ups of dead workers, overdue runs, claimed jobs that are not in hand
//! ```
//!
//! Each job runs in a tokio task of its own and ends in a recorded state. If it
//! cannot (the journal fails, the task panics), it stays in hand until the next
//! sweep: an attempt that has started is lost, any other job is retried. A job that
//! fails repeatedly is parked.
//!
//! - `claim`: claims due wake-ups.
//! - `execute`, `cancel`: the jobs; `outcome`: the result of a call.
//! - `at_once`: nodes that begin in the commit that creates them.
//! - `executors`, `target`: the executors, which are pools of members; `gate`:
//!   which member a node may go to, or may be at; `slots`: the choice among them,
//!   and how many calls may be under way.
//! - `sweep`, `poison`: jobs that failed.
//! - `heartbeat`, `news`: the other processes, if several share the journal: which of
//!   them live, and what they have done.
//!
//! **Architecture invariants.** An executor is called only after the commit that
//! says so, and not after a caller was answered that the node has ended: the
//! commit of a node's end cancels its dispatch at any stage (waiting for a slot, a
//! token, a connection, or the answer). No request of a caller waits here. Only
//! calls to an executor wait for that executor.

mod at_once;
mod cancel;
mod claim;
mod execute;
mod executors;
mod gate;
mod heartbeat;
mod news;
mod outcome;
mod poison;
mod slots;
mod streak;
mod sweep;
mod target;

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::AtomicI64},
};

use futures::FutureExt;
use parking_lot::{Mutex, MutexGuard};
use slog::{Logger, error, info, warn};
use tokio::sync::mpsc;

pub use executors::{Executors, Member, Pool, PoolOptions};
pub use gate::Names;

use self::{
    at_once::BegunCall,
    poison::{Failures, Item, is_damaged, is_poison},
};
use crate::{
    auth::AssignmentTokens,
    coordinator::{Attempts, ClaimedJob, CoordinatorError, WorkQueue},
    health::DispatchStatus,
    journal::{Duties, Duty, Journal, JournalError, Parked},
    metrics::Metrics,
    record::Job,
    runtime::tasks::{TaskSet, panic_message},
    time::{Clock, FollowedClock},
    traces::current,
};

/// The parts of dispatch.
pub struct Parts {
    pub attempts: Arc<Attempts>,
    pub journal: Arc<dyn Journal>,
    pub clock: Arc<dyn Clock>,
    /// What the clock follows, if several processes share the journal: its time.
    pub followed: Option<Arc<FollowedClock>>,
    pub queue: Arc<WorkQueue>,
    /// Which it renews, and housekeeping is one of.
    pub duties: Arc<Duties>,
    /// Receives the sweep's report for the health check.
    pub health: Arc<DispatchStatus>,
    pub executors: Executors,
    /// Issues the tokens with which composite executors call us back; `None` if
    /// inbound authentication is off.
    pub assignment_tokens: Option<Arc<AssignmentTokens>>,
    /// If off, nodes stay queued (contract §18).
    pub auto_dispatch: bool,
    pub tasks: TaskSet,
    /// Where heartbeats go on until the claims are released.
    pub beats: TaskSet,
    pub metrics: Metrics,
    pub log: Logger,
}

/// Runs the jobs of this worker.
pub struct Dispatcher {
    parts: Parts,
    /// Jobs without a recorded end, for the sweep.
    unfinished: Mutex<Vec<ClaimedJob>>,
    failures: Failures,
    /// When the work of all runs was last counted.
    counted: AtomicI64,
}

/// A job that is being run. If dropped before it is done, it is left to the
/// sweep.
struct UnderWay<'d> {
    dispatcher: &'d Dispatcher,
    job: Option<ClaimedJob>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.dispatcher.unfinished().extend(self.job.take());
    }
}

impl Dispatcher {
    /// Registers this worker in the journal and takes over the jobs of dead
    /// workers. No job starts before [`Dispatcher::begin`].
    pub async fn take_over(parts: Parts) -> Result<Arc<Self>, JournalError> {
        let Parts { journal, clock, queue, log, .. } = &parts;
        journal.register_worker(queue.worker()).await?;
        let taken_over = journal.reap_dead_workers(clock.now()).await?;
        if taken_over > 0 {
            info!(log, "taking over jobs of a dead worker"; "jobs" => taken_over);
        }
        let paused = parts.attempts.pauses().load(&*parts.journal).await?;
        if paused > 0 {
            warn!(parts.log, "dispatch is paused since before the start"; "scopes" => paused);
        }
        parts.duties.want(Duty::Housekeeping);
        let dispatcher = Self {
            parts,
            unfinished: Mutex::default(),
            failures: Failures::default(),
            counted: AtomicI64::default(),
        };
        dispatcher.report_health().await?;
        Ok(Arc::new(dispatcher))
    }

    /// Starts the loops: from here on executors are called.
    pub fn begin(self: &Arc<Self>, jobs: mpsc::UnboundedReceiver<ClaimedJob>) {
        let Parts { tasks, clock, .. } = &self.parts;
        // After a panic the jobs that have not started are still in it.
        let jobs = Arc::new(tokio::sync::Mutex::new(jobs));
        let dispatcher = Arc::clone(self);
        tasks.supervise("dispatch", Arc::clone(clock), move || {
            let (dispatcher, jobs) = (Arc::clone(&dispatcher), Arc::clone(&jobs));
            async move { dispatcher.work(&mut *jobs.lock().await).await }
        });
        let places = Arc::downgrade(self);
        self.parts.attempts.begin_at(places);
        let dispatcher = Arc::clone(self);
        tasks.supervise("claim", Arc::clone(clock), move || Arc::clone(&dispatcher).claim());
        let dispatcher = Arc::clone(self);
        tasks.supervise("sweep", Arc::clone(clock), move || Arc::clone(&dispatcher).sweep());
        if self.parts.journal.is_shared() {
            let dispatcher = Arc::clone(self);
            tasks.supervise("news", Arc::clone(clock), move || Arc::clone(&dispatcher).news());
            let dispatcher = Arc::clone(self);
            let beats = &self.parts.beats;
            beats.supervise("heartbeat", Arc::clone(clock), move || Arc::clone(&dispatcher).heartbeat());
        }
    }

    /// Starts each job in a tokio task of its own.
    async fn work(self: Arc<Self>, jobs: &mut mpsc::UnboundedReceiver<ClaimedJob>) {
        let stopping = self.parts.tasks.stopping().clone();
        loop {
            let job = tokio::select! {
                biased;
                () = stopping.cancelled() => None,
                job = jobs.recv() => job,
            };
            let Some(job) = job else { return };
            let dispatcher = Arc::clone(&self);
            self.parts.tasks.spawn("job", async move { dispatcher.run_job(job, None).await });
        }
    }

    /// `begun`: the call that it is about, of a node that has begun already.
    async fn run_job(&self, job: ClaimedJob, begun: Option<BegunCall>) {
        let mut under_way = UnderWay { dispatcher: self, job: Some(job) };
        let Some(job) = &under_way.job else { return };
        let done = match AssertUnwindSafe(self.traced_job(job, begun)).catch_unwind().await {
            Ok(Ok(())) => {
                self.failures.forget(&job.into());
                true
            }
            Ok(Err(failure)) => self.failed(&job.into(), &failure).await,
            Err(panic) => self.panicked(&job.into(), panic_message(&*panic)).await,
        };
        if done {
            under_way.job = None;
        }
    }

    /// Does a job as a part of its run's trace.
    async fn traced_job(&self, job: &ClaimedJob, begun: Option<BegunCall>) -> Result<(), CoordinatorError> {
        let current = self.parts.attempts.current_of(job).await;
        current::scope(current, async {
            match begun {
                Some(begun) => self.call_begun(job, begun).await,
                None => self.job(job).await,
            }
        })
        .await
    }

    async fn job(&self, job: &ClaimedJob) -> Result<(), CoordinatorError> {
        match job.job {
            Job::Dispatch if self.parts.auto_dispatch => self.dispatch(job).await,
            Job::Dispatch => Ok(()),
            Job::Deadline => self.parts.attempts.deadline_due(job, job.attempt).await,
            Job::CancelExecutor => self.cancel_executor(job).await,
            Job::Approval => self.parts.attempts.approval_due(job).await,
            Job::SetAside => self.parts.attempts.set_aside_due(job).await,
        }
    }

    /// Notes that a job has failed. Returns whether it is settled because it was
    /// parked; if not, it is retried.
    async fn failed(&self, item: &Item, failure: &CoordinatorError) -> bool {
        let cause = failure.internal().unwrap_or_default();
        error!(self.parts.log, "job failed; will retry"; item, "error" => %failure, "cause" => &cause);
        let error = format!("{failure}: {cause}");
        if is_damaged(failure) {
            self.park(item.parked(error, self.parts.clock.now()), item).await
        } else {
            is_poison(failure) && self.count_failure(item, error).await
        }
    }

    async fn panicked(&self, item: &Item, message: &str) -> bool {
        error!(self.parts.log, "job panicked; will retry"; item, "error" => message);
        self.count_failure(item, format!("panic: {message}")).await
    }

    async fn count_failure(&self, item: &Item, error: String) -> bool {
        match self.failures.count(item, error, self.parts.clock.now()) {
            Some(parked) => self.park(parked, item).await,
            None => false,
        }
    }

    async fn park(&self, parked: Parked, item: &Item) -> bool {
        let Parts { attempts, journal, log, .. } = &self.parts;
        error!(log, "job parked"; item, "until" => %parked.until);
        match journal.park(parked).await {
            Ok(()) => {
                // From here on the health check of dispatch counts it.
                attempts.committer().journal_written();
                true
            }
            Err(failure) => {
                error!(log, "could not park job"; item, "error" => %failure);
                false
            }
        }
    }

    fn unfinished(&self) -> MutexGuard<'_, Vec<ClaimedJob>> {
        self.unfinished.lock()
    }
}
