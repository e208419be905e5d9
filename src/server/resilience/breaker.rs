//! Circuit breaker for executors. Pure: callers pass `now`.
//!
//! ```text
//!            5 consecutive failures           pause over: one trial call is sent
//!   closed ──────────────────────▶ open ─────────────────────────────────▶ half open
//!     ▲ ▲                           │ ▲                                       │  │
//!     │ └── an earlier call ────────┘ └──── the trial fails: longer pause ────┘  │
//!     │     succeeds late                                                        │
//!     └──── the trial succeeds, or has not failed within `TRIAL` ────────────────┘
//! ```
//!
//! A failure means that the executor cannot be reached, that it does not answer,
//! or that it (or a proxy before it) answers that it cannot serve: 429, 502, 503
//! or 504. Any other answer shows that the executor is alive.
//!
//! A call takes as long as the work, which may be hours. A trial call that is
//! still pending after `TRIAL` therefore counts as a success. A trial that is
//! dropped earlier because its node ended proves nothing: the next call is the
//! trial.

use std::time::Duration;

use crate::time::Timestamp;

/// Consecutive failures that open the breaker.
pub const FAILURES: u32 = 5;
/// The first pause; each further pause is twice as long.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A trial call that has not failed by then is a success. Longer than it takes
/// to make a connection.
const TRIAL: Duration = Duration::from_secs(6);

/// The state of one breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    Closed { failures: u32 },
    Open { until: Timestamp, pauses: u32 },
    HalfOpen { since: Timestamp, pauses: u32 },
}

/// What the outcome of a call says about the health of the called service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallHealth {
    /// The service is alive.
    Healthy,
    /// The service cannot be reached or cannot serve; with its `Retry-After`.
    Failed { retry_after: Option<Duration> },
}

impl Breaker {
    pub const fn new() -> Self {
        Self::Closed { failures: 0 }
    }

    /// Admits a call, or returns when to ask again.
    pub fn admit(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        match *self {
            Self::Closed { .. } => Ok(()),
            Self::Open { until, .. } if now < until => Err(until),
            Self::Open { pauses, .. } => {
                *self = Self::HalfOpen { since: now, pauses };
                Ok(())
            }
            Self::HalfOpen { since, .. } if now < since + TRIAL => Err(since + TRIAL),
            Self::HalfOpen { .. } => {
                *self = Self::new();
                Ok(())
            }
        }
    }

    /// Records the outcome of a call.
    pub fn report(&mut self, health: CallHealth, now: Timestamp) {
        let retry_after = match health {
            CallHealth::Healthy => {
                *self = Self::new();
                return;
            }
            CallHealth::Failed { retry_after } => retry_after,
        };
        *self = match *self {
            Self::Closed { failures } if failures + 1 < FAILURES => Self::Closed { failures: failures + 1 },
            Self::Closed { .. } => Self::opened(0, retry_after, now),
            Self::HalfOpen { pauses, .. } => Self::opened(pauses, retry_after, now),
            // A late failure of a call that was sent before the breaker opened.
            open @ Self::Open { .. } => open,
        };
    }

    /// Records that a call was dropped without an outcome. If it was the trial,
    /// the next call is the trial. (Which call it was is not known: if it was
    /// another one, there are two trials.)
    pub fn dropped(&mut self, now: Timestamp) {
        match *self {
            Self::HalfOpen { pauses, .. } => *self = Self::Open { until: now, pauses },
            Self::Closed { .. } | Self::Open { .. } => {}
        }
    }

    fn opened(pauses: u32, retry_after: Option<Duration>, now: Timestamp) -> Self {
        let pause = PAUSE.saturating_mul(1 << pauses.min(10)).min(PAUSE_MAX);
        let pause = pause.max(retry_after.unwrap_or_default().min(PAUSE_MAX));
        Self::Open { until: now + pause, pauses: pauses.saturating_add(1) }
    }

