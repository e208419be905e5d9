//! Which executors are down, compared with what was last reported. Pure.
//!
//! **Invariant:** of each executor there is at most one report in [`PAUSE`], however often
//! its circuit breaker opens and closes: a flapping one is reported as it is then.

use std::{collections::BTreeMap, time::Duration};

use crate::{journal::ExecutorReport, record::ExecutorName, time::Timestamp};

/// The shortest time between two reports of one executor.
const PAUSE: Duration = Duration::from_secs(60);

/// What is to be reported now: `states` says of each executor whether it is down.
pub(super) fn reports(
    known: &[ExecutorReport],
    states: Vec<(ExecutorName, bool)>,
    now: Timestamp,
) -> Vec<ExecutorReport> {
    let known: BTreeMap<&ExecutorName, &ExecutorReport> =
        known.iter().map(|report| (&report.name, report)).collect();
    let is_news = |name: &ExecutorName, is_down: bool| match known.get(name) {
        // That it is well is no news of an executor that was never down.
        None => is_down,
        Some(last) => last.is_down != is_down && now.since(last.at) >= PAUSE,
    };
    let news = states.into_iter().filter(|(name, is_down)| is_news(name, *is_down));
    news.map(|(name, is_down)| ExecutorReport { name, is_down, at: now }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executor_is_reported_when_it_goes_and_returns_at_intervals() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let name = || ExecutorName { executor: "atomic_executor".into(), member: Some("a".into()) };
        let report = |is_down, seconds| ExecutorReport { name: name(), is_down, at: at(seconds) };
        for (known, is_down, now, expected) in [
            (None, false, 0, None),
            (None, true, 0, Some(true)),
            (Some(report(true, 0)), true, 100, None),
            (Some(report(true, 0)), false, 59, None),
            (Some(report(true, 0)), false, 60, Some(false)),
            (Some(report(false, 0)), true, 59, None),
            (Some(report(false, 0)), true, 60, Some(true)),
        ] {
            let known: Vec<_> = known.into_iter().collect();
            let reported = reports(&known, vec![(name(), is_down)], at(now));
            let expected: Vec<_> = expected.map(|down| report(down, now)).into_iter().collect();
            assert_eq!(reported, expected, "{known:?} {is_down} {now}");
        }
    }
}
