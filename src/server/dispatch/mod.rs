//! Gets nodes executed: takes what is due from the journal and sees each job
//! through.
//!
//! ```text
//!   journal ──claim──▶ queue ──▶ Dispatch ───────▶ executor ──▶ result committed
//!      ▲                 │  └──▶ CancelExecutor ─▶ executor ──▶ wake-up cleared
//!      │                 └─────▶ Deadline ───────▶ node failed, or attempt lost
//!      └── sweep: dead owners' wake-ups, overdue runs, jobs of ours that nobody is at
//! ```
//!
//! Each job runs in a task of its own and ends in a recorded state. If it
//! cannot (the journal fails, the task panics), it stays in hand until the
//! sweep has looked at what it left: an attempt that was begun is lost, all
//! else is begun again. What fails again and again is parked.
//!
//! - `claim`: takes what is due.
//! - `execute`, `cancel`: the jobs; `outcome`: what came of a call.
//! - `executors`: who is called; `slots`: how many at once, and
//!   whether at all.
//! - `sweep`, `poison`: what went wrong.
//!
//! **Architecture invariants.** An executor is called only after the commit that
//! says so, and not after somebody was answered that the node is over: the
//! commit of a node's end calls off its dispatch, wherever that is (waiting for a
//! slot, a token, a connection, or the answer). No request of a caller waits
//! here. Nothing waits for an executor but what is to be done at it.

mod cancel;
mod claim;
mod execute;
mod executors;
mod gate;
mod outcome;
mod poison;
mod slots;
mod sweep;

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::FutureExt;
use slog::{Logger, error, info};
use tokio::sync::mpsc;

pub use executors::{Executor, Executors};

use self::poison::{Failures, Item, is_damaged, is_poison};
use crate::{
    auth::AssignmentTokens,
    coordinator::{Coordinator, CoordinatorError, OWNED_FOREVER, Task, WorkQueue},
    health::DispatchStatus,
    journal::{Journal, JournalError, Parked},
    record::Job,
    runtime::tasks::{TaskSet, panic_message},
    time::Clock,
};

/// What dispatch is made of.
pub struct Parts {
    pub coordinator: Arc<Coordinator>,
    pub journal: Arc<dyn Journal>,
    pub clock: Arc<dyn Clock>,
    pub queue: Arc<WorkQueue>,
    /// Receives the sweep's report for the health check.
    pub health: Arc<DispatchStatus>,
    pub executors: Executors,
    /// What composites call us back with; `None` where callers are not asked.
    pub assignment_tokens: Option<Arc<AssignmentTokens>>,
    /// Off: nodes stay queued (contract §18).
    pub auto_dispatch: bool,
    pub tasks: TaskSet,
    pub log: Logger,
}

/// Takes jobs and sees them through.
pub struct Dispatcher {
    parts: Parts,
    /// Jobs that came to no end, for the sweep.
    left: Mutex<Vec<Task>>,
    failures: Failures,
}

/// A job that somebody is at. Dropped before it is done, it is left to the
/// sweep.
struct UnderWay<'d> {
    dispatcher: &'d Dispatcher,
    task: Option<Task>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.dispatcher.left().extend(self.task.take());
    }
}

impl Dispatcher {
    /// Registers this process in the journal and takes over what dead ones
    /// left. Nothing is begun before [`Dispatcher::begin`].
    pub async fn take_over(parts: Parts) -> Result<Arc<Self>, JournalError> {
        let Parts { journal, clock, queue, log, .. } = &parts;
        journal.renew_worker(queue.owner(), OWNED_FOREVER).await?;
        let taken_over = journal.reap_dead_workers(clock.now()).await?;
        if taken_over > 0 {
            info!(log, "taking over what the last process left"; "jobs" => taken_over);
        }
        let dispatcher = Self { parts, left: Mutex::default(), failures: Failures::default() };
        dispatcher.say_how_it_goes().await?;
        Ok(Arc::new(dispatcher))
    }

