//! How much is in work at once, so that no crowd takes more than there is.
//!
//! ```text
//!   health, version ─────────────────────────────────────────▶ always
//!   cancel, complete, evaluation ─▶ places ─▶ the reserve ─▶ 503 overloaded
//!   everything else ──────────────▶ places ─────────────────▶ 503 overloaded
//!   event streams, once answered ─▶ places of their own ────▶ 503 overloaded
//! ```
//!
//! What makes room has a reserve that nothing else can take: an overloaded
//! coordinator can be steered.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use slog::{Logger, warn};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::errors::ApiError;

/// What ends work that is under way, by operation.
const STEERING: [&str; 3] = ["cancel_run", "complete_node_run", "report_node_run_evaluation"];

/// The log tells of refusals so often at most: there may be thousands.
const TOLD: Duration = Duration::from_secs(10);

/// A place, until dropped.
pub(super) struct Place(#[expect(dead_code, reason = "given back when dropped")] OwnedSemaphorePermit);

/// The places of one server.
pub(super) struct Crowd {
    requests: Places,
    reserve: Arc<Semaphore>,
    streams: Places,
    refused: AtomicU64,
    told_at: Mutex<Option<Instant>>,
}

struct Places {
    free: Arc<Semaphore>,
    all: usize,
    what: &'static str,
}

impl Crowd {
    pub(super) fn new(requests: usize, streams: usize) -> Self {
        let places = |all: usize, what| {
            let all = all.min(Semaphore::MAX_PERMITS);
            Places { free: Arc::new(Semaphore::new(all)), all, what }
        };
        Self {
            requests: places(requests, "requests in work"),
            reserve: Arc::new(Semaphore::new((requests / 4).clamp(1, Semaphore::MAX_PERMITS))),
            streams: places(streams, "event streams open"),
            refused: AtomicU64::new(0),
            told_at: Mutex::default(),
        }
    }

    /// A place for a request of this operation.
    pub(super) fn place(&self, operation: &str, log: &Logger) -> Result<Place, ApiError> {
        let reserve = STEERING.contains(&operation).then_some(&self.reserve);
        let from = |free: &Arc<Semaphore>| Arc::clone(free).try_acquire_owned().ok();
        let place = from(&self.requests.free).or_else(|| reserve.and_then(from));
        place.map(Place).ok_or_else(|| self.refuse(&self.requests, log))
    }

    /// A place for an event stream.
    pub(super) fn stream(&self, log: &Logger) -> Result<Place, ApiError> {
        let place = Arc::clone(&self.streams.free).try_acquire_owned().ok();
        place.map(Place).ok_or_else(|| self.refuse(&self.streams, log))
    }

    fn refuse(&self, places: &Places, log: &Logger) -> ApiError {
        let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        let mut told_at = self.told_at.lock().unwrap_or_else(PoisonError::into_inner);
        if told_at.is_none_or(|at| at.elapsed() >= TOLD) {
            *told_at = Some(Instant::now());
            warn!(log, "overloaded: requests are refused"; "because_of" => places.what, "limit" => places.all,
                "refused_so_far" => refused);
        }
        ApiError::overloaded(places.all, places.what)
    }
}

#[cfg(test)]
mod tests {
    use slog::{Discard, o};

    use super::*;

    #[test]
    fn what_makes_room_finds_room() {
        let (crowd, log) = (Crowd::new(8, 1), Logger::root(Discard, o!()));
        let taken: Vec<Place> = (0..8).map(|_| crowd.place("start_run", &log).expect("a place")).collect();
        for operation in ["start_run", "get_run", "create_node_runs", "stream_run_events"] {
            assert!(crowd.place(operation, &log).is_err(), "{operation}");
        }
        let steering: Vec<Place> =
            ["cancel_run", "complete_node_run"].map(|name| crowd.place(name, &log).expect("a place")).into();
        assert!(crowd.place("report_node_run_evaluation", &log).is_err(), "the reserve is finite, too");
        drop(steering);
        assert!(crowd.place("report_node_run_evaluation", &log).is_ok());
        drop(taken);
        let stream = crowd.stream(&log).expect("a place");
        assert!(crowd.stream(&log).is_err());
        assert!(crowd.place("get_run", &log).is_ok(), "streams have places of their own");
        drop(stream);
        assert!(crowd.stream(&log).is_ok());
    }
}
