//! The server's clock: begins where the journal ends, and logs steps of the wall
//! clock.

use std::sync::Arc;

use slog::{Logger, o, warn};

use crate::{
    journal::{Journal, JournalError, follow_time},
    time::{FollowedClock, MachineClock, SteadyClock, Timestamp},
};

/// If the newest time in the journal is this much later than the wall clock, the
/// wall clock was set back. Smaller differences come from how clocks are read.
const AHEAD_SECONDS: f64 = 1.0;

/// Makes the clock that everything is timed with. It starts no earlier than
/// `floor`, the newest time in the journal.
pub(super) fn steady_clock(
    machine: Arc<dyn MachineClock>,
    floor: Option<Timestamp>,
    log: &Logger,
) -> SteadyClock {
    let component = log.new(o!("component" => "clock"));
    let clock = SteadyClock::begin(machine, floor, move |seconds| {
        warn!(component, "wall clock stepped: slewing"; "by_seconds" => seconds);
    });
    let ahead = clock.ahead_seconds();
    if ahead >= AHEAD_SECONDS {
        warn!(log, "journal is ahead of the wall clock"; "ahead_seconds" => ahead);
    }
    clock
}

/// The clock of a journal that several processes share, which they all follow. What
/// others say by their own clocks (the times in tokens) is still judged by the machine's.
pub(super) async fn followed_clock(
    journal: &dyn Journal,
    machine: &Arc<dyn MachineClock>,
) -> Result<Option<Arc<FollowedClock>>, JournalError> {
    if !journal.is_shared() {
        return Ok(None);
    }
    let followed = Arc::new(FollowedClock::new(Arc::clone(machine)));
    follow_time(journal, &followed).await?;
    Ok(Some(followed))
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Mutex,
            atomic::{AtomicU64, Ordering},
        },
        time::Duration,
    };

    use async_trait::async_trait;
    use slog::{Drain, OwnedKVList, Record};

    use super::*;
    use crate::time::Clock;

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    /// A machine whose wall clock stands still, while a fraction of a microsecond
    /// passes between two readings.
    #[derive(Default)]
    struct Machine(AtomicU64);

    #[async_trait]
    impl Clock for Machine {
        fn now(&self) -> Timestamp {
            NOW
        }
        async fn sleep(&self, _: Duration) {}
    }

    impl MachineClock for Machine {
        fn monotonic(&self) -> Duration {
            Duration::from_nanos(self.0.fetch_add(427, Ordering::SeqCst))
        }
    }

    #[derive(Default)]
    struct Messages(Mutex<Vec<String>>);

    impl Drain for Messages {
        type Ok = ();
        type Err = slog::Never;
        fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), slog::Never> {
            self.0.lock().expect("no panic").push(record.msg().to_string());
            Ok(())
        }
    }

    #[test]
    fn start_warns_if_the_wall_clock_was_set_back() {
        for (floor, warnings) in [
            (None, 0),
            (Some(NOW), 0),
            (Some(NOW + Duration::from_millis(999)), 0),
            (Some(NOW + Duration::from_secs(2)), 1),
        ] {
            let messages = Arc::new(Messages::default());
            let clock =
                steady_clock(Arc::new(Machine::default()), floor, &Logger::root(Arc::clone(&messages), o!()));
            assert!(clock.now() >= floor.unwrap_or(NOW));
            assert_eq!(messages.0.lock().expect("no panic").len(), warnings, "{floor:?}");
        }
    }
}
