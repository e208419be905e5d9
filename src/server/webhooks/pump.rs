//! The loop that fans notices out, sends what is due, and settles it.
//!
//! ```text
//!   news, poll ──▶ fan out ──▶ deliveries_due of each target ──▶ calls ──▶ settle ──▶ journal
//!                                  ▲ room: a few at once            │
//!                                  └────────── target ◀─────────────┘
//! ```
//!
//! **Invariants.** A delivery is sent by one call at a time, and settled before it can be
//! sent again. Memory holds only what is being sent. The pump never waits for a target:
//! calls go on beside it.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use slog::{error, info, warn};

use super::{
    Webhooks, executors,
    fan_out::FannedOut,
    sender::Failure,
    status,
    target::{GIVE_UP_AFTER, Target},
};
use crate::{
    journal::{
        Delivery, DeliveryId, DeliveryOutcome, DeliveryUpkeep, Duty, ExecutorReport, JournalError, Settled,
    },
    record::{Webhook, WebhookId},
    time::Timestamp,
};

/// The time between two looks at what no notification announces: parked work,
/// executors, and what another process has changed.
const POLL_EVERY: Duration = Duration::from_secs(2);
/// The same for the subscriptions and their counts.
const LIST_EVERY: Duration = Duration::from_secs(10);
/// The same for old deliveries.
const UPKEEP_EVERY: Duration = Duration::from_secs(60);
/// The pause after a failure of the journal.
const RETRY_JOURNAL_AFTER: Duration = Duration::from_secs(1);

/// How long and how many deliveries that were given up are kept, of each subscription.
const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);
const KEEP_MAX: u32 = 1000;

/// Something that goes on beside the pump has ended.
enum Ended {
    Sent { webhook: Arc<Webhook>, delivery: Delivery, sent: Result<u16, Failure> },
    Settled { webhook: WebhookId, id: DeliveryId },
}

/// When the pump looks at what.
struct Times {
    poll: Timestamp,
    list: Timestamp,
    upkeep: Timestamp,
}

struct Pump {
    shared: Arc<Webhooks>,
    targets: BTreeMap<WebhookId, Target>,
    /// What was last reported of executors; `None`: not read yet.
    executors: Option<Vec<ExecutorReport>>,
    calls: FuturesUnordered<BoxFuture<'static, Ended>>,
    times: Times,
    /// There may be notices.
    unread: bool,
}

/// Runs until the server stops, whenever this worker is the housekeeper. Calls that are
/// under way when it is not any more are dropped: the next housekeeper makes them again.
pub(super) async fn run_on_duty(shared: &Arc<Webhooks>) {
    let Webhooks { duties, clock, stopping, .. } = &**shared;
    loop {
        tokio::select! {
            biased;
            () = duties.held(Duty::Housekeeping, &**clock) => {}
            () = stopping.cancelled() => return,
        }
        tokio::select! {
            biased;
            () = duties.lost(Duty::Housekeeping, &**clock) => {}
            () = run(shared) => return,
        }
    }
}

/// Runs until the server stops; calls under way are then waited for.
async fn run(shared: &Arc<Webhooks>) {
    let now = shared.clock.now();
    let mut pump = Pump {
        shared: Arc::clone(shared),
        targets: BTreeMap::new(),
        executors: None,
        calls: FuturesUnordered::new(),
        times: Times { poll: now, list: now, upkeep: now + UPKEEP_EVERY },
        unread: true,
    };
    loop {
        if let Err(failure) = pump.step().await {
            warn!(shared.log, "webhooks wait for the journal"; "error" => %failure);
            let pause = shared.clock.sleep(RETRY_JOURNAL_AFTER);
            if shared.stopping.run_until_cancelled(pause).await.is_none() {
                break;
            }
            continue;
        }
        let pause = pump.pause();
        tokio::select! {
            () = shared.news.notified() => pump.unread = true,
            Some(ended) = pump.calls.next() => pump.ended(ended),
            () = shared.clock.sleep(pause) => {}
            () = shared.stopping.cancelled() => break,
        }
    }
    while let Some(ended) = pump.calls.next().await {
        pump.ended(ended);
    }
}

