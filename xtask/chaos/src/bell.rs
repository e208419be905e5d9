//! What everybody waits by: a bell that rings once, and is heard by all who
//! wait, at once. So nobody sleeps past the end.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

#[derive(Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    pub(super) fn ring(&self) {
        *self.rung() = true;
        self.changed.notify_all();
    }

    pub(super) fn has_rung(&self) -> bool {
        *self.rung()
    }

    /// Waits for so long, or until it rings: whether it has.
    pub(super) fn rings_within(&self, time: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.rung(), time, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn rung(&self) -> MutexGuard<'_, bool> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The two ends.
#[derive(Default)]
pub(super) struct Bells {
    /// No more faults, and nothing new: what is there comes to rest.
    pub(super) quiet: Bell,
    /// Everybody goes home.
    pub(super) over: Bell,
}
