//! Admission: who gets a place, and who is asked to come back later (contract
//! §3.8).
//!
//! ```text
//!                            places of the server            of the principal
//!   health, version ───────────────────────────────────────────────────────────────▶ always admitted
//!   get run, get node run ─▶ requests, else a reserve ─▶ requests, rate, else a reserve
//!   cancel, complete,
//!   evaluation ────────────▶ requests, else a reserve ─▶ requests, rate, else a reserve
//!   all other requests ────▶ requests ─────────────────▶ requests, rate
//!   event streams ─────────▶ streams ──────────────────▶ streams
//!                                │ 503 overloaded             │ 429 rate_limited
//! ```
//!
//! | module | purpose |
//! |---|---|
//! | `principals` | what each principal uses |
//! | `rate` | a rate with a burst |
//! | `refusals` | counts for the log and the health report |
//!
//! **Invariants.** Nothing waits here: there is a place, or a refusal that says
//! when to come back. Operations that end work and reads have reserves of their
//! own, of the server as of each principal, so that an overloaded coordinator can
//! be watched and steered.

mod principals;
mod rate;
mod refusals;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use slog::{Logger, info, warn};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(super) use self::{principals::Share, refusals::Refusals};
use self::{
    principals::{Principals, Reached},
    refusals::Refused,
};
use super::{
    errors::{ApiError, LimitReached},
    treatment::Class,
};
use crate::{
    auth::{AuthError, Principal},
    config::PerPrincipal,
    metrics::{Active, Metrics},
};

/// When to try again where that cannot be known.
const SOON: Duration = Duration::from_secs(1);

/// A place for one request or stream, until dropped.
pub(super) struct Place(#[expect(dead_code, reason = "released when dropped")] OwnedSemaphorePermit);

/// A place for one stream, of the server and of its principal, until dropped.
pub(crate) struct StreamPermit {
    _place: Place,
    _share: Option<Share>,
    _counted: Active,
}

/// The limits of one server.
pub(super) struct Limits {
    requests: Limit,
    reads: Arc<Semaphore>,
    ends: Arc<Semaphore>,
    streams: Limit,
    principals: Arc<Principals>,
    refusals: Arc<Refusals>,
    metrics: Metrics,
}

struct Limit {
    free: Arc<Semaphore>,
    max: usize,
    name: &'static str,
    unit: &'static str,
}

impl Limit {
    fn new(max: usize, name: &'static str, unit: &'static str) -> Self {
        Self { free: places(max), max, name, unit }
    }

    fn reached(&self) -> LimitReached {
        LimitReached { name: self.name, value: self.max, unit: self.unit, wait: SOON }
    }
}

/// The limit of connections.
pub(super) fn connections(value: usize) -> LimitReached {
    LimitReached { name: "connections", value, unit: "open connections", wait: SOON }
}

fn places(max: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)))
}

fn take(free: &Arc<Semaphore>) -> Option<Place> {
    Arc::clone(free).try_acquire_owned().ok().map(Place)
}

impl Limits {
    pub(super) fn new(
        requests: usize,
        streams: usize,
        per_principal: PerPrincipal,
        metrics: Metrics,
    ) -> Self {
        let reserve = (requests / 4).max(1);
        Self {
            requests: Limit::new(requests, "requests", "concurrent requests"),
            reads: places(reserve),
            ends: places(reserve),
            streams: Limit::new(streams, "streams", "open event streams"),
            principals: Principals::new(per_principal),
            refusals: Arc::new(Refusals::new(Instant::now())),
            metrics,
        }
    }

    /// A place of the server for a request.
    pub(super) fn place(&self, class: Class, log: &Logger) -> Result<Place, ApiError> {
        let reserve = match class {
            Class::Read => Some(&self.reads),
            Class::End => Some(&self.ends),
            Class::Work | Class::Public | Class::Page | Class::Probe => None,
        };
        let place = take(&self.requests.free).or_else(|| reserve.and_then(take));
        place.ok_or_else(|| self.overloaded(&self.requests, log))
    }

    /// A principal's share of the server for a request.
    pub(super) fn share(
        &self,
        class: Class,
        caller: &Principal,
        log: &Logger,
    ) -> Result<Option<Share>, ApiError> {
        let share = self.principals.request(caller, class, Instant::now());
        share.map_err(|reached| self.rate_limited(reached, caller, log))
    }

    /// A place for an event stream.
    pub(super) fn stream(&self, caller: &Principal, log: &Logger) -> Result<StreamPermit, ApiError> {
        let place = take(&self.streams.free).ok_or_else(|| self.overloaded(&self.streams, log))?;
        let share = self.principals.stream(caller);
        let share = share.map_err(|reached| self.rate_limited(reached, caller, log))?;
        Ok(StreamPermit { _place: place, _share: share, _counted: self.metrics.follower() })
    }

