//! Whether a caller's answer waits for the stores, and until when.
//!
//! ```text
//!   commit ──▶ is the oldest entry that is owed younger than the limit of lag?
//!                 │ yes ──▶ answered: the outbox has it in the same commit
//!                 │ no
//!                 ▼
//!              waits ──▶ its own entries are accepted, or the stores have caught up, or
//!                        the longest wait is over, or a store has been out for as long
//! ```
//!
//! So callers are answered at once while the stores keep up, and slowed down to the rate
//! of the stores when they do not. If the limit of lag is zero, each answer waits, and what
//! it says can be read from the stores.

use std::time::Duration;

use super::{Outbox, StoreState};
use crate::{
    journal::{Duty, OutboxId},
    time::{Timestamp, within},
    types::RunId,
};

/// The pauses between two questions whether another process has sent something.
const ASK_FIRST: Duration = Duration::from_millis(20);
const ASK_EVERY: Duration = Duration::from_millis(250);

/// When an answer waits for the stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Answers wait only while the oldest entry that is owed is older.
    pub lag: Duration,
    /// The longest wait of an answer.
    pub wait: Duration,
}

impl Patience {
    /// Whether each answer waits.
    pub(super) fn waits_always(&self) -> bool {
        self.lag.is_zero() && !self.wait.is_zero()
    }

    /// Whether an entry that is owed since then, if there is one, lags behind.
    fn bears(&self, oldest: Option<Timestamp>, now: Timestamp) -> bool {
        !self.lag.is_zero() && oldest.is_none_or(|oldest| now.since(oldest) <= self.lag)
    }
}

/// An entry that another process sends, and when it was committed.
pub(super) struct Sample {
    run: RunId,
    id: OutboxId,
    at: Timestamp,
}

impl Outbox {
    /// Waits, if the stores lag behind, until both have accepted everything of this run up
    /// to `id` or have caught up, at most for the configured time. A store that has been
    /// failing for as long is not waited for at all.
    pub async fn accepted(&self, run: &RunId, id: OutboxId) {
        // Health reports whether the stores lag behind.
        within(&*self.clock, self.patience.wait, self.accepted_or_young(run, id)).await;
    }

    async fn accepted_or_young(&self, run: &RunId, id: OutboxId) {
        if !self.sends() && self.keeps_up_elsewhere(run, id).await {
            return;
        }
        let here = async {
            let objects = self.accepted_by(&self.objects, run, id);
            let events = self.accepted_by(&self.events, run, id);
            tokio::join!(objects, events);
        };
        tokio::select! {
            biased;
            () = here => {}
            () = self.accepted_elsewhere(run, id), if self.journal.is_shared() => {}
        }
    }

    /// Whether this process sends the outbox.
    fn sends(&self) -> bool {
        self.duties.holds(Duty::Outbox, self.clock.now())
    }

    async fn accepted_by(&self, store: &StoreState, run: &RunId, id: OutboxId) {
        let now = self.clock.now();
        if store.backoff.failing().is_none_or(|failing| now.since(failing.since) < self.patience.wait) {
            // A process that does not send has nothing in its backlog.
            let is_young = |oldest| self.sends() && self.patience.bears(oldest, self.clock.now());
            store.backlog.settled(run, id, is_young).await;
        }
    }

    /// The same if another process may send them: the journal knows what it has sent. A
    /// store that this one cannot reach is not waited for either.
    async fn accepted_elsewhere(&self, run: &RunId, id: OutboxId) {
        let mut pause = ASK_FIRST;
        loop {
            self.clock.sleep(pause).await;
            pause = (pause * 2).min(ASK_EVERY);
            if self.sends() {
                continue;
            }
            let unreachable = self.probe.unreachable();
            let is_reached = unreachable.run_store.is_none() && unreachable.event_stream.is_none();
            // What cannot be read now is asked for again.
            if !is_reached || self.journal.outbox_settled(run, id).await.unwrap_or(false) {
                return;
            }
        }
    }

    /// Whether the process that sends keeps up: what this one has committed some time ago
    /// is not owed any more. One entry at a time is the sample for all, so the journal is
    /// asked once in that time.
    async fn keeps_up_elsewhere(&self, run: &RunId, id: OutboxId) -> bool {
        if self.patience.lag.is_zero() {
            return false;
        }
        let now = self.clock.now();
        let (of, upto) = {
            let mut sample = self.sample.lock();
            let sample = sample.get_or_insert_with(|| Sample { run: run.clone(), id, at: now });
            if now.since(sample.at) <= self.patience.lag {
                return true;
            }
            (sample.run.clone(), sample.id)
        };
        let keeps_up = self.journal.outbox_settled(&of, upto).await.unwrap_or(false);
        if keeps_up {
            *self.sample.lock() = Some(Sample { run: run.clone(), id, at: now });
        }
        keeps_up
    }
}
