//! Takes what is due and nobody's, as long as there is room for it.

use std::{sync::Arc, time::Duration};

use slog::error;

use super::{Dispatcher, Parts};
use crate::{coordinator::CLAIM_WITHIN, store::StoreError};

/// So many wake-ups are claimed at once.
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

    /// Takes what is due now. How long it may be until there is more.
    async fn claim_due(&self) -> Result<Duration, StoreError> {
        let Parts { store, clock, queue, tasks, .. } = &self.parts;
        loop {
            let room = queue.room().min(CLAIM);
            if room == 0 || tasks.stopping().is_cancelled() {
                // Jobs that end poke, when enough of them have.
                return Ok(CLAIM_WITHIN);
            }
            let limit = u32::try_from(room).unwrap_or(u32::MAX);
            // What is due of the full runs is left. Their jobs poke as well.
            let (now, full) = (clock.now(), queue.full_runs());
            let claimed = store.wakes_claim(queue.owner(), now, limit, &full).await?;
            for node in &claimed {
                queue.push(node);
            }
            if claimed.len() < room {
                let next = store.wake_next(now).await?;
                let wait = next.map_or(CLAIM_WITHIN, |at| at.since(clock.now()));
                return Ok(wait.clamp(Duration::from_millis(1), CLAIM_WITHIN));
            }
        }
    }
}
