//! The check `signing_keys`: the keys that verify callers' tokens.

use crate::{auth::KeyStatus, types::HealthCheck};

/// Reports on the signing keys, if tokens are verified at all. Never worse than
/// degraded: fetching is retried, and cached keys serve meanwhile. The cause of
/// a failure is in the log only, because it names addresses.
pub fn signing_keys_check(keys: &KeyStatus) -> Option<HealthCheck> {
    let trouble = match keys {
        KeyStatus::NotNeeded => return None,
        KeyStatus::NotFetched | KeyStatus::Fresh { .. } | KeyStatus::Stale { error: None, .. } => None,
        KeyStatus::Stale { error: Some(_), .. } => {
            Some("The signing keys cannot be refreshed: cached keys are in use")
        }
        KeyStatus::Unavailable { .. } => Some("The signing keys cannot be fetched: every token is refused"),
    };
    Some(HealthCheck::new("signing_keys", trouble.map(str::to_owned), None))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::types::HealthStatus;

    #[test]
    fn failed_fetch_of_keys_degrades() {
        let error = || "http://sts.internal refused".to_owned();
        let stale = |error| KeyStatus::Stale { keys: 1, age: Duration::from_secs(600), error };
        for (keys, expected) in [
            (KeyStatus::NotFetched, HealthStatus::Ok),
            (KeyStatus::Fresh { keys: 1 }, HealthStatus::Ok),
            (stale(None), HealthStatus::Ok),
            (stale(Some(error())), HealthStatus::Degraded),
            (KeyStatus::Unavailable { error: error() }, HealthStatus::Degraded),
        ] {
            let check = signing_keys_check(&keys).expect("a check");
            assert_eq!((check.name.as_str(), check.status), ("signing_keys", expected), "{keys:?}");
            assert!(!format!("{check:?}").contains("internal"), "the check names no address");
        }
        assert_eq!(signing_keys_check(&KeyStatus::NotNeeded), None);
    }
}
