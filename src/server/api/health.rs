//! What `GET /v1/health` adds to the coordinator's own report: the keys that
//! callers' tokens are verified with, and the clock.

use crate::{
    auth::KeyStatus,
    types::{Health, HealthCheck, HealthStatus},
};

/// The clock may be so far off the wall before anybody is told.
const CLOCK_OFF_SECONDS: f64 = 60.0;

/// Adds the check `signing_keys`, if tokens are verified at all. Never worse
/// than degraded: a fetch is tried again, and old keys serve meanwhile. Why it
/// failed is for the log: it names addresses.
pub(super) fn with_signing_keys(health: Health, keys: &KeyStatus) -> Health {
    let trouble = match keys {
        KeyStatus::NotNeeded => return health,
        KeyStatus::NotFetched | KeyStatus::Fresh { .. } | KeyStatus::Stale { error: None, .. } => None,
        KeyStatus::Stale { error: Some(_), .. } => {
            Some("The signing keys cannot be refreshed: old ones are in use")
        }
        KeyStatus::Unavailable { .. } => Some("The signing keys cannot be fetched: no token is accepted"),
    };
    with(health, check("signing_keys", trouble))
}

/// Adds the check `clock`: how far our times are ahead of the machine's clock
/// (behind, if negative). Never worse than degraded: deadlines are kept.
pub(super) fn with_clock(health: Health, ahead_seconds: f64) -> Health {
    let trouble = (ahead_seconds.abs() > CLOCK_OFF_SECONDS)
        .then_some("The machine's clock was set: times are off until they have come together");
    // To the millisecond.
    let ahead_seconds = (ahead_seconds * 1e3).round() / 1e3;
    let details = Some([("ahead_seconds", ahead_seconds.into())].into());
    with(health, HealthCheck { details, ..check("clock", trouble) })
}

fn check(name: &str, trouble: Option<&str>) -> HealthCheck {
    let status = if trouble.is_some() { HealthStatus::Degraded } else { HealthStatus::Ok };
    HealthCheck { name: name.into(), status, message: trouble.map(str::to_owned), details: None }
}

fn with(mut health: Health, check: HealthCheck) -> Health {
    // They are ordered from good to bad.
    health.status = health.status.max(check.status);
    health.checks.get_or_insert_default().push(check);
    health
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::time::Timestamp;

    fn report(status: HealthStatus) -> Health {
        Health { status, time: Timestamp::from_micros(0), checks: None, extensions: None }
    }

    #[test]
    fn keys_make_health_worse_but_never_better() {
        let error = || "http://sts.internal refused".to_owned();
        let stale = |error| KeyStatus::Stale { keys: 1, age: Duration::from_secs(600), error };
        for (keys, expected) in [
            (KeyStatus::NotFetched, HealthStatus::Ok),
            (KeyStatus::Fresh { keys: 1 }, HealthStatus::Ok),
            (stale(None), HealthStatus::Ok),
            (stale(Some(error())), HealthStatus::Degraded),
            (KeyStatus::Unavailable { error: error() }, HealthStatus::Degraded),
        ] {
            let health = with_signing_keys(report(HealthStatus::Ok), &keys);
            assert_eq!(health.status, expected, "{keys:?}");
            let checks = health.checks.expect("a check");
            assert_eq!((checks[0].name.as_str(), checks[0].status), ("signing_keys", expected));
            assert!(!format!("{checks:?}").contains("internal"), "no topology");
            let down = with_signing_keys(report(HealthStatus::Down), &keys);
            assert_eq!(down.status, HealthStatus::Down, "{keys:?}");
        }
        assert_eq!(with_signing_keys(report(HealthStatus::Ok), &KeyStatus::NotNeeded).checks, None);
    }

    #[test]
    fn a_clock_that_is_more_than_a_minute_off_is_told() {
        for (ahead, expected, shown) in [
            (0.0, HealthStatus::Ok, 0.0),
            (-60.0, HealthStatus::Ok, -60.0),
            (60.0001, HealthStatus::Degraded, 60.0),
            (-86_400.0, HealthStatus::Degraded, -86_400.0),
        ] {
            let health = with_clock(report(HealthStatus::Ok), ahead);
            let checks = health.checks.expect("a check");
            let check = serde_json::to_value(&checks[0]).expect("JSON");
            assert_eq!((health.status, &check["name"]), (expected, &json!("clock")));
            assert_eq!(check["details"], json!({ "ahead_seconds": shown }));
            assert_eq!(check["message"].is_string(), expected != HealthStatus::Ok);
            assert_eq!(with_clock(report(HealthStatus::Down), ahead).status, HealthStatus::Down);
        }
    }
}
