//! Injects faults among replicas and into their database, drawn by chance. Frozen
//! replicas, and those that are cut off, stay so while others are struck; faults of the database come one after
//! the other.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use scripted_executor::Chance;

use super::{database::Database, fleet::Fleet};
use crate::{executors::Executors, node_types::Kind, signal::Signals};

#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill,
    Terminate,
    Freeze,
    /// Longer than it takes to be declared dead, and nothing else happens meanwhile.
    FreezeForDead,
    CutOff,
    CrashDatabase,
    FreezeDatabase,
    Disconnect,
    KillBackends,
    RestartExecutor,
}

const FAULTS: [(u64, Fault); 10] = [
    (22, Fault::Kill),
    (14, Fault::Terminate),
    (18, Fault::Freeze),
    (6, Fault::FreezeForDead),
    (10, Fault::CutOff),
    (9, Fault::CrashDatabase),
    (9, Fault::FreezeDatabase),
    (8, Fault::Disconnect),
    (6, Fault::KillBackends),
    (12, Fault::RestartExecutor),
];

/// How long the database may take to serve again.
const REPAIR: Duration = Duration::from_secs(60);
/// Longer than it takes to declare a replica dead.
const DEAD: Duration = Duration::from_secs(15);

pub(super) struct Nemesis {
    pub(super) chance: Chance,
    pub(super) signals: Arc<Signals>,
    pub(super) executors: Arc<Executors>,
    /// From when to when the database did not serve.
    pub(super) disturbed: Vec<[Instant; 2]>,
}

impl Nemesis {
    /// Injects faults for this time. Afterwards the database serves, and no replica is
    /// frozen.
    pub(super) fn rage(&mut self, fleet: &mut Fleet, database: &mut Database, time: Duration) -> Result<()> {
        let begin = Instant::now();
        loop {
            let pause = self.chance.millis(200, 3_500).min(time.saturating_sub(begin.elapsed()));
            fleet.pass(pause)?;
            if self.signals.over.is_raised() || begin.elapsed() >= time {
                break;
            }
            let fault = self.chance.pick_weighted(&FAULTS);
            self.strike(fleet, database, fault)
                .with_context(|| format!("{fault:?} at {:?}", begin.elapsed()))?;
        }
        fleet.free_all()
    }

    fn strike(&mut self, fleet: &mut Fleet, database: &mut Database, fault: Fault) -> Result<()> {
        match fault {
            Fault::Kill => {
                if let Some(number) = fleet.one_thawed(&mut self.chance) {
                    fleet.kill(number, self.chance.millis(0, 2_000));
                }
            }
            Fault::Terminate => {
                if let Some(number) = fleet.one_up(&mut self.chance) {
                    fleet.terminate(number)?;
                }
            }
            Fault::Freeze => {
                // Short of the time after which it is dead, about that, or long.
                let [least, most] = self.chance.pick_weighted(&[
                    (3, [3_000, 7_000]),
                    (3, [7_000, 14_000]),
                    (1, [20_000, 40_000]),
                ]);
                let time = self.chance.millis(least, most);
                if let Some(number) = fleet.one_to_spare(&mut self.chance) {
                    fleet.freeze(number, time)?;
                }
            }
            Fault::FreezeForDead => {
                if let Some(number) = fleet.one_to_spare(&mut self.chance) {
                    fleet.freeze(number, self.chance.millis(16_000, 30_000))?;
                    fleet.pass(DEAD)?;
                }
            }
            Fault::CutOff => {
                // Short of what is noticed, of the time after which it is dead, or longer.
                let [least, most] = self.chance.pick_weighted(&[
                    (2, [500, 5_000]),
                    (2, [5_000, 9_000]),
                    (2, [9_000, 25_000]),
                ]);
                let time = self.chance.millis(least, most);
                if let Some(number) = fleet.one_to_spare(&mut self.chance) {
                    fleet.cut_off(number, time);
                }
            }
            Fault::CrashDatabase => {
                fleet.counts.database_crashes += 1;
                let away = self.chance.millis(0, 4_000);
                self.disturb(fleet, database, away, Database::crash, Database::start_again)?;
            }
            Fault::FreezeDatabase => {
                fleet.counts.database_freezes += 1;
                let [least, most] = self.chance.pick_weighted(&[(3, [2_000, 7_000]), (1, [7_000, 20_000])]);
                let time = self.chance.millis(least, most);
                self.disturb(fleet, database, time, |it| it.freeze(), |it| it.thaw())?;
            }
            Fault::Disconnect => {
                fleet.counts.disconnects += 1;
                self.disturb(fleet, database, Duration::ZERO, |it| it.disconnect_all(), |_| Ok(()))?;
            }
            Fault::KillBackends => {
                fleet.counts.backend_kills += 1;
                self.disturb(fleet, database, Duration::ZERO, |it| it.kill_backends(), |_| Ok(()))?;
            }
            Fault::RestartExecutor => {
                fleet.counts.executor_restarts += 1;
                let kind = self.chance.pick_weighted(&[(1, Kind::Atomic), (1, Kind::Composite)]);
                let gone = self.chance.millis(20, 1_500);
                self.executors.restart(kind, gone, &self.signals)?;
            }
        }
        Ok(())
    }

    /// Takes the database away for this time.
    pub(super) fn disturb(
        &mut self,
        fleet: &mut Fleet,
        database: &mut Database,
        time: Duration,
        away: impl FnOnce(&mut Database) -> Result<()>,
        back: impl FnOnce(&mut Database) -> Result<()>,
    ) -> Result<()> {
        let begin = Instant::now();
        away(database)?;
        fleet.pass(time)?;
        back(database)?;
        // After a crash it repairs itself first.
        ensure!(fleet.until(REPAIR, |_| database.serves())?, "no database after {REPAIR:?}");
        self.disturbed.push([begin, Instant::now()]);
        Ok(())
    }
}
