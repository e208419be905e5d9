//! Jobs that fail again and again. One that cannot be decided (its record is
//! damaged, or a rule panics over it) must not be tried in a circle, nor stop
//! the others: it is parked in the journal with its error, tried again now and
//! then, and shown.
//!
//! A journal or a service that fails is nobody's fault: that is only tried
//! again.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{
    coordinator::{CoordinatorError, Task},
    journal::{ClaimedWake, JournalError, Parked},
    record::Job,
    time::Timestamp,
    types::{NodeRunId, RunId},
};

/// So many failures in a row are enough.
const FAILURES: u32 = 5;

/// Failures that are further apart are no row. What is to be begun again is
/// begun within seconds.
const A_ROW: Duration = Duration::from_secs(600);

/// When a parked job is tried again: perhaps another program can do it by then.
const PARKED_FOR: Duration = Duration::from_secs(3600);

/// The job of ending a run whose time is up.
const RUN_DEADLINE: &str = "run_deadline";

/// Something to be done: about a node, or about a run as a whole.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Item {
    run: RunId,
    node: Option<(NodeRunId, Job)>,
}

impl Item {
    pub(super) fn of_run(run: &RunId) -> Self {
        Self { run: run.clone(), node: None }
    }
}

impl From<&ClaimedWake> for Item {
    fn from(wake: &ClaimedWake) -> Self {
        Self { run: wake.run_id.clone(), node: Some((wake.node_run_id.clone(), wake.job)) }
    }
}

impl From<&Task> for Item {
    fn from(task: &Task) -> Self {
        Self { run: task.run.clone(), node: Some((task.node.clone(), task.job)) }
    }
}

/// For the log.
impl slog::KV for Item {
    fn serialize(&self, _: &slog::Record<'_>, serializer: &mut dyn slog::Serializer) -> slog::Result {
        serializer.emit_str("run_id".into(), self.run.as_str())?;
        match &self.node {
            Some((node, job)) => {
                serializer.emit_str("node_run_id".into(), node.as_str())?;
                serializer.emit_str("job".into(), job.as_str())
            }
            None => serializer.emit_str("job".into(), RUN_DEADLINE),
        }
    }
}

/// How often each failed in a row, and when it did last.
#[derive(Default)]
pub(super) struct Failures(Mutex<HashMap<Item, (u32, Timestamp)>>);

impl Failures {
    pub(super) fn forget(&self, item: &Item) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(item);
    }

    /// Forgets what failed so long ago that it was not a row. Perhaps it is never
    /// tried again: somebody else has done it.
    pub(super) fn forget_old(&self, now: Timestamp) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, (_, last)| now.since(*last) < A_ROW);
    }

    /// Counts a failure. The last of too many makes it an item to be parked.
    pub(super) fn count(&self, item: &Item, error: String, now: Timestamp) -> Option<Parked> {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, last) = failures.entry(item.clone()).or_insert((0, now));
        (*count, *last) = (*count + 1, now);
        if *count < FAILURES {
            return None;
        }
        failures.remove(item);
        drop(failures);
        Some(item.parked(error, now))
    }
}

impl Item {
    /// What the journal is to say of it while it is left alone.
    pub(super) fn parked(&self, error: String, now: Timestamp) -> Parked {
        let (node_run_id, job) = match &self.node {
            Some((node, job)) => (Some(node.clone()), job.as_str()),
            None => (None, RUN_DEADLINE),
        };
        let run_id = self.run.clone();
        Parked { run_id, node_run_id, job: job.into(), error, since: now, until: now + PARKED_FOR }
    }
}

/// Its record cannot be read: to try again in a moment is to find the same.
pub(super) fn is_damaged(error: &CoordinatorError) -> bool {
    matches!(error, CoordinatorError::Journal(JournalError::Damaged(_)))
}

/// What the item itself is to blame for.
pub(super) fn is_poison(error: &CoordinatorError) -> bool {
    match error {
        CoordinatorError::Journal(JournalError::Damaged(_) | JournalError::TooBig(_)) => true,
        CoordinatorError::Journal(
            JournalError::Conflict | JournalError::Full(_) | JournalError::Reserved | JournalError::Failed(_),
        )
        | CoordinatorError::NodeRegistryUnavailable { .. }
        | CoordinatorError::NodeRegistryForbidden { .. }
        | CoordinatorError::PdpUnavailable { .. }
        | CoordinatorError::RunStoreUnavailable { .. }
        | CoordinatorError::EventStreamUnavailable { .. }
        | CoordinatorError::ShuttingDown => false,
        CoordinatorError::Invalid(_)
        | CoordinatorError::RunNotFound(_)
        | CoordinatorError::NodeRunNotFound(_)
        | CoordinatorError::ParentNotFound(_)
        | CoordinatorError::Forbidden(_)
        | CoordinatorError::Rejected(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_parked_after_so_many_failures_in_a_row() {
        let (failures, item) = (Failures::default(), Item::of_run(&"run".into()));
        let now = Timestamp::from_micros(7);
        for _ in 0..2 {
            for _ in 1..FAILURES {
                assert_eq!(failures.count(&item, "why".into(), now), None);
            }
            failures.forget(&item);
        }
        let other = Item::of_run(&"other".into());
        for _ in 1..FAILURES {
            assert_eq!(failures.count(&item, "why".into(), now), None);
            assert_eq!(failures.count(&other, "why".into(), now), None);
        }
        let parked = failures.count(&item, "the last".into(), now).expect("enough");
        assert_eq!((parked.run_id.as_str(), parked.node_run_id, &*parked.error), ("run", None, "the last"));
        assert_eq!((parked.since, parked.until), (now, now + PARKED_FOR));
        assert_eq!(failures.count(&item, "why".into(), now), None, "it is counted afresh");
    }

    #[test]
    fn failures_that_nothing_follows_are_forgotten() {
        let failures = Failures::default();
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        for number in 0..1000 {
            failures.count(&Item::of_run(&RunId::new(format!("run-{number}"))), "why".into(), at(0));
        }
        let item = Item::of_run(&"run-7".into());
        failures.count(&item, "why".into(), at(1));
        failures.forget_old(at(600));
        assert_eq!(failures.0.lock().expect("not poisoned").len(), 1);
        for _ in 3..FAILURES {
            assert_eq!(failures.count(&item, "why".into(), at(600)), None);
        }
        assert!(failures.count(&item, "why".into(), at(600)).is_some(), "what is left counts on");
        failures.forget_old(at(5000));
        assert!(failures.0.lock().expect("not poisoned").is_empty());
    }
}
