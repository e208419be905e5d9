//! Takes what is due and nobody's, as long as there is room for it. Each lane
//! has room of its own, and is asked for by itself: what waits for an executor
//! that is full is not in the way of anything else.

use std::{sync::Arc, time::Duration};

use slog::error;

use super::{Dispatcher, Parts};
use crate::{
    coordinator::{CLAIM_WITHIN, Lane},
    journal::{ClaimFilter, JournalError},
    time::Timestamp,
};

/// So many wake-ups of a lane are claimed at once.
const CLAIM: usize = 256;

impl Dispatcher {
    pub(super) async fn claim(self: Arc<Self>) {
        let Parts { clock, queue, tasks, log, .. } = &self.parts;
        let stopping = tasks.stopping();
        while !stopping.is_cancelled() {
            let wait = self.claim_due().await.unwrap_or_else(|failure| {
                // What is due stays due: do not ask again at once.
                error!(log, "cannot claim work"; "error" => %failure);
                CLAIM_WITHIN
            });
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = queue.poked() => {}
                () = clock.sleep(wait) => {}
            }
        }
    }

    /// Takes what is due now, lane by lane. How long it may be until there is
    /// more.
    async fn claim_due(&self) -> Result<Duration, JournalError> {
        let Parts { journal, clock, tasks, .. } = &self.parts;
        loop {
            let now = clock.now();
            let mut may_be_more = false;
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

    /// Takes what is due of a lane, as long as there is room. Whether there may
    /// be more that could be taken.
    async fn claim_of(&self, lane: Lane, now: Timestamp) -> Result<bool, JournalError> {
        let Parts { journal, queue, .. } = &self.parts;
        let room = queue.room(lane).min(CLAIM);
        if room == 0 {
            // Jobs that end poke, when enough of them have.
            return Ok(false);
        }
        let want = ClaimFilter {
            job: Some(lane.job()),
            kind: lane.kind(),
            // What is due of the full runs is left. Their jobs poke as well.
            except: queue.full_runs(lane),
            limit: u32::try_from(room).unwrap_or(u32::MAX),
        };
        let claimed = journal.claim_due(queue.owner(), now, &want).await?;
        claimed.iter().for_each(|node| queue.push(node, now));
        Ok(claimed.len() == room)
    }
}
