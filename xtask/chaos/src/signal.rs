//! A signal that is raised once and wakes all waiting threads at once, so that
//! no thread sleeps past the end.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

#[derive(Default)]
pub(super) struct Signal {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    pub(super) fn raise(&self) {
        *self.raised() = true;
        self.changed.notify_all();
    }

    pub(super) fn is_raised(&self) -> bool {
        *self.raised()
    }

    /// Waits for this time, or until the signal is raised; returns whether it is.
    pub(super) fn raised_within(&self, time: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.raised(), time, |raised| !*raised);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn raised(&self) -> MutexGuard<'_, bool> {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The two ends of a run of chaos.
#[derive(Default)]
pub(super) struct Signals {
    /// No more faults and no new work: what exists comes to rest.
    pub(super) quiet: Signal,
    /// All threads end.
    pub(super) over: Signal,
}
