//! The health report: one list of sources, each of which contributes checks.
//!
//! ```text
//!   journal ──────┐
//!   dispatch ─────┤  checks(now)                status = worst check
//!   tasks ────────┼─────────────▶ HealthReport ─────────────────────▶ GET /v1/health
//!   stores, PDP ──┤
//!   keys, clock ──┘
//! ```
//!
//! | module | checks |
//! |---|---|
//! | `journal` | `journal`: the outcome of the last commits and reads |
//! | `dispatch` | one per executor, `work`, and `outbox` if the stores are not configured |
//! | `tasks` | `tasks`: background tasks that panicked |
//! | `services` | `pdp`, `node_registry` and `token_service`: whether they answer |
//! | `signing_keys` | `signing_keys`: the keys that verify callers' tokens |
//! | `certificate` | `tls_certificate` and `client_certificate`: the certificates in use |
//! | `clock` | `clock`: how far this server's clock is from the wall clock |
//!
//! The outbox and the coordinator make their checks themselves;
//! `app` lists the sources.
//!
//! **Architecture invariants.** A report never fails and never waits: a source
//! repeats what it knows already. Checks contain neither ids nor the text of
//! errors, because health is public; those are in the log.

mod certificate;
mod clock;
mod dispatch;
mod journal;
mod services;
mod signing_keys;
mod tasks;

use std::sync::Arc;

pub use certificate::certificate_check;
pub use clock::clock_check;
pub use dispatch::DispatchStatus;
pub(crate) use dispatch::{ExecutorLoad, LongestWait, MemberReport, Work};
pub use journal::JournalStatus;
pub(crate) use journal::WriteFailure;
pub use services::service_check;
pub use signing_keys::signing_keys_check;
pub use tasks::tasks_check;

use crate::{
    time::{Clock, Timestamp},
    types::{Health, HealthCheck, HealthStatus},
};

/// Contributes checks to the report. Must not block.
pub type Source = Box<dyn Fn(Timestamp) -> Vec<HealthCheck> + Send + Sync>;

/// Assembles the report from its sources.
pub struct HealthReport {
    clock: Arc<dyn Clock>,
    sources: Vec<Source>,
}

impl HealthReport {
    /// `sources` in the order of their checks in the report.
    pub fn new(clock: Arc<dyn Clock>, sources: Vec<Source>) -> Self {
        Self { clock, sources }
    }

    /// The report as of now; its status is that of the worst check.
    pub fn now(&self) -> Health {
        let time = self.clock.now();
        let mut checks = Vec::new();
        for check in self.sources.iter().flat_map(|source| source(time)) {
            merge(&mut checks, check);
        }
        let status = checks.iter().map(|check| check.status).max().unwrap_or(HealthStatus::Ok);
        Health { status, time, checks: Some(checks), extensions: None }
    }
}

/// Adds a check. Two sources may report on one thing: the worse check counts,
/// the first if they are equally bad.
fn merge(checks: &mut Vec<HealthCheck>, check: HealthCheck) {
    match checks.iter_mut().find(|known| known.name == check.name) {
        Some(known) if known.status < check.status => *known = check,
        Some(_) => {}
        None => checks.push(check),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SystemClock;

    fn report(sources: Vec<Source>) -> Health {
        HealthReport::new(Arc::new(SystemClock), sources).now()
    }

    fn says(name: &'static str, trouble: Option<&'static str>) -> Source {
        Box::new(move |_| vec![HealthCheck::new(name, trouble.map(str::to_owned), None)])
    }

    #[test]
    fn report_has_the_status_of_its_worst_check() {
        assert_eq!(report(Vec::new()).status, HealthStatus::Ok);
        let down = || -> Source {
            Box::new(|_| {
                vec![HealthCheck { status: HealthStatus::Down, ..HealthCheck::new("c", None, None) }]
            })
        };
        for (sources, status) in [
            (vec![says("a", None)], HealthStatus::Ok),
            (vec![says("a", None), says("b", Some("late"))], HealthStatus::Degraded),
            (vec![down(), says("b", Some("late"))], HealthStatus::Down),
        ] {
            let names = sources.len();
            let health = report(sources);
            assert_eq!((health.status, health.checks.map(|checks| checks.len())), (status, Some(names)));
        }
    }

    #[test]
    fn checks_of_one_name_are_merged_into_the_worse() {
        for (first, second, message) in [
            (None, None, None),
            (None, Some("second"), Some("second")),
            (Some("first"), Some("second"), Some("first")),
            (Some("first"), None, Some("first")),
        ] {
            let health = report(vec![says("a", first), says("b", None), says("a", second)]);
            let checks = health.checks.expect("checks");
            let seen: Vec<_> = checks.iter().map(|check| (&*check.name, check.message.as_deref())).collect();
            assert_eq!(seen, [("a", message), ("b", None)]);
        }
    }
}