    /// The name of the state. For health.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed { .. } => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen { .. } => "half_open",
        }
    }

    /// Until when calls are refused, if the breaker is not closed.
    pub fn open_until(self) -> Option<Timestamp> {
        match self {
            Self::Open { until, .. } => Some(until),
            Self::HalfOpen { since, .. } => Some(since + TRIAL),
            Self::Closed { .. } => None,
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAILED: CallHealth = CallHealth::Failed { retry_after: None };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::new();
        for _ in 0..FAILURES {
            assert_eq!(breaker.admit(at(0)), Ok(()));
            breaker.report(FAILED, at(0));
        }
        breaker
    }

    #[test]
    fn only_consecutive_failures_open_the_breaker() {
        let mut breaker = Breaker::new();
        for _ in 0..3 {
            (1..FAILURES).for_each(|_| breaker.report(FAILED, at(0)));
            breaker.report(CallHealth::Healthy, at(0));
        }
        assert_eq!((breaker.admit(at(0)), breaker.open_until()), (Ok(()), None));
        assert_eq!((opened().admit(at(0)), opened().open_until()), (Err(at(1)), Some(at(1))));
    }

    #[test]
    fn trial_call_after_the_pause_decides() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(at(1)), Ok(()));
        assert_eq!(breaker.admit(at(1)), Err(at(7)), "one call at a time");
        let mut good = breaker;
        good.report(CallHealth::Healthy, at(2));
        assert_eq!(good, Breaker::new());
        // Each failed trial makes a longer pause, up to a limit.
        let mut now = at(1);
        for pause in [2, 4, 8, 16, 30, 30] {
            breaker.report(FAILED, now);
            assert_eq!(breaker.admit(now), Err(now + Duration::from_secs(pause)));
            now = now + Duration::from_secs(pause);
            assert_eq!(breaker.admit(now), Ok(()));
        }
    }

    #[test]
    fn pending_trial_counts_as_success() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(at(1)), Ok(()));
        assert_eq!(breaker.admit(at(1) + TRIAL), Ok(()));
        assert_eq!(breaker, Breaker::new());
    }

    #[test]
    fn dropped_trial_proves_nothing() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(at(1)), Ok(()));
        breaker.dropped(at(2));
        assert_eq!(breaker.admit(at(2)), Ok(()), "the next call is the trial");
        assert_eq!(breaker.admit(at(2)), Err(at(8)));
        breaker.report(FAILED, at(3));
        assert_eq!(breaker.admit(at(3)), Err(at(5)), "the second pause");
        for (mut unmoved, open) in [(Breaker::new(), Ok(())), (opened(), Err(at(1)))] {
            unmoved.dropped(at(0));
            assert_eq!(unmoved.admit(at(0)), open);
        }
    }

    #[test]
    fn retry_after_lengthens_the_pause_up_to_a_limit() {
        for (asked, pause) in [(0, 1), (20, 20), (86_400, 30)] {
            let mut breaker = Breaker::new();
            let busy = CallHealth::Failed { retry_after: Some(Duration::from_secs(asked)) };
            (0..FAILURES).for_each(|_| breaker.report(busy, at(0)));
            assert_eq!(breaker.admit(at(0)), Err(at(pause)));
        }
    }

    #[test]
    fn late_success_closes_late_failure_is_ignored() {
        let mut breaker = opened();
        let before = breaker;
        breaker.report(FAILED, at(0));
        assert_eq!(breaker, before);
        breaker.report(CallHealth::Healthy, at(0));
        assert_eq!(breaker, Breaker::new());
    }

    /// What happens to a breaker: a call asks to be sent, fails, succeeds or is
    /// dropped; time passes.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Admit,
        Report(CallHealth),
        Dropped,
        Pass(u64),
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let retry_after = proptest::option::of((0..100_000u64).prop_map(Duration::from_secs));
        proptest::collection::vec(
            prop_oneof![
                3 => Just(Event::Admit),
                4 => retry_after.prop_map(|retry_after| Event::Report(CallHealth::Failed { retry_after })),
                1 => Just(Event::Report(CallHealth::Healthy)),
                1 => Just(Event::Dropped),
                3 => (0..40u64).prop_map(Event::Pass),
            ],
            0..80,
        )
    }

    proptest! {
        /// A refusal names a later moment, at most the longest pause away, and a call
        /// is admitted at that moment. A success always closes.
        #[test]
        fn refused_call_is_admitted_at_the_named_moment(events in events()) {
            let (mut breaker, mut now) = (Breaker::new(), at(0));
            for event in events {
                match event {
                    Event::Admit => {
                        if let Err(until) = breaker.admit(now) {
                            prop_assert!(now < until && until <= now + PAUSE_MAX);
                            prop_assert_eq!(breaker.open_until(), Some(until));
                            let mut later = breaker;
                            prop_assert_eq!(later.admit(until), Ok(()));
                        }
                    }
                    Event::Report(health) => {
                        breaker.report(health, now);
                        if health == CallHealth::Healthy {
                            prop_assert_eq!(breaker, Breaker::new());
                        }
                    }
                    Event::Dropped => breaker.dropped(now),
                    Event::Pass(seconds) => now = now + Duration::from_secs(seconds),
                }
            }
        }

        /// Between two trials of an open breaker there is at least `TRIAL`, or
        /// the outcome of the first.
        #[test]
        fn half_open_breaker_sends_one_call(waits in proptest::collection::vec(0..3u64, 1..10)) {
            let mut breaker = opened();
            let mut now = at(1);
            prop_assert_eq!(breaker.admit(now), Ok(()));
            let trial = now;
            for wait in waits {
                now = now + Duration::from_secs(wait);
                let admitted = breaker.admit(now).is_ok();
                prop_assert_eq!(admitted, now >= trial + TRIAL);
            }
        }
    }
}
