//! How fast a store is called: at once while it accepts, slower and slower
//! while it does not.

use std::time::Duration;

use crate::{
    clients::CallError,
    time::{Timestamp, backoff},
};
use parking_lot::{Mutex, MutexGuard};

/// Pauses of all calls after failures in a row.
const BASE: Duration = Duration::from_millis(50);
pub(super) const CAP: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Pace(Mutex<State>);

#[derive(Default)]
struct State {
    failures: u32,
    trouble: Option<Trouble>,
}

/// Why a store accepts nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) reason: String,
    pub(super) since: Timestamp,
    /// Not to be called before.
    until: Timestamp,
}

impl Pace {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    /// What is wrong, if the last call failed.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.state().trouble.clone()
    }

    pub(super) fn in_trouble(&self) -> bool {
        self.state().trouble.is_some()
    }

    /// When to call again, if not at once.
    pub(super) fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.state().trouble.as_ref().map(|trouble| trouble.until).filter(|&until| until > now)
    }

    /// A call was accepted. The trouble that is over, if there was any.
    pub(super) fn accepted(&self) -> Option<Trouble> {
        let mut state = self.state();
        state.failures = 0;
        state.trouble.take()
    }

    /// A call failed. True if all was well before.
    pub(super) fn failed(&self, error: &CallError, now: Timestamp) -> bool {
        let mut state = self.state();
        let until = now + backoff(state.failures, BASE, CAP, "pace");
        state.failures = state.failures.saturating_add(1);
        let since = state.trouble.as_ref().map_or(now, |trouble| trouble.since);
        let first = state.trouble.is_none();
        state.trouble = Some(Trouble { reason: reason(error), since, until });
        first
    }
}

/// The store is well and does not want this, or it could not even be written
/// down for sending: others need not wait.
pub(super) fn is_about_content(error: &CallError) -> bool {
    matches!(error.status, Some(400 | 409 | 413 | 422)) || error.never_sent && !error.retryable
}

/// What a store said, in a line that names no address.
pub(super) fn reason(error: &CallError) -> String {
    let said = error.details.text("error").unwrap_or_else(|| error.message.clone());
    match error.status {
        Some(status) => format!("{said} ({status})"),
        None => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::Service;

    #[test]
    fn pauses_grow_with_failures_in_a_row_and_end_with_a_success() {
        let pace = Pace::default();
        let error = CallError::unavailable(Service::RunStore, "no answer in time");
        let now = Timestamp::from_micros(1_000_000);
        assert_eq!((pace.in_trouble(), pace.paused_until(now)), (false, None));
        let mut last = Duration::ZERO;
        for failure in 0..20 {
            assert_eq!(pace.failed(&error, now), failure == 0);
            let pause = pace.paused_until(now).expect("a pause").since(now);
            assert!(pause <= CAP && pause >= last / 2 && pause >= BASE / 2, "{pause:?} after {last:?}");
            last = pause;
        }
        assert!(last >= CAP / 2);
        let over = pace.accepted().expect("it is over");
        assert_eq!((over.reason.as_str(), over.since), ("no answer in time", now));
        assert_eq!((pace.in_trouble(), pace.paused_until(now), pace.accepted()), (false, None, None));
    }
}
