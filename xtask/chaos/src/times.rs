//! How long things took: least, median and most.

use std::{fmt, time::Duration};

use serde::Serialize;

/// Milliseconds.
#[derive(Debug, Default, Serialize)]
pub(super) struct Times {
    pub(super) count: usize,
    pub(super) least: f64,
    pub(super) median: f64,
    pub(super) most: f64,
}

impl Times {
    pub(super) fn of(times: impl IntoIterator<Item = Duration>) -> Self {
        let mut millis: Vec<f64> = times.into_iter().map(|time| time.as_secs_f64() * 1_000.0).collect();
        millis.sort_by(f64::total_cmp);
        let at = |place: usize| millis.get(place).copied().unwrap_or_default();
        let count = millis.len();
        Self { count, least: at(0), median: at(count / 2), most: at(count.saturating_sub(1)) }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, least, median, most } = self;
        write!(f, "{least:.0} / {median:.0} / {most:.0} ms (of {count})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_least_median_and_most() {
        let times = Times::of([30, 10, 20].map(Duration::from_millis));
        assert_eq!(times.to_string(), "10 / 20 / 30 ms (of 3)");
        assert_eq!(Times::of([]).to_string(), "0 / 0 / 0 ms (of 0)");
    }
}
