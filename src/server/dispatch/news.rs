//! What other processes have done to what this one watches, if several share the
//! journal: asked for twice a second, because nothing announces it.
//!
//! ```text
//!   news ──▶ followed runs: their newest events and ends are announced to followers
//!        ├─▶ calls in hand: those whose node has ended are dropped
//!        ├─▶ pauses of dispatch: those in force are taken over
//!        └─▶ what this process has heard of executors is noted for the others
//! ```

use std::{sync::Arc, time::Duration};

use slog::{info, warn};

use super::{Dispatcher, Parts, streak::Streak};
use crate::{journal::JournalError, record::Job, time::Timestamp};

/// The time between two looks.
const NEWS: Duration = Duration::from_millis(500);

impl Dispatcher {
    pub(super) async fn news(self: Arc<Self>) {
        let Parts { clock, tasks, log, .. } = &self.parts;
        let (stopping, mut streak) = (tasks.stopping(), Streak::default());
        loop {
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = clock.sleep(NEWS) => {}
            }
            match self.news_once().await {
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
        }
    }

    async fn news_once(&self) -> Result<(), JournalError> {
        let Parts { attempts, journal, .. } = &self.parts;
        let dropped = self.drop_ended().await;
        let announced = attempts.committer().announce_followed().await;
        let noted = attempts.committer().note_signs().await;
        attempts.pauses().refresh(&**journal).await?;
        dropped.and(announced).and(noted)
    }

    /// Drops the calls for nodes that have ended elsewhere.
    async fn drop_ended(&self) -> Result<(), JournalError> {
        let Parts { journal, queue, .. } = &self.parts;
        // Before the claims are read: what was claimed by then is among them.
        let in_hand = queue.dispatches();
        if in_hand.is_empty() {
            return Ok(());
        }
        let ever = Timestamp::from_micros(i64::MAX);
        let held = journal.claims_held(queue.worker(), &[Job::Dispatch, Job::Deadline], ever).await?;
        let held: std::collections::HashSet<_> = held.into_iter().map(|claim| claim.node_run_id).collect();
        for node in in_hand.iter().filter(|node| !held.contains(*node)) {
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
