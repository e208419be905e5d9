//! Injects faults, one after the other, drawn by chance. While the disk is full,
//! other faults are injected as well.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde::Serialize;

use scripted_executor::Chance;

use super::{coordinator::Coordinator, node_types::Kind, signal::Signals};

/// The exit code of a coordinator that cannot open its journal.
const NO_JOURNAL: i32 = 3;
/// The smallest limit to the size of the journal.
const LEAST_JOURNAL: u64 = 256 << 10;

#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill,
    /// SIGKILL several times, during the start.
    KillStarting,
    Stop,
    Drain,
    /// SIGKILL during the drain.
    KillDraining,
    RestartExecutor,
    DiskFull,
}

const FAULTS: [(u64, Fault); 7] = [
    (26, Fault::Kill),
    (10, Fault::KillStarting),
    (16, Fault::Stop),
    (10, Fault::Drain),
    (6, Fault::KillDraining),
    (18, Fault::RestartExecutor),
    (14, Fault::DiskFull),
];

/// The number of faults of each kind.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Counts {
    pub(super) kills: u64,
    pub(super) stops: u64,
    pub(super) drains: u64,
    pub(super) executor_restarts: u64,
    pub(super) disk_full: u64,
    /// Those of them that were a limit to the journal's size.
    pub(super) journal_limits: u64,
    /// Starts that failed because the disk was full.
    pub(super) starts_without_room: u64,
}

pub(super) struct Nemesis {
    chance: Chance,
    signals: Arc<Signals>,
    pub(super) counts: Counts,
    /// Until when the disk is full.
    full_until: Option<Instant>,
}

impl Nemesis {
    pub(super) fn new(seed: u64, signals: Arc<Signals>) -> Self {
        Self {
            chance: Chance::of_party(seed, "nemesis"),
            signals,
            counts: Counts::default(),
            full_until: None,
        }
    }

    /// Injects faults for this time. Afterwards the coordinator is up and has
    /// room on its disk.
    pub(super) fn rage(&mut self, coordinator: &mut Coordinator, time: Duration) -> Result<()> {
        let begin = Instant::now();
        loop {
            let pause = self.chance.millis(50, 1_300).min(time.saturating_sub(begin.elapsed()));
            if self.signals.over.raised_within(pause) || begin.elapsed() >= time {
                break;
            }
            coordinator.check()?;
            if self.full_until.is_some_and(|until| until <= Instant::now()) {
                self.make_room(coordinator)?;
            }
            let fault = self.chance.pick_weighted(&FAULTS);
            self.strike(coordinator, fault).with_context(|| format!("{fault:?} at {:?}", begin.elapsed()))?;
        }
        self.make_room(coordinator)
    }

    fn strike(&mut self, coordinator: &mut Coordinator, fault: Fault) -> Result<()> {
        match fault {
            Fault::Kill => {
                self.kill(coordinator);
                self.start(coordinator)
            }
            Fault::KillStarting => {
                for _ in 0..2 + self.chance.below(3) {
                    self.kill(coordinator);
                    coordinator.start()?;
                    let lives_for = self.chance.millis(0, 300);
                    self.signals.over.raised_within(lives_for);
                }
                self.kill(coordinator);
                self.start(coordinator)
            }
            Fault::Stop => {
                self.counts.stops += 1;
                // Mostly short, sometimes as long as the time limit of a node.
                let most = self.chance.pick_weighted(&[(3, 800), (1, 5_000)]);
                let time = self.chance.millis(100, most);
                coordinator.stop(time, &self.signals)
            }
            Fault::Drain => {
                self.counts.drains += 1;
                coordinator.signal_end()?;
                coordinator.wait_end()?;
                self.start(coordinator)
            }
            Fault::KillDraining => {
                self.counts.drains += 1;
                coordinator.signal_end()?;
                let lives_for = self.chance.millis(0, 1_000);
                self.signals.over.raised_within(lives_for);
                self.kill(coordinator);
                self.start(coordinator)
            }
            Fault::RestartExecutor => {
                self.counts.executor_restarts += 1;
                let kind = self.chance.pick_weighted(&[(1, Kind::Atomic), (1, Kind::Composite)]);
                let gone = self.chance.millis(20, 1_500);
                coordinator.place().executors.restart(kind, gone, &self.signals)
            }
            Fault::DiskFull => self.take_room(coordinator),
        }
    }

    fn kill(&mut self, coordinator: &mut Coordinator) {
        self.counts.kills += 1;
        coordinator.kill();
    }

    /// Starts the coordinator and waits until it is up. Without room for its
    /// journal it may end with the exit code for that.
    fn start(&mut self, coordinator: &mut Coordinator) -> Result<()> {
        coordinator.start()?;
        match coordinator.wait_up() {
            Err(_) if self.full_until.is_some() && coordinator.has_exited(NO_JOURNAL) => {
                self.counts.starts_without_room += 1;
                self.make_room(coordinator)?;
                coordinator.start()?;
                coordinator.wait_up()
            }
            up => up,
        }
    }

    fn take_room(&mut self, coordinator: &mut Coordinator) -> Result<()> {
        if self.full_until.is_some() {
            return Ok(());
        }
        self.counts.disk_full += 1;
        let disk = Arc::clone(&coordinator.place().disk);
        if disk.is_own() {
            disk.fill()?;
        } else {
            self.counts.journal_limits += 1;
            // The present size, and not a page more.
            coordinator.max_bytes = Some(disk.journal_bytes().max(LEAST_JOURNAL));
            self.kill(coordinator);
        }
        self.full_until = Some(Instant::now() + self.chance.millis(300, 3_000));
        if disk.is_own() { Ok(()) } else { self.start(coordinator) }
    }

    fn make_room(&mut self, coordinator: &mut Coordinator) -> Result<()> {
        if self.full_until.take().is_none() {
            return Ok(());
        }
        let disk = Arc::clone(&coordinator.place().disk);
        if disk.is_own() {
            return disk.free();
        }
        coordinator.max_bytes = None;
        self.kill(coordinator);
        self.start(coordinator)
    }
}
