//! Refused and failed requests in the log: the first of a kind at once, the others
//! folded into one line with their number.
//!
//! ```text
//!   first ──▶ a line          then, every ten seconds as long as there are more:
//!   others ──▶ counted ─────▶ one line: how many, and what the last one was
//! ```
//!
//! **Invariants.** A kind (operation, status, code) has at most two lines in ten
//! seconds, and none is lost: their numbers add up. The number of kinds that are
//! distinguished is bounded; further ones are one kind.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use slog::{Logger, info, warn};
use tokio_util::sync::CancellationToken;

/// The time that one line covers.
const INTERVAL: Duration = Duration::from_secs(10);

/// The kinds that are distinguished.
const KINDS: usize = 128;

/// What stands for the rest.
const OTHER: &str = "other";

/// What kind of failure it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    pub(super) operation: &'static str,
    pub(super) status: u16,
    pub(super) code: String,
}

impl Kind {
    /// The coordinator's own failure, or a refusal.
    fn is_failure(&self) -> bool {
        self.status >= 500
    }
}

/// Counts them.
pub(super) struct Folds {
    kinds: Mutex<HashMap<Kind, Fold>>,
    log: Logger,
}

struct Fold {
    since: Instant,
    /// Without a line so far.
    folded: u64,
    /// What the last one of them was.
    last: String,
}

impl Folds {
    pub(super) fn new(log: &Logger) -> Self {
        Self { kinds: Mutex::default(), log: log.clone() }
    }

    /// Notes a request that was refused or has failed. `log`: the request's.
    pub(super) fn note(&self, kind: Kind, error: &str, log: &Logger, now: Instant) {
        let mut kinds = self.kinds.lock();
        let is_full = kinds.len() >= KINDS && !kinds.contains_key(&kind);
        let kind = if is_full { Kind { operation: OTHER, code: OTHER.into(), ..kind } } else { kind };
        if let Some(fold) = kinds.get_mut(&kind) {
            fold.folded += 1;
            error.clone_into(&mut fold.last);
            return;
        }
        kinds.insert(kind.clone(), Fold { since: now, folded: 0, last: String::new() });
        drop(kinds);
        let Kind { operation, status, code } = &kind;
        if kind.is_failure() {
            warn!(log, "request failed"; "operation" => operation, "status" => status, "code" => code,
                "error" => error);
        } else {
            // Not the request's logger, which has warnings only.
            info!(self.log, "request refused"; "operation" => operation, "status" => status, "code" => code,
                "error" => error);
        }
    }

    /// Writes what has been folded, of kinds whose time is over, or of all.
    fn flush(&self, now: Instant, all: bool) {
        let mut lines = Vec::new();
        self.kinds.lock().retain(|kind, fold| {
            let is_due = all || now.saturating_duration_since(fold.since) >= INTERVAL;
            if is_due && fold.folded > 0 {
                lines.push((kind.clone(), fold.folded, std::mem::take(&mut fold.last)));
                (fold.since, fold.folded) = (now, 0);
                return true;
            }
            !is_due
        });
        for (kind, times, last) in lines {
            let Kind { operation, status, code } = &kind;
            if kind.is_failure() {
                warn!(self.log, "further requests failed"; "operation" => operation, "status" => status,
                    "code" => code, "times" => times, "error" => last);
            } else {
                info!(self.log, "further requests were refused"; "operation" => operation, "status" => status,
                    "code" => code, "times" => times, "error" => last);
            }
        }
    }

    /// Writes what is folded from time to time, and the rest at the end.
    pub(super) async fn run(&self, closed: CancellationToken) {
        let mut interval = tokio::time::interval(INTERVAL);
        loop {
            tokio::select! {
                () = closed.cancelled() => return self.flush(Instant::now(), true),
                _ = interval.tick() => self.flush(Instant::now(), false),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex as StdMutex};

    use slog::{Drain, KV, Key, Never, OwnedKVList, Record, Serializer, o};

    use super::*;

    /// The lines, with how many requests each stands for.
    #[derive(Clone, Default)]
    struct Lines(Arc<StdMutex<Vec<(String, u64)>>>);

    struct Times(u64);

    impl Serializer for Times {
        fn emit_arguments(&mut self, _: Key, _: &std::fmt::Arguments<'_>) -> slog::Result {
            Ok(())
        }
        fn emit_u64(&mut self, key: Key, value: u64) -> slog::Result {
            if key == "times" {
                self.0 = value;
            }
            Ok(())
        }
    }

    impl Drain for Lines {
        type Ok = ();
        type Err = Never;
        fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
            let mut times = Times(1);
            record.kv().serialize(record, &mut times).expect("counted");
            self.0.lock().unwrap().push((record.msg().to_string(), times.0));
            Ok(())
        }
    }

    fn folds() -> (Folds, Lines) {
        let lines = Lines::default();
        (Folds::new(&Logger::root(lines.clone(), o!())), lines)
    }

    fn note(folds: &Folds, status: u16, code: &str, now: Instant) {
        let kind = Kind { operation: "start_run", status, code: code.into() };
        folds.note(kind, "why", &folds.log, now);
    }

    #[test]
    fn repeated_failures_are_one_line_with_their_number() {
        let ((folds, lines), began) = (folds(), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        for second in 0..8 {
            note(&folds, 503, "run_store_unavailable", at(second));
        }
        note(&folds, 409, "run_already_exists", at(8));
        folds.flush(at(9), false);
        folds.flush(at(10), false);
        let taken = || std::mem::take(&mut *lines.0.lock().unwrap());
        let expected = [("request failed", 1), ("request refused", 1), ("further requests failed", 7)];
        assert_eq!(taken(), expected.map(|(line, times)| (line.to_owned(), times)));
        // A quiet interval later it is new again.
        folds.flush(at(20), false);
        note(&folds, 503, "run_store_unavailable", at(21));
        note(&folds, 503, "run_store_unavailable", at(21));
        folds.flush(at(21), true);
        let expected = [("request failed", 1), ("further requests failed", 1)];
        assert_eq!(taken(), expected.map(|(line, times)| (line.to_owned(), times)));
    }

    #[test]
    fn kinds_are_bounded_and_none_is_lost() {
        let ((folds, lines), began) = (folds(), Instant::now());
        for number in 0..1_000 {
            note(&folds, 409, &format!("code_{number}"), began);
        }
        assert!(folds.kinds.lock().len() <= KINDS + 1);
        folds.flush(began, true);
        assert_eq!(lines.0.lock().unwrap().iter().map(|(_, times)| times).sum::<u64>(), 1_000);
    }
}