impl Pump {
    /// Does everything that there is to do now, and waits for the journal only.
    async fn step(&mut self) -> Result<(), JournalError> {
        let now = self.shared.clock.now();
        if self.shared.changed.swap(false, Ordering::AcqRel) || now >= self.times.list {
            let listed = self.list(now).await;
            if listed.is_err() {
                self.shared.changed.store(true, Ordering::Release);
            }
            listed?;
        }
        if now >= self.times.upkeep {
            self.upkeep(now).await?;
        }
        if now >= self.times.poll {
            (self.times.poll, self.unread) = (now + POLL_EVERY, true);
            self.report_executors(now).await?;
        }
        if self.unread {
            self.fan_out(now).await;
        }
        self.start_calls().await
    }

    /// Reads the subscriptions.
    async fn list(&mut self, now: Timestamp) -> Result<(), JournalError> {
        let stored = self.shared.journal.webhooks_list().await?;
        self.shared.status.set(&stored);
        let known = |id: &WebhookId| stored.iter().any(|stored| stored.webhook.webhook_id == *id);
        self.targets.retain(|id, _| known(id));
        for stored in &stored {
            let id = stored.webhook.webhook_id.clone();
            match self.targets.get_mut(&id) {
                Some(target) => target.is_now(stored, now),
                None => _ = self.targets.insert(id, Target::new(stored, now)),
            }
        }
        self.times.list = now + LIST_EVERY;
        Ok(())
    }

    async fn upkeep(&mut self, now: Timestamp) -> Result<(), JournalError> {
        let upkeep = DeliveryUpkeep {
            expired_before: now - GIVE_UP_AFTER,
            keep_since: now - KEEP,
            keep_max: KEEP_MAX,
        };
        for id in self.targets.keys() {
            let given_up = self.shared.journal.deliveries_upkeep(id, upkeep).await?;
            if given_up > 0 {
                self.shared.metrics.webhook_deliveries("given_up", given_up);
                warn!(self.shared.log, "gave up webhook deliveries"; "webhook_id" => %id,
                    "deliveries" => given_up);
            }
        }
        self.times.upkeep = now + UPKEEP_EVERY;
        Ok(())
    }

    /// Reports executors that went or returned.
    async fn report_executors(&mut self, now: Timestamp) -> Result<(), JournalError> {
        let shared = &self.shared;
        if !shared.journal.wants_notices() {
            return Ok(());
        }
        let known = match &mut self.executors {
            Some(known) => known,
            unread @ None => unread.insert(shared.journal.executors_reported().await?),
        };
        for report in executors::reports(known, (shared.executors)(), now) {
            shared.journal.executor_report(report.clone()).await?;
            known.retain(|old| old.name != report.name);
            known.push(report);
        }
        Ok(())
    }

    async fn fan_out(&mut self, now: Timestamp) {
        let enabled = self.targets.values().filter(|target| !target.disabled);
        let webhooks: Vec<_> = enabled.map(|target| Arc::clone(&target.webhook)).collect();
        let fanned_out = self.shared.fan_out(&webhooks).await;
        let (is_new, is_more) = match fanned_out {
            // After a failure again at the next poll.
            FannedOut::None | FannedOut::Failed => (false, false),
            FannedOut::Some => (true, false),
            FannedOut::Page => (true, true),
        };
        self.unread = is_more;
        if is_new {
            self.targets.values_mut().for_each(|target| target.look_at = Some(now));
        }
    }

    /// Sends what may be sent now.
    async fn start_calls(&mut self) -> Result<(), JournalError> {
        for target in self.targets.values_mut() {
            let now = self.shared.clock.now();
            let room = target.room(now);
            if room == 0 || target.look_at.is_none_or(|at| at > now) {
                continue;
            }
            let id = &target.webhook.webhook_id;
            let wanted = room + target.in_flight.len();
            let page = self.shared.journal.deliveries_due(id, now, wanted as u32).await?;
            let is_all = page.due.len() < wanted;
            target.look_at = if is_all { page.next_at } else { Some(now) };
            let due = page.due.into_iter().filter(|delivery| !target.in_flight.contains(&delivery.id));
            for delivery in due.take(room).collect::<Vec<_>>() {
                target.in_flight.insert(delivery.id);
                let (shared, webhook) = (Arc::clone(&self.shared), Arc::clone(&target.webhook));
                let call = async move {
                    let sent = shared.send(&webhook, &delivery.event_id, &delivery.body).await;
                    Ended::Sent { webhook, delivery, sent }
                };
                self.calls.push(call.boxed());
            }
        }
        Ok(())
    }

