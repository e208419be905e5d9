//! A machine whose clocks say what the test wants.

use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use proptest::prelude::*;

use super::*;

const SECOND: i128 = 1_000_000_000;
const HOUR: i128 = 3_600 * SECOND;
const DAY: i128 = 24 * HOUR;
const SINCE_1970: i128 = 1_795_000_000 * SECOND;

/// Time passes while somebody sleeps; the wall is set.
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

/// A course and what it follows.
struct World {
    read: Reading,
    course: Course,
}

impl World {
    fn begin(floor_after_wall: Option<i128>) -> Self {
        let read = Reading { monotonic: 7, wall: SINCE_1970 };
        Self { read, course: Course::begin(read, floor_after_wall.map(|after| read.wall + after)) }
    }

    /// So much time passes, and the wall is set. What the clock says then.
    fn pass(&mut self, time: i128, set_by: i128) -> i128 {
        self.read.monotonic += time;
        self.read.wall += time + set_by;
        self.course.follow(self.read);
        self.course.now
    }
}

#[test]
fn a_step_is_made_up_for_slowly_and_then_the_wall_is_followed() {
    for (step, pace) in [(HOUR, 18), (-HOUR, 16), (DAY, 18), (-DAY, 16)] {
        let mut world = World::begin(None);
        let begun = world.pass(0, step);
        assert_eq!(begun, SINCE_1970, "a step by itself moves nothing");
        assert_eq!(world.course.ahead(), -step);
        assert_eq!(world.pass(17 * SECOND, 0) - begun, pace * SECOND);
        // All of it is made up for in 17 times its length, and no sooner.
        world.pass(17 * step.abs() - 18 * SECOND, 0);
        assert_ne!(world.course.ahead(), 0);
        world.pass(2 * SECOND, 0);
        assert_eq!(world.course.ahead(), 0);
        assert_eq!(world.pass(HOUR, 0), world.read.wall);
    }
}

#[test]
fn it_begins_at_the_wall_or_at_what_the_journal_knows_if_that_is_later() {
    for (floor, ahead) in [(None, 0), (Some(-DAY), 0), (Some(0), 0), (Some(HOUR), HOUR)] {
        let mut world = World::begin(floor);
        assert_eq!(world.course.ahead(), ahead, "{floor:?}");
        let begun = world.course.now;
        assert!(world.pass(SECOND, 0) > begun);
    }
}

#[test]
fn one_who_looks_all_the_time_does_not_keep_it_from_the_wall() {
    let mut world = World::begin(None);
    world.pass(0, -SECOND);
    for _ in 0..1_000_000 {
        world.pass(50, 0);
    }
    let made_up = SECOND - world.course.ahead();
    assert!((50_000_000 / 26..=50_000_000 / 17).contains(&made_up), "{made_up}");
}

#[test]
fn each_step_is_told_once_and_small_adjustments_are_not() {
    let machine = Arc::new(Machine::default());
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let clock =
        SteadyClock::begin(Arc::clone(&machine) as _, None, move |by| telling.lock().unwrap().push(by));
    for set_by in [0, 900_000, -900_000, 3_600_000_000, -86_400_000_000] {
        machine.set_by_micros.fetch_add(set_by, SeqCst);
        machine.pass(Duration::from_secs(1));
        clock.now();
        clock.now();
    }
    assert_eq!(*told.lock().unwrap(), [3_600.0, -86_400.0]);
    let ahead = clock.ahead_seconds();
    assert!((82_799.0..82_801.0).contains(&ahead), "{ahead}");
}

#[tokio::test]
async fn who_sleeps_until_a_deadline_finds_it_passed_and_soon() {
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

/// What happens to a machine: time passes, and the wall is set a little, much,
/// or not at all.
fn history() -> impl Strategy<Value = Vec<(i128, i128)>> {
    let time = prop_oneof![0..1_000i128, 0..SECOND, 0..HOUR];
    let set_by = prop_oneof![3 => Just(0), 1 => -1_000..1_000i128, 2 => -2 * DAY..2 * DAY];
    proptest::collection::vec((time, set_by), 1..60)
}

proptest! {
    #[test]
    fn it_never_goes_backwards_and_no_length_is_off_by_more_than_a_sixteenth(
        floor in proptest::option::of(-DAY..DAY), history in history(),
    ) {
        let mut world = World::begin(floor);
        // What passed by the machine, and by the clock, at each look.
        let mut looks = vec![(0, world.course.now)];
        for (time, set_by) in history {
            let before = looks[looks.len() - 1];
            let now = world.pass(time, set_by);
            prop_assert!(now >= before.1);
            looks.push((before.0 + time, now));
        }
        for (at, (begun, clock_begun)) in looks.iter().enumerate() {
            for (ended, clock_ended) in &looks[at..] {
                let (passed, by_clock) = (ended - begun, clock_ended - clock_begun);
                // One who waits until this clock says that a length is over.
                prop_assert!((passed - by_clock).abs() <= by_clock / 16 + 1, "{passed} took {by_clock}");
            }
        }
    }

    #[test]
    fn once_the_wall_is_left_alone_they_come_together(history in history()) {
        let mut world = World::begin(None);
        for (time, set_by) in history {
            world.pass(time, set_by);
        }
        let mut ahead = world.course.ahead().abs();
        world.pass(ahead * STEER / 2, 0);
        prop_assert!(world.course.ahead().abs() <= ahead / 2 + 1);
        ahead = world.course.ahead().abs();
        world.pass((ahead + 1) * STEER, 0);
        prop_assert_eq!(world.course.ahead(), 0);
    }
}
