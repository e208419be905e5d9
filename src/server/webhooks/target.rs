//! One target in the memory of the pump, and what an answer of it leads to. Pure.
//!
//! ```text
//!                 refused: not available
//!   well ─────────────────────────────────▶ paused: nothing is sent ──▶ one delivery tries ─┐
//!   a few at once ◀── accepted: all that waits is due ──────────────────────────────────────┤
//!                                           longer pause ◀── refused ───────────────────────┘
//! ```
//!
//! A report that the target rejects although it is well waits alone. The delivery that
//! tries is another one each time, so that none can block the others.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::sender::{Failure, Says};
use crate::{
    journal::{Delivery, DeliveryId, DeliveryOutcome, StoredWebhook},
    record::Webhook,
    time::{Timestamp, backoff},
};

/// Requests to one target at once.
const CALLS_MAX: usize = 4;

/// The pauses of a target that is not available.
const PAUSE_BASE: Duration = Duration::from_secs(1);
const PAUSE_CAP: Duration = Duration::from_secs(300);

/// The pauses of one delivery.
const RETRY_BASE: Duration = Duration::from_secs(2);
const RETRY_CAP: Duration = Duration::from_secs(3600);

/// After this time a delivery is given up.
pub(super) const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);

pub(super) struct Target {
    pub(super) webhook: Arc<Webhook>,
    pub(super) disabled: bool,
    /// Failures since the last success.
    pub(super) failures: u32,
    pub(super) failing_since: Option<Timestamp>,
    pub(super) paused_until: Option<Timestamp>,
    /// The deliveries that are being sent or settled.
    pub(super) in_flight: BTreeSet<DeliveryId>,
    /// When to look for deliveries; `None`: when something new is known.
    pub(super) look_at: Option<Timestamp>,
}

impl Target {
    pub(super) fn new(stored: &StoredWebhook, now: Timestamp) -> Self {
        let mut target = Self {
            webhook: Arc::new(stored.webhook.clone()),
            disabled: false,
            failures: 0,
            failing_since: None,
            paused_until: None,
            in_flight: BTreeSet::new(),
            look_at: Some(now),
        };
        target.is_now(stored, now);
        target
    }

    /// Takes over what the journal says, unless the pump knows better.
    pub(super) fn is_now(&mut self, stored: &StoredWebhook, now: Timestamp) {
        self.disabled = stored.status.disabled_at.is_some();
        self.look_at = Some(now);
        if self.in_flight.is_empty() {
            self.failures = stored.status.failures;
            self.failing_since = stored.status.failing_since;
            self.paused_until = stored.status.paused_until;
        }
    }

    /// How many more deliveries may be sent now.
    pub(super) fn room(&self, now: Timestamp) -> usize {
        let max = match self.paused_until {
            _ if self.disabled => 0,
            Some(until) if until > now => 0,
            // One tries whether it is available again.
            Some(_) => 1,
            None => CALLS_MAX,
        };
        max.saturating_sub(self.in_flight.len())
    }

    /// When there may be something to send, if not now.
    pub(super) fn wakes_at(&self, now: Timestamp) -> Option<Timestamp> {
        let look_at = self.look_at.filter(|_| !self.disabled)?;
        match self.paused_until {
            Some(until) if until > now => Some(look_at.max(until)),
            // A call that ends wakes the pump.
            Some(_) | None => (self.room(now) > 0).then_some(look_at),
        }
    }

