//! Notices to deliveries: for each notice what is reported, and to whom.

use std::sync::Arc;

use slog::{error, warn};

use super::{Webhooks, event, facts::Facts};
use crate::{
    journal::{FanOut, JournalError, NewDelivery, StoredNotice},
    record::{Notice, Webhook},
};

/// Notices of one transaction.
const PAGE: u32 = 100;

/// Deliveries that a subscription may have. Some 10 MB in the journal.
const BACKLOG_MAX: u64 = 10_000;

/// What came of a look at the notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FannedOut {
    None,
    Some,
    /// There may be more.
    Page,
    Failed,
}

impl Webhooks {
    /// Makes the deliveries of the oldest notices, for these subscriptions.
    pub(super) async fn fan_out(&self, webhooks: &[Arc<Webhook>]) -> FannedOut {
        match self.try_fan_out(webhooks).await {
            Ok(0) => FannedOut::None,
            Ok(notices) if notices >= PAGE as usize => FannedOut::Page,
            Ok(_) => FannedOut::Some,
            Err(failure) => {
                warn!(self.log, "could not make webhook deliveries, will retry"; "error" => %failure);
                FannedOut::Failed
            }
        }
    }

    async fn try_fan_out(&self, webhooks: &[Arc<Webhook>]) -> Result<usize, JournalError> {
        let notices = self.journal.notices_first(PAGE).await?;
        if notices.is_empty() {
            return Ok(0);
        }
        let (mut of, mut deliveries) = (Vec::with_capacity(notices.len()), Vec::new());
        for StoredNotice { id, at, notice } in &notices {
            of.push(*id);
            let Some(notice) = notice else {
                error!(self.log, "skipped a notice that cannot be read"; "notice" => id.0);
                continue;
            };
            // Nearly always all or none want it: spares reading the records.
            if !webhooks.iter().any(|webhook| webhook.events.contains(&notice.kind())) {
                continue;
            }
            let facts = Facts::read(&*self.journal, notice).await?;
            let wanting = webhooks.iter().filter(|webhook| webhook.wants(facts.reported(notice.kind())));
            let mut made: Option<(String, String)> = None;
            for webhook in wanting {
                let (event_id, body) = made.get_or_insert_with(|| self.made(notice, *at, &facts));
                deliveries.push(NewDelivery {
                    webhook_id: webhook.webhook_id.clone(),
                    event_id: event_id.clone(),
                    kind: notice.kind(),
                    body: body.clone(),
                });
            }
        }
        let now = self.clock.now();
        self.journal.notices_fan_out(FanOut { of, deliveries, now, backlog_max: BACKLOG_MAX }).await?;
        Ok(notices.len())
    }

    fn made(&self, notice: &Notice, at: crate::time::Timestamp, facts: &Facts) -> (String, String) {
        let id = event::id(notice, at);
        let body = event::report(&self.source, &id, notice, at, facts);
        (id, body)
    }
}
