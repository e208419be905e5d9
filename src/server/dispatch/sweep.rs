//! Finds what nothing else would, every two seconds: wake-ups of dead workers, runs
//! past their deadline (if it is the housekeeper), and jobs that this worker has claimed
//! but does not have in hand.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::FutureExt;
use slog::{error, info};

use super::{
    Dispatcher, Parts,
    gate::Gate,
    poison::Item,
    slots::{MemberLoad, MemberNumber},
    streak::Streak,
};
use crate::{
    coordinator::{DispatchFacts, Lane},
    health::{ExecutorLoad, MemberReport, Work},
    journal::{ClaimedWake, Duty, JournalError},
    record::{Job, NodeHead, Wake},
    runtime::tasks::panic_message,
    time::Timestamp,
    types::{ExecutorBinding, RunId},
};

/// The time between two sweeps.
const SWEEP: Duration = Duration::from_secs(2);
/// How long health reports an executor after its circuit breaker was open: only
/// the next call will show whether it is back.
const REMEMBER: Duration = Duration::from_secs(60);
/// The time between two counts of the work of all runs by a worker that is not the
/// housekeeper: they are expensive.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// Maximum number of overdue runs that one sweep ends.
const OVERDUE: u32 = 64;

impl Dispatcher {
    pub(super) async fn sweep(self: Arc<Self>) {
        let Parts { clock, tasks, log, .. } = &self.parts;
        let (stopping, mut streak) = (tasks.stopping(), Streak::default());
        loop {
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = clock.sleep(SWEEP) => {}
            }
            match self.sweep_once().await {
                Ok(()) => {
                    if let Some(failures) = streak.succeeded() {
                        info!(log, "sweeps succeed again"; "failures" => failures);
                    }
                }
                Err(failure) if streak.failed() => error!(log, "sweep failed"; "error" => %failure),
                Err(_) => {}
            }
        }
    }

    async fn sweep_once(&self) -> Result<(), JournalError> {
        let Parts { attempts, journal, clock, queue, executors, .. } = &self.parts;
        journal.reap_dead_workers(clock.now()).await?;
        if self.is_housekeeper() {
            for run in journal.runs_overdue(clock.now(), OVERDUE).await? {
                self.run_due(&run).await;
            }
        }
        self.take_back().await;
        executors.gates().for_each(|(_, gate)| gate.serve());
        self.failures.forget_old(clock.now());
        attempts.committer().journal_probe().await;
        let announced = attempts.committer().announce_doubtful().await;
        // Claimed in the journal but not in hand: the job has failed, or the commit
        // that claimed it was reported as failed.
        let settled =
            Timestamp::from_micros(clock.now().as_micros() - i64::try_from(SWEEP.as_micros()).unwrap_or(0));
        // With dispatch off, all waiting dispatches stay claimed: they are skipped.
        // Most other jobs are in hand.
        let jobs: &[Job] = if self.parts.auto_dispatch {
            &Job::ALL
        } else {
            &[Job::Deadline, Job::CancelExecutor, Job::Approval, Job::SetAside]
        };
        for wake in journal.claims_held(queue.worker(), jobs, settled).await? {
            if !queue.has(&wake.node_run_id, wake.job) {
                self.run_again(&wake).await?;
            }
        }
        announced?;
        self.report_health().await
    }

    /// Runs a claimed job that is not in hand.
    ///
    /// The journal says that there is such a job. The head may come from a cache
    /// and be older: it says what the job is about, not whether there is one. (A
    /// job that was done in the meantime finds nothing to do.)
    async fn run_again(&self, owned: &ClaimedWake) -> Result<(), JournalError> {
        let Parts { attempts, journal, clock, queue, .. } = &self.parts;
        let now = clock.now();
        match journal.head_fetch(&owned.node_run_id).await {
            Ok(Some(head)) => {
                let claimed_by = Some(queue.worker().clone());
                let wake = Wake { job: owned.job, at: now, claimed_by, tries: 0 };
                queue.push(&NodeHead { wake: Some(wake), ..head }, now);
            }
            Ok(None) => {}
            // The other jobs go on.
            Err(damage @ JournalError::Damaged(_)) => {
                _ = self.failed(&owned.into(), &attempts.committer().read_failed(damage)).await;
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    /// Decides about a run whose deadline has passed, or whose hold ends. If that
    /// fails, the others are decided all the same.
    async fn run_due(&self, run: &RunId) {
        let item = Item::of_run(run);
        let ended = AssertUnwindSafe(self.parts.attempts.run_due(run)).catch_unwind().await;
        match ended {
            Ok(Ok(())) => self.failures.forget(&item),
            Ok(Err(failure)) => _ = self.failed(&item, &failure).await,
            Err(panic) => _ = self.panicked(&item, panic_message(&*panic)).await,
        }
    }

    /// Settles jobs without a recorded end. They are in hand until then, so that no
    /// other job is run for their nodes.
    async fn take_back(&self) {
        let unfinished = std::mem::take(&mut *self.unfinished());
        for job in unfinished {
            let looked = match job.job {
                Job::Dispatch => {
                    let given_up = self.parts.attempts.call_given_up(&job);
                    AssertUnwindSafe(given_up).catch_unwind().await
                }
                Job::Deadline | Job::CancelExecutor | Job::Approval | Job::SetAside => Ok(Ok(())),
            };
            let settled = match looked {
                Ok(Ok(())) => true,
                Ok(Err(failure)) => self.failed(&(&job).into(), &failure).await,
                Err(panic) => self.panicked(&(&job).into(), panic_message(&*panic)).await,
            };
            if !settled {
                self.unfinished().push(job);
            }
        }
    }

    /// Whether this worker does what one does for all.
    fn is_housekeeper(&self) -> bool {
        let Parts { duties, clock, .. } = &self.parts;
        duties.holds(Duty::Housekeeping, clock.now())
    }

    /// Whether it is time to count the work of all runs. Where several workers do, one of
    /// them does it often.
    fn counts_now(&self) -> bool {
        let now = self.parts.clock.now();
        let last = Timestamp::from_micros(self.counted.load(Ordering::Relaxed));
        let is_due = self.is_housekeeper() || now.since(last) >= COUNT_EVERY;
        if is_due {
            self.counted.store(now.as_micros(), Ordering::Relaxed);
        }
        is_due
    }

    /// Reports to health the state of the executors and the amount of work.
    pub(super) async fn report_health(&self) -> Result<(), JournalError> {
        let Parts { attempts, journal, clock, queue, health, executors, .. } = &self.parts;
        let mut loads = Vec::new();
        for (kind, gate) in executors.gates() {
            let executor = gate.service.name();
            let members = self.members_of(gate);
            let slots = members.iter().map(|member| member.slots).sum();
            let in_use = members.iter().map(|member| member.in_flight).sum();
            health.set_executor(executor, members);
            let lane = Lane::Dispatches(kind);
            let (in_hand, room) = (queue.in_lane(lane), queue.room(lane));
            loads.push(ExecutorLoad { executor, in_hand, room, slots, in_use, waiting: gate.waiting() });
        }
        if !self.counts_now() {
            return Ok(());
        }
        let counts = journal.counts(clock.now()).await?;
        let facts = DispatchFacts { status: Arc::clone(health), is_on: self.parts.auto_dispatch };
        // What cannot be read is noted there, and does not keep the rest from being
        // reported.
        let longest_wait =
            attempts.longest_wait(&counts.load.waiting_first, &facts).await.unwrap_or_default();
        health.set_work(Work { counts, in_hand: queue.len(), loads, longest_wait });
        Ok(())
    }

    /// The members of a pool, as health reports them.
    fn members_of(&self, gate: &Gate) -> Vec<MemberReport> {
        let now = self.parts.clock.now();
        let report =
            |(number, (_, load, outages)): (usize, (&ExecutorBinding, MemberLoad, u64))| MemberReport {
                name: gate.name_of(MemberNumber(number)),
                breaker: load.breaker.name(),
                troubled: load.breaker.open_until().is_some_and(|until| now < until + REMEMBER),
                in_flight: load.in_flight,
                slots: gate.slots_each(),
                outages,
                open_until: load.breaker.open_until(),
                last_error: load.last_error,
            };
        gate.loads().enumerate().map(report).collect()
    }
}
