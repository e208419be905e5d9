//! How dispatch is doing, for health: it says so from time to time, and health
//! repeats it. So health waits for nobody.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::json;

use crate::{
    model::{HealthCheck, HealthStatus, Map},
    store::Counts,
    time::Timestamp,
};

/// What dispatch last said about itself.
#[derive(Default)]
pub struct Vitals(Mutex<Said>);

#[derive(Default)]
struct Said {
    /// By name of the executor: until when it is left alone, if it is.
    executors: BTreeMap<&'static str, Option<Timestamp>>,
    work: Option<Work>,
}

/// What there is to do, how much of it is in hand, and of that for each
/// executor.
struct Work {
    counts: Counts,
    in_hand: usize,
    rooms: Vec<Room>,
}

/// How many nodes of an executor are in hand, and how many more may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) executor: &'static str,
    pub(crate) in_hand: usize,
    pub(crate) room: usize,
}

impl Vitals {
    pub(crate) fn executor(&self, name: &'static str, left_alone: Option<Timestamp>) {
        self.said().executors.insert(name, left_alone);
    }

    pub(crate) fn work(&self, counts: Counts, in_hand: usize, rooms: Vec<Room>) {
        self.said().work = Some(Work { counts, in_hand, rooms });
    }

    pub(super) fn checks(&self) -> Vec<HealthCheck> {
        let said = self.said();
        let executors = said.executors.iter().map(|(name, left_alone)| {
            let message = "It does not answer: it is left alone for moments, and its nodes wait or fail";
            check(name, left_alone.map(|_| message.into()), None)
        });
        executors.chain(said.work.iter().map(Work::check)).collect()
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work {
    /// No ids and no errors: anybody may ask for health. `journal check` has
    /// them.
    fn check(&self) -> HealthCheck {
        let Self { counts, in_hand, rooms } = self;
        let Counts { runs_live, nodes_live, wakes_due, parked, without_wake_up, outbox: _, outbox_oldest: _ } =
            *counts;
        let full = rooms.iter().find(|room| room.room == 0);
        let trouble = match (without_wake_up, parked, full) {
            (0, 0, None) => None,
            (0, 0, Some(full)) => {
                let Room { executor, in_hand, room: _ } = full;
                Some(format!(
                    "{executor} has {in_hand} nodes waiting or at work, and no room for more: they stay in the journal"
                ))
            }
            (0, parked, _) => {
                Some(format!("{parked} cannot be decided, and are parked: see `journal check`"))
            }
            (stuck, ..) => Some(format!("{stuck} would never be looked at again: see `journal check`")),
        };
        let of_executors: Map = rooms
            .iter()
            .map(|Room { executor, in_hand, room }| {
                ((*executor).to_owned(), json!({"in_hand": in_hand, "room": room}))
            })
            .collect();
        let details = json!({
            "runs_live": runs_live, "node_runs_live": nodes_live, "in_hand": in_hand, "due": wakes_due,
            "parked": parked, "without_wake_up": without_wake_up, "executors": of_executors,
        });
        check("work", trouble, details.as_object().cloned())
    }
}

fn check(name: &str, trouble: Option<String>, details: Option<Map>) -> HealthCheck {
    let status = if trouble.is_some() { HealthStatus::Degraded } else { HealthStatus::Ok };
    HealthCheck { name: name.into(), status, message: trouble, details }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_repeats_what_dispatch_said_and_what_is_wrong_with_it() {
        let vitals = Vitals::default();
        assert_eq!(vitals.checks(), []);
        let said = |vitals: &Vitals| {
            let checks = vitals.checks();
            checks.into_iter().map(|check| (check.name, check.status, check.message)).collect::<Vec<_>>()
        };
        vitals.executor("atomic_executor", None);
        let room = |room| Room { executor: "atomic_executor", in_hand: 8, room };
        vitals.work(Counts { runs_live: 2, ..Counts::default() }, 1, vec![room(1)]);
        let well = [("atomic_executor", HealthStatus::Ok), ("work", HealthStatus::Ok)];
        assert_eq!(said(&vitals), well.map(|(name, status)| (name.to_owned(), status, None)));
        let details = vitals.checks().pop().and_then(|check| check.details).expect("details");
        assert_eq!((&details["runs_live"], &details["in_hand"]), (&json!(2), &json!(1)));
        assert_eq!(details["executors"], json!({"atomic_executor": {"in_hand": 8, "room": 1}}));

        vitals.work(Counts::default(), 8, vec![room(0)]);
        let (_, status, message) = said(&vitals).pop().expect("a check");
        assert_eq!(status, HealthStatus::Degraded);
        assert!(message.expect("a message").starts_with("atomic_executor has 8 nodes"));

        vitals.executor("atomic_executor", Some(Timestamp::from_micros(1)));
        vitals.work(Counts { parked: 3, ..Counts::default() }, 0, Vec::new());
        for (name, status, message) in said(&vitals) {
            assert_eq!(status, HealthStatus::Degraded, "{name}");
            assert!(message.is_some(), "{name}");
        }
    }
}
