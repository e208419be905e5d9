//! Counts refusals, for the log and the health report.
//!
//! **Invariant:** however many requests are refused, the log gets one line per
//! kind in ten seconds.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::types::{HealthCheck, JsonObject};

/// The minimum time between two log messages about one kind of refusals.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The seconds that the health report looks back.
const MINUTE: usize = 60;

/// The number of kinds of refusals.
const KINDS: usize = 5;

/// Why requests or connections are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server::http_server) enum Refused {
    /// A limit of the server is reached.
    Overloaded,
    /// A limit of a principal is reached.
    RateLimited,
    /// The limit of connections is reached.
    Connections,
    /// There is no valid token. Not in the report: it is no trouble of the server.
    NoCaller,
    /// It was asked for under a foreign name, or by a foreign page. Not in the
    /// report either.
    Foreign,
}

/// Refusals of each kind.
pub(in crate::server::http_server) struct Refusals {
    began: Instant,
    tallies: Mutex<[Tally; KINDS]>,
}

#[derive(Clone, Copy, Default)]
struct Tally {
    total: u64,
    logged_at: Option<Instant>,
    recent: Recent,
}

/// The counts of the last minute, by second. Each place knows its second.
#[derive(Clone, Copy)]
struct Recent([(u64, u64); MINUTE]);

impl Default for Recent {
    fn default() -> Self {
        Self([(0, 0); MINUTE])
    }
}

impl Recent {
    fn add(&mut self, second: u64) {
        let place = usize::try_from(second % MINUTE as u64).unwrap_or(0);
        let (of, count) = &mut self.0[place];
        if *of != second {
            (*of, *count) = (second, 0);
        }
        *count += 1;
    }

    fn sum(&self, second: u64) -> u64 {
        let is_recent = |of: u64| second.saturating_sub(of) < MINUTE as u64;
        self.0.iter().filter(|(of, _)| is_recent(*of)).map(|(_, count)| count).sum()
    }
}

impl Refusals {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, tallies: Mutex::new([Tally::default(); KINDS]) }
    }

    /// Counts a refusal. Returns the number so far if it is time to log it.
    pub(in crate::server::http_server) fn count(&self, why: Refused, now: Instant) -> Option<u64> {
        let second = self.second(now);
        let mut tallies = self.tallies.lock();
        let tally = &mut tallies[why as usize];
        tally.total += 1;
        tally.recent.add(second);
        let is_due = tally.logged_at.is_none_or(|at| now.saturating_duration_since(at) >= LOG_INTERVAL);
        is_due.then(|| {
            tally.logged_at = Some(now);
            tally.total
        })
    }

    /// The check `admission`: degraded while the server refuses for lack of room.
    /// A principal at its own limit is not the server's trouble, and only counted.
    pub(in crate::server::http_server) fn check(&self, now: Instant) -> HealthCheck {
        let second = self.second(now);
        let tallies = *self.tallies.lock();
        let in_the_last_minute = |why: Refused| tallies[why as usize].recent.sum(second);
        let overloaded = in_the_last_minute(Refused::Overloaded);
        let connections = in_the_last_minute(Refused::Connections);
        let rate_limited = in_the_last_minute(Refused::RateLimited);
        let trouble = (overloaded + connections > 0)
            .then(|| "Requests or connections were refused within the last minute: at a limit".to_owned());
        let details = BTreeMap::from([
            ("connections", connections),
            ("overloaded", overloaded),
            ("rate_limited", rate_limited),
        ]);
        let details = JsonObject::of(&serde_json::json!({ "refused_in_the_last_minute": details }));
        HealthCheck::new("admission", trouble, Some(details))
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_secs()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::types::HealthStatus;

    #[test]
    fn refusals_are_logged_once_in_ten_seconds() {
        let began = Instant::now();
        let refusals = Refusals::new(began);
        let logged: Vec<Option<u64>> = [0, 1, 9_999, 10_000, 10_001, 30_000]
            .map(|ms| refusals.count(Refused::Overloaded, began + Duration::from_millis(ms)))
            .into();
        assert_eq!(logged, [Some(1), None, None, Some(4), None, Some(6)]);
        assert_eq!(refusals.count(Refused::RateLimited, began), Some(1), "each kind has its own line");
    }

    #[test]
    fn server_that_refuses_is_degraded_for_a_minute() {
        let began = Instant::now();
        let refusals = Refusals::new(began);
        let at = |seconds| began + Duration::from_secs(seconds);
        let shown = |seconds| {
            let check = refusals.check(at(seconds));
            let details = serde_json::to_value(check.details).expect("JSON");
            (check.status, details["refused_in_the_last_minute"].clone())
        };
        let none = json!({"connections": 0, "overloaded": 0, "rate_limited": 0});
        assert_eq!(shown(0), (HealthStatus::Ok, none.clone()));
        refusals.count(Refused::RateLimited, at(1));
        assert_eq!(
            shown(1),
            (HealthStatus::Ok, json!({"connections": 0, "overloaded": 0, "rate_limited": 1}))
        );
        for second in [2, 2, 40, 61] {
            refusals.count(Refused::Overloaded, at(second));
        }
        let counted = |seconds| shown(seconds).1["overloaded"].clone();
        assert_eq!((shown(61).0, counted(61)), (HealthStatus::Degraded, json!(4)));
        assert_eq!(counted(62), json!(2));
        assert_eq!(counted(100), json!(1));
        assert_eq!(shown(121), (HealthStatus::Ok, none.clone()));
        refusals.count(Refused::Connections, at(100_000));
        assert_eq!((shown(100_059).0, shown(100_060).0), (HealthStatus::Degraded, HealthStatus::Ok));
        assert_eq!(shown(500_000), (HealthStatus::Ok, none));
    }
}
