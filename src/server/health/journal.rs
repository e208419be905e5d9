//! The check `journal`: the outcome of the last commits and reads.
//!
//! | event | status | until |
//! |---|---|---|
//! | a commit failed, or the journal is full | `down` | a commit succeeds (after a failure the sweep probes) |
//! | a read failed | `down` | a read succeeds (the sweep probes) |
//! | only the reserve for running work is left | `degraded` | there is room |
//! | a record is damaged | `degraded` | it has not been read for a minute |

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    journal::Room,
    time::Timestamp,
    types::{HealthCheck, HealthStatus, NodeRunId},
};

/// How long a damaged record is reported. Everything else works, and the
/// record's wake-ups are parked, which `work` counts.
const REMEMBER: Duration = Duration::from_secs(60);

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
    unwritten: Option<(WriteFailure, Timestamp)>,
    unread: Option<Timestamp>,
    damaged: Option<Timestamp>,
    /// The nodes ended by commits that were reported as failed but may be
    /// durable: followers of their runs have not been notified.
    in_doubt: Option<Vec<NodeRunId>>,
}

impl JournalStatus {
    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn written(&self) {
        self.last().unwritten = None;
    }

    /// Returns whether the failure is of another kind than the last one.
    pub(crate) fn not_written(&self, why: WriteFailure, now: Timestamp) -> bool {
        self.last().unwritten.replace((why, now)).map(|(why, _)| why) != Some(why)
    }

    pub(crate) fn read(&self) {
        self.last().unread = None;
    }

    pub(crate) fn not_read(&self, now: Timestamp) {
        self.last().unread = Some(now);
    }

    pub(crate) fn damaged(&self, now: Timestamp) {
        self.last().damaged = Some(now);
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

    /// The time since which writing has failed other than for lack of room.
    pub(crate) fn unwritable_since(&self) -> Option<Timestamp> {
        self.last().unwritten.filter(|(why, _)| *why == WriteFailure::Failed).map(|(_, since)| since)
    }

    /// The time since which reading has failed.
    pub(crate) fn unreadable_since(&self) -> Option<Timestamp> {
        self.last().unread
    }

    pub(crate) fn check(&self, room: Room, now: Timestamp) -> HealthCheck {
        let last = self.last();
        let damaged = last.damaged.is_some_and(|at| now.since(at) < REMEMBER);
        let (status, message) = match (last.unwritten, last.unread, room) {
            (Some((WriteFailure::Full, _)), ..) => {
                (HealthStatus::Down, Some("The journal is full: nothing can be written"))
            }
            (Some((WriteFailure::Failed, _)), ..) => {
                (HealthStatus::Down, Some("The journal cannot be written"))
            }
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
        assert_eq!((status.unwritable_since(), status.unreadable_since()), (Some(at(70)), Some(at(60))));
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