    /// Begins to work: from here on executors are called.
    pub fn begin(self: &Arc<Self>, tasks_in: mpsc::UnboundedReceiver<Task>) {
        let Parts { tasks, clock, .. } = &self.parts;
        // What was not begun before a panic is still in it.
        let tasks_in = Arc::new(tokio::sync::Mutex::new(tasks_in));
        let dispatcher = Arc::clone(self);
        tasks.supervise("dispatch", Arc::clone(clock), move || {
            let (dispatcher, tasks_in) = (Arc::clone(&dispatcher), Arc::clone(&tasks_in));
            async move { dispatcher.work(&mut *tasks_in.lock().await).await }
        });
        let dispatcher = Arc::clone(self);
        tasks.supervise("claim", Arc::clone(clock), move || Arc::clone(&dispatcher).claim());
        let dispatcher = Arc::clone(self);
        tasks.supervise("sweep", Arc::clone(clock), move || Arc::clone(&dispatcher).sweep());
    }

    /// Begins each job that comes, in a task of its own.
    async fn work(self: Arc<Self>, tasks_in: &mut mpsc::UnboundedReceiver<Task>) {
        let stopping = self.parts.tasks.stopping().clone();
        loop {
            let task = tokio::select! {
                biased;
                () = stopping.cancelled() => None,
                task = tasks_in.recv() => task,
            };
            let Some(task) = task else { return };
            let dispatcher = Arc::clone(&self);
            self.parts.tasks.spawn("job", async move { dispatcher.run_job(task).await });
        }
    }

    async fn run_job(&self, task: Task) {
        let mut job = UnderWay { dispatcher: self, task: Some(task) };
        let Some(task) = &job.task else { return };
        let done = match AssertUnwindSafe(self.job(task)).catch_unwind().await {
            Ok(Ok(())) => {
                self.failures.forget(&task.into());
                true
            }
            Ok(Err(failure)) => self.failed(&task.into(), &failure).await,
            Err(panic) => self.panicked(&task.into(), panic_message(&*panic)).await,
        };
        if done {
            job.task = None;
        }
    }

    async fn job(&self, task: &Task) -> Result<(), CoordinatorError> {
        match task.job {
            Job::Dispatch if self.parts.auto_dispatch => self.dispatch(task).await,
            Job::Dispatch => Ok(()),
            Job::Deadline => self.parts.coordinator.node_deadline(&task.run, &task.node, task.attempt).await,
            Job::CancelExecutor => self.cancel_executor(task).await,
        }
    }

    /// Notes that something was not done. Whether that is settled, because it
    /// was parked; else it is to be tried again.
    async fn failed(&self, item: &Item, failure: &CoordinatorError) -> bool {
        let cause = failure.internal().unwrap_or_default();
        error!(self.parts.log, "not done, it will be begun again"; item, "error" => %failure, "cause" => &cause);
        let error = format!("{failure}: {cause}");
        match is_damaged(failure) {
            true => self.park(item.parked(error, self.parts.clock.now()), item).await,
            false => is_poison(failure) && self.count_failure(item, error).await,
        }
    }

    async fn panicked(&self, item: &Item, message: &str) -> bool {
        error!(self.parts.log, "it made a rule panic, it will be begun again"; item, "panic" => message);
        self.count_failure(item, format!("panic: {message}")).await
    }

    async fn count_failure(&self, item: &Item, error: String) -> bool {
        match self.failures.count(item, error, self.parts.clock.now()) {
            Some(parked) => self.park(parked, item).await,
            None => false,
        }
    }

    async fn park(&self, parked: Parked, item: &Item) -> bool {
        let Parts { coordinator, journal, log, .. } = &self.parts;
        error!(log, "parked: it cannot be decided"; item, "until" => %parked.until);
        match journal.park(parked).await {
            Ok(()) => {
                // From here on health shows it among the work.
                coordinator.journal_writes();
                true
            }
            Err(failure) => {
                error!(log, "it could not be parked"; item, "error" => %failure);
                false
            }
        }
    }

    fn left(&self) -> MutexGuard<'_, Vec<Task>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