    fn ended(&mut self, ended: Ended) {
        match ended {
            Ended::Sent { webhook, delivery, sent } => self.sent(&webhook, &delivery, sent),
            Ended::Settled { webhook, id } => {
                if let Some(target) = self.targets.get_mut(&webhook) {
                    target.in_flight.remove(&id);
                    target.look_at = Some(self.shared.clock.now());
                }
            }
        }
    }

    /// Decides what a sent delivery leads to, and has it recorded.
    fn sent(&mut self, webhook: &Arc<Webhook>, delivery: &Delivery, sent: Result<u16, Failure>) {
        let (shared, now) = (Arc::clone(&self.shared), self.shared.clock.now());
        // It may have been deleted meanwhile: then there is nothing to record.
        let Some(target) = self.targets.get_mut(&webhook.webhook_id) else { return };
        let failing_since = target.failing_since;
        let outcome = target.outcome(delivery, sent, now);
        shared.note(webhook, delivery, &outcome, failing_since, now);
        let settled = Settled { webhook_id: webhook.webhook_id.clone(), id: delivery.id, at: now, outcome };
        let settle = async move {
            // Until it is recorded, it is not sent again by this process.
            while let Err(failure) = shared.journal.delivery_settle(settled.clone()).await {
                warn!(shared.log, "could not record a webhook delivery, will retry"; "error" => %failure);
                let pause = shared.clock.sleep(RETRY_JOURNAL_AFTER);
                if shared.stopping.run_until_cancelled(pause).await.is_none() {
                    break;
                }
            }
            Ended::Settled { webhook: settled.webhook_id, id: settled.id }
        };
        self.calls.push(settle.boxed());
    }

    /// How long there is nothing to do.
    fn pause(&self) -> Duration {
        if self.unread {
            return Duration::ZERO;
        }
        let now = self.shared.clock.now();
        let Times { poll, list, upkeep } = self.times;
        let targets = self.targets.values().filter_map(|target| target.wakes_at(now));
        let next = targets.fold(poll.min(list).min(upkeep), Timestamp::min);
        next.since(now)
    }
}

impl Webhooks {
    /// Counts and logs what came of a delivery: a target that goes or returns is
    /// logged once.
    fn note(
        &self,
        webhook: &Webhook,
        delivery: &Delivery,
        outcome: &DeliveryOutcome,
        failing_since: Option<Timestamp>,
        now: Timestamp,
    ) {
        let (id, host) = (&webhook.webhook_id, status::host(&webhook.url));
        match outcome {
            DeliveryOutcome::Accepted => {
                self.metrics.webhook_deliveries("accepted", 1);
                if let Some(since) = failing_since {
                    info!(self.log, "webhook target accepts reports again"; "webhook_id" => %id,
                        "host" => host, "after_seconds" => now.since(since).as_secs_f64());
                }
            }
            DeliveryOutcome::Refused { error, next_at, pause_until: _ } => {
                self.metrics.webhook_deliveries("refused", 1);
                if failing_since.is_none() {
                    warn!(self.log, "webhook target did not accept a report, will retry"; "webhook_id" => %id,
                        "host" => host, "event_id" => &delivery.event_id, "error" => error);
                }
                if next_at.is_none() {
                    self.metrics.webhook_deliveries("given_up", 1);
                    warn!(self.log, "gave up webhook deliveries"; "webhook_id" => %id, "deliveries" => 1);
                }
            }
            DeliveryOutcome::Gone { error } => {
                self.metrics.webhook_deliveries("refused", 1);
                error!(self.log, "webhook is disabled: its target wants no more reports";
                    "webhook_id" => %id, "host" => host, "error" => error);
            }
        }
    }
}
