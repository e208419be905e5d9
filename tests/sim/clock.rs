//! Virtual time: it stands still while any task can run, and jumps to the next sleeper's
//! time when none can.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_trait::async_trait;
use jarvis_run_coordinator::time::{Clock, MachineClock, Timestamp};

const START: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

/// The one clock of the simulation.
#[derive(Default)]
pub struct SimClock(Mutex<State>);

#[derive(Default)]
struct State {
    /// The time since the start, by which sleepers wait.
    elapsed: Duration,
    /// The sum of all steps of the wall clock, in microseconds.
    ahead: i64,
    sleepers: BTreeMap<(Duration, u64), Waker>,
    slept: u64,
}

impl SimClock {
    pub fn elapsed(&self) -> Duration {
        self.state().elapsed
    }

    /// The time of the next sleeper.
    pub fn next(&self) -> Option<Duration> {
        self.state().sleepers.first_key_value().map(|((due, _), _)| *due)
    }

    pub fn advance(&self, to: Duration) {
        let due: Vec<Waker> = {
            let mut state = self.state();
            state.elapsed = state.elapsed.max(to);
            // Each is woken once: a task may have something else to do before it looks
            // again, and time goes on meanwhile.
            let now = (state.elapsed, u64::MAX);
            let later = state.sleepers.split_off(&now);
            std::mem::replace(&mut state.sleepers, later).into_values().collect()
        };
        due.into_iter().for_each(Waker::wake);
    }

    /// Steps the wall clock. Sleepers are not affected.
    pub fn set(&self, by_millis: i64) {
        self.state().ahead += by_millis * 1_000;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let state = self.state();
        Timestamp::from_micros((START + state.elapsed).as_micros() + state.ahead)
    }

    async fn sleep(&self, time: Duration) {
        let place = {
            let mut state = self.state();
            state.slept += 1;
            // A sleep of zero takes a microsecond, so that immediate retries advance time.
            (state.elapsed.saturating_add(time.max(Duration::from_micros(1))), state.slept)
        };
        Sleep { clock: self, place }.await;
    }
}

impl MachineClock for SimClock {
    fn monotonic(&self) -> Duration {
        self.elapsed()
    }
}

/// The clocks of one process's machine: its wall clock is wrong, and they go too fast or
/// too slowly.
pub struct ProcessClock {
    pub real: Arc<SimClock>,
    /// By how many milliseconds the wall clock is wrong.
    pub skew: i64,
    /// How many thousandths of the time pass on it.
    pub rate: u32,
}

#[async_trait]
impl Clock for ProcessClock {
    fn now(&self) -> Timestamp {
        let skewed = START.as_micros() + self.skew * 1_000;
        Timestamp::from_micros((Timestamp::from_micros(skewed) + self.monotonic()).as_micros())
    }

    async fn sleep(&self, time: Duration) {
        self.real.sleep(time * 1_000 / self.rate).await;
    }
}

impl MachineClock for ProcessClock {
    fn monotonic(&self) -> Duration {
        self.real.elapsed() * self.rate / 1_000
    }
}

struct Sleep<'c> {
    clock: &'c SimClock,
    place: (Duration, u64),
}

impl Future for Sleep<'_> {
    type Output = ();
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.clock.state();
        if state.elapsed >= self.place.0 {
            return Poll::Ready(());
        }
        state.sleepers.insert(self.place, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        self.clock.state().sleepers.remove(&self.place);
    }
}

/// Signals the driver that no task can run.
#[derive(Clone, Default)]
pub struct Idle(Arc<Mutex<(bool, Option<Waker>)>>);

impl Idle {
    /// The runtime is about to go to sleep.
    pub fn reached(&self) {
        let waker = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.0 = true;
            state.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    pub async fn wait(&self) {
        poll_fn(|context| {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if std::mem::take(&mut state.0) {
                return Poll::Ready(());
            }
            state.1 = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
