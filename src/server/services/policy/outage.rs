//! A policy point that cannot be asked: what is done about what it should have
//! decided, and since when that is so.
//!
//! | no decision, because | deny | hold |
//! |---|---|---|
//! | nobody is reached, no token, no answer in time | denied | held |
//! | 5xx, 408, 425, 429, 401, 403, or a proxy's words | denied | held |
//! | an answer that makes no sense | denied | held |
//! | it refuses the question, in its own words (any other 4xx) | denied | denied |
//!
//! Held: to be asked again later. A refused question would be refused again.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use slog::{Logger, info, warn};

use crate::{
    clients::CallError,
    time::Timestamp,
    types::{HealthCheck, HealthStatus},
};

/// How long health speaks of a failure after which nothing was asked.
const REMEMBER: Duration = Duration::from_secs(60);

/// What to do, and what is known.
pub struct Outage {
    hold: bool,
    state: Mutex<Option<Silent>>,
}

/// It has not answered.
#[derive(Clone, Copy)]
struct Silent {
    since: Timestamp,
    newest: Timestamp,
}

impl Outage {
    /// What cannot be asked is denied (contract §10).
    pub fn deny() -> Self {
        Self { hold: false, state: Mutex::default() }
    }

    /// What cannot be asked waits.
    pub fn hold() -> Self {
        Self { hold: true, state: Mutex::default() }
    }

    /// Whether what this error has kept from being decided is to wait.
    pub(super) fn holds(&self, error: &CallError) -> bool {
        self.hold && !is_refusal(error)
    }

    pub(super) fn silent(&self, error: &CallError, now: Timestamp, log: &Logger) {
        let mut state = self.state();
        if state.is_none() {
            warn!(log, "the PDP cannot be asked: nodes are held until it can"; "error" => %error);
        }
        let since = state.map_or(now, |silent| silent.since);
        *state = Some(Silent { since, newest: now });
    }

    pub(super) fn answered(&self, now: Timestamp, log: &Logger) {
        if let Some(silent) = self.state().take() {
            info!(log, "the PDP answers again"; "after_seconds" => now.since(silent.since).as_secs());
        }
    }

    /// For health, where things wait for it. No errors: anybody may ask.
    pub(super) fn check(&self, now: Timestamp) -> Option<HealthCheck> {
        let silent = self.state().filter(|silent| now < silent.newest + REMEMBER);
        self.hold.then(|| HealthCheck {
            name: "pdp".into(),
            status: if silent.is_some() { HealthStatus::Degraded } else { HealthStatus::Ok },
            message: silent
                .map(|_| "It cannot be asked: nodes are held until it can, and no run starts".into()),
            details: None,
        })
    }

    fn state(&self) -> MutexGuard<'_, Option<Silent>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// It was reached, and does not want this question.
fn is_refusal(error: &CallError) -> bool {
    error.spoken
        && error.status.is_some_and(|status| match status {
            401 | 403 | 408 | 425 | 429 => false,
            status => (400..500).contains(&status),
        })
}

#[cfg(test)]
mod tests {
    use slog::{Discard, o};

    use super::*;
    use crate::clients::Service;

    fn answered(status: Option<u16>, spoken: bool) -> CallError {
        CallError { status, spoken, ..CallError::unavailable(Service::Pdp, "why") }
    }

    #[test]
    fn what_is_held_and_what_is_denied_when_nothing_was_decided() {
        for (status, spoken, held) in [
            (None, false, true),
            (Some(200), false, true),
            (Some(500), true, true),
            (Some(503), false, true),
            (Some(401), true, true),
            (Some(403), true, true),
            (Some(408), true, true),
            (Some(429), true, true),
            (Some(404), false, true),
            (Some(400), true, false),
            (Some(404), true, false),
            (Some(422), true, false),
        ] {
            let error = answered(status, spoken);
            assert_eq!(Outage::hold().holds(&error), held, "{error:?}");
            assert!(!Outage::deny().holds(&error), "{error:?}");
        }
    }

    #[test]
    fn health_speaks_of_it_until_it_answers_or_for_a_minute() {
        let (outage, log) = (Outage::hold(), Logger::root(Discard, o!()));
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let says = |seconds| outage.check(at(seconds)).map(|check| check.status);
        assert_eq!(says(0), Some(HealthStatus::Ok));
        outage.silent(&answered(None, false), at(0), &log);
        assert_eq!([says(59), says(60)], [Some(HealthStatus::Degraded), Some(HealthStatus::Ok)]);
        outage.silent(&answered(None, false), at(60), &log);
        assert_eq!(says(61), Some(HealthStatus::Degraded));
        outage.answered(at(62), &log);
        assert_eq!(says(62), Some(HealthStatus::Ok));
        assert_eq!(Outage::deny().check(at(0)), None, "where nothing waits there is nothing to say");
    }
}
