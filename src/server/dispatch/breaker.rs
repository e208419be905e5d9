//! Leaving an executor alone that does not answer. Pure: the time comes in.
//!
//! ```text
//!            5 failures in a row              its pause is over: one call goes
//!   closed ──────────────────────▶ open ─────────────────────────────────▶ half open
//!     ▲ ▲                           │ ▲                                       │  │
//!     │ └── an earlier call is ─────┘ └──────── that call fails: a longer ────┘  │
//!     │     answered after all                  pause                            │
//!     └──────── it is answered, or has not failed for a while ───────────────────┘
//! ```
//!
//! A failure is that nobody can be reached, that no answer comes, or that the
//! executor (or what is in front of it) says that it cannot serve: 429, 502,
//! 503, 504. Whatever else it answers, it lives.
//!
//! A call lasts as long as the work, which may be hours. So a trial call that
//! is still under way after a moment counts as taken. One that is dropped before
//! that, because its node is over, has shown nothing: the next call is the trial.

use std::time::Duration;

use crate::time::Timestamp;

/// So many failures in a row open it.
const FAILURES: u32 = 5;
/// The first pause; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A trial call that has not failed for so long was taken: longer than making
/// a connection may take.
const TAKEN: Duration = Duration::from_secs(6);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breaker {
    Closed { failures: u32 },
    Open { until: Timestamp, pauses: u32 },
    HalfOpen { since: Timestamp, pauses: u32 },
}

/// How a call went, as far as the executor's health is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It lives.
    Answer,
    /// It cannot be reached, or cannot serve; with what it says about when it
    /// might.
    Failure { retry_after: Option<Duration> },
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self::Closed { failures: 0 }
    }

    /// Whether a call may go now; if not, when to ask again.
    pub(super) fn admit(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        match *self {
            Self::Closed { .. } => Ok(()),
            Self::Open { until, .. } if now < until => Err(until),
            Self::Open { pauses, .. } => {
                *self = Self::HalfOpen { since: now, pauses };
                Ok(())
            }
            Self::HalfOpen { since, .. } if now < since + TAKEN => Err(since + TAKEN),
            Self::HalfOpen { .. } => {
                *self = Self::new();
                Ok(())
            }
        }
    }

    pub(super) fn report(&mut self, heard: Heard, now: Timestamp) {
        let retry_after = match heard {
            Heard::Answer => {
                *self = Self::new();
                return;
            }
            Heard::Failure { retry_after } => retry_after,
        };
        *self = match *self {
            Self::Closed { failures } if failures + 1 < FAILURES => Self::Closed { failures: failures + 1 },
            Self::Closed { .. } => Self::opened(0, retry_after, now),
            Self::HalfOpen { pauses, .. } => Self::opened(pauses, retry_after, now),
            // Calls from before it opened.
            open @ Self::Open { .. } => open,
        };
    }

    /// A call was dropped. If it was the trial, it has shown nothing, and the next
    /// call is the trial. (If it was another, one more is.)
    pub(super) fn dropped(&mut self, now: Timestamp) {
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

    /// For health: it is being left alone until then.
    pub(super) fn open_until(self) -> Option<Timestamp> {
        match self {
            Self::Open { until, .. } => Some(until),
            Self::HalfOpen { since, .. } => Some(since + TAKEN),
            Self::Closed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILURE: Heard = Heard::Failure { retry_after: None };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::new();
        for _ in 0..FAILURES {
            assert_eq!(breaker.admit(at(0)), Ok(()));
            breaker.report(FAILURE, at(0));
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_in_between_does_not_let_them() {
        let mut breaker = Breaker::new();
        for _ in 0..3 {
            (1..FAILURES).for_each(|_| breaker.report(FAILURE, at(0)));
            breaker.report(Heard::Answer, at(0));
        }
        assert_eq!((breaker.admit(at(0)), breaker.open_until()), (Ok(()), None));
        assert_eq!((opened().admit(at(0)), opened().open_until()), (Err(at(1)), Some(at(1))));
    }

    #[test]
    fn after_the_pause_one_call_goes_and_decides() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(at(1)), Ok(()));
        assert_eq!(breaker.admit(at(1)), Err(at(7)), "one call at a time");
        let mut good = breaker;
        good.report(Heard::Answer, at(2));
        assert_eq!(good, Breaker::new());
        // Each failed trial makes a longer pause, up to a limit.
        let mut now = at(1);
        for pause in [2, 4, 8, 16, 30, 30] {
            breaker.report(FAILURE, now);
            assert_eq!(breaker.admit(now), Err(now + Duration::from_secs(pause)));
            now = now + Duration::from_secs(pause);
            assert_eq!(breaker.admit(now), Ok(()));
        }
    }

    #[test]
    fn a_trial_that_takes_its_time_was_taken() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(at(1)), Ok(()));
        assert_eq!(breaker.admit(at(1) + TAKEN), Ok(()));
        assert_eq!(breaker, Breaker::new());
    }

    #[test]
    fn a_trial_that_was_dropped_has_shown_nothing() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(at(1)), Ok(()));
        breaker.dropped(at(2));
        assert_eq!(breaker.admit(at(2)), Ok(()), "the next is the trial");
        assert_eq!(breaker.admit(at(2)), Err(at(8)));
        breaker.report(FAILURE, at(3));
        assert_eq!(breaker.admit(at(3)), Err(at(5)), "the second pause");
        for (mut unmoved, open) in [(Breaker::new(), Ok(())), (opened(), Err(at(1)))] {
            unmoved.dropped(at(0));
            assert_eq!(unmoved.admit(at(0)), open);
        }
    }

    #[test]
    fn it_opens_for_as_long_as_the_executor_asks_within_reason() {
        for (asked, pause) in [(0, 1), (20, 20), (86_400, 30)] {
            let mut breaker = Breaker::new();
            let busy = Heard::Failure { retry_after: Some(Duration::from_secs(asked)) };
            (0..FAILURES).for_each(|_| breaker.report(busy, at(0)));
            assert_eq!(breaker.admit(at(0)), Err(at(pause)));
        }
    }

    #[test]
    fn calls_from_before_it_opened_close_it_if_they_are_answered_and_else_say_nothing() {
        let mut breaker = opened();
        let before = breaker;
        breaker.report(FAILURE, at(0));
        assert_eq!(breaker, before);
        breaker.report(Heard::Answer, at(0));
        assert_eq!(breaker, Breaker::new());
    }
}
