//! The server's own clock: it slews where the wall clock steps, so that deadlines
//! are kept.
//!
//! ```text
//!   wall clock:      stepped forward          stepped back
//!                        │                        │
//!   now ─────────────────┴──── slews faster ──────┴──── slews slower ──────
//!       with monotonic time     until they agree         until they agree
//! ```
//!
//! The clock advances with the machine's monotonic clock and is slewed towards
//! the wall clock, by at most 1/[`SLEW_DENOMINATOR`] of the time that passes.
//! Whatever happens to the wall clock, this clock never goes backwards, and a
//! duration L measured with it is off by at most L/16. While a machine is
//! suspended, its monotonic clock stands still and the wall clock continues:
//! that is a step, too.
//!
//! The clock starts at the wall clock, or at the newest time in the journal if
//! that is later, which means that the wall clock was set back while no process
//! ran. (A step forward in that time cannot be distinguished from the passing of
//! time.) A journal written with a clock in the far future keeps this clock
//! there: deadlines hold, but timestamps are wrong for up to 17 times the
//! difference. The health report shows it.
//!
//! The server compares its own times with this clock: deadlines, wake-ups,
//! backoff, caches, assignment tokens. Foreign times, such as those in callers'
//! tokens, are compared with the wall clock.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};

use super::{Clock, MachineClock, Timestamp};

/// The slew rate is 1/17: at 16/17 of the rate, a duration L takes L + L/16.
const SLEW_DENOMINATOR: i128 = 17;

/// The smallest change of the wall clock that counts as a step, in nanoseconds.
const STEP_MIN: i128 = 1_000_000_000;

/// Follows the machine's clocks by slewing. One per server.
pub struct SteadyClock {
    machine: Arc<dyn MachineClock>,
    /// Called with the size of a step of the wall clock, in seconds.
    on_step: Box<dyn Fn(f64) + Send + Sync>,
    state: Mutex<State>,
}

/// The machine's clocks at one moment, in nanoseconds: in microseconds, frequent
/// readings would never be far enough apart to slew.
#[derive(Clone, Copy, Debug)]
struct Reading {
    monotonic: i128,
    wall: i128,
}

/// The state of the clock as of its last reading.
struct State {
    read: Reading,
    now: i128,
}

impl SteadyClock {
    /// Starts the clock, no earlier than `floor`.
    pub fn begin(
        machine: Arc<dyn MachineClock>,
        floor: Option<Timestamp>,
        on_step: impl Fn(f64) + Send + Sync + 'static,
    ) -> Self {
        let state = Mutex::new(State::begin(Reading::of(&*machine), floor.map(nanos)));
        Self { machine, on_step: Box::new(on_step), state }
    }

    /// The seconds by which this clock is ahead of the wall clock; negative if
    /// behind.
    pub fn ahead_seconds(&self) -> f64 {
        self.follow();
        seconds(self.state().ahead())
    }

    fn follow(&self) -> i128 {
        let mut state = self.state();
        // Read under the lock, so that readings stay in order.
        let step = state.follow(Reading::of(&*self.machine));
        let now = state.now;
        drop(state);
        if step.abs() >= STEP_MIN {
            (self.on_step)(seconds(step));
        }
        now
    }

    /// Ignores poisoning: no update of the state panics half-way.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

#[async_trait]
impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(i64::try_from(self.follow() / 1_000).unwrap_or(i64::MAX))
    }

    /// Sleeps until `time` has passed by this clock, so that a deadline has passed
    /// after sleeping until it, even while the clock is slewed.
    async fn sleep(&self, time: Duration) {
        let until = self.now() + time;
        let mut left = time;
        loop {
            self.machine.sleep(left).await;
            left = until.since(self.now());
            if left.is_zero() {
                return;
            }
        }
    }
}

impl Reading {
    fn of(machine: &dyn MachineClock) -> Self {
        let monotonic = i128::try_from(machine.monotonic().as_nanos()).unwrap_or(i128::MAX);
        Self { monotonic, wall: nanos(machine.now()) }
    }
}

impl State {
    fn begin(read: Reading, floor: Option<i128>) -> Self {
        Self { read, now: floor.map_or(read.wall, |floor| floor.max(read.wall)) }
    }

    /// Advances to the next reading. Returns the change of the wall clock beyond the
    /// time that passed.
    fn follow(&mut self, next: Reading) -> i128 {
        let elapsed = (next.monotonic - self.read.monotonic).max(0);
        let step = next.wall - self.read.wall - elapsed;
        let behind = next.wall - (self.now + elapsed);
        let slew_max = elapsed / SLEW_DENOMINATOR;
        self.now += elapsed + behind.clamp(-slew_max, slew_max);
        self.read = next;
        step
    }

    fn ahead(&self) -> i128 {
        self.now - self.read.wall
    }
}

fn nanos(time: Timestamp) -> i128 {
    i128::from(time.as_micros()) * 1_000
}

/// Nanoseconds as seconds, for people.
fn seconds(nanos: i128) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests;
