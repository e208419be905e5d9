//! Limits the number of concurrent requests and event streams.
//!
//! ```text
//!   health, version ─────────────────────────────────────────▶ always admitted
//!   cancel, complete, evaluation ─▶ request limit ─▶ reserve ─▶ 503 overloaded
//!   all other requests ───────────▶ request limit ────────────▶ 503 overloaded
//!   event streams, once answered ─▶ stream limit ─────────────▶ 503 overloaded
//! ```
//!
//! Operations that end work have a reserve of their own, so that an overloaded
//! coordinator can still be controlled.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use slog::{Logger, warn};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::errors::ApiError;

/// The operations that end work, and may use the reserve.
const ENDING_WORK: [&str; 3] = ["cancel_run", "complete_node_run", "report_node_run_evaluation"];

/// The minimum time between two log messages about refusals.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Admits one request or stream, until dropped.
pub(super) struct Permit(#[expect(dead_code, reason = "released when dropped")] OwnedSemaphorePermit);

/// The limits of one server.
pub(super) struct ConcurrencyLimits {
    requests: Limit,
    reserve: Arc<Semaphore>,
    streams: Limit,
    refused: AtomicU64,
    logged_at: Mutex<Option<Instant>>,
}

struct Limit {
    free: Arc<Semaphore>,
    max: usize,
    what: &'static str,
}

impl ConcurrencyLimits {
    pub(super) fn new(requests: usize, streams: usize) -> Self {
        let limit = |max: usize, what| {
            let max = max.min(Semaphore::MAX_PERMITS);
            Limit { free: Arc::new(Semaphore::new(max)), max, what }
        };
        Self {
            requests: limit(requests, "concurrent requests"),
            reserve: Arc::new(Semaphore::new((requests / 4).clamp(1, Semaphore::MAX_PERMITS))),
            streams: limit(streams, "open event streams"),
            refused: AtomicU64::new(0),
            logged_at: Mutex::default(),
        }
    }

    /// Admits a request for `operation`.
    pub(super) fn request(&self, operation: &str, log: &Logger) -> Result<Permit, ApiError> {
        let reserve = ENDING_WORK.contains(&operation).then_some(&self.reserve);
        let from = |free: &Arc<Semaphore>| Arc::clone(free).try_acquire_owned().ok();
        let permit = from(&self.requests.free).or_else(|| reserve.and_then(from));
        permit.map(Permit).ok_or_else(|| self.refuse(&self.requests, log))
    }

    /// Admits an event stream.
    pub(super) fn stream(&self, log: &Logger) -> Result<Permit, ApiError> {
        let permit = Arc::clone(&self.streams.free).try_acquire_owned().ok();
        permit.map(Permit).ok_or_else(|| self.refuse(&self.streams, log))
    }

    fn refuse(&self, limit: &Limit, log: &Logger) -> ApiError {
        let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        let mut logged_at = self.logged_at.lock();
        if logged_at.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
            *logged_at = Some(Instant::now());
            warn!(log, "overloaded: refusing requests"; "limited" => limit.what, "limit" => limit.max,
                "refused_so_far" => refused);
        }
        ApiError::overloaded(limit.max, limit.what)
    }
}

#[cfg(test)]
mod tests {
    use slog::{Discard, o};

    use super::*;

    #[test]
    fn operations_that_end_work_may_use_the_reserve() {
        let (limits, log) = (ConcurrencyLimits::new(8, 1), Logger::root(Discard, o!()));
        let taken: Vec<Permit> =
            (0..8).map(|_| limits.request("start_run", &log).expect("a permit")).collect();
        for operation in ["start_run", "get_run", "create_node_runs", "stream_run_events"] {
            assert!(limits.request(operation, &log).is_err(), "{operation}");
        }
        let ending: Vec<Permit> = ["cancel_run", "complete_node_run"]
            .map(|name| limits.request(name, &log).expect("a permit"))
            .into();
        assert!(limits.request("report_node_run_evaluation", &log).is_err(), "the reserve is finite");
        drop(ending);
        assert!(limits.request("report_node_run_evaluation", &log).is_ok());
        drop(taken);
        let stream = limits.stream(&log).expect("a permit");
        assert!(limits.stream(&log).is_err());
        assert!(limits.request("get_run", &log).is_ok(), "streams have a limit of their own");
        drop(stream);
        assert!(limits.stream(&log).is_ok());
    }
}
