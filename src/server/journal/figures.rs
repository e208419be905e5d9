//! What the threads of the journal have done so far, for metrics.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Counts since the journal was opened.
#[derive(Debug, Default)]
pub struct Figures {
    groups: AtomicU64,
    operations: AtomicU64,
    checkpoints: AtomicU64,
    checkpoint_micros: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FiguresNow {
    /// Transactions, each of which was synced to the disk.
    pub groups: u64,
    /// What was executed in them.
    pub operations: u64,
    /// Copies of the write-ahead log into the database.
    pub checkpoints: u64,
    pub checkpoint_seconds: f64,
}

impl Figures {
    pub(in crate::server::journal) fn group(&self, operations: usize) {
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.operations.fetch_add(operations as u64, Ordering::Relaxed);
    }

    pub(in crate::server::journal) fn checkpoint(&self, took: Duration) {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.checkpoint_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub fn now(&self) -> FiguresNow {
        FiguresNow {
            groups: self.groups.load(Ordering::Relaxed),
            operations: self.operations.load(Ordering::Relaxed),
            checkpoints: self.checkpoints.load(Ordering::Relaxed),
            checkpoint_seconds: self.checkpoint_micros.load(Ordering::Relaxed) as f64 / 1e6,
        }
    }
}
