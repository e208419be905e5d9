//! How long this worker may act without hearing from the journal that it lives.
//!
//! ```text
//!   heartbeat began at T and succeeded ──▶ lease until T + 6 s
//!   others declare a worker dead that has not beaten for 8 s
//! ```
//!
//! A process that cannot reach the journal, or was frozen, stops beginning work before
//! others take it over.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::time::Timestamp;

/// The time until which this worker may begin work.
pub struct Lease {
    until: AtomicI64,
}

impl Default for Lease {
    /// Without end: of the only worker of its journal.
    fn default() -> Self {
        Self { until: AtomicI64::new(i64::MAX) }
    }
}

impl Lease {
    pub(crate) fn extend(&self, until: Timestamp) {
        self.until.store(until.as_micros(), Ordering::SeqCst);
    }

    /// Whether there are other workers, which may have work in hand that this one does
    /// not know of.
    pub(super) fn is_bounded(&self) -> bool {
        self.until.load(Ordering::SeqCst) != i64::MAX
    }

    /// Whether work may begin now.
    pub fn holds(&self, now: Timestamp) -> bool {
        now.as_micros() < self.until.load(Ordering::SeqCst)
    }
}
