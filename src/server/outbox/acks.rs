//! Takes what was accepted out of the outbox, in groups, beside the sending.
//! What is not taken out is sent again by the next process, which does no harm.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use slog::{Logger, warn};

use crate::{
    journal::{Journal, OutboxId},
    time::Clock,
};

/// How long a journal that failed is left alone.
pub(super) const AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Acks {
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    log: Logger,
    done: Vec<OutboxId>,
    under_way: Option<BoxFuture<'static, Vec<OutboxId>>>,
}

impl Acks {
    pub(super) fn new(journal: Arc<dyn Journal>, clock: Arc<dyn Clock>, log: Logger) -> Self {
        Self { journal, clock, log, done: Vec::new(), under_way: None }
    }

    pub(super) fn add(&mut self, ids: impl IntoIterator<Item = OutboxId>) {
        self.done.extend(ids);
    }

    /// Takes out one group after the other, as long as it is waited for. May be
    /// dropped at any time: what is under way goes on the next time.
    pub(super) async fn work(&mut self) {
        loop {
            if self.under_way.is_none() {
                if self.done.is_empty() {
                    return std::future::pending().await;
                }
                let ids = std::mem::take(&mut self.done);
                self.under_way = Some(self.take_out(ids));
            }
            self.step().await;
        }
    }

    /// Takes out all there is, in one try.
    pub(super) async fn finish(mut self) {
        self.step().await;
        if !self.done.is_empty() {
            let ids = std::mem::take(&mut self.done);
            let _failed = self.take_out(ids).await;
        }
    }

    async fn step(&mut self) {
        if let Some(under_way) = &mut self.under_way {
            let failed = under_way.await;
            self.under_way = None;
            self.done.extend(failed);
        }
    }

    /// Those that could not be taken out.
    fn take_out(&self, ids: Vec<OutboxId>) -> BoxFuture<'static, Vec<OutboxId>> {
        let (journal, clock, log) = (Arc::clone(&self.journal), Arc::clone(&self.clock), self.log.clone());
        async move {
            match journal.outbox_ack(&ids).await {
                Ok(()) => Vec::new(),
                Err(failure) => {
                    warn!(log, "what was accepted stays in the outbox for now"; "entries" => ids.len(), "error" => %failure);
                    clock.sleep(AGAIN).await;
                    ids
                }
            }
        }
        .boxed()
    }
}
