//! Finds what would otherwise be forgotten, every two seconds: wake-ups of
//! owners that are dead, runs whose time is up, and jobs of ours that nobody is
//! at.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use slog::error;

use super::{Dispatcher, Parts, poison::Item};
use crate::{
    coordinator::Lane,
    health::ExecutorLoad,
    journal::{ClaimedWake, JournalError},
    record::{Job, NodeHead, Wake},
    runtime::tasks::panic_message,
    time::Timestamp,
    types::RunId,
};

/// The time between two sweeps.
const SWEEP: Duration = Duration::from_secs(2);
/// How long health speaks of an executor that did not answer. Whether it is
/// back, only the next call will tell.
const REMEMBER: Duration = Duration::from_secs(60);
/// So many overdue runs are ended in one sweep.
const OVERDUE: u32 = 64;

impl Dispatcher {
    pub(super) async fn sweep(self: Arc<Self>) {
        let Parts { clock, tasks, log, .. } = &self.parts;
        let stopping = tasks.stopping();
        loop {
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = clock.sleep(SWEEP) => {}
            }
            if let Err(failure) = self.sweep_once().await {
                error!(log, "sweep failed"; "error" => %failure);
            }
        }
    }

    async fn sweep_once(&self) -> Result<(), JournalError> {
        let Parts { coordinator, journal, clock, queue, .. } = &self.parts;
        journal.reap_dead_workers(clock.now()).await?;
        for run in journal.runs_overdue(clock.now(), OVERDUE).await? {
            self.run_overdue(&run).await;
        }
        self.take_back().await;
        self.failures.forget_old(clock.now());
        coordinator.journal_probe().await;
        let announced = coordinator.announce_again().await;
        // Ours in the journal, but nobody is at it: its task failed, or the
        // commit that made it ours was reported as failed.
        let settled =
            Timestamp::from_micros(clock.now().as_micros() - i64::try_from(SWEEP.as_micros()).unwrap_or(0));
        // Where nothing is dispatched, all that waits is ours for good: it is
        // not looked at. Of the others most are in hand.
        let jobs: &[Job] = match self.parts.auto_dispatch {
            true => &Job::ALL,
            false => &[Job::Deadline, Job::CancelExecutor],
        };
        for wake in journal.claims_held(queue.owner(), jobs, settled).await? {
            if !queue.has(&wake.node_run_id, wake.job) {
                self.begin_again(&wake).await?;
            }
        }
        announced?;
        self.say_how_it_goes().await
    }

    /// Begins a job that is ours and that nobody is at.
    ///
    /// The database has said so. The head may come from memory, and may be older
    /// than that: it says what the job is about, not whether there is one. (A
    /// job that was done meanwhile finds nothing to do.)
    async fn begin_again(&self, owned: &ClaimedWake) -> Result<(), JournalError> {
        let Parts { coordinator, journal, clock, queue, .. } = &self.parts;
        let now = clock.now();
        match journal.head_fetch(&owned.node_run_id).await {
            Ok(Some(head)) => {
                let owner = Some(queue.owner().clone());
                let wake = Wake { job: owned.job, at: now, claimed_by: owner, tries: 0 };
                queue.push(&NodeHead { wake: Some(wake), ..head }, now);
            }
            Ok(None) => {}
            // The others must not suffer for it.
            Err(damage @ JournalError::Damaged(_)) => {
                _ = self.failed(&owned.into(), &coordinator.read_failed(damage)).await;
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    /// Ends a run whose time is up. One that cannot be ended must not keep the
    /// others from it.
    async fn run_overdue(&self, run: &RunId) {
        let item = Item::of_run(run);
        let ended = AssertUnwindSafe(self.parts.coordinator.run_expire(run)).catch_unwind().await;
        match ended {
            Ok(Ok(())) => self.failures.forget(&item),
            Ok(Err(failure)) => _ = self.failed(&item, &failure).await,
            Err(panic) => _ = self.panicked(&item, panic_message(&*panic)).await,
        }
    }

    /// Sees to jobs that came to no end. While they are in `left` they are in
    /// hand, so nobody else is at their nodes.
    async fn take_back(&self) {
        let left = std::mem::take(&mut *self.left());
        for task in left {
            let looked = match task.job {
                // If its attempt was begun, nobody waits for the answer now.
                Job::Dispatch => {
                    let lost = self.parts.coordinator.node_deadline(&task.run, &task.node, task.attempt + 1);
                    AssertUnwindSafe(lost).catch_unwind().await
                }
                Job::Deadline | Job::CancelExecutor => Ok(Ok(())),
            };
            let settled = match looked {
                Ok(Ok(())) => true,
                Ok(Err(failure)) => self.failed(&(&task).into(), &failure).await,
                Err(panic) => self.panicked(&(&task).into(), panic_message(&*panic)).await,
            };
            if !settled {
                self.left().push(task);
            }
        }
    }

    /// Says for health how the executors are, and how much there is to do.
    pub(super) async fn say_how_it_goes(&self) -> Result<(), JournalError> {
        let Parts { journal, clock, queue, health, executors, .. } = &self.parts;
        let mut loads = Vec::new();
        for (kind, gate) in executors.gates() {
            let left_alone = gate.open_until().filter(|until| clock.now() < *until + REMEMBER);
            health.set_executor(gate.service.name(), left_alone);
            let lane = Lane::Dispatches(kind);
            let (in_hand, room) = (queue.in_lane(lane), queue.room(lane));
            loads.push(ExecutorLoad { executor: gate.service.name(), in_hand, room });
        }
        health.set_work(journal.counts(clock.now()).await?, queue.len(), loads);
        Ok(())
    }
}
