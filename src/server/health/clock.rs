//! The check `clock`: how far this server's clock is from the wall clock.

use crate::types::HealthCheck;

/// Larger differences from the wall clock are reported.
const TOLERANCE_SECONDS: f64 = 60.0;

/// Reports by how many seconds this server's clock is ahead of the wall clock
/// (behind, if negative). Never worse than degraded: deadlines are kept.
pub fn clock_check(ahead_seconds: f64) -> HealthCheck {
    let trouble = (ahead_seconds.abs() > TOLERANCE_SECONDS).then(|| {
        "The wall clock was stepped: timestamps differ from it until this clock has slewed to it".to_owned()
    });
    // Rounded to milliseconds.
    let ahead_seconds = (ahead_seconds * 1e3).round() / 1e3;
    let details = [("ahead_seconds", ahead_seconds.into())].into();
    HealthCheck::new("clock", trouble, Some(details))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::types::HealthStatus;

    #[test]
    fn clock_off_by_more_than_a_minute_degrades() {
        for (ahead, expected, shown) in [
            (0.0, HealthStatus::Ok, 0.0),
            (-60.0, HealthStatus::Ok, -60.0),
            (60.0001, HealthStatus::Degraded, 60.0),
            (-86_400.0, HealthStatus::Degraded, -86_400.0),
        ] {
            let check = clock_check(ahead);
            assert_eq!((check.name.as_str(), check.status), ("clock", expected));
            assert_eq!(check.message.is_some(), expected != HealthStatus::Ok);
            let check = serde_json::to_value(&check).expect("JSON");
            assert_eq!(check["details"], json!({ "ahead_seconds": shown }));
        }
    }
}
