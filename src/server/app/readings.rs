//! Wiring: what a scrape of the metrics reads.

use std::sync::{Arc, Weak};

use super::peers::Watches;
use crate::{
    build_info,
    config::JournalPlace,
    health::{DispatchStatus, HealthReport},
    journal::{Figures, FiguresNow},
    metrics::{Metrics, Reading, families as f, process_readings},
    outbox::Outbox,
    resilience::ServiceWatch,
    time::{SteadyClock, Timestamp},
    types::HealthStatus,
    webhooks::Webhooks,
};

/// The parts of a server that know numbers.
pub(super) struct Readings {
    /// Weak for the same reason as `health`.
    pub(super) webhooks: Option<Weak<Webhooks>>,
    pub(super) dispatch: Arc<DispatchStatus>,
    /// Weak: its sources lead to parts that have the metrics, and those have this.
    pub(super) health: Weak<HealthReport>,
    pub(super) clock: Arc<SteadyClock>,
    pub(super) journal: JournalPlace,
    pub(super) figures: Arc<Figures>,
    pub(super) outbox: Option<Arc<Outbox>>,
    pub(super) watches: Watches,
}

impl Readings {
    pub(super) fn give_to(self, metrics: &Metrics) {
        metrics.read_from(Box::new(move || self.all()));
    }

    fn all(&self) -> Vec<Reading> {
        let mut readings = self.work();
        readings.extend(self.executors());
        readings.extend(self.journal_files());
        readings.extend(self.journal_threads());
        readings.extend(self.deliveries());
        readings.extend(self.outages());
        let webhooks = self.webhooks.as_ref().and_then(Weak::upgrade);
        readings.extend(webhooks.iter().flat_map(|webhooks| webhooks.readings()));
        let health = self.health.upgrade().map(|health| health.now());
        let checks = health.and_then(|health| health.checks).unwrap_or_default();
        readings.extend(checks.iter().map(|check| {
            let status = match check.status {
                HealthStatus::Ok => 0.0,
                HealthStatus::Degraded => 1.0,
                HealthStatus::Down => 2.0,
            };
            Reading::of(&f::HEALTH, &[&check.name], status)
        }));
        readings.push(Reading::new(&f::CLOCK_AHEAD, self.clock.ahead_seconds()));
        readings.push(Reading::of(
            &f::BUILD_INFO,
            &[build_info::VERSION, build_info::COMMIT, &build_info::DATE],
            1.0,
        ));
        readings.extend(process_readings());
        readings
    }

    fn work(&self) -> Vec<Reading> {
        let Some(counts) = self.dispatch.counts() else { return Vec::new() };
        let count = |family, value: u64| Reading::new(family, value as f64);
        let mut readings = vec![
            Reading::of(&f::RUNS_LIVE, &["held"], counts.held as f64),
            Reading::of(&f::RUNS_LIVE, &["running"], counts.runs_live.saturating_sub(counts.held) as f64),
            count(&f::NODE_RUNS_LIVE, counts.nodes_live),
            count(&f::WORK_DUE, counts.wakes_due),
            count(&f::WORK_WAITING, counts.load.waiting),
            count(&f::WORK_EXECUTING, counts.load.executing),
            count(&f::APPROVALS_WAITING, counts.approvals),
            count(&f::WORK_PARKED, counts.parked),
            count(&f::WORK_WITHOUT_WAKE_UP, counts.without_wake_up),
            count(&f::OUTBOX_ENTRIES, counts.outbox),
        ];
        let moment =
            |family, at: Option<Timestamp>| at.map(|at| Reading::new(family, at.as_micros() as f64 / 1e6));
        readings.extend(moment(&f::OUTBOX_OLDEST, counts.outbox_oldest));
        readings.extend(moment(&f::WORK_WAITING_OLDEST, self.dispatch.waiting_since()));
        readings.extend(moment(&f::WORK_EXECUTING_OLDEST, counts.load.executing_since));
        readings
    }

    fn executors(&self) -> Vec<Reading> {
        let (in_hand, loads) = self.dispatch.in_hand();
        let mut readings = vec![Reading::new(&f::WORK_IN_HAND, in_hand as f64)];
        for load in loads {
            let labels = [load.executor];
            readings.push(Reading::of(&f::EXECUTOR_IN_HAND, &labels, load.in_hand as f64));
            readings.push(Reading::of(&f::EXECUTOR_ROOM, &labels, load.room as f64));
            readings.push(Reading::of(&f::EXECUTOR_WAITING, &labels, load.waiting as f64));
        }
        for (executor, members) in self.dispatch.members() {
            for member in members {
                let labels = [executor, member.name.as_deref().unwrap_or_default()];
                let open = if member.breaker == "closed" { 0.0 } else { 1.0 };
                readings.push(Reading::of(&f::EXECUTOR_SLOTS, &labels, member.slots as f64));
                readings.push(Reading::of(&f::EXECUTOR_IN_FLIGHT, &labels, member.in_flight as f64));
                readings.push(Reading::of(&f::EXECUTOR_BREAKER_OPEN, &labels, open));
                readings.push(Reading::of(&f::EXECUTOR_LEFT_ALONE, &labels, member.outages as f64));
            }
        }
        readings
    }

    fn journal_threads(&self) -> [Reading; 4] {
        let FiguresNow { groups, operations, checkpoints, checkpoint_seconds } = self.figures.now();
        [
            Reading::new(&f::COMMIT_GROUPS, groups as f64),
            Reading::new(&f::COMMIT_GROUPED, operations as f64),
            Reading::new(&f::CHECKPOINTS, checkpoints as f64),
            Reading::new(&f::CHECKPOINT_SECONDS, checkpoint_seconds),
        ]
    }

    fn deliveries(&self) -> Vec<Reading> {
        let of = |(recipient, accepted, refused): (&str, u64, u64)| {
            [("accepted", accepted), ("refused", refused)]
                .map(|(result, calls)| Reading::of(&f::OUTBOX_DELIVERIES, &[recipient, result], calls as f64))
        };
        self.outbox.iter().flat_map(|outbox| outbox.deliveries()).flat_map(of).collect()
    }

    fn outages(&self) -> Vec<Reading> {
        let of = |(service, watch): (&str, &Arc<ServiceWatch>)| {
            Reading::of(&f::SERVICE_OUTAGES, &[service], watch.outages() as f64)
        };
        self.watches.all().map(of).collect()
    }

    fn journal_files(&self) -> Vec<Reading> {
        let JournalPlace::File(path) = &self.journal else { return Vec::new() };
        let mut log = path.clone().into_os_string();
        log.push("-wal");
        [("database", path.clone()), ("write_ahead_log", log.into())]
            .into_iter()
            .filter_map(|(file, path)| {
                let bytes = std::fs::metadata(path).ok()?.len();
                Some(Reading::of(&f::JOURNAL_BYTES, &[file], bytes as f64))
            })
            .collect()
    }
}
