//! The coordinator's own clock: deadlines are kept when the machine's clock is
//! set.
//!
//! ```text
//!            wall:  set forward            set back
//!                        │ ┌───────────        │
//!   now ─────────────────┴─╱  a bit faster ────┴──╲  a bit slower ──────────
//!        as time passes      until they agree       until they agree
//! ```
//!
//! It goes on as time passes by the machine's monotonic clock, and is steered
//! towards the wall: by at most one part in [`STEER`] of the time that passed,
//! so a step of the wall is made up for slowly. Whatever is done to the wall, it
//! never goes backwards, and a time of length L that is measured with it is off
//! by at most L/16. While a machine is suspended its monotonic clock stands
//! still and the wall goes on: that is a step, too.
//!
//! It begins at the wall, or at the newest time that the journal knows if that
//! is later: then the wall was set back while nobody looked. (Whether it was set
//! forward meanwhile or the process was just not there, nobody can tell.) A
//! journal that was written with a clock in the far future keeps this clock
//! there: deadlines hold, but timestamps are wrong for as long as 17 times the
//! difference. Health says so.
//!
//! For everything that is compared with times of our own: deadlines, wake-ups,
//! pauses, caches, our tokens. Times that others have written, such as those of
//! foreign tokens, are compared with the wall.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use super::{Clock, MachineClock, Timestamp};

/// At 16/17 of the pace, a time of length L takes L + L/16.
const STEER: i128 = 17;

/// By less than this the wall is adjusted, not set.
const STEP: i128 = 1_000_000_000;

/// Follows the machine's clocks without their steps. One per server.
pub struct SteadyClock {
    machine: Arc<dyn MachineClock>,
    /// Told by how many seconds the wall was set, when that is noticed.
    stepped: Box<dyn Fn(f64) + Send + Sync>,
    course: Mutex<Course>,
}

/// What the machine's clocks say at one moment, in nanoseconds: with
/// microseconds, one who looks often would never see enough time pass to steer.
#[derive(Clone, Copy, Debug)]
struct Reading {
    monotonic: i128,
    wall: i128,
}

/// How far the clock has come, and when that was.
struct Course {
    read: Reading,
    now: i128,
}

impl SteadyClock {
    /// Begins no earlier than `floor`.
    pub fn begin(
        machine: Arc<dyn MachineClock>,
        floor: Option<Timestamp>,
        stepped: impl Fn(f64) + Send + Sync + 'static,
    ) -> Self {
        let course = Mutex::new(Course::begin(Reading::of(&*machine), floor.map(nanos)));
        Self { machine, stepped: Box::new(stepped), course }
    }

    /// By how many seconds this clock is ahead of the wall; negative if behind.
    pub fn ahead_seconds(&self) -> f64 {
        self.follow();
        seconds(self.course().ahead())
    }

    fn follow(&self) -> i128 {
        let mut course = self.course();
        // Read under the lock, or two readings could overtake each other.
        let step = course.follow(Reading::of(&*self.machine));
        let now = course.now;
        drop(course);
        if step.abs() >= STEP {
            (self.stepped)(seconds(step));
        }
        now
    }

    /// It is whole at any time: nothing in here panics half-way.
    fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(i64::try_from(self.follow() / 1_000).unwrap_or(i64::MAX))
    }

    /// Until so much later by this clock: who sleeps until a deadline finds it
    /// passed, also while the clock is slowed down.
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

impl Course {
    fn begin(read: Reading, floor: Option<i128>) -> Self {
        Self { read, now: floor.map_or(read.wall, |floor| floor.max(read.wall)) }
    }

    /// Goes on to the next reading. By how much the wall was set since the
    /// last.
    fn follow(&mut self, next: Reading) -> i128 {
        let elapsed = (next.monotonic - self.read.monotonic).max(0);
        let step = next.wall - self.read.wall - elapsed;
        let behind = next.wall - (self.now + elapsed);
        let most = elapsed / STEER;
        self.now += elapsed + behind.clamp(-most, most);
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

/// For people.
fn seconds(nanos: i128) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests;
