//! What `GET /v1/health` adds to the coordinator's own report: the keys that
//! callers' tokens are verified with.

use crate::{
    auth::KeyStatus,
    model::{Health, HealthCheck, HealthStatus},
};

/// Adds the check `signing_keys`, if tokens are verified at all. Never worse
/// than degraded: a fetch is tried again, and old keys serve meanwhile. Why it
/// failed is for the log: it names addresses.
pub(super) fn with_signing_keys(mut health: Health, keys: &KeyStatus) -> Health {
    let trouble = match keys {
        KeyStatus::NotNeeded => return health,
        KeyStatus::NotFetched | KeyStatus::Fresh { .. } | KeyStatus::Stale { error: None, .. } => None,
        KeyStatus::Stale { error: Some(_), .. } => {
            Some("The signing keys cannot be refreshed: old ones are in use")
        }
        KeyStatus::Unavailable { .. } => Some("The signing keys cannot be fetched: no token is accepted"),
    };
    let status = if trouble.is_some() { HealthStatus::Degraded } else { HealthStatus::Ok };
    // They are ordered from good to bad.
    health.status = health.status.max(status);
    health.checks.get_or_insert_default().push(HealthCheck {
        name: "signing_keys".into(),
        status,
        message: trouble.map(str::to_owned),
        details: None,
    });
    health
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn keys_make_health_worse_but_never_better() {
        let error = || "http://sts.internal refused".to_owned();
        let stale = |error| KeyStatus::Stale { keys: 1, age: Duration::from_secs(600), error };
        let report = |status, keys: &KeyStatus| {
            let time = Timestamp::from_micros(0);
            with_signing_keys(Health { status, time, checks: None, extensions: None }, keys)
        };
        for (keys, expected) in [
            (KeyStatus::NotFetched, HealthStatus::Ok),
            (KeyStatus::Fresh { keys: 1 }, HealthStatus::Ok),
            (stale(None), HealthStatus::Ok),
            (stale(Some(error())), HealthStatus::Degraded),
            (KeyStatus::Unavailable { error: error() }, HealthStatus::Degraded),
        ] {
            let health = report(HealthStatus::Ok, &keys);
            assert_eq!(health.status, expected, "{keys:?}");
            let checks = health.checks.expect("a check");
            assert_eq!((checks[0].name.as_str(), checks[0].status), ("signing_keys", expected));
            assert!(!format!("{checks:?}").contains("internal"), "no topology");
            assert_eq!(report(HealthStatus::Down, &keys).status, HealthStatus::Down, "{keys:?}");
        }
        assert_eq!(report(HealthStatus::Ok, &KeyStatus::NotNeeded).checks, None);
    }
}
