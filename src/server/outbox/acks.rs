//! Acknowledgements: accepted entries are deleted from the outbox, in groups some time
//! apart and beside the sending. Entries whose deletion fails are sent again by the next
//! process, which the stores tolerate.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use slog::{Logger, warn};

use crate::{
    journal::{Journal, OutboxId},
    time::{Clock, Timestamp},
};

/// The pause after a failure of the journal.
pub(super) const RETRY_JOURNAL_AFTER: Duration = Duration::from_secs(1);

/// A group of this many does not wait.
const MANY: usize = 1000;

pub(super) struct Acks {
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    log: Logger,
    /// The time between two groups.
    every: Duration,
    /// The next group is not before.
    from: Timestamp,
    /// Everything that was read and not deleted yet, if others write to the outbox too.
    in_hand: BTreeSet<OutboxId>,
    accepted: Vec<OutboxId>,
    /// A deletion of entries: whether they are deleted.
    under_way: Option<(Vec<OutboxId>, BoxFuture<'static, bool>)>,
}

impl Acks {
    pub(super) fn new(
        journal: Arc<dyn Journal>,
        clock: Arc<dyn Clock>,
        every: Duration,
        log: Logger,
    ) -> Self {
        let from = clock.now();
        let (in_hand, accepted) = (BTreeSet::new(), Vec::new());
        Self { journal, clock, log, every, from, in_hand, accepted, under_way: None }
    }

    /// Adds entries that were read. A journal that only this process writes is not read
    /// again behind them, so that they need not be known.
    pub(super) fn read(&mut self, ids: impl Iterator<Item = OutboxId>) {
        if self.journal.is_shared() {
            self.in_hand.extend(ids);
        }
    }

    pub(super) fn in_hand_count(&self) -> usize {
        self.in_hand.len()
    }

    /// The entries that were read and not deleted yet.
    pub(super) fn in_hand(&self) -> Vec<OutboxId> {
        self.in_hand.iter().copied().collect()
    }

    pub(super) fn add(&mut self, ids: impl IntoIterator<Item = OutboxId>) {
        self.accepted.extend(ids);
    }

    /// Deletes one group after the other, for as long as it is polled. May be
    /// dropped at any time: a deletion that is under way continues next time.
    pub(super) async fn work(&mut self) {
        loop {
            if self.under_way.is_none() {
                if self.accepted.is_empty() {
                    return std::future::pending().await;
                }
                let now = self.clock.now();
                if now < self.from && self.accepted.len() < MANY {
                    self.clock.sleep(self.from.since(now)).await;
                    continue;
                }
                self.from = now + self.every;
                let ids = std::mem::take(&mut self.accepted);
                self.under_way = Some((ids.clone(), self.delete(ids)));
            }
            self.step().await;
        }
    }

    /// Deletes everything that is left, in one try.
    pub(super) async fn finish(mut self) {
        self.step().await;
        if !self.accepted.is_empty() {
            let ids = std::mem::take(&mut self.accepted);
            let _deleted = self.delete(ids).await;
        }
    }

    async fn step(&mut self) {
        if let Some((ids, deletion)) = &mut self.under_way {
            let deleted = deletion.await;
            let ids = std::mem::take(ids);
            self.under_way = None;
            if deleted {
                for id in &ids {
                    self.in_hand.remove(id);
                }
            } else {
                self.accepted.extend(ids);
            }
        }
    }

    fn delete(&self, ids: Vec<OutboxId>) -> BoxFuture<'static, bool> {
        let (journal, clock, log) = (Arc::clone(&self.journal), Arc::clone(&self.clock), self.log.clone());
        async move {
            match journal.outbox_ack(&ids).await {
                Ok(()) => true,
                Err(failure) => {
                    warn!(log, "could not delete accepted outbox entries"; "entries" => ids.len(),
                        "error" => %failure);
                    clock.sleep(RETRY_JOURNAL_AFTER).await;
                    false
                }
            }
        }
        .boxed()
    }
}
