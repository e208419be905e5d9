//! The life of a process: it ends once, may stand still, and may be cut off from the
//! journal.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Whether a process lives, or stands still as after a SIGSTOP.
#[derive(Default)]
pub struct Life {
    over: AtomicBool,
    died: CancellationToken,
    frozen: AtomicBool,
    /// (A watch channel wakes those that wait in a random order.)
    thawed: Notify,
    was_frozen: AtomicBool,
    /// The process does not reach the journal.
    cut_off: AtomicBool,
    healed: Notify,
}

impl Life {
    pub fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.died.cancel();
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub async fn died(&self) {
        self.died.cancelled().await;
    }

    /// Freezes the process: it does nothing until it is thawed, and notices nothing.
    pub fn freeze(&self) {
        self.was_frozen.store(true, Ordering::SeqCst);
        self.frozen.store(true, Ordering::SeqCst);
    }

    pub fn thaw(&self) {
        self.frozen.store(false, Ordering::SeqCst);
        self.thawed.notify_waiters();
    }

    /// Cuts the process off from the journal: its calls hang.
    pub fn cut_off(&self) {
        self.was_frozen.store(true, Ordering::SeqCst);
        self.cut_off.store(true, Ordering::SeqCst);
    }

    pub fn heal(&self) {
        self.cut_off.store(false, Ordering::SeqCst);
        self.healed.notify_waiters();
    }

    /// Returns false at once while the journal is reached, and true once it is again.
    pub async fn was_cut_off(&self) -> bool {
        let is_cut_off = self.cut_off.load(Ordering::SeqCst);
        while self.cut_off.load(Ordering::SeqCst) {
            self.healed.notified().await;
        }
        is_cut_off
    }

    /// Whether it was frozen, or cut off from the journal: then it may act on what it had
    /// decided before.
    pub fn was_frozen(&self) -> bool {
        self.was_frozen.load(Ordering::SeqCst)
    }

    /// Returns at once while the process lives, later while it is frozen, and never
    /// after its end.
    pub async fn gate(&self) {
        while self.frozen.load(Ordering::SeqCst) {
            self.thawed.notified().await;
        }
        if self.is_over() {
            std::future::pending().await
        }
    }
}
