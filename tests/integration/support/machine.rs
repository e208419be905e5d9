//! A machine on which time passes when the test says so, and whose clock the
//! test sets.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jarvis_run_coordinator::time::{Clock, MachineClock, Timestamp};
use tokio::sync::watch;

/// When time begins: 2026-11-18.
const BEGUN_MICROS: i64 = 1_795_000_000_000_000;

/// Its copies are the same machine.
#[derive(Clone, Default)]
pub struct TestMachine(Arc<watch::Sender<Clocks>>);

#[derive(Clone, Copy, Default)]
struct Clocks {
    monotonic: Duration,
    /// By how much the clock was set, all in all.
    set_by_micros: i64,
}

impl TestMachine {
    /// So much time passes, all at once.
    pub fn pass(&self, time: Duration) {
        self.0.send_modify(|clocks| clocks.monotonic += time);
    }

    /// What its clock says.
    pub fn micros(&self) -> i64 {
        Clock::now(self).as_micros()
    }

    /// Sets the clock forward, or back if negative.
    pub fn set(&self, by_seconds: i64) {
        self.0.send_modify(|clocks| clocks.set_by_micros += by_seconds * 1_000_000);
    }
}

#[async_trait]
impl Clock for TestMachine {
    fn now(&self) -> Timestamp {
        let clocks = *self.0.borrow();
        Timestamp::from_micros(BEGUN_MICROS + clocks.set_by_micros) + clocks.monotonic
    }

    async fn sleep(&self, time: Duration) {
        let mut clocks = self.0.subscribe();
        let until = clocks.borrow().monotonic.saturating_add(time);
        // Whoever sleeps holds the machine, so it does not go away.
        let _ = clocks.wait_for(|clocks| clocks.monotonic >= until).await;
    }
}

impl MachineClock for TestMachine {
    fn monotonic(&self) -> Duration {
        self.0.borrow().monotonic
    }
}
