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
//! else is begun again.
//!
//! **Architecture invariant.** An executor is called only after the commit that
//! says so. No request of a caller waits here.

mod breaker;
mod cancel;
mod delivery;
mod execute;
mod executors;
mod slots;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use slog::{Logger, error, info};
use tokio::sync::mpsc;

pub use executors::{AtomicExecutor, CompositeExecutor, Executor, Executors};

use crate::{
    auth::AssignmentTokens,
    coordinator::{CLAIM_WITHIN, Coordinator, OWNED_FOREVER, Task, WorkQueue},
    record::Job,
    store::{Store, StoreError},
    tasks::TaskSet,
    time::{Clock, Timestamp},
};

/// The time between two sweeps.
const SWEEP: Duration = Duration::from_secs(2);
/// So many wake-ups are claimed at once.
const CLAIM: usize = 256;
/// So many overdue runs are ended in one sweep.
const OVERDUE: u32 = 64;

/// What dispatch is made of.
pub struct Parts {
    pub coordinator: Arc<Coordinator>,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub queue: Arc<WorkQueue>,
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
    pub async fn take_over(parts: Parts) -> Result<Arc<Self>, StoreError> {
        let Parts { store, clock, queue, log, .. } = &parts;
        store.owner_renew(queue.owner(), OWNED_FOREVER).await?;
        let taken_over = store.owners_expire(clock.now()).await?;
        if taken_over > 0 {
            info!(log, "taking over what the last process left"; "jobs" => taken_over);
        }
        Ok(Arc::new(Self { parts, left: Mutex::default() }))
    }

    /// Begins to work: from here on executors are called.
    pub fn begin(self: &Arc<Self>, tasks_in: mpsc::UnboundedReceiver<Task>) {
        let background = &self.parts.tasks;
        background.spawn("dispatch", Arc::clone(self).work(tasks_in));
        background.spawn("claim", Arc::clone(self).claim());
        background.spawn("sweep", Arc::clone(self).sweep());
    }

    /// Begins each job that comes, in a task of its own.
    async fn work(self: Arc<Self>, mut tasks_in: mpsc::UnboundedReceiver<Task>) {
        let stopping = self.parts.tasks.stopping().clone();
        loop {
            let task = tokio::select! {
                task = tasks_in.recv() => task,
                () = stopping.cancelled() => None,
            };
            let Some(task) = task else { return };
            let dispatcher = Arc::clone(&self);
            self.parts.tasks.spawn("job", async move { dispatcher.run_job(task).await });
        }
    }

    async fn run_job(&self, task: Task) {
        let mut job = UnderWay { dispatcher: self, task: Some(task) };
        let Some(task) = &job.task else { return };
        let ended = match task.job {
            Job::Dispatch => match self.parts.auto_dispatch {
                true => self.dispatch(task).await,
                false => Ok(()),
            },
            Job::Deadline => self.parts.coordinator.node_deadline(&task.run, &task.node, task.attempt).await,
            Job::CancelExecutor => self.cancel_executor(task).await,
        };
        match ended {
            Ok(()) => job.task = None,
            Err(failure) => {
                error!(self.parts.log, "job not done, it will be begun again"; "job" => task.job.as_str(),
                    "run_id" => %task.run, "node_run_id" => %task.node, "error" => %failure,
                    "cause" => failure.internal().unwrap_or_default());
            }
        }
    }

    fn left(&self) -> MutexGuard<'_, Vec<Task>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is due and nobody's, whenever there is room.
    async fn claim(self: Arc<Self>) {
        let Parts { clock, queue, tasks, log, .. } = &self.parts;
        let stopping = tasks.stopping();
        while !stopping.is_cancelled() {
            let wait = self.claim_due().await.unwrap_or_else(|failure| {
                // What is due stays due: do not ask again at once.
                error!(log, "cannot claim work"; "error" => %failure);
                CLAIM_WITHIN
            });
            tokio::select! {
                () = queue.poked() => {}
                () = clock.sleep(wait) => {}
                () = stopping.cancelled() => return,
            }
        }
    }

    /// Takes what is due now. How long it may be until there is more.
    async fn claim_due(&self) -> Result<Duration, StoreError> {
        let Parts { store, clock, queue, tasks, .. } = &self.parts;
        loop {
            let room = queue.room().min(CLAIM);
            if room == 0 || tasks.stopping().is_cancelled() {
                // Jobs that end poke, when enough of them have.
                return Ok(CLAIM_WITHIN);
            }
            let limit = u32::try_from(room).unwrap_or(u32::MAX);
            let claimed = store.wakes_claim(queue.owner(), clock.now(), limit, &[]).await?;
            for node in &claimed {
                queue.push(node);
            }
            if claimed.len() < room {
                let next = store.wake_next().await?;
                return Ok(next.map_or(CLAIM_WITHIN, |at| {
                    at.since(clock.now()).clamp(Duration::from_millis(1), CLAIM_WITHIN)
                }));
            }
        }
    }

    /// Finds what would otherwise be forgotten.
    async fn sweep(self: Arc<Self>) {
        let Parts { clock, tasks, log, .. } = &self.parts;
        let stopping = tasks.stopping();
        loop {
            tokio::select! {
                () = clock.sleep(SWEEP) => {}
                () = stopping.cancelled() => return,
            }
            if let Err(failure) = self.sweep_once().await {
                error!(log, "sweep failed"; "error" => %failure);
            }
        }
    }

    async fn sweep_once(&self) -> Result<(), StoreError> {
        let Parts { coordinator, store, clock, queue, log, .. } = &self.parts;
        store.owners_expire(clock.now()).await?;
        for run in store.runs_overdue(clock.now(), OVERDUE).await? {
            // One that cannot be ended must not keep the others from it.
            if let Err(failure) = coordinator.run_expire(&run).await {
                error!(log, "overdue run not ended"; "run_id" => %run, "error" => %failure,
                    "cause" => failure.internal().unwrap_or_default());
            }
        }
        self.take_back().await;
        coordinator.journal_probe().await;
        let announced = coordinator.announce_again().await;
        // Ours in the journal, but nobody is at it: its task failed, or the
        // commit that made it ours was reported as failed.
        let settled =
            Timestamp::from_micros(clock.now().as_micros() - i64::try_from(SWEEP.as_micros()).unwrap_or(0));
        for node in store.wakes_owned(queue.owner(), settled).await? {
            let held =
                !self.parts.auto_dispatch && node.wake.as_ref().is_some_and(|wake| wake.job == Job::Dispatch);
            if held {
                continue;
            }
            queue.push(&node);
        }
        announced
    }

    /// Sees to jobs that came to no end. While they are in `left` they are in
    /// hand, so nobody else is at their nodes.
    async fn take_back(&self) {
        let Parts { coordinator, log, .. } = &self.parts;
        let left = std::mem::take(&mut *self.left());
        for task in left {
            let looked = match task.job {
                // If its attempt was begun, nobody waits for the answer now.
                Job::Dispatch => coordinator.node_deadline(&task.run, &task.node, task.attempt + 1).await,
                Job::Deadline | Job::CancelExecutor => Ok(()),
            };
            if let Err(failure) = looked {
                error!(log, "job not taken back yet"; "job" => task.job.as_str(), "run_id" => %task.run,
                    "node_run_id" => %task.node, "error" => %failure);
                self.left().push(task);
            }
        }
    }
}