    /// Makes a 503 for a connection too many, which is closed.
    pub(super) fn connections_reached(&self, limit: usize, log: &Logger) -> ApiError {
        self.log_connections(limit, log);
        ApiError::overloaded(connections(limit)).closing()
    }

    /// Counts and logs a connection too many.
    pub(super) fn log_connections(&self, limit: usize, log: &Logger) {
        self.metrics.limit_refused("connections");
        if let Some(refused) = self.refusals.count(Refused::Connections, Instant::now()) {
            warn!(log, "too many connections: closing those without a caller";
                "limit" => limit, "refused_so_far" => refused);
        }
    }

    /// Counts a request without a valid token, and logs it now and then. It is not
    /// audited: a flood of such requests must not fill the journal.
    pub(super) fn no_caller(&self, refusal: &AuthError, log: &Logger) {
        self.metrics.caller_refused(refusal.code());
        let why = refusal.message;
        if let Some(refused) = self.refusals.count(Refused::NoCaller, Instant::now()) {
            info!(log, "requests without a valid token were refused"; "last_reason" => why,
                "refused_so_far" => refused);
        }
    }

    /// Counts a request under a foreign name or of a foreign page, and logs it now
    /// and then.
    pub(super) fn foreign(&self, why: &'static str, log: &Logger) {
        self.metrics.caller_refused(why);
        if let Some(refused) = self.refusals.count(Refused::Foreign, Instant::now()) {
            warn!(log, "requests for a foreign host or of a foreign page were refused";
                "last_reason" => why, "refused_so_far" => refused);
        }
    }

    pub(super) fn refusals(&self) -> &Arc<Refusals> {
        &self.refusals
    }

    fn overloaded(&self, limit: &Limit, log: &Logger) -> ApiError {
        self.metrics.limit_refused(limit.name);
        if let Some(refused) = self.refusals.count(Refused::Overloaded, Instant::now()) {
            warn!(log, "overloaded: refusing requests"; "limited" => limit.unit, "limit" => limit.max,
                "refused_so_far" => refused);
        }
        ApiError::overloaded(limit.reached())
    }

    fn rate_limited(&self, reached: Reached, caller: &Principal, log: &Logger) -> ApiError {
        let limit = match reached {
            Reached::Rate { limit, wait } => LimitReached {
                name: "rate_per_principal",
                value: limit.per_second as usize,
                unit: "requests per second and principal",
                wait,
            },
            Reached::Requests(value) => LimitReached {
                name: "requests_per_principal",
                value,
                unit: "concurrent requests per principal",
                wait: SOON,
            },
            Reached::Streams(value) => LimitReached {
                name: "streams_per_principal",
                value,
                unit: "open event streams per principal",
                wait: SOON,
            },
        };
        self.metrics.limit_refused(limit.name);
        if let Some(refused) = self.refusals.count(Refused::RateLimited, Instant::now()) {
            warn!(log, "rate limited: refusing requests of a principal"; "limited" => limit.unit,
                "limit" => limit.value, "subject" => caller.subject(), "issuer" => caller.issuer(),
                "client" => caller.client_id(), "refused_so_far" => refused);
        }
        ApiError::rate_limited(limit)
    }
}

#[cfg(test)]
mod tests {
    use slog::{Discard, o};

    use super::*;

    #[test]
    fn reads_and_ends_have_a_reserve_each() {
        let (limits, log) =
            (Limits::new(8, 1, PerPrincipal::default(), Metrics::new()), Logger::root(Discard, o!()));
        let place = |class| limits.place(class, &log);
        let taken: Vec<Place> = (0..8).map(|_| place(Class::Work).expect("a place")).collect();
        assert!(place(Class::Work).is_err());
        let reading: Vec<Place> = (0..2).map(|_| place(Class::Read).expect("its reserve")).collect();
        assert!(place(Class::Read).is_err(), "the reserve is finite");
        let ending: Vec<Place> = (0..2).map(|_| place(Class::End).expect("its reserve")).collect();
        assert!(place(Class::End).is_err(), "the reserve is finite");
        drop((reading, ending));
        assert!(place(Class::Work).is_err(), "the reserves are not for work");
        assert!(place(Class::Read).is_ok() && place(Class::End).is_ok());
        drop(taken);
        let me = Principal::for_test("me");
        let stream = limits.stream(&me, &log).expect("a place");
        assert!(limits.stream(&me, &log).is_err());
        assert!(place(Class::Work).is_ok(), "streams have a limit of their own");
        drop(stream);
        assert!(limits.stream(&me, &log).is_ok());
    }
}
