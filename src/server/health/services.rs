//! The checks `pdp`, `node_registry` and `token_service`: whether the services that
//! are asked before work is handed over answer.
//!
//! They repeat what the last real calls found; no call is made for them. An outage
//! is reported until the service answers, or for a minute after the last call.

use serde_json::json;

use crate::{
    resilience::{ServiceOutage, ServiceWatch},
    time::Timestamp,
    types::{HealthCheck, JsonObject},
};

/// Reports on a service. `consequence`: what follows while it does not answer.
/// Never worse than degraded. Addresses and errors are in the log only.
pub fn service_check(
    name: &str,
    watch: Option<&ServiceWatch>,
    consequence: &str,
    now: Timestamp,
) -> HealthCheck {
    let Some(watch) = watch else {
        return HealthCheck { message: Some(UNUSED.into()), ..HealthCheck::new(name, None, None) };
    };
    match watch.outage(now) {
        None => HealthCheck::new(name, None, None),
        Some(ServiceOutage { since, failures }) => {
            let details = json!({ "since": since, "failures": failures });
            let trouble = format!("It does not answer: {consequence}");
            HealthCheck::new(name, Some(trouble), Some(JsonObject::of(&details)))
        }
    }
}

/// What is said of a service that is not configured.
const UNUSED: &str = "Not used";

#[cfg(test)]
mod tests {
    use serde_json::json;
    use slog::{Discard, Logger, o};

    use super::*;
    use crate::types::HealthStatus;

    #[test]
    fn service_degrades_while_it_does_not_answer() {
        let now = Timestamp::from_micros(0);
        let watch = ServiceWatch::new("pdp", "pdp.internal:8086", 1, Logger::root(Discard, o!()));
        let check = || service_check("pdp", Some(&watch), "nodes are held", now);
        assert_eq!((check().status, check().message), (HealthStatus::Ok, None));
        watch.failed(&"http://pdp.internal refused", now);
        let out = check();
        assert_eq!(out.status, HealthStatus::Degraded);
        assert_eq!(out.message.as_deref(), Some("It does not answer: nodes are held"));
        assert_eq!(out.details.as_ref().map(|details| details.value("failures")), Some(json!(1)));
        assert!(!format!("{out:?}").contains("internal"), "health is public");
        watch.answered(now);
        assert_eq!(check().status, HealthStatus::Ok);
        let unused = service_check("pdp", None, "nodes are held", now);
        assert_eq!((unused.status, unused.message.as_deref()), (HealthStatus::Ok, Some("Not used")));
    }
}
