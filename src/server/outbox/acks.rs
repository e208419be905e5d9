//! Acknowledgements: accepted entries are deleted from the outbox, in groups and
//! beside the sending. Entries whose deletion fails are sent again by the next
//! process, which the stores tolerate.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use slog::{Logger, warn};

use crate::{
    journal::{Journal, OutboxId},
    time::Clock,
};

/// The pause after a failure of the journal.
pub(super) const RETRY_JOURNAL_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Acks {
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    log: Logger,
    accepted: Vec<OutboxId>,
    /// A deletion, which returns the entries that could not be deleted.
    under_way: Option<BoxFuture<'static, Vec<OutboxId>>>,
}

impl Acks {
    pub(super) fn new(journal: Arc<dyn Journal>, clock: Arc<dyn Clock>, log: Logger) -> Self {
        Self { journal, clock, log, accepted: Vec::new(), under_way: None }
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
                let ids = std::mem::take(&mut self.accepted);
                self.under_way = Some(self.delete(ids));
            }
            self.step().await;
        }
    }

    /// Deletes everything that is left, in one try.
    pub(super) async fn finish(mut self) {
        self.step().await;
        if !self.accepted.is_empty() {
            let ids = std::mem::take(&mut self.accepted);
            let _failed = self.delete(ids).await;
        }
    }

    async fn step(&mut self) {
        if let Some(under_way) = &mut self.under_way {
            let failed = under_way.await;
            self.under_way = None;
            self.accepted.extend(failed);
        }
    }

    fn delete(&self, ids: Vec<OutboxId>) -> BoxFuture<'static, Vec<OutboxId>> {
        let (journal, clock, log) = (Arc::clone(&self.journal), Arc::clone(&self.clock), self.log.clone());
        async move {
            match journal.outbox_ack(&ids).await {
                Ok(()) => Vec::new(),
                Err(failure) => {
                    warn!(log, "could not delete accepted outbox entries"; "entries" => ids.len(),
                        "error" => %failure);
                    clock.sleep(RETRY_JOURNAL_AFTER).await;
                    ids
                }
            }
        }
        .boxed()
    }
}
