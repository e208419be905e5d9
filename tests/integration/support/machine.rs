//! A machine whose time passes only when the test advances it, and whose wall clock
//! the test steps.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jarvis_run_coordinator::time::{Clock, MachineClock, Timestamp};
use tokio::sync::watch;

/// The initial wall-clock time: 2026-11-18.
const START_MICROS: i64 = 1_795_000_000_000_000;

/// The machine. Clones share its clocks.
#[derive(Clone, Default)]
pub struct TestMachine(Arc<watch::Sender<Clocks>>);

#[derive(Clone, Copy, Default)]
struct Clocks {
    monotonic: Duration,
    /// The sum of all steps of the wall clock.
    set_by_micros: i64,
}

impl TestMachine {
    /// Advances both clocks by `time`, in one step.
    pub fn pass(&self, time: Duration) {
        self.0.send_modify(|clocks| clocks.monotonic += time);
    }

    /// The wall-clock time, in microseconds.
    pub fn micros(&self) -> i64 {
        Clock::now(self).as_micros()
    }

    /// Steps the wall clock forward, or back if `by_seconds` is negative.
    pub fn set(&self, by_seconds: i64) {
        self.0.send_modify(|clocks| clocks.set_by_micros += by_seconds * 1_000_000);
    }
}

#[async_trait]
impl Clock for TestMachine {
    fn now(&self) -> Timestamp {
        let clocks = *self.0.borrow();
        Timestamp::from_micros(START_MICROS + clocks.set_by_micros) + clocks.monotonic
    }

    async fn sleep(&self, time: Duration) {
        let mut clocks = self.0.subscribe();
        let until = clocks.borrow().monotonic.saturating_add(time);
        // The sleeper holds the machine, so its sender is not dropped.
        let _ = clocks.wait_for(|clocks| clocks.monotonic >= until).await;
    }
}

impl MachineClock for TestMachine {
    fn monotonic(&self) -> Duration {
        self.0.borrow().monotonic
    }
}
