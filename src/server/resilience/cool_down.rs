//! Cool-down: a service that failed is left alone for a while. Pure: callers
//! pass `now`.
//!
//! ```text
//!            failed                        failed again
//!   ready ──────────▶ cooling down ──────────────────────┐
//!     ▲ ▲                 │  ▲                           │
//!     │ └── pause over ───┘  └───────────────────────────┘
//!     └──── succeeded
//! ```
//!
//! The pause is given with each question, because it may depend on what else is
//! known (a caller with an old value at hand can wait longer than one without).
//! A [`CoolDown`] also has the time of the first failure, for health and logs.
//!
//! A `now` before the last failure means that the clock was set back. The pause
//! counts as over then: otherwise a clock that was wrong and is corrected would
//! prolong the pause by its error.

use std::time::Duration;

use crate::time::{Timestamp, backoff};

/// The failures of a service since its last success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoolDown(Option<Failures>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Failures {
    first: Timestamp,
    last: Timestamp,
    count: u32,
}

impl CoolDown {
    /// Records a failure. Returns true for the first one since a success.
    pub fn failed(&mut self, now: Timestamp) -> bool {
        let Failures { first, count, .. } = self.0.unwrap_or(Failures { first: now, last: now, count: 0 });
        self.0 = Some(Failures { first, last: now, count: count.saturating_add(1) });
        count == 0
    }

    /// Records a success. Returns when the failures began, if there were any.
    pub fn succeeded(&mut self) -> Option<Timestamp> {
        self.0.take().map(|failures| failures.first)
    }

    /// When the first failure since the last success was, if there was one.
    pub fn failing_since(self) -> Option<Timestamp> {
        self.0.map(|failures| failures.first)
    }

    /// When a pause of this length after the last failure is over, if it is not
    /// over yet.
    pub fn until(self, pause: Duration, now: Timestamp) -> Option<Timestamp> {
        let Failures { last, .. } = self.0?;
        Some(last + pause).filter(|until| last <= now && now < *until)
    }

    /// Whether a pause of this length after the last failure is over. True
    /// without a failure.
    pub fn is_over(self, pause: Duration, now: Timestamp) -> bool {
        self.until(pause, now).is_none()
    }

    /// The pause after the last failure if pauses grow with consecutive
    /// failures (see [`backoff`]).
    pub fn growing(self, base: Duration, cap: Duration, salt: &str) -> Duration {
        match self.0 {
            Some(failures) => backoff(failures.count - 1, base, cap, salt),
            None => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAUSE: Duration = Duration::from_secs(5);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn service_is_left_alone_until_the_pause_is_over() {
        let mut cool_down = CoolDown::default();
        assert!(cool_down.is_over(PAUSE, at(0)), "nothing has failed");
        assert!(cool_down.failed(at(10)));
        for (now, until) in [
            (10, Some(15)),
            (14, Some(15)),
            (15, None),
            // The clock was set back.
            (9, None),
        ] {
            assert_eq!(cool_down.until(PAUSE, at(now)), until.map(at), "{now}");
            assert_eq!(cool_down.is_over(PAUSE, at(now)), until.is_none(), "{now}");
        }
        assert!(cool_down.is_over(Duration::ZERO, at(10)), "no pause is over at once");
    }

    #[test]
    fn outage_lasts_from_the_first_failure_to_a_success() {
        let mut cool_down = CoolDown::default();
        assert_eq!(cool_down.succeeded(), None);
        assert_eq!([10, 20, 30].map(|now| cool_down.failed(at(now))), [true, false, false]);
        assert_eq!(cool_down.failing_since(), Some(at(10)));
        assert_eq!(cool_down.until(PAUSE, at(31)), Some(at(35)), "counted from the last failure");
        assert_eq!(cool_down.succeeded(), Some(at(10)));
        assert_eq!(cool_down, CoolDown::default());
        assert!(cool_down.failed(at(40)));
    }

    proptest! {
        #[test]
        fn growing_pause_depends_on_the_number_of_failures(
            times in proptest::collection::vec(0..1_000_000i64, 1..40),
        ) {
            let (base, cap) = (Duration::from_millis(50), PAUSE);
            let mut cool_down = CoolDown::default();
            prop_assert_eq!(cool_down.growing(base, cap, "s"), Duration::ZERO);
            for (nth, now) in (0..).zip(times) {
                prop_assert_eq!(cool_down.failed(at(now)), nth == 0);
                let pause = cool_down.growing(base, cap, "s");
                prop_assert_eq!(pause, backoff(nth, base, cap, "s"));
                prop_assert!(pause >= base / 2 && pause <= cap);
                prop_assert_eq!(cool_down.until(pause, at(now)), Some(at(now) + pause));
            }
        }

        #[test]
        fn pause_is_over_exactly_outside_its_window(failed in -100..100i64, now in -100..100i64, pause in 0..50u64) {
            let mut cool_down = CoolDown::default();
            cool_down.failed(at(failed));
            let within = failed <= now && now < failed + i64::try_from(pause).unwrap();
            prop_assert_eq!(cool_down.is_over(Duration::from_secs(pause), at(now)), !within);
        }
    }
}
