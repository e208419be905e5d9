//! The check `journal`: the outcome of the last commits and reads.
//!
//! | event | status | until |
//! |---|---|---|
//! | a commit failed, or the journal is full | `down` | a commit succeeds (after a failure the sweep probes) |
//! | a read failed | `down` | a read succeeds (the sweep probes) |
//! | only the reserve for running work is left | `degraded` | there is room |
//! | a record is damaged | `degraded` | it has not been read for a minute |

use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use crate::{
    journal::Room,
    resilience::CoolDown,
    time::Timestamp,
    types::{HealthCheck, HealthStatus, NodeRunId},
};

/// How long a damaged record is reported. Everything else works, and the
/// record's wake-ups are parked, which `work` counts.
const REMEMBER: Duration = Duration::from_secs(60);

/// How long after a failure the sweep does not probe the journal.
const PROBE_AFTER: Duration = Duration::from_secs(1);

/// Why a commit wrote nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteFailure {
    Full,
    Failed,
}

/// The outcome of the last commits and reads.
#[derive(Default)]
pub struct JournalStatus {
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    write_failure: Option<WriteFailure>,
    writes: CoolDown,
    reads: CoolDown,
    damage: CoolDown,
    /// The nodes ended by commits that were reported as failed but may be
    /// durable: followers of their runs have not been notified.
    in_doubt: Option<Vec<NodeRunId>>,
}

impl JournalStatus {
    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock()
    }

    pub(crate) fn written(&self) {
        let mut last = self.last();
        last.write_failure = None;
        last.writes.succeeded();
    }

    /// Returns whether the failure is of another kind than the last one.
    pub(crate) fn not_written(&self, why: WriteFailure, now: Timestamp) -> bool {
        let mut last = self.last();
        last.writes.failed(now);
        last.write_failure.replace(why) != Some(why)
    }

    pub(crate) fn read(&self) {
        self.last().reads.succeeded();
    }

    pub(crate) fn not_read(&self, now: Timestamp) {
        self.last().reads.failed(now);
    }

    pub(crate) fn damaged(&self, now: Timestamp) {
        self.last().damage.failed(now);
    }

    /// Records that a commit which ends these nodes may be durable although it
    /// was reported as failed.
    pub(crate) fn doubt(&self, ended: Vec<NodeRunId>) {
        self.last().in_doubt.get_or_insert_default().extend(ended);
    }

    /// Takes the nodes ended by commits in doubt, if there were any; the caller
    /// resolves the doubt.
    pub(crate) fn take_doubt(&self) -> Option<Vec<NodeRunId>> {
        self.last().in_doubt.take()
    }

    /// Whether to probe if the journal can be written: the last commit failed
    /// other than for lack of room, and not just now.
    pub(crate) fn is_write_probe_due(&self, now: Timestamp) -> bool {
        let last = self.last();
        last.write_failure == Some(WriteFailure::Failed) && last.writes.is_over(PROBE_AFTER, now)
    }

    /// Whether to probe if the journal can be read: the last read failed, and not
    /// just now.
    pub(crate) fn is_read_probe_due(&self, now: Timestamp) -> bool {
        let reads = self.last().reads;
        reads.failing_since().is_some() && reads.is_over(PROBE_AFTER, now)
    }

    pub(crate) fn check(&self, room: Room, now: Timestamp) -> HealthCheck {
        let last = self.last();
        let damaged = !last.damage.is_over(REMEMBER, now);
        let (status, message) = match (last.write_failure, last.reads.failing_since(), room) {
            (Some(WriteFailure::Full), ..) => {
                (HealthStatus::Down, Some("The journal is full: nothing can be written"))
            }
            (Some(WriteFailure::Failed), ..) => (HealthStatus::Down, Some("The journal cannot be written")),
            (None, Some(_), _) => (HealthStatus::Down, Some("The journal cannot be read")),
            (None, None, Room::Reserve) => (
                HealthStatus::Degraded,
                Some("The journal is nearly full: new work is refused, running work can finish"),
            ),
            (None, None, Room::Enough) if damaged => {
                (HealthStatus::Degraded, Some("The journal has a damaged record: see `journal check`"))
            }
            (None, None, Room::Enough) => (HealthStatus::Ok, None),
        };
        HealthCheck { name: "journal".into(), status, message: message.map(str::to_owned), details: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journal_check_reports_the_worst_condition() {
        let status = JournalStatus::default();
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let reported = |room| {
            let check = status.check(room, at(100));
            (check.status, check.message.unwrap_or_default())
        };
        assert_eq!(reported(Room::Enough), (HealthStatus::Ok, String::new()));
        status.damaged(at(50));
        assert_eq!(reported(Room::Enough).0, HealthStatus::Degraded);
        assert!(reported(Room::Reserve).1.contains("full"));
        status.not_read(at(60));
        assert_eq!(reported(Room::Reserve), (HealthStatus::Down, "The journal cannot be read".into()));
        assert_eq!(
            [WriteFailure::Full, WriteFailure::Full, WriteFailure::Failed]
                .map(|why| status.not_written(why, at(70))),
            [true, false, true]
        );
        assert_eq!(reported(Room::Enough), (HealthStatus::Down, "The journal cannot be written".into()));
        assert_eq!([70, 71].map(|now| status.is_write_probe_due(at(now))), [false, true]);
        assert_eq!([60, 61].map(|now| status.is_read_probe_due(at(now))), [false, true]);
        status.written();
        assert_eq!(reported(Room::Enough), (HealthStatus::Down, "The journal cannot be read".into()));
        status.read();
        assert_eq!(reported(Room::Enough).0, HealthStatus::Degraded);
        status.damaged(at(40));
        assert_eq!(reported(Room::Enough).0, HealthStatus::Ok, "that was a minute ago");
    }

    #[test]
    fn commits_in_doubt_are_taken_once() {
        let status = JournalStatus::default();
        assert_eq!(status.take_doubt(), None);
        status.doubt(Vec::new());
        assert_eq!(status.take_doubt(), Some(Vec::new()), "the followers are still notified");
        status.doubt(vec!["a".into()]);
        status.doubt(vec!["b".into()]);
        assert_eq!(status.take_doubt(), Some(vec!["a".into(), "b".into()]));
        assert_eq!(status.take_doubt(), None);
    }
}
