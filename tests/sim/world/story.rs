//! The story of a simulation, which is the same for the same seed, and the ids that are
//! drawn from the seed.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::{Arc, Mutex},
};

use jarvis_run_coordinator::types::IdSource;
use scripted_executor::Chance;
use slog::{Drain, Level, Logger, o};

use super::lock;
use crate::clock::SimClock;

/// Ids that are drawn from the seed.
pub struct SimIds(Mutex<Chance>);

impl SimIds {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(Chance::new(seed)))
    }
}

impl IdSource for SimIds {
    fn fresh(&self) -> String {
        let mut chance = lock(&self.0);
        format!("{:016x}{:016x}", chance.draw(), chance.draw())
    }
}

/// What happened, in order, and the counts of each kind.
#[derive(Default)]
pub struct Story {
    pub lines: Mutex<Vec<String>>,
    pub counts: Mutex<BTreeMap<&'static str, u64>>,
    /// The violated rules, and where.
    pub violations: Mutex<Vec<(String, String)>>,
}

impl Story {
    pub fn trace(&self, clock: &SimClock, what: impl Display) {
        lock(&self.lines).push(format!("{:>11.6}  {what}", clock.elapsed().as_secs_f64()));
    }

    pub fn is_violated(&self) -> bool {
        !lock(&self.violations).is_empty()
    }

    /// A logger that writes warnings into the story.
    pub fn logger(self: &Arc<Self>, clock: &Arc<SimClock>, who: &'static str) -> Logger {
        Logger::root(StoryDrain { story: Arc::clone(self), clock: Arc::clone(clock), who }.fuse(), o!())
    }
}

struct StoryDrain {
    story: Arc<Story>,
    clock: Arc<SimClock>,
    who: &'static str,
}

impl Drain for StoryDrain {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &slog::Record<'_>, _: &slog::OwnedKVList) -> Result<(), slog::Never> {
        if record.level().is_at_least(Level::Warning) {
            self.story.trace(&self.clock, format!("{} says: {}", self.who, record.msg()));
        }
        if record.msg().to_string().contains("panicked") {
            let what = format!("{}: {}", self.who, record.msg());
            lock(&self.story.violations).push(("no task panics".into(), what));
        }
        Ok(())
    }
}
