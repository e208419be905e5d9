//! Background tasks that cannot vanish: each has a name, a panic is logged and
//! counted, and shutdown waits for all of them.
//!
//! ```text
//!   spawn ────▶ work ──ends, or panics──▶ over
//!
//!   supervise ▶ work ──ends──▶ over
//!                 │ ▲
//!           panic │ │ after a pause that grows
//!                 ▼ │
//!               counted ──too often──▶ fatal: the process ends
//! ```
//!
//! **Architecture invariant:** what the coordinator cannot do without runs
//! again, or the process ends and its successor goes on. It does not live on
//! with a part of it gone.

use std::{
    collections::BTreeMap,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use futures::FutureExt;
use slog::{Logger, crit, error};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::time::{Clock, Timestamp, backoff};

/// Pauses before a task runs again.
const BASE: Duration = Duration::from_millis(100);
const CAP: Duration = Duration::from_secs(5);
/// More panics of one task than this, no two further apart than [`QUIET`], are
/// too many.
const PANICS_MAX: u32 = 5;
/// A task that has run for so long since its last panic is well again.
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

    /// Another set, which stops by itself, of the same server: what happens to
    /// its tasks is told with what happens to these.
    pub fn beside(&self, log: Logger) -> Self {
        Self { panics: self.panics.clone(), fatal: self.fatal.clone(), ..Self::new(log) }
    }

    /// Runs `work` in the background until it ends by itself. What must not end
    /// before the server does is for [`TaskSet::supervise`].
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let tasks = self.clone();
        self.tracker.spawn(async move {
            if let Err(panic) = tasks.run(work).await {
                tasks.panics.count(name, None);
                error!(tasks.log, "background task panicked"; "task" => name, "panic" => panic);
            }
        });
    }

    /// Runs what `begin` begins in the background, and begins it again whenever
    /// it panics. Loops watch [`TaskSet::stopping`], and are left for good when
    /// they return.
    pub fn supervise<F>(
        &self,
        name: &'static str,
        clock: Arc<dyn Clock>,
        begin: impl Fn() -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let tasks = self.clone();
        self.tracker.spawn(async move {
            let mut in_a_row = 0;
            let mut last: Option<Timestamp> = None;
            while let Err(panic) = tasks.run(begin()).await {
                let now = clock.now();
                in_a_row = if last.is_some_and(|last| now.since(last) < QUIET) { in_a_row + 1 } else { 1 };
                last = Some(now);
                tasks.panics.count(name, last);
                if in_a_row > PANICS_MAX {
                    crit!(tasks.log, "background task panics again and again: it is given up";
                        "task" => name, "panic" => &panic, "times" => in_a_row);
                    return tasks.fatal.declare(format!("the task '{name}' panics again and again: {panic}"));
                }
                let pause = backoff(in_a_row - 1, BASE, CAP, name);
                error!(tasks.log, "background task panicked: it is begun again"; "task" => name,
                    "panic" => panic, "times" => in_a_row, "after_seconds" => pause.as_secs_f64());
                tokio::select! {
                    () = clock.sleep(pause) => {}
                    () = tasks.stop.cancelled() => return,
                }
            }
        });
    }

    /// What a panic said, if there was one.
    async fn run(&self, work: impl Future<Output = ()> + Send) -> Result<(), String> {
        tokio::select! {
            // One that is cut off does nothing more, whatever it waited for.
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

    /// How often which of the tasks have panicked.
    pub fn panics(&self) -> &Panics {
        &self.panics
    }

    /// Declared when a task is given up that the server cannot do without.
    pub fn fatal(&self) -> &Fatal {
        &self.fatal
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

/// Panics by the name of what panicked. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Panics(Arc<Mutex<BTreeMap<&'static str, Panicked>>>);

/// How often something has panicked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Panicked {
    pub times: u64,
    /// When it did last, if it is something that runs all the time.
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that the process must not live on, and why. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Fatal(Arc<(CancellationToken, OnceLock<String>)>);

impl Fatal {
    /// The first reason counts.
    pub fn declare(&self, reason: String) {
        let (declared, why) = &*self.0;
        let _first = why.set(reason);
        declared.cancel();
    }

    /// Waits until it is so. The reason.
    pub async fn declared(&self) -> String {
        let (declared, why) = &*self.0;
        declared.cancelled().await;
        why.get().cloned().unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;
    use slog::{Discard, o};

    use super::*;

    /// Whoever sleeps gets what it waited for at once.
    #[derive(Default)]
    struct Leaping(Mutex<Duration>);

    #[async_trait]
    impl Clock for Leaping {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(0) + *self.0.lock().unwrap()
        }
        async fn sleep(&self, time: Duration) {
            *self.0.lock().unwrap() += time;
            tokio::task::yield_now().await;
        }
    }

    fn tasks() -> (TaskSet, Arc<Leaping>) {
        (TaskSet::new(Logger::root(Discard, o!())), Arc::default())
    }

    #[tokio::test]
    async fn what_is_supervised_runs_again_after_a_panic_until_it_ends_by_itself() {
        let (tasks, clock) = tasks();
        let (begun, clock_of_task) = (Arc::new(AtomicU32::new(0)), Arc::clone(&clock));
        let begin = {
            let begun = Arc::clone(&begun);
            move || {
                let (begun, clock) = (Arc::clone(&begun), Arc::clone(&clock_of_task));
                async move {
                    let time = begun.fetch_add(1, Ordering::SeqCst);
                    // Ten panics, with long and good times in between.
                    if time.is_multiple_of(3) {
                        clock.sleep(QUIET).await;
                    }
                    assert!(time >= 10, "the {time}th time");
                }
            }
        };
        tasks.supervise("sweep", Arc::clone(&clock) as _, begin);
        tasks.spawn("job", async { panic!("once") });
        tasks.tracker.close();
        tasks.tracker.wait().await;
        assert_eq!(begun.load(Ordering::SeqCst), 11);
        let panics = tasks.panics().so_far();
        assert_eq!(panics["sweep"].times, 10);
        assert!(panics["sweep"].last.is_some_and(|last| last <= clock.now()));
        assert_eq!(panics["job"], Panicked { times: 1, last: None });
        assert!(tasks.fatal().declared().now_or_never().is_none());
    }

    #[tokio::test]
    async fn what_panics_again_and_again_is_fatal_and_says_so_for_the_set_beside() {
        let (tasks, clock) = tasks();
        let beside = tasks.beside(Logger::root(Discard, o!()));
        beside.supervise("outbox", clock, || async { panic!("poison") });
        let reason = tasks.fatal().declared().await;
        assert_eq!(reason, "the task 'outbox' panics again and again: poison");
        assert_eq!(tasks.panics().so_far()["outbox"].times, u64::from(PANICS_MAX) + 1);
        beside.stop().await;
        assert!(!tasks.stopping().is_cancelled());
    }

    #[tokio::test]
    async fn a_stop_waits_for_no_pause_and_a_cut_off_for_nothing() {
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
