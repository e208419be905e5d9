//! What commits and reads have said about the journal, for health.
//!
//! | | health | until |
//! |---|---|---|
//! | a commit failed, or did not fit | `down` | a commit succeeds (a failed one is tried from time to time) |
//! | a read failed | `down` | a read succeeds (tried from time to time) |
//! | no room for new work | `degraded` | there is room |
//! | a record is damaged | `degraded` | it has not been met for a minute |

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    journal::Room,
    time::Timestamp,
    types::{HealthCheck, HealthStatus, NodeRunId},
};

/// How long health speaks of a damaged record. Everything else works, and what
/// has to be decided about that record is parked, which health counts.
const REMEMBER: Duration = Duration::from_secs(60);

/// Why nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unwritten {
    Full,
    Failed,
}

/// What the last commits and reads said.
#[derive(Default)]
pub struct StoreHealth {
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    unwritten: Option<(Unwritten, Timestamp)>,
    unread: Option<Timestamp>,
    damaged: Option<Timestamp>,
    /// Commits were reported as failed that may be durable all the same: who
    /// follows their runs has not been told. The nodes that they end.
    in_doubt: Option<Vec<NodeRunId>>,
}

impl StoreHealth {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn written(&self) {
        self.said().unwritten = None;
    }

    /// Whether that is new.
    pub(super) fn not_written(&self, why: Unwritten, now: Timestamp) -> bool {
        self.said().unwritten.replace((why, now)).map(|(why, _)| why) != Some(why)
    }

    pub(super) fn read(&self) {
        self.said().unread = None;
    }

    pub(super) fn not_read(&self, now: Timestamp) {
        self.said().unread = Some(now);
    }

    pub(super) fn damaged(&self, now: Timestamp) {
        self.said().damaged = Some(now);
    }

    /// A commit that ends these nodes may be durable, though it was reported as
    /// failed.
    pub(super) fn doubt(&self, ended: Vec<NodeRunId>) {
        self.said().in_doubt.get_or_insert_default().extend(ended);
    }

    /// If there were such commits, the nodes that they end: from now on that is
    /// the caller's to clear up.
    pub(super) fn take_doubt(&self) -> Option<Vec<NodeRunId>> {
        self.said().in_doubt.take()
    }

    /// Since when it could not be written, but not for lack of room.
    pub(super) fn unwritable_since(&self) -> Option<Timestamp> {
        self.said().unwritten.filter(|(why, _)| *why == Unwritten::Failed).map(|(_, since)| since)
    }

    pub(super) fn unreadable_since(&self) -> Option<Timestamp> {
        self.said().unread
    }

    pub(super) fn check(&self, room: Room, now: Timestamp) -> HealthCheck {
        let said = self.said();
        let damaged = said.damaged.is_some_and(|last| now.since(last) < REMEMBER);
        let (status, message) = match (said.unwritten, said.unread, room) {
            (Some((Unwritten::Full, _)), ..) => {
                (HealthStatus::Down, Some("The journal is full: nothing can be accepted"))
            }
            (Some((Unwritten::Failed, _)), ..) => (HealthStatus::Down, Some("The journal cannot be written")),
            (None, Some(_), _) => (HealthStatus::Down, Some("The journal cannot be read")),
            (None, None, Room::Reserve) => (
                HealthStatus::Degraded,
                Some("The journal is full: nothing new is accepted, what is under way can end"),
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
    fn the_worst_is_said_and_each_ends_for_itself() {
        let health = StoreHealth::default();
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let said = |room| {
            let check = health.check(room, at(100));
            (check.status, check.message.unwrap_or_default())
        };
        assert_eq!(said(Room::Enough), (HealthStatus::Ok, String::new()));
        health.damaged(at(50));
        assert_eq!(said(Room::Enough).0, HealthStatus::Degraded);
        assert!(said(Room::Reserve).1.contains("full"));
        health.not_read(at(60));
        assert_eq!(said(Room::Reserve), (HealthStatus::Down, "The journal cannot be read".into()));
        assert_eq!(
            [Unwritten::Full, Unwritten::Full, Unwritten::Failed].map(|why| health.not_written(why, at(70))),
            [true, false, true]
        );
        assert_eq!(said(Room::Enough), (HealthStatus::Down, "The journal cannot be written".into()));
        assert_eq!((health.unwritable_since(), health.unreadable_since()), (Some(at(70)), Some(at(60))));
        health.written();
        assert_eq!(said(Room::Enough), (HealthStatus::Down, "The journal cannot be read".into()));
        health.read();
        assert_eq!(said(Room::Enough).0, HealthStatus::Degraded);
        health.damaged(at(40));
        assert_eq!(said(Room::Enough).0, HealthStatus::Ok, "that was a minute ago");
    }

    #[test]
    fn what_is_in_doubt_is_given_once() {
        let health = StoreHealth::default();
        assert_eq!(health.take_doubt(), None);
        health.doubt(Vec::new());
        assert_eq!(health.take_doubt(), Some(Vec::new()), "who follows the run is told");
        health.doubt(vec!["a".into()]);
        health.doubt(vec!["b".into()]);
        assert_eq!(health.take_doubt(), Some(vec!["a".into(), "b".into()]));
        assert_eq!(health.take_doubt(), None);
    }
}
