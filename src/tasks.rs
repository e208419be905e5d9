//! Background tasks that cannot vanish: each has a name, a panic is logged,
//! and shutdown waits for all of them.

use std::{future::Future, panic::AssertUnwindSafe};

use futures::FutureExt;
use slog::{Logger, error};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The tasks of one server. Clones share the same set.
#[derive(Clone)]
pub struct TaskSet {
    tracker: TaskTracker,
    stop: CancellationToken,
    cut_off: CancellationToken,
    log: Logger,
}

impl TaskSet {
    pub fn new(log: Logger) -> Self {
        Self {
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            cut_off: CancellationToken::new(),
            log,
        }
    }

    /// Runs `work` in the background until it ends by itself. Loops watch
    /// [`TaskSet::stopping`].
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let (log, cut_off) = (self.log.clone(), self.cut_off.clone());
        self.tracker.spawn(async move {
            let ended = tokio::select! {
                // One that is cut off does nothing more, whatever it waited for.
                biased;
                () = cut_off.cancelled() => Ok(()),
                ended = AssertUnwindSafe(work).catch_unwind() => ended,
            };
            if let Err(panic) = ended {
                error!(log, "background task panicked"; "task" => name, "panic" => panic_message(&*panic));
            }
        });
    }

    /// Cancelled when the server begins to stop.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    /// Tells every task to stop and waits until all have.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Ends every task at the next thing that it waits for.
    pub async fn cut_off(&self) {
        self.cut_off.cancel();
        self.stop().await;
    }

    /// How many tasks are alive.
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }
}

/// What a panic said, if it said anything.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
