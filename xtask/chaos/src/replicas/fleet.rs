//! All replicas, and their supervisor: a process that has ended is started again, as
//! Kubernetes or systemd would.
//!
//! ```text
//!   down ──▶ starting ──▶ up ──freeze──▶ frozen ──thaw──▶ up
//!    ▲          │          ├────cut off──▶ cut off ──mend──▶ up
//!    │          │          ├─ kill, terminate ──┐
//!    └──────────┴──────────┴─ declared dead ────┴─▶ (again after a moment)
//! ```
//!
//! A process may end by itself only if others have declared it dead, or if it could not
//! open the journal at its start.

use std::{
    process::ExitStatus,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use scripted_executor::Chance;

use super::{report::Counts, wire::Wire};
use crate::{
    coordinator::{Coordinator, End},
    signal::Signals,
};

/// How often the processes are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// The exit code of a coordinator that cannot open its journal.
const NO_JOURNAL: i32 = 3;
/// How long a start may take while the database serves.
const START: Duration = Duration::from_secs(60);
/// How long a process may take to end after SIGTERM, with a database that is away.
const DRAIN: Duration = Duration::from_secs(75);

#[derive(Clone, Copy, Debug)]
enum State {
    Down {
        again: Instant,
    },
    Starting {
        since: Instant,
    },
    Up,
    Frozen {
        until: Instant,
    },
    /// It does not reach the database.
    CutOff {
        until: Instant,
    },
    Ending {
        since: Instant,
    },
}

struct Replica {
    coordinator: Coordinator,
    wire: Wire,
    state: State,
}

pub(super) struct Fleet {
    replicas: Vec<Replica>,
    signals: Arc<Signals>,
    pub(super) counts: Counts,
}

impl Fleet {
    /// Of replicas that are not running: they start with the first look.
    pub(super) fn new(coordinators: Vec<Coordinator>, wires: Vec<Wire>, signals: Arc<Signals>) -> Self {
        let state = State::Down { again: Instant::now() };
        let replicas = coordinators.into_iter().zip(wires);
        let replicas = replicas.map(|(coordinator, wire)| Replica { coordinator, wire, state }).collect();
        Self { replicas, signals, counts: Counts::default() }
    }

    pub(super) fn coordinators(self) -> Vec<Coordinator> {
        self.replicas.into_iter().map(|replica| replica.coordinator).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.replicas.len()
    }

    /// Lets time pass, and looks after the processes meanwhile.
    pub(super) fn pass(&mut self, time: Duration) -> Result<()> {
        let begin = Instant::now();
        self.until(time, |_| begin.elapsed() >= time).map(drop)
    }

    /// The same until the condition holds, for at most this time. Returns whether it does.
    pub(super) fn until(&mut self, most: Duration, mut so: impl FnMut(&Self) -> bool) -> Result<bool> {
        let begin = Instant::now();
        loop {
            self.look()?;
            if so(self) {
                return Ok(true);
            }
            if begin.elapsed() >= most || self.signals.over.raised_within(LOOK) {
                return Ok(false);
            }
        }
    }

    pub(super) fn all_up(&self) -> bool {
        self.replicas.iter().all(|replica| matches!(replica.state, State::Up))
    }

    /// One of the replicas that are up, if there is one.
    pub(super) fn one_up(&self, chance: &mut Chance) -> Option<usize> {
        self.one(chance, |state| matches!(state, State::Up))
    }

    /// One of those that are up, if another one stays within reach of the database.
    pub(super) fn one_to_spare(&self, chance: &mut Chance) -> Option<usize> {
        self.one_up(chance).filter(|_| self.away() + 1 < self.len())
    }

    /// One of those that are not frozen, in whatever state.
    pub(super) fn one_thawed(&self, chance: &mut Chance) -> Option<usize> {
        self.one(chance, |state| !matches!(state, State::Frozen { .. }))
    }

    fn one(&self, chance: &mut Chance, so: impl Fn(State) -> bool) -> Option<usize> {
        let fit: Vec<usize> =
            (0..self.replicas.len()).filter(|number| so(self.replicas[*number].state)).collect();
        (!fit.is_empty()).then(|| *chance.pick(&fit))
    }

    /// How many are frozen or cut off.
    fn away(&self) -> usize {
        let is_away = |state| matches!(state, State::Frozen { .. } | State::CutOff { .. });
        self.replicas.iter().filter(|replica| is_away(replica.state)).count()
    }

    /// Kills one, whatever it does. It starts again after a moment.
    pub(super) fn kill(&mut self, number: usize, away: Duration) {
        self.counts.kills += 1;
        let replica = &mut self.replicas[number];
        replica.wire.mend();
        replica.coordinator.kill();
        replica.state = State::Down { again: Instant::now() + away };
    }

    /// Asks one that is up to end. It starts again when it has.
    pub(super) fn terminate(&mut self, number: usize) -> Result<()> {
        self.counts.drains += 1;
        let replica = &mut self.replicas[number];
        replica.state = State::Ending { since: Instant::now() };
        replica.coordinator.signal_end()
    }

    /// Stops one that is up where it is, for this time.
    pub(super) fn freeze(&mut self, number: usize, time: Duration) -> Result<()> {
        self.counts.freezes += 1;
        let replica = &mut self.replicas[number];
        replica.coordinator.freeze()?;
        replica.state = State::Frozen { until: Instant::now() + time };
        Ok(())
    }

    /// Cuts one that is up off from the database, for this time.
    pub(super) fn cut_off(&mut self, number: usize, time: Duration) {
        self.counts.cut_offs += 1;
        let replica = &mut self.replicas[number];
        replica.wire.cut();
        replica.coordinator.was_cut_off();
        replica.state = State::CutOff { until: Instant::now() + time };
    }

    /// Thaws all that are frozen, and connects those that are cut off.
    pub(super) fn free_all(&mut self) -> Result<()> {
        self.replicas.iter_mut().try_for_each(Replica::free)
    }

    fn look(&mut self) -> Result<()> {
        let now = Instant::now();
        for Replica { coordinator, wire, state } in &mut self.replicas {
            match *state {
                State::Down { again } if again <= now => {
                    coordinator.start()?;
                    *state = State::Starting { since: now };
                }
                State::Frozen { until } if until <= now => {
                    coordinator.thaw()?;
                    *state = State::Up;
                }
                State::CutOff { until } if until <= now => {
                    wire.mend();
                    *state = State::Up;
                }
                State::Down { .. } | State::Frozen { .. } | State::CutOff { .. } => {}
                State::Starting { since } => {
                    let ended = coordinator.take_end(false)?;
                    if let Some((end, status)) = ended {
                        *state = ended_by_itself(&mut self.counts, end, status)?;
                    } else if coordinator.is_up() {
                        *state = State::Up;
                    } else {
                        ensure!(since.elapsed() < START, "a replica does not listen after {START:?}");
                    }
                }
                State::Up => {
                    if let Some((end, status)) = coordinator.take_end(false)? {
                        *state = ended_by_itself(&mut self.counts, end, status)?;
                    }
                }
                State::Ending { since } => match coordinator.take_end(true)? {
                    Some((End::DeclaredDead, _)) => {
                        self.counts.declared_dead += 1;
                        *state = State::Down { again: now };
                    }
                    Some((End::Asked | End::ByItself | End::Killed, status)) => {
                        ensure!(status.success(), "after SIGTERM a replica ended with {status}");
                        self.counts.longest_drain = self.counts.longest_drain.max(since.elapsed());
                        *state = State::Down { again: now };
                    }
                    None => ensure!(since.elapsed() < DRAIN, "a replica does not end after SIGTERM"),
                },
            }
        }
        Ok(())
    }

    /// Asks all to end, and waits for that.
    pub(super) fn end(&mut self) -> Result<()> {
        for Replica { coordinator, .. } in &mut self.replicas {
            coordinator.signal_end()?;
        }
        self.replicas.iter_mut().try_for_each(|replica| replica.coordinator.wait_end())
    }
}

impl Replica {
    fn free(&mut self) -> Result<()> {
        match self.state {
            State::Frozen { .. } => self.coordinator.thaw()?,
            State::CutOff { .. } => self.wire.mend(),
            State::Down { .. } | State::Starting { .. } | State::Up | State::Ending { .. } => return Ok(()),
        }
        self.state = State::Up;
        Ok(())
    }
}

/// What comes after a process that was not asked to end.
fn ended_by_itself(counts: &mut Counts, end: End, status: ExitStatus) -> Result<State> {
    let soon = State::Down { again: Instant::now() + Duration::from_millis(300) };
    match end {
        End::DeclaredDead => counts.declared_dead += 1,
        End::ByItself if status.code() == Some(NO_JOURNAL) => counts.starts_without_journal += 1,
        End::ByItself | End::Asked | End::Killed => bail!("a replica ended by itself: {status}"),
    }
    Ok(soon)
}
