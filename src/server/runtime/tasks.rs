//! Supervised background tasks: each has a name, panics are logged and counted,
//! and shutdown waits for all of them.
//!
//! ```text
//!   spawn ────▶ work ──returns, or panics──▶ over
//!
//!   supervise ▶ work ──returns──▶ over
//!                 │ ▲
//!           panic │ │ restarted, with exponential backoff
//!                 ▼ │
//!               counted ──too often──▶ fatal: the process ends
//! ```
//!
//! **Architecture invariant:** an essential task is restarted, or the process
//! ends and its successor resumes the work. The process does not continue with
//! a part of it missing.

use std::{
    collections::BTreeMap,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use parking_lot::{Mutex, MutexGuard};
use slog::{Logger, crit, error};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::time::{Clock, Timestamp, backoff};

/// The backoff between restarts of a task.
const BASE: Duration = Duration::from_millis(100);
const CAP: Duration = Duration::from_secs(5);
/// The largest work that is spawned. There is one for each node at an executor, and each is
/// allocated, copied and freed. What is awaited in a function is a part of its future,
/// whether it is awaited or not: without boxes, this was 100 KB.
const WORK_MAX: usize = 12 << 10;
/// The maximum number of consecutive panics of a task; panics further apart than
/// [`QUIET`] are not consecutive.
const PANICS_MAX: u32 = 5;
/// The time without a panic after which a task is considered healthy again.
pub const QUIET: Duration = Duration::from_secs(60);

/// The tasks of one server. Clones share the same set.
#[derive(Clone)]
pub struct TaskSet {
    tracker: TaskTracker,
    stop: CancellationToken,
    cut_off: CancellationToken,
    panics: Panics,
    fatal: Fatal,
    log: Logger,
}

impl TaskSet {
    pub fn new(log: Logger) -> Self {
        Self {
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            cut_off: CancellationToken::new(),
            panics: Panics::default(),
            fatal: Fatal::default(),
            log,
        }
    }

    /// Makes a second set of the same server, which is stopped on its own but
    /// shares the record of panics and fatal failures.
    pub fn beside(&self, log: Logger) -> Self {
        Self { panics: self.panics.clone(), fatal: self.fatal.clone(), ..Self::new(log) }
    }

    /// Runs `work` in the background until it returns. A task that must run as long
    /// as the server needs [`TaskSet::supervise`].
    pub fn spawn<W: Future<Output = ()> + Send + 'static>(&self, name: &'static str, work: W) {
        const { assert!(size_of::<W>() <= WORK_MAX, "box what this work seldom awaits") };
        let (tasks, work) = (self.clone(), Box::pin(work));
        self.tracker.spawn(async move {
            if let Err(panic) = tasks.run(work).await {
                tasks.panics.count(name, None);
                error!(tasks.log, "background task panicked"; "task" => name, "error" => panic);
            }
        });
    }

    /// Runs the task that `start` makes in the background, and restarts it whenever
    /// it panics. Loops watch [`TaskSet::stopping`]; a task that returns is not
    /// restarted.
    pub fn supervise<F>(
        &self,
        name: &'static str,
        clock: Arc<dyn Clock>,
        start: impl Fn() -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let tasks = self.clone();
        self.tracker.spawn(async move {
            let mut consecutive = 0;
            let mut last: Option<Timestamp> = None;
            while let Err(panic) = tasks.run(Box::pin(start())).await {
                let now = clock.now();
                let recent = last.is_some_and(|last| now.since(last) < QUIET);
                consecutive = if recent { consecutive + 1 } else { 1 };
                last = Some(now);
                tasks.panics.count(name, last);
                if consecutive > PANICS_MAX {
                    crit!(tasks.log, "background task keeps panicking: not restarting it";
                        "task" => name, "error" => &panic, "times" => consecutive);
                    return tasks.fatal.declare(format!("the task '{name}' keeps panicking: {panic}"));
                }
                let pause = backoff(consecutive - 1, BASE, CAP, name);
                error!(tasks.log, "background task panicked: restarting it"; "task" => name,
                    "error" => panic, "times" => consecutive, "after_seconds" => pause.as_secs_f64());
                tokio::select! {
                    () = clock.sleep(pause) => {}
                    () = tasks.stop.cancelled() => return,
                }
            }
        });
    }

    /// Runs `work`; a panic is an error with its message. (Boxed, because each function
    /// that takes a future and awaits it would have room for it twice.)
    async fn run(&self, work: BoxFuture<'_, ()>) -> Result<(), String> {
        tokio::select! {
            // A task that is cut off does nothing more, even if it is ready.
            biased;
            () = self.cut_off.cancelled() => Ok(()),
            ended = AssertUnwindSafe(work).catch_unwind() => {
                ended.map_err(|panic| panic_message(&*panic).to_owned())
            }
        }
    }

    /// Cancelled when the server begins to stop.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    /// The record of panics.
    pub fn panics(&self) -> &Panics {
        &self.panics
    }

    /// Declared when an essential task is not restarted any more.
    pub fn fatal(&self) -> &Fatal {
        &self.fatal
    }

    /// Requests every task to stop, and waits until all have.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Ends every task at its next await.
    pub async fn cut_off(&self) {
        self.cut_off.cancel();
        self.stop().await;
    }

    /// The number of running tasks.
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }
}

