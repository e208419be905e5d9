//! The pause between calls to a store: none while it accepts, and a growing one
//! while it refuses everything.

use std::time::Duration;

use parking_lot::Mutex;

use super::call_error::reason;
use crate::{clients::CallError, resilience::CoolDown, time::Timestamp};

/// The first and the longest pause after consecutive failures.
const BASE: Duration = Duration::from_millis(50);
pub(super) const CAP: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Backoff(Mutex<State>);

#[derive(Default)]
struct State {
    cool_down: CoolDown,
    /// What the last failed call said.
    reason: String,
}

/// A store that refuses everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failing {
    pub(super) reason: String,
    pub(super) since: Timestamp,
}

impl Backoff {
    /// Why and since when the store refuses everything, if it does.
    pub(super) fn failing(&self) -> Option<Failing> {
        let state = self.0.lock();
        state.cool_down.failing_since().map(|since| Failing { reason: state.reason.clone(), since })
    }

    pub(super) fn is_failing(&self) -> bool {
        self.0.lock().cool_down.failing_since().is_some()
    }

    /// When the next call may start, if not now.
    pub(super) fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        let cool_down = self.0.lock().cool_down;
        cool_down.until(cool_down.growing(BASE, CAP, "outbox"), now)
    }

    /// Records an accepted call. Returns when the failures began, if there were
    /// any.
    pub(super) fn accepted(&self) -> Option<Timestamp> {
        self.0.lock().cool_down.succeeded()
    }

    /// Records a failed call. Returns true for the first one since a success.
    pub(super) fn failed(&self, error: &CallError, now: Timestamp) -> bool {
        let mut state = self.0.lock();
        state.reason = reason(error);
        state.cool_down.failed(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::Service;

    #[test]
    fn pauses_grow_with_consecutive_failures() {
        let backoff = Backoff::default();
        let error = CallError::no_response(Service::RunStore, "no answer in time");
        let now = Timestamp::from_micros(1_000_000);
        assert_eq!((backoff.is_failing(), backoff.paused_until(now)), (false, None));
        let mut last = Duration::ZERO;
        for failure in 0..20 {
            assert_eq!(backoff.failed(&error, now), failure == 0);
            let pause = backoff.paused_until(now).expect("a pause").since(now);
            assert!(pause <= CAP && pause >= last / 2 && pause >= BASE / 2, "{pause:?} after {last:?}");
            last = pause;
        }
        assert!(last >= CAP / 2);
        assert_eq!(backoff.failing(), Some(Failing { reason: "no answer in time".into(), since: now }));
        assert_eq!(backoff.accepted(), Some(now));
        assert_eq!(
            (backoff.is_failing(), backoff.paused_until(now), backoff.accepted()),
            (false, None, None)
        );
    }
}
