//! What other processes have done to what this one watches, if several share the
//! journal.
//!
//! ```text
//!   twice a second ──▶ followed runs: their newest events and ends are announced to followers
//!                  ├─▶ calls in hand: those whose node has ended are dropped
//!                  ├─▶ pauses of dispatch: those in force are taken over
//!                  └─▶ what this process has heard of executors is noted for the others
//!   announced      ──▶ the runs and calls that are named, and work that waits to be claimed
//! ```
//!
//! **Invariant:** what is announced is only found sooner. Everything works without it.

use std::{sync::Arc, time::Duration};

use slog::{info, warn};

use super::{Dispatcher, Parts, streak::Streak};
use crate::{
    journal::{JournalError, News},
    record::Job,
    time::Timestamp,
    types::NodeRunId,
};

/// The time between two looks at everything, and the least time if more has happened than
/// could be announced.
const LOOK: Duration = Duration::from_millis(500);
const LOOK_SOONER: Duration = Duration::from_millis(100);
/// The least time between two looks at what was announced.
const GATHER: Duration = Duration::from_millis(5);

impl Dispatcher {
    pub(super) async fn news(self: Arc<Self>) {
        let Parts { clock, journal, tasks, log, .. } = &self.parts;
        let (stopping, mut streak) = (tasks.stopping(), Streak::default());
        let mut looked_at = clock.now();
        let mut look_at = looked_at + LOOK;
        loop {
            let announced = tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = clock.sleep(look_at.since(clock.now())) => News::anything(),
                news = journal.announced() => news,
            };
            if announced.anything {
                look_at = look_at.min(looked_at + LOOK_SOONER);
            }
            let found = if look_at <= clock.now() {
                looked_at = clock.now();
                look_at = looked_at + LOOK;
                self.look_at_everything().await
            } else {
                self.look_at_announced(&announced).await
            };
            if announced.unclaimed {
                self.parts.queue.notify_unclaimed();
            }
            match found {
                Ok(()) => {
                    if let Some(failures) = streak.succeeded() {
                        info!(log, "what other processes do can be read again"; "failures" => failures);
                    }
                }
                Err(failure) if streak.failed() => {
                    warn!(log, "could not read what other processes have done"; "error" => %failure);
                }
                Err(_) => {}
            }
            clock.sleep(GATHER).await;
        }
    }

    async fn look_at_announced(&self, news: &News) -> Result<(), JournalError> {
        let Parts { attempts, queue, .. } = &self.parts;
        let announced = attempts.committer().announce_if_followed(&news.runs).await;
        let in_hand = news.ended.iter().filter(|node| queue.has(node, Job::Dispatch));
        announced.and(self.drop_ended(in_hand).await)
    }

    async fn look_at_everything(&self) -> Result<(), JournalError> {
        let Parts { attempts, journal, .. } = &self.parts;
        let dropped = self.drop_calls().await;
        let announced = attempts.committer().announce_followed().await;
        let noted = attempts.committer().note_signs().await;
        attempts.pauses().refresh(&**journal).await?;
        dropped.and(announced).and(noted)
    }

    /// Drops the calls for nodes that have ended elsewhere.
    async fn drop_calls(&self) -> Result<(), JournalError> {
        let Parts { journal, queue, .. } = &self.parts;
        // Before the claims are read: what was claimed by then is among them.
        let in_hand = queue.dispatches();
        if in_hand.is_empty() {
            return Ok(());
        }
        let ever = Timestamp::from_micros(i64::MAX);
        let held = journal.claims_held(queue.worker(), &[Job::Dispatch, Job::Deadline], ever).await?;
        let held: std::collections::HashSet<_> = held.into_iter().map(|claim| claim.node_run_id).collect();
        self.drop_ended(in_hand.iter().filter(|node| !held.contains(*node))).await
    }

    /// Drops the calls for those of these nodes that have ended.
    async fn drop_ended(&self, nodes: impl Iterator<Item = &NodeRunId>) -> Result<(), JournalError> {
        let Parts { journal, queue, .. } = &self.parts;
        for node in nodes {
            // Asked before the record is: its first commit may be under way (`at_once`), and
            // durable before the answer is here.
            let had_started = queue.has_started(node);
            let has_ended = match journal.head_fetch(node).await? {
                Some(head) => head.is_terminal(),
                // Its run was pruned.
                None => had_started,
            };
            if has_ended {
                queue.node_ended(node);
            }
        }
        Ok(())
    }
}