/// Counts panics by the name of the task. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Panics(Arc<Mutex<BTreeMap<&'static str, Panicked>>>);

/// The panics of one task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Panicked {
    pub times: u64,
    /// The time of the last panic, for a supervised task.
    pub last: Option<Timestamp>,
}

impl Panics {
    fn count(&self, name: &'static str, at: Option<Timestamp>) {
        let mut all = self.all();
        let panicked = all.entry(name).or_default();
        panicked.times += 1;
        panicked.last = at.or(panicked.last);
    }

    pub fn so_far(&self) -> BTreeMap<&'static str, Panicked> {
        self.all().clone()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<&'static str, Panicked>> {
        self.0.lock()
    }
}

/// Declares that the process must end, and why. Clones share the declaration.
#[derive(Clone, Debug, Default)]
pub struct Fatal(Arc<(CancellationToken, OnceLock<String>)>);

impl Fatal {
    /// The first reason counts.
    pub fn declare(&self, reason: String) {
        let (declared, why) = &*self.0;
        let _first = why.set(reason);
        declared.cancel();
    }

    /// Waits for the declaration, and returns its reason.
    pub async fn declared(&self) -> String {
        let (declared, why) = &*self.0;
        declared.cancelled().await;
        why.get().cloned().unwrap_or_default()
    }
}

/// The message of a panic.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;
    use slog::{Discard, o};

    use super::*;

    /// A clock whose sleeps end at once, and advance it.
    #[derive(Default)]
    struct AutoAdvance(Mutex<Duration>);

    #[async_trait]
    impl Clock for AutoAdvance {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(0) + *self.0.lock()
        }
        async fn sleep(&self, time: Duration) {
            *self.0.lock() += time;
            tokio::task::yield_now().await;
        }
    }

    fn tasks() -> (TaskSet, Arc<AutoAdvance>) {
        (TaskSet::new(Logger::root(Discard, o!())), Arc::default())
    }

    #[tokio::test]
    async fn supervised_task_is_restarted_until_it_returns() {
        let (tasks, clock) = tasks();
        let (started, clock_of_task) = (Arc::new(AtomicU32::new(0)), Arc::clone(&clock));
        let start = {
            let started = Arc::clone(&started);
            move || {
                let (started, clock) = (Arc::clone(&started), Arc::clone(&clock_of_task));
                async move {
                    let time = started.fetch_add(1, Ordering::SeqCst);
                    // Ten panics, with quiet periods in between.
                    if time.is_multiple_of(3) {
                        clock.sleep(QUIET).await;
                    }
                    assert!(time >= 10, "the {time}th time");
                }
            }
        };
        tasks.supervise("sweep", Arc::clone(&clock) as _, start);
        tasks.spawn("job", async { panic!("once") });
        tasks.tracker.close();
        tasks.tracker.wait().await;
        assert_eq!(started.load(Ordering::SeqCst), 11);
        let panics = tasks.panics().so_far();
        assert_eq!(panics["sweep"].times, 10);
        assert!(panics["sweep"].last.is_some_and(|last| last <= clock.now()));
        assert_eq!(panics["job"], Panicked { times: 1, last: None });
        assert!(tasks.fatal().declared().now_or_never().is_none());
    }

    #[tokio::test]
    async fn repeated_panics_are_fatal_for_both_sets() {
        let (tasks, clock) = tasks();
        let beside = tasks.beside(Logger::root(Discard, o!()));
        beside.supervise("outbox", clock, || async { panic!("poison") });
        let reason = tasks.fatal().declared().await;
        assert_eq!(reason, "the task 'outbox' keeps panicking: poison");
        assert_eq!(tasks.panics().so_far()["outbox"].times, u64::from(PANICS_MAX) + 1);
        beside.stop().await;
        assert!(!tasks.stopping().is_cancelled());
    }

    #[tokio::test]
    async fn stop_skips_backoff_and_cut_off_waits_for_no_task() {
        struct Never;
        #[async_trait]
        impl Clock for Never {
            fn now(&self) -> Timestamp {
                Timestamp::from_micros(0)
            }
            async fn sleep(&self, _: Duration) {
                std::future::pending().await
            }
        }
        let (tasks, _) = tasks();
        tasks.supervise("pauses", Arc::new(Never), || async { panic!("once") });
        tasks.stop().await;
        let tasks = self::tasks().0;
        tasks.supervise("hangs", Arc::new(Never), std::future::pending);
        tasks.cut_off().await;
    }
}
