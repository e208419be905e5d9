//! A rate with a burst: the generic cell rate algorithm.
//!
//! A bucket is one number, the *theoretical arrival time*: when the next request
//! would be due if all came evenly. Each admitted request moves it on by one
//! interval. A request is admitted while it is no further ahead than the burst:
//!
//! ```text
//!              now                    now + burst × interval
//!   ────────────┼──────────────────────────┼──────────────▶ time
//!    full burst ◀─ arrival time + interval ─▶ refused: wait for the difference
//! ```

use std::time::Duration;

use crate::config::Rate;

/// What is used up of a rate, as nanoseconds since the beginning of its clock. A
/// new one has its whole burst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket(u64);

/// A rate, in the unit of [`Bucket`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The time between two requests.
    interval: u64,
    /// The time by which the arrival time may be ahead.
    ahead: u64,
}

impl Pace {
    pub(super) fn of(rate: Rate) -> Self {
        let interval = (1_000_000_000 / u64::from(rate.per_second.max(1))).max(1);
        Self { interval, ahead: interval.saturating_mul(u64::from(rate.burst.max(1))) }
    }

    /// A quarter of `rate`, for a reserve.
    pub(super) fn quarter_of(rate: Rate) -> Self {
        Self::of(Rate { per_second: rate.per_second.div_ceil(4), burst: rate.burst.div_ceil(4) })
    }

    /// Admits a request at `now`, or says how long to wait. Refusals cost the
    /// caller nothing.
    pub(super) fn admit(self, bucket: &mut Bucket, now: u64) -> Result<(), Duration> {
        let arrival = bucket.0.max(now).saturating_add(self.interval);
        match arrival.saturating_sub(now.saturating_add(self.ahead)) {
            0 => {
                bucket.0 = arrival;
                Ok(())
            }
            wait => Err(Duration::from_nanos(wait)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn burst_is_admitted_at_once_and_then_the_rate() {
        let pace = Pace::of(Rate { per_second: 4, burst: 3 });
        let (mut bucket, start) = (Bucket::default(), 7 * SECOND);
        for _ in 0..3 {
            assert_eq!(pace.admit(&mut bucket, start), Ok(()));
        }
        let wait = pace.admit(&mut bucket, start).expect_err("the burst is used up");
        assert_eq!(wait, Duration::from_millis(250));
        // The time to wait is true: not a nanosecond less.
        let due = start + u64::try_from(wait.as_nanos()).expect("short");
        assert_eq!(pace.admit(&mut bucket, due - 1), Err(Duration::from_nanos(1)));
        assert_eq!(pace.admit(&mut bucket, due), Ok(()));
        assert!(pace.admit(&mut bucket, due).is_err());
        // After a pause the whole burst is there again, and not more.
        let later = due + 60 * SECOND;
        let admitted = (0..10).filter(|_| pace.admit(&mut bucket, later).is_ok()).count();
        assert_eq!(admitted, 3);
    }

    #[test]
    fn quarter_is_never_nothing() {
        for (per_second, burst) in [(1, 1), (2, 3), (1_000_000, 1)] {
            let pace = Pace::quarter_of(Rate { per_second, burst });
            assert_eq!(pace.admit(&mut Bucket::default(), 0), Ok(()));
        }
    }

    proptest! {
        /// In any time `t` at most burst + rate × t requests are admitted, and a
        /// request after the time that a refusal named is admitted.
        #[test]
        fn admitted_requests_never_exceed_the_rate(
            per_second in 1..2_000_u32,
            burst in 1..50_u32,
            pauses in prop::collection::vec(0..50_000_000_u64, 1..200),
        ) {
            let pace = Pace::of(Rate { per_second, burst });
            let (mut bucket, mut now, mut admitted) = (Bucket::default(), SECOND, 0_u64);
            for pause in pauses {
                now += pause;
                match pace.admit(&mut bucket, now) {
                    Ok(()) => admitted += 1,
                    Err(wait) => {
                        let due = now + u64::try_from(wait.as_nanos()).expect("short");
                        prop_assert!(pace.admit(&mut bucket.clone(), due).is_ok());
                    }
                }
                let time = now - SECOND;
                let most = u64::from(burst) + time / pace.interval + 1;
                prop_assert!(admitted <= most, "{admitted} of {most}");
            }
        }
    }
}
