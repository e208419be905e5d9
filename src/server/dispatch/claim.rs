//! Claims due, unclaimed wake-ups while the work queue has room. Each lane has room
//! of its own and is claimed separately: wake-ups that wait for a busy executor
//! do not hold up the others.

use std::{sync::Arc, time::Duration};

use slog::{error, info};

use super::{Dispatcher, Parts, streak::Streak};
use crate::{
    coordinator::{CLAIM_WITHIN, Lane},
    journal::{ClaimFilter, JournalError},
    time::Timestamp,
};

/// Maximum number of wake-ups that one call to the journal claims.
const CLAIM: usize = 256;

/// Maximum number of wake-ups that one call to the journal resumes.
const RESUME: u32 = 1024;

impl Dispatcher {
    pub(super) async fn claim(self: Arc<Self>) {
        let Parts { clock, queue, tasks, log, .. } = &self.parts;
        let (stopping, mut streak) = (tasks.stopping(), Streak::default());
        while !stopping.is_cancelled() {
            let wait = match self.claim_due().await {
                Ok(wait) => {
                    if let Some(failures) = streak.succeeded() {
                        info!(log, "due wake-ups can be claimed again"; "failures" => failures);
                    }
                    wait
                }
                // The wake-ups stay due: no hot loop.
                Err(failure) => {
                    if streak.failed() {
                        error!(log, "could not claim due wake-ups"; "error" => %failure);
                    }
                    CLAIM_WITHIN
                }
            };
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = queue.unclaimed() => {}
                () = clock.sleep(wait) => {}
            }
        }
    }

    /// Claims what is due now, lane by lane. Returns how long to wait for more.
    async fn claim_due(&self) -> Result<Duration, JournalError> {
        let Parts { journal, clock, queue, tasks, .. } = &self.parts;
        loop {
            let now = clock.now();
            if !queue.lease().holds(now) {
                return Ok(CLAIM_WITHIN);
            }
            let mut may_be_more = self.resume_set_aside(now).await?;
            for lane in Lane::ALL {
                if tasks.stopping().is_cancelled() {
                    return Ok(CLAIM_WITHIN);
                }
                may_be_more |= self.claim_of(lane, now).await?;
            }
            if !may_be_more {
                let next = journal.wake_next(now).await?;
                let wait = next.map_or(CLAIM_WITHIN, |at| at.since(clock.now()));
                return Ok(wait.clamp(Duration::from_millis(1), CLAIM_WITHIN));
            }
        }
    }

    /// Makes dispatches of what was set aside by a pause that has ended. Returns whether
    /// there may be more of it.
    async fn resume_set_aside(&self, now: Timestamp) -> Result<bool, JournalError> {
        let Parts { attempts, journal, .. } = &self.parts;
        if !attempts.pauses().take_owed() {
            return Ok(false);
        }
        let resumed = journal.set_aside_resume(now, RESUME).await;
        let may_be_more = resumed.as_ref().map_or(true, |resumed| *resumed == u64::from(RESUME));
        if may_be_more {
            attempts.pauses().owe();
        }
        resumed.map(|_| may_be_more)
    }

    /// Claims what is due in a lane, as far as there is room. Returns whether there
    /// may be more to claim.
    async fn claim_of(&self, lane: Lane, now: Timestamp) -> Result<bool, JournalError> {
        let Parts { attempts, journal, queue, .. } = &self.parts;
        if let Lane::Dispatches(kind) = lane
            && attempts.pauses().cover_executor(kind)
        {
            // A resumption notifies.
            return Ok(false);
        }
        let room = queue.room(lane).min(CLAIM);
        if room == 0 {
            // The queue notifies when enough jobs have ended.
            return Ok(false);
        }
        let want = ClaimFilter {
            job: Some(lane.job()),
            kind: lane.kind(),
            // Runs without room come later. The queue notifies for them as well.
            except: queue.full_runs(lane),
            limit: u32::try_from(room).unwrap_or(u32::MAX),
        };
        let claimed = journal.claim_due(queue.worker(), now, &want).await?;
        claimed.iter().for_each(|node| queue.push(node, now));
        Ok(claimed.len() == room)
    }
}
