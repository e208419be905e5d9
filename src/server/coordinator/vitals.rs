//! How dispatch is doing, for health: it says so from time to time, and health
//! repeats it. So health waits for nobody.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

use crate::{
    journal::Counts,
    runtime::tasks::{Panicked, Panics, QUIET},
    time::Timestamp,
    types::{HealthCheck, HealthStatus, JsonObject},
};

/// What dispatch last said about itself.
#[derive(Default)]
pub struct Vitals(Mutex<Said>);

#[derive(Default)]
struct Said {
    /// By name of the executor: until when it is left alone, if it is.
    executors: BTreeMap<&'static str, Option<Timestamp>>,
    work: Option<Work>,
    /// How often the tasks of this process have panicked.
    panics: Option<Panics>,
    /// The JARVIS stores are owed what is decided, but are not configured.
    owes_without_stores: bool,
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

    /// Speaks of these from now on.
    pub fn watch(&self, panics: Panics) {
        self.said().panics = Some(panics);
    }

    /// Nothing is sent of what the JARVIS stores are owed.
    pub fn owe_without_stores(&self) {
        self.said().owes_without_stores = true;
    }

    /// What there was to do when it was last counted; `None`: not yet. Counting
    /// reads much of the journal, and anybody may ask for health.
    pub(super) fn counts(&self) -> Option<Counts> {
        self.said().work.as_ref().map(|work| work.counts)
    }

    pub(super) fn checks(&self, now: Timestamp) -> Vec<HealthCheck> {
        let said = self.said();
        let executors = said.executors.iter().map(|(name, left_alone)| {
            let message = "It does not answer: it is left alone for moments, and its nodes wait or fail";
            check(name, left_alone.map(|_| message.into()), None)
        });
        let work = said.work.iter().map(Work::check);
        let debts = said.work.iter().filter(|_| said.owes_without_stores).map(|work| debts(&work.counts));
        executors
            .chain(work)
            .chain(debts)
            .chain(said.panics.iter().map(|panics| tasks(panics, now)))
            .collect()
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
        let of_executors: BTreeMap<&str, Value> = rooms
            .iter()
            .map(|Room { executor, in_hand, room }| (*executor, json!({"in_hand": in_hand, "room": room})))
            .collect();
        let details = json!({
            "runs_live": runs_live, "node_runs_live": nodes_live, "in_hand": in_hand, "due": wakes_due,
            "parked": parked, "without_wake_up": without_wake_up, "executors": of_executors,
        });
        check("work", trouble, Some(JsonObject::of(&details)))
    }
}

/// As the outbox's own check, which there is with the stores.
fn debts(counts: &Counts) -> HealthCheck {
    let trouble = "The JARVIS stores are not configured: what they are owed is kept";
    let details = json!({ "entries": counts.outbox });
    check("outbox", Some(trouble.into()), Some(JsonObject::of(&details)))
}

/// A task that panicked runs again: health speaks of it until that has gone
/// well for a while, and counts it for ever.
fn tasks(panics: &Panics, now: Timestamp) -> HealthCheck {
    let so_far = panics.so_far();
    let unwell = |panicked: &Panicked| panicked.last.is_some_and(|last| now.since(last) < QUIET);
    let names: Vec<&str> = so_far.iter().filter(|(_, p)| unwell(p)).map(|(name, _)| *name).collect();
    let trouble = (!names.is_empty()).then(|| format!("Begun again after a panic: {}", names.join(", ")));
    let details: BTreeMap<&str, u64> =
        so_far.iter().map(|(name, panicked)| (*name, panicked.times)).collect();
    check("tasks", trouble, Some(JsonObject::of(&json!({ "panics": details }))))
}

fn check(name: &str, trouble: Option<String>, details: Option<JsonObject>) -> HealthCheck {
    let status = if trouble.is_some() { HealthStatus::Degraded } else { HealthStatus::Ok };
    HealthCheck { name: name.into(), status, message: trouble, details }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_repeats_what_dispatch_said_and_what_is_wrong_with_it() {
        let vitals = Vitals::default();
        let now = Timestamp::from_micros(0);
        assert_eq!(vitals.checks(now), []);
        let said = |vitals: &Vitals| {
            let checks = vitals.checks(now);
            checks.into_iter().map(|check| (check.name, check.status, check.message)).collect::<Vec<_>>()
        };
        vitals.executor("atomic_executor", None);
        let room = |room| Room { executor: "atomic_executor", in_hand: 8, room };
        vitals.work(Counts { runs_live: 2, ..Counts::default() }, 1, vec![room(1)]);
        let well = [("atomic_executor", HealthStatus::Ok), ("work", HealthStatus::Ok)];
        assert_eq!(said(&vitals), well.map(|(name, status)| (name.to_owned(), status, None)));
        let details = vitals.checks(now).pop().and_then(|check| check.details).expect("details");
        assert_eq!((details.value("runs_live"), details.value("in_hand")), (json!(2), json!(1)));
        assert_eq!(details.value("executors"), json!({"atomic_executor": {"in_hand": 8, "room": 1}}));

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
