//! How dispatch is doing, for health: it says so from time to time, and health
//! repeats it. So health waits for nobody.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::json;

use crate::{
    model::{HealthCheck, HealthStatus, JsonObject},
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
    /// What there is to do, and how much of it is in hand.
    work: Option<(Counts, usize)>,
}

impl Vitals {
    pub(crate) fn executor(&self, name: &'static str, left_alone: Option<Timestamp>) {
        self.said().executors.insert(name, left_alone);
    }

    pub(crate) fn work(&self, counts: Counts, in_hand: usize) {
        self.said().work = Some((counts, in_hand));
    }

    pub(super) fn checks(&self) -> Vec<HealthCheck> {
        let said = self.said();
        let executors = said.executors.iter().map(|(name, left_alone)| {
            let message = "It does not answer: it is left alone for moments, and its nodes wait or fail";
            check(name, left_alone.map(|_| message.into()), None)
        });
        executors.chain(said.work.iter().map(|(counts, in_hand)| work(counts, *in_hand))).collect()
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No ids and no errors: anybody may ask for health. `journal check` has them.
fn work(counts: &Counts, in_hand: usize) -> HealthCheck {
    let Counts { runs_live, nodes_live, wakes_due, parked, without_wake_up, outbox: _, outbox_oldest: _ } =
        *counts;
    let trouble = match (without_wake_up, parked) {
        (0, 0) => None,
        (0, parked) => Some(format!("{parked} cannot be decided, and are parked: see `journal check`")),
        (stuck, _) => Some(format!("{stuck} would never be looked at again: see `journal check`")),
    };
    let details = json!({
        "runs_live": runs_live, "node_runs_live": nodes_live, "in_hand": in_hand, "due": wakes_due,
        "parked": parked, "without_wake_up": without_wake_up,
    });
    check("work", trouble, Some(JsonObject::of(&details)))
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
        assert_eq!(vitals.checks(), []);
        let said = |vitals: &Vitals| {
            let checks = vitals.checks();
            checks.into_iter().map(|check| (check.name, check.status, check.message)).collect::<Vec<_>>()
        };
        vitals.executor("atomic_executor", None);
        vitals.work(Counts { runs_live: 2, ..Counts::default() }, 1);
        let well = [("atomic_executor", HealthStatus::Ok), ("work", HealthStatus::Ok)];
        assert_eq!(said(&vitals), well.map(|(name, status)| (name.to_owned(), status, None)));
        let details = vitals.checks().pop().and_then(|check| check.details).expect("details");
        assert_eq!((details.value("runs_live"), details.value("in_hand")), (json!(2), json!(1)));

        vitals.executor("atomic_executor", Some(Timestamp::from_micros(1)));
        vitals.work(Counts { parked: 3, ..Counts::default() }, 0);
        for (name, status, message) in said(&vitals) {
            assert_eq!(status, HealthStatus::Degraded, "{name}");
            assert!(message.is_some(), "{name}");
        }
    }
}
