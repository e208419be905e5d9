//! A machine's clocks with the wall clock of another machine: of the database that
//! several processes share, so that their deadlines agree.
//!
//! ```text
//!   asked ──▶ "it is 12:00:00" ──▶ answered      12:00:00 was in the middle, give or take half of that
//!     └────── this machine's monotonic clock ──┘  from then on it counts
//! ```
//!
//! What it shows may step when the other is heard again. [`SteadyClock`](super::SteadyClock)
//! follows without steps.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;

use super::{Clock, MachineClock, Timestamp};

/// An answer that took longer says too little about when it was given.
const SURE_WITHIN: Duration = Duration::from_millis(500);

/// This machine's clocks, with the wall clock of another.
pub struct FollowedClock {
    machine: Arc<dyn MachineClock>,
    /// A time of the other, and when by the monotonic clock it was that.
    heard: Mutex<Option<(Timestamp, Duration)>>,
}

impl FollowedClock {
    /// Shows the time of this machine until the other is heard.
    pub fn new(machine: Arc<dyn MachineClock>) -> Self {
        Self { machine, heard: Mutex::default() }
    }

    /// The other has shown `time` at some moment after this reading of
    /// [`MachineClock::monotonic`] and before now.
    pub fn hear(&self, time: Timestamp, asked: Duration) {
        let took = self.machine.monotonic().saturating_sub(asked);
        let mut heard = self.heard.lock();
        if heard.is_none() || took <= SURE_WITHIN {
            *heard = Some((time, asked + took / 2));
        }
    }
}

#[async_trait]
impl Clock for FollowedClock {
    fn now(&self) -> Timestamp {
        match *self.heard.lock() {
            None => self.machine.now(),
            Some((time, at)) => time + self.machine.monotonic().saturating_sub(at),
        }
    }

    async fn sleep(&self, time: Duration) {
        self.machine.sleep(time).await;
    }
}

impl MachineClock for FollowedClock {
    fn monotonic(&self) -> Duration {
        self.machine.monotonic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine whose wall clock is an hour fast.
    #[derive(Default)]
    struct Machine(Mutex<Duration>);

    #[async_trait]
    impl Clock for Machine {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(3_600_000_000) + *self.0.lock()
        }
        async fn sleep(&self, _: Duration) {}
    }

    impl MachineClock for Machine {
        fn monotonic(&self) -> Duration {
            *self.0.lock()
        }
    }

    #[test]
    fn time_is_that_of_the_other_from_the_middle_of_its_answer_on() {
        let machine = Arc::new(Machine::default());
        let clock = FollowedClock::new(Arc::clone(&machine) as _);
        let at = |millis: i64| Timestamp::from_micros(millis * 1000);
        let pass = |millis| *machine.0.lock() += Duration::from_millis(millis);
        assert_eq!(clock.now(), at(3_600_000), "nothing was heard yet");
        pass(600);
        clock.hear(at(50), Duration::ZERO);
        assert_eq!(clock.now(), at(350), "the first answer counts, however long it took");
        let asked = clock.monotonic();
        pass(100);
        clock.hear(at(500), asked);
        assert_eq!(clock.now(), at(550));
        pass(1000);
        assert_eq!(clock.now(), at(1550));
        let asked = clock.monotonic();
        pass(501);
        clock.hear(at(9000), asked);
        assert_eq!(clock.now(), at(2051), "an answer that took too long says nothing");
    }
}