    /// What a sent delivery leads to.
    pub(super) fn outcome(
        &mut self,
        delivery: &Delivery,
        sent: Result<u16, Failure>,
        now: Timestamp,
    ) -> DeliveryOutcome {
        let failure = match sent {
            Ok(_) => {
                (self.failures, self.failing_since, self.paused_until) = (0, None, None);
                return DeliveryOutcome::Accepted;
            }
            Err(failure) => failure,
        };
        let failures = self.failures;
        self.failures = self.failures.saturating_add(1);
        self.failing_since.get_or_insert(now);
        let Failure { status: _, error, says } = failure;
        match says {
            Says::Gone => {
                self.disabled = true;
                return DeliveryOutcome::Gone { error };
            }
            Says::Unavailable { retry_after } => {
                let pause = backoff(failures, PAUSE_BASE, PAUSE_CAP, self.webhook.webhook_id.as_str());
                self.paused_until = Some(now + pause.max(retry_after.unwrap_or_default()));
            }
            // It answers, so it is available.
            Says::Rejected => self.paused_until = None,
        }
        let is_too_old = now.since(delivery.created_at) >= GIVE_UP_AFTER;
        let pause = backoff(delivery.tries, RETRY_BASE, RETRY_CAP, &delivery.event_id);
        let next_at = (!is_too_old).then(|| now + pause);
        DeliveryOutcome::Refused { error, next_at, pause_until: self.paused_until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journal::WebhookStatus,
        record::{Actor, KeptSecret, NoticeKind, WebhookId},
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn target() -> Target {
        let webhook = Webhook {
            webhook_id: WebhookId::new("wh_1"),
            url: "https://hooks.example.com/".into(),
            events: vec![NoticeKind::RunCompleted],
            node_type: None,
            tenant: None,
            description: None,
            secret: KeptSecret::Plain(String::new()),
            created_at: at(0),
            created_by: Actor::Coordinator,
        };
        Target::new(&StoredWebhook { webhook, status: WebhookStatus::default() }, at(0))
    }

    fn delivery(tries: u32) -> Delivery {
        Delivery {
            id: DeliveryId(1),
            event_id: "evt_1".into(),
            kind: Some(NoticeKind::RunCompleted),
            body: String::new(),
            created_at: at(0),
            tries,
            next_at: Some(at(0)),
            last_error: None,
        }
    }

    fn fails(says: Says) -> Result<u16, Failure> {
        Err(Failure { status: Some(500), error: "why".into(), says })
    }

    const UNAVAILABLE: Says = Says::Unavailable { retry_after: None };

    #[test]
    fn unavailable_target_gets_one_delivery_after_each_pause() {
        let mut target = target();
        assert_eq!((target.room(at(0)), target.wakes_at(at(0))), (CALLS_MAX, Some(at(0))));
        let mut last = Duration::ZERO;
        for failure in 0..20 {
            let now = at(1000 * failure);
            target.outcome(&delivery(0), fails(UNAVAILABLE), now);
            let until = target.paused_until.expect("a pause");
            let pause = until.since(now);
            assert!(pause >= PAUSE_BASE / 2 && pause <= PAUSE_CAP && pause >= last / 2, "{pause:?}");
            assert_eq!((target.room(now), target.wakes_at(now)), (0, Some(until)));
            assert_eq!(target.room(until), 1);
            target.in_flight.insert(DeliveryId(7));
            assert_eq!((target.room(until), target.wakes_at(until)), (0, None));
            target.in_flight.clear();
            last = pause;
        }
        assert!(last >= PAUSE_CAP / 2);
        assert_eq!((target.failures, target.failing_since), (20, Some(at(0))));
        assert_eq!(target.outcome(&delivery(0), Ok(204), at(0)), DeliveryOutcome::Accepted);
        assert_eq!((target.room(at(0)), target.failures, target.failing_since), (CALLS_MAX, 0, None));
    }

    #[test]
    fn rejected_delivery_waits_alone() {
        let mut target = target();
        let outcome = target.outcome(&delivery(0), fails(Says::Rejected), at(5));
        let DeliveryOutcome::Refused { next_at: Some(next_at), pause_until: None, .. } = outcome else {
            panic!("{outcome:?}");
        };
        assert!(next_at > at(5) && next_at <= at(5) + RETRY_BASE);
        assert_eq!(target.room(at(5)), CALLS_MAX);
        let outcome = target.outcome(&delivery(60), fails(Says::Rejected), at(5));
        let DeliveryOutcome::Refused { next_at: Some(next_at), .. } = outcome else { panic!("{outcome:?}") };
        assert!(next_at <= at(5) + RETRY_CAP);
    }

    #[test]
    fn target_can_ask_for_a_longer_pause() {
        let mut target = target();
        let retry_after = Some(Duration::from_secs(900));
        target.outcome(&delivery(0), fails(Says::Unavailable { retry_after }), at(0));
        assert_eq!(target.paused_until, Some(at(900)));
    }

    #[test]
    fn delivery_is_given_up_after_a_day() {
        let mut target = target();
        let day = 24 * 3600;
        let given_up = |target: &mut Target, now| {
            let outcome = target.outcome(&delivery(9), fails(UNAVAILABLE), at(now));
            matches!(outcome, DeliveryOutcome::Refused { next_at: None, .. })
        };
        assert!(!given_up(&mut target, day - 1));
        assert!(given_up(&mut target, day));
    }

    #[test]
    fn target_that_is_gone_gets_nothing_more() {
        let mut target = target();
        let outcome = target.outcome(&delivery(0), fails(Says::Gone), at(0));
        assert_eq!(outcome, DeliveryOutcome::Gone { error: "why".into() });
        assert_eq!((target.room(at(9999)), target.wakes_at(at(0))), (0, None));
    }
}
