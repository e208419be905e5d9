//! The clock on a machine whose clocks the test controls.

use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use proptest::prelude::*;

use super::*;

const SECOND: i128 = 1_000_000_000;
const HOUR: i128 = 3_600 * SECOND;
const DAY: i128 = 24 * HOUR;
const SINCE_1970: i128 = 1_795_000_000 * SECOND;

/// A machine on which time passes only during sleeps, and whose wall clock is set.
#[derive(Default)]
struct Machine {
    passed_micros: AtomicI64,
    set_by_micros: AtomicI64,
}

impl Machine {
    fn pass(&self, time: Duration) {
        self.passed_micros.fetch_add(i64::try_from(time.as_micros()).unwrap(), SeqCst);
    }
}

#[async_trait]
impl Clock for Machine {
    fn now(&self) -> Timestamp {
        let (passed, set_by) = (self.passed_micros.load(SeqCst), self.set_by_micros.load(SeqCst));
        Timestamp::from_micros(i64::try_from(SINCE_1970 / 1_000).unwrap() + passed + set_by)
    }
    async fn sleep(&self, time: Duration) {
        self.pass(time);
    }
}

impl MachineClock for Machine {
    fn monotonic(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.passed_micros.load(SeqCst)).unwrap())
    }
}

/// A state, and the reading that it follows.
struct World {
    read: Reading,
    state: State,
}

impl World {
    fn begin(floor_after_wall: Option<i128>) -> Self {
        let read = Reading { monotonic: 7, wall: SINCE_1970 };
        Self { read, state: State::begin(read, floor_after_wall.map(|after| read.wall + after)) }
    }

    /// Lets time pass and sets the wall clock; returns the time of the clock.
    fn pass(&mut self, time: i128, set_by: i128) -> i128 {
        self.read.monotonic += time;
        self.read.wall += time + set_by;
        self.state.follow(self.read);
        self.state.now
    }
}

#[test]
fn step_is_slewed_and_then_the_wall_clock_is_followed() {
    for (step, rate) in [(HOUR, 18), (-HOUR, 16), (DAY, 18), (-DAY, 16)] {
        let mut world = World::begin(None);
        let started = world.pass(0, step);
        assert_eq!(started, SINCE_1970, "a step by itself moves nothing");
        assert_eq!(world.state.ahead(), -step);
        assert_eq!(world.pass(17 * SECOND, 0) - started, rate * SECOND);
        // The slew takes 17 times the length of the step, and no less.
        world.pass(17 * step.abs() - 18 * SECOND, 0);
        assert_ne!(world.state.ahead(), 0);
        world.pass(2 * SECOND, 0);
        assert_eq!(world.state.ahead(), 0);
        assert_eq!(world.pass(HOUR, 0), world.read.wall);
    }
}

#[test]
fn clock_starts_at_the_later_of_wall_and_journal() {
    for (floor, ahead) in [(None, 0), (Some(-DAY), 0), (Some(0), 0), (Some(HOUR), HOUR)] {
        let mut world = World::begin(floor);
        assert_eq!(world.state.ahead(), ahead, "{floor:?}");
        let started = world.state.now;
        assert!(world.pass(SECOND, 0) > started);
    }
}

#[test]
fn frequent_reads_do_not_prevent_slewing() {
    let mut world = World::begin(None);
    world.pass(0, -SECOND);
    for _ in 0..1_000_000 {
        world.pass(50, 0);
    }
    let slewed = SECOND - world.state.ahead();
    assert!((50_000_000 / 26..=50_000_000 / 17).contains(&slewed), "{slewed}");
}

#[test]
fn each_step_is_reported_once_and_adjustments_are_not() {
    let machine = Arc::new(Machine::default());
    let reported = Arc::new(Mutex::new(Vec::new()));
    let report = Arc::clone(&reported);
    let clock = SteadyClock::begin(Arc::clone(&machine) as _, None, move |by| report.lock().push(by));
    for set_by in [0, 900_000, -900_000, 3_600_000_000, -86_400_000_000] {
        machine.set_by_micros.fetch_add(set_by, SeqCst);
        machine.pass(Duration::from_secs(1));
        clock.now();
        clock.now();
    }
    assert_eq!(*reported.lock(), [3_600.0, -86_400.0]);
    let ahead = clock.ahead_seconds();
    assert!((82_799.0..82_801.0).contains(&ahead), "{ahead}");
}

#[tokio::test]
async fn sleep_ends_after_the_deadline_and_soon() {
    let time = Duration::from_secs(60);
    for set_by in [0, 3_600_000_000, -3_600_000_000] {
        let machine = Arc::new(Machine::default());
        let clock = SteadyClock::begin(Arc::clone(&machine) as _, None, |_| ());
        let deadline = clock.now() + time;
        machine.set_by_micros.store(set_by, SeqCst);
        clock.sleep(time).await;
        let (now, slept) = (clock.now(), machine.monotonic());
        assert!(now >= deadline, "{set_by}: {now} is before {deadline}");
        assert!(slept >= time && slept <= time + time / 16 + Duration::from_millis(1), "{slept:?}");
    }
}

/// A history of a machine: time passes, and the wall clock is set by little, by
/// much, or not at all.
fn history() -> impl Strategy<Value = Vec<(i128, i128)>> {
    let time = prop_oneof![0..1_000i128, 0..SECOND, 0..HOUR];
    let set_by = prop_oneof![3 => Just(0), 1 => -1_000..1_000i128, 2 => -2 * DAY..2 * DAY];
    proptest::collection::vec((time, set_by), 1..60)
}

proptest! {
    #[test]
    fn clock_is_monotonic_and_durations_are_off_by_at_most_1_16(
        floor in proptest::option::of(-DAY..DAY), history in history(),
    ) {
        let mut world = World::begin(floor);
        // The time by the machine and by the clock, at each reading.
        let mut readings = vec![(0, world.state.now)];
        for (time, set_by) in history {
            let before = readings[readings.len() - 1];
            let now = world.pass(time, set_by);
            prop_assert!(now >= before.1);
            readings.push((before.0 + time, now));
        }
        for (at, (from, clock_from)) in readings.iter().enumerate() {
            for (to, clock_to) in &readings[at..] {
                let (passed, by_clock) = (to - from, clock_to - clock_from);
                // The error of waiting for a duration by this clock.
                prop_assert!((passed - by_clock).abs() <= by_clock / 16 + 1, "{passed} took {by_clock}");
            }
        }
    }

    #[test]
    fn clock_converges_to_an_undisturbed_wall_clock(history in history()) {
        let mut world = World::begin(None);
        for (time, set_by) in history {
            world.pass(time, set_by);
        }
        let mut ahead = world.state.ahead().abs();
        world.pass(ahead * SLEW_DENOMINATOR / 2, 0);
        prop_assert!(world.state.ahead().abs() <= ahead / 2 + 1);
        ahead = world.state.ahead().abs();
        world.pass((ahead + 1) * SLEW_DENOMINATOR, 0);
        prop_assert_eq!(world.state.ahead(), 0);
    }
}
