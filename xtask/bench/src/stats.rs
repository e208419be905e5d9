//! Percentiles of times, and what several rounds of one measurement have in common.

use std::time::Duration;

/// The percentile of sorted times, in milliseconds: always one that was measured.
pub(crate) fn percentile_ms(sorted: &[Duration], percent: f64) -> f64 {
    let rank = (sorted.len() as f64 * percent / 100.0).ceil() as usize;
    let time = sorted.get(rank.max(1) - 1).or(sorted.last());
    time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

/// The values of several rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` of no values. Those that could not be measured do not count.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (first, last) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        };
        Some(Self { min: first, median, max: last })
    }

    /// What `over` has for each of `under`, round by round: the machine's speed of a round is
    /// in both.
    pub(crate) fn of_ratios(over: &[f64], under: &[f64]) -> Option<Self> {
        let ratios: Vec<f64> = over.iter().zip(under).map(|(over, under)| over / under).collect();
        Self::of(&ratios)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_times() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        for (percent, expected) in [(0.0, 1.0), (50.0, 100.0), (99.0, 198.0), (100.0, 200.0)] {
            assert_eq!(percentile_ms(&times, percent), expected, "{percent}");
        }
        assert_eq!(percentile_ms(&times[..1], 99.0), 1.0);
        assert!(percentile_ms(&[], 50.0).is_nan());
    }

    #[test]
    fn spread_has_the_middle_of_any_order() {
        let spread = |min, median, max| Some(Spread { min, median, max });
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), spread(1.0, 2.0, 3.0));
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 3.0]), spread(1.0, 2.5, 4.0));
        assert_eq!(Spread::of(&[f64::NAN, 5.0]), spread(5.0, 5.0, 5.0));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let ratios = Spread::of_ratios(&[10.0, 200.0], &[5.0, 100.0]);
        assert_eq!(ratios, Some(Spread { min: 2.0, median: 2.0, max: 2.0 }));
        assert_eq!(Spread::of_ratios(&[1.0], &[0.0]), None);
    }
}
