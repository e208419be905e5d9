//! Whether one service answers, and the log lines when that changes.
//!
//! ```text
//!   answers ── as many failures in a row as its threshold ──▶ out: a warning, and another
//!      ▲                                                       │   one now and then
//!      └───────────── the first answer: a line ────────────────┘
//! ```
//!
//! It hears of calls that are made anyway, and makes none.
//!
//! **Invariants.** However often a service goes and comes, there are at most two
//! lines in [`QUIET`]. An outage whose beginning was logged has a line for its end.

use std::{fmt, time::Duration};

use parking_lot::Mutex;
use slog::{Logger, info, warn};

use crate::time::Timestamp;

/// The minimum time between the warnings of two outages.
const QUIET: Duration = Duration::from_secs(10);

/// The time between two warnings of one outage.
const REMIND: Duration = Duration::from_secs(300);

/// How long after the last failure an outage counts, if no call is made since: only
/// the next one would show whether it is over.
const REPORTED: Duration = Duration::from_secs(60);

/// Watches one service.
pub struct ServiceWatch {
    service: &'static str,
    /// Host and port, without credentials.
    host: String,
    /// Failures in a row that make an outage.
    threshold: u64,
    state: Mutex<State>,
    log: Logger,
}

/// An outage that has not ended, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceOutage {
    /// When the first call failed.
    pub since: Timestamp,
    /// Failed calls since then.
    pub failures: u64,
}

#[derive(Default)]
struct State {
    outage: Option<Outage>,
    /// When the last warning was logged, of whichever outage.
    warned_at: Option<Timestamp>,
    /// Outages so far.
    outages: u64,
}

struct Outage {
    since: Timestamp,
    last: Timestamp,
    failures: u64,
    /// Its beginning is in the log.
    is_logged: bool,
}

impl ServiceWatch {
    pub fn new(service: &'static str, host: impl Into<String>, threshold: u32, log: Logger) -> Self {
        let threshold = u64::from(threshold.max(1));
        Self { service, host: host.into(), threshold, state: Mutex::default(), log }
    }

    /// A call has failed such that the service, not the request, is to blame. Returns
    /// how many have in a row.
    pub fn failed(&self, error: &dyn fmt::Display, now: Timestamp) -> u64 {
        let mut state = self.state.lock();
        let State { outage, warned_at, outages } = &mut *state;
        let new = || Outage { since: now, last: now, failures: 0, is_logged: false };
        let outage = outage.get_or_insert_with(new);
        outage.failures += 1;
        outage.last = outage.last.max(now);
        if outage.failures == self.threshold {
            *outages += 1;
        }
        let pause = if outage.is_logged { REMIND } else { QUIET };
        let is_quiet = warned_at.is_some_and(|at| at <= now && now < at + pause);
        let (since, failures) = (outage.since, outage.failures);
        if failures < self.threshold || is_quiet {
            return failures;
        }
        outage.is_logged = true;
        *warned_at = Some(now);
        drop(state);
        warn!(self.log, "a service is unavailable"; "service" => self.service, "host" => &self.host,
            "since" => %since, "failures" => failures, "error" => %error);
        failures
    }

    /// The service has answered.
    pub fn answered(&self, now: Timestamp) {
        let Some(outage) = self.state.lock().outage.take() else { return };
        let Outage { since, last: _, failures, is_logged } = outage;
        if is_logged {
            info!(self.log, "a service is available again"; "service" => self.service, "host" => &self.host,
                "since" => %since, "after_seconds" => now.since(since).as_secs(), "failures" => failures);
        }
    }

    /// The outage, if there is one.
    pub fn outage(&self, now: Timestamp) -> Option<ServiceOutage> {
        let state = self.state.lock();
        let Outage { since, last, failures, is_logged: _ } = *state.outage.as_ref()?;
        let is_recent = now < last + REPORTED;
        (failures >= self.threshold && is_recent).then_some(ServiceOutage { since, failures })
    }

    /// How many outages there were.
    pub fn outages(&self) -> u64 {
        self.state.lock().outages
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex as StdMutex};

    use slog::{Drain, Level, Never, OwnedKVList, Record, o};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<StdMutex<Vec<Level>>>);

    impl Drain for Lines {
        type Ok = ();
        type Err = Never;
        fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
            self.0.lock().unwrap().push(record.level());
            Ok(())
        }
    }

    impl Lines {
        fn taken(&self) -> Vec<&'static str> {
            let lines = std::mem::take(&mut *self.0.lock().unwrap());
            let word = |level| if level == Level::Warning { "gone" } else { "back" };
            lines.into_iter().map(word).collect()
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn watch(threshold: u32) -> (ServiceWatch, Lines) {
        let lines = Lines::default();
        (ServiceWatch::new("pdp", "pdp:8086", threshold, Logger::root(lines.clone(), o!())), lines)
    }

    #[test]
    fn outage_has_a_line_when_it_begins_and_when_it_ends() {
        let (watch, lines) = watch(3);
        for second in 0..2 {
            watch.failed(&"refused", at(second));
        }
        assert_eq!((lines.taken(), watch.outage(at(2))), (vec![], None));
        watch.failed(&"refused", at(2));
        watch.failed(&"refused", at(3));
        assert_eq!(lines.taken(), ["gone"]);
        assert_eq!(watch.outage(at(4)), Some(ServiceOutage { since: at(0), failures: 4 }));
        watch.answered(at(5));
        watch.answered(at(6));
        assert_eq!((lines.taken(), watch.outage(at(6)), watch.outages()), (vec!["back"], None, 1));
    }

    #[test]
    fn long_outage_is_repeated_now_and_then() {
        let (watch, lines) = watch(1);
        for second in 0..1_000 {
            watch.failed(&"refused", at(second));
        }
        assert_eq!(lines.taken(), ["gone"; 4]);
        watch.answered(at(1_000));
        assert_eq!((lines.taken(), watch.outages()), (vec!["back"], 1));
    }

    #[test]
    fn service_that_comes_and_goes_does_not_flood_the_log() {
        let (watch, lines) = watch(1);
        for second in 0..60 {
            watch.failed(&"refused", at(second));
            watch.answered(at(second));
        }
        let lines = lines.taken();
        assert_eq!(lines.len(), 12, "{lines:?}");
        assert_eq!(lines[..2], ["gone", "back"]);
        assert_eq!(watch.outages(), 60);
    }

    #[test]
    fn outage_without_further_calls_is_reported_for_a_minute() {
        let (watch, _) = watch(1);
        watch.failed(&"refused", at(0));
        assert!(watch.outage(at(59)).is_some());
        assert_eq!(watch.outage(at(60)), None);
    }
}
