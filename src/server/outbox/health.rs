//! The health checks of the JARVIS stores and of the outbox.

use std::time::Duration;

use serde_json::json;

use super::{Outbox, destination::StoreState};
use crate::{
    journal::Counts,
    types::{HealthCheck, JsonObject},
};

/// The name of the Artifact Store's check, to which the coordinator adds what it
/// knows.
pub const ARTIFACT_STORE: &str = "artifact_store";

/// Younger entries are on their way.
const LAG_MIN: Duration = Duration::from_secs(1);

impl Outbox {
    /// The checks of the stores and of the outbox. `counts`: the journal's latest
    /// counts, if there are any yet.
    pub fn checks(&self, counts: Option<&Counts>) -> Vec<HealthCheck> {
        let unreachable = self.probe.unreachable();
        vec![
            store_check("run_store", refused(&self.objects), unreachable.run_store),
            store_check("event_stream", refused(&self.events), unreachable.event_stream),
            store_check(ARTIFACT_STORE, None, unreachable.artifact_store),
            self.backlog_check(counts),
        ]
    }

    fn backlog_check(&self, counts: Option<&Counts>) -> HealthCheck {
        let now = self.clock.now();
        let Some(counts) = counts else { return HealthCheck::new("outbox", None, None) };
        let age = counts.outbox_oldest.map_or(Duration::ZERO, |oldest| now.since(oldest));
        // Entries that are kept in doubt (see `objects`) are old, but not owed.
        let owed = self.objects.backlog.entries() + self.events.backlog.entries();
        let lags = owed > 0 && age > self.patience.wait.max(self.patience.lag).max(LAG_MIN);
        let trouble = lags.then(|| "The stores lag behind the journal, which has all runs and events".into());
        // Entries may have been added since they were counted.
        let entries = counts.outbox.max(owed as u64);
        let details = json!({"entries": entries, "oldest_age_seconds": age.as_secs_f64()});
        HealthCheck::new("outbox", trouble, Some(JsonObject::of(&details)))
    }
}

/// What a store does not accept, if anything.
fn refused(store: &StoreState) -> Option<String> {
    match (store.backoff.failing(), store.backlog.refused()) {
        (Some(failing), _) => {
            Some(format!("The store has accepted nothing since {}: {}", failing.since, failing.reason))
        }
        (None, Some((runs, reason))) => {
            Some(format!("Entries of {runs} runs were not accepted and are retried: {reason}"))
        }
        (None, None) => None,
    }
}

fn store_check(name: &str, refused: Option<String>, unreachable: Option<String>) -> HealthCheck {
    let trouble =
        refused.or_else(|| unreachable.map(|reason| format!("The probe of the store failed: {reason}")));
    HealthCheck::new(name, trouble, None)
}
