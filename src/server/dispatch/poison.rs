//! Jobs that fail repeatedly. A job that cannot be processed (its record is
//! damaged, or a rule panics on it) must neither be retried in a hot loop nor stop
//! the others: it is parked in the journal with its error, retried every hour, and
//! counted by the health check.
//!
//! If the journal or a service fails, the job is not to blame: it is only retried.

use std::{collections::HashMap, time::Duration};

use crate::{
    coordinator::{ClaimedJob, CoordinatorError},
    journal::{ClaimedWake, JournalError, Parked},
    record::Job,
    time::Timestamp,
    types::{NodeRunId, RunId},
};
use parking_lot::Mutex;

/// Consecutive failures after which a job is parked.
const FAILURES: u32 = 5;

/// Failures that are further apart are not consecutive. (A failed job is retried
/// within seconds.)
const MEMORY: Duration = Duration::from_secs(600);

/// The time until a parked job is retried: an upgrade may have fixed its cause.
const PARKED_FOR: Duration = Duration::from_secs(3600);

/// The name of the job that ends an overdue run.
const RUN_DEADLINE: &str = "run_deadline";

/// What has failed: a job of a node, or the end of an overdue run.
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

impl From<&ClaimedJob> for Item {
    fn from(job: &ClaimedJob) -> Self {
        Self { run: job.run.clone(), node: Some((job.node.clone(), job.job)) }
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

/// The number of consecutive failures of each item, and the time of the last.
#[derive(Default)]
pub(super) struct Failures(Mutex<HashMap<Item, (u32, Timestamp)>>);

impl Failures {
    pub(super) fn forget(&self, item: &Item) {
        self.0.lock().remove(item);
    }

    /// Forgets failures that are too old to count. Their items may have been done by
    /// another worker and never come again.
    pub(super) fn forget_old(&self, now: Timestamp) {
        let mut failures = self.0.lock();
        failures.retain(|_, (_, last)| now.since(*last) < MEMORY);
    }

    /// Counts a failure. Returns what to park after the last one that is allowed.
    pub(super) fn count(&self, item: &Item, error: String, now: Timestamp) -> Option<Parked> {
        let mut failures = self.0.lock();
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
    /// The entry of the journal for this item while it is parked.
    pub(super) fn parked(&self, error: String, now: Timestamp) -> Parked {
        let (node_run_id, job) = match &self.node {
            Some((node, job)) => (Some(node.clone()), job.as_str()),
            None => (None, RUN_DEADLINE),
        };
        let run_id = self.run.clone();
        Parked { run_id, node_run_id, job: job.into(), error, since: now, until: now + PARKED_FOR }
    }
}

/// Whether a record cannot be read: an immediate retry would not help.
pub(super) fn is_damaged(error: &CoordinatorError) -> bool {
    matches!(error, CoordinatorError::Journal(JournalError::Damaged(_)))
}

/// Whether the item itself is the cause, and not the journal or a service.
pub(super) fn is_poison(error: &CoordinatorError) -> bool {
    match error {
        CoordinatorError::Journal(JournalError::Damaged(_) | JournalError::TooBig(_)) => true,
        CoordinatorError::Journal(
            JournalError::Conflict
            | JournalError::Fenced
            | JournalError::Full(_)
            | JournalError::Reserved
            | JournalError::Failed(_),
        )
        | CoordinatorError::NodeRegistryUnavailable { .. }
        | CoordinatorError::NodeRegistryForbidden { .. }
        | CoordinatorError::PdpUnavailable { .. }
        | CoordinatorError::RunStoreUnavailable { .. }
        | CoordinatorError::EventStreamUnavailable { .. }
        | CoordinatorError::ShuttingDown => false,
        CoordinatorError::Invalid(_)
        | CoordinatorError::InputSchema(_)
        | CoordinatorError::SchemaUnusable(_)
        | CoordinatorError::BulkNotFound(_)
        | CoordinatorError::RunNotFound(_)
        | CoordinatorError::NodeRunNotFound(_)
        | CoordinatorError::ParentNotFound(_)
        | CoordinatorError::ApprovalNotFound(_)
        | CoordinatorError::StarterMayNotDecide
        | CoordinatorError::NotWaiting(_)
        | CoordinatorError::TooManyPauses(_)
        | CoordinatorError::NotCanceled(_)
        | CoordinatorError::WebhookNotFound(_)
        | CoordinatorError::DeliveryNotFound(_)
        | CoordinatorError::WebhooksOff
        | CoordinatorError::TooManyWebhooks(_)
        | CoordinatorError::AssignmentEnded
        | CoordinatorError::OutsideAssignment(_)
        | CoordinatorError::LacksRole(_)
        | CoordinatorError::TenantMismatch
        | CoordinatorError::WebhookTenant
        | CoordinatorError::Unauthenticated
        | CoordinatorError::Rejected(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn item_is_parked_after_consecutive_failures() {
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
        assert_eq!(failures.count(&item, "why".into(), now), None, "counting starts again");
    }

    #[test]
    fn old_failures_are_forgotten() {
        let failures = Failures::default();
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        for number in 0..1000 {
            failures.count(&Item::of_run(&RunId::new(format!("run-{number}"))), "why".into(), at(0));
        }
        let item = Item::of_run(&"run-7".into());
        failures.count(&item, "why".into(), at(1));
        failures.forget_old(at(600));
        assert_eq!(failures.0.lock().len(), 1);
        for _ in 3..FAILURES {
            assert_eq!(failures.count(&item, "why".into(), at(600)), None);
        }
        assert!(failures.count(&item, "why".into(), at(600)).is_some(), "newer failures still count");
        failures.forget_old(at(5000));
        assert!(failures.0.lock().is_empty());
    }
}
