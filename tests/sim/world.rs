//! The state that the simulation shares: the clock, the journal, the running process,
//! the faults, the story of what happened, and the rules.

mod faults;
mod rules;
mod story;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use jarvis_run_coordinator::{
    coordinator::CoordinatorError, journal::sqlite::memory::MemoryJournal, record::Job,
    runtime::tasks::TaskSet, time::Clock, types::NodeRunId,
};
use scripted_executor::Chance;

pub use self::faults::Fate;
use self::{
    faults::{Counters, Troubles},
    story::{SimIds, Story},
};
use crate::{
    called::Called,
    clock::SimClock,
    executors::Ledger,
    life::Life,
    process::Process,
    scenario::{Sabotage, Scenario},
    stores::Stored,
    watch::Watch,
};

/// The shared state of one simulation.
pub struct World {
    pub scenario: Scenario,
    pub clock: Arc<SimClock>,
    pub journal: MemoryJournal,
    /// The tasks outside the process: callers, executors, and the one that starts it.
    pub tasks: TaskSet,
    pub ids: Arc<SimIds>,
    pub story: Arc<Story>,
    up: Mutex<Vec<Arc<Process>>>,
    watch: Mutex<Watch>,
    ledger: Mutex<Ledger>,
    chance: Mutex<Chance>,
    counters: Mutex<Counters>,
    troubles: Mutex<Troubles>,
    /// The due work that no worker has taken up, and since when.
    waiting: Mutex<BTreeMap<(NodeRunId, Job), Duration>>,
    /// The claims of workers that are not up, and since when.
    orphans: Mutex<BTreeMap<(NodeRunId, Job), Duration>>,
    /// What the JARVIS stores have.
    pub stored: Mutex<Stored>,
    /// The nodes of calls that a process sent when it was thawed, although others had
    /// taken over.
    sent_late: Mutex<BTreeSet<NodeRunId>>,
    /// The attempts that were called.
    pub called: Called,
}

/// Why a call to the coordinator failed.
#[derive(Debug)]
pub enum CallFailure {
    /// No process is running.
    Unreachable,
    /// The connection broke, and the outcome is unknown.
    Lost,
    Refused(CoordinatorError),
}

impl CallFailure {
    /// Whether the same call may succeed later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable | Self::Lost => true,
            Self::Refused(error) => error.facts().retryable == Some(true),
        }
    }
}

impl World {
    pub fn new(scenario: Scenario) -> Arc<Self> {
        let (clock, story) = (Arc::new(SimClock::default()), Arc::new(Story::default()));
        let log = story.logger(&clock, "world");
        Arc::new(Self {
            chance: Mutex::new(Chance::new(scenario.seed ^ 0x7a61_6c67_6f21)),
            ids: Arc::new(SimIds::new(scenario.seed)),
            scenario,
            clock,
            journal: MemoryJournal::new().expect("memory"),
            tasks: TaskSet::new(log),
            story,
            up: Mutex::default(),
            watch: Mutex::default(),
            ledger: Mutex::default(),
            counters: Mutex::default(),
            troubles: Mutex::default(),
            waiting: Mutex::default(),
            orphans: Mutex::default(),
            stored: Mutex::default(),
            sent_late: Mutex::default(),
            called: Called::default(),
        })
    }

    // ---- the story ----

    pub fn trace(&self, what: impl Display) {
        self.story.trace(&self.clock, what);
    }

    /// Counts an occurrence of a kind that the simulation must produce.
    pub fn count(&self, kind: &'static str) {
        *lock(&self.story.counts).entry(kind).or_default() += 1;
    }

    /// Records the violation of a rule, which ends the simulation.
    pub fn violated(&self, rule: &str, what: impl Display) {
        self.trace(format!("VIOLATED {rule}: {what}"));
        lock(&self.story.violations).push((rule.to_owned(), what.to_string()));
    }

    // ---- the process ----

    /// One of the processes that are up.
    pub fn process(&self) -> Option<Arc<Process>> {
        let up = lock(&self.up);
        match up.len() {
            0 => None,
            1 => up.first().cloned(),
            // Some callers hop from process to process, others stay for a while.
            many if self.scenario.seed.is_multiple_of(3) => {
                up.get((self.clock.elapsed().as_secs() / 12) as usize % many).cloned()
            }
            many => up.get(lock(&self.chance).below(many as u64) as usize).cloned(),
        }
    }

    /// All processes that are up.
    pub fn processes(&self) -> Vec<Arc<Process>> {
        lock(&self.up).clone()
    }

    pub fn is_up(&self, process: Arc<Process>) {
        lock(&self.up).push(process);
    }

    /// The process with this life is not up any more.
    pub fn gone(&self, life: &Arc<Life>) {
        lock(&self.up).retain(|process| !Arc::ptr_eq(&process.life, life));
    }

    /// Whether composites whose executors are silent are begun again.
    pub fn watches_silence(&self) -> bool {
        !self.is_sabotaged(Sabotage::IgnoresSilence)
    }

    /// Calls the coordinator, as a caller on the network does.
    pub async fn call<T>(
        &self,
        work: impl FnOnce(Arc<Process>) -> BoxFuture<'static, Result<T, CoordinatorError>> + Send,
    ) -> Result<T, CallFailure> {
        let Some(process) = self.process() else { return Err(CallFailure::Unreachable) };
        let nth = faults::bump(&mut lock(&self.counters).calls);
        let died = process.life.died();
        let answer = tokio::select! {
            biased;
            () = died => return Err(CallFailure::Lost),
            answer = work(Arc::clone(&process)) => answer,
        };
        if self.scenario.answers_lost.contains(&nth) && !self.is_calm() {
            self.trace("the answer is lost");
            self.count("answer to a caller lost");
            return Err(CallFailure::Lost);
        }
        answer.map_err(CallFailure::Refused)
    }

    /// Repeats [`World::call`] until the answer is final.
    pub async fn call_until<T>(
        &self,
        mut work: impl FnMut(Arc<Process>) -> BoxFuture<'static, Result<T, CoordinatorError>> + Send,
    ) -> Result<T, CallFailure> {
        let (mut tries, mut in_vain) = (0, 0);
        loop {
            match self.call(&mut work).await {
                Err(failure) if failure.is_passing() => {
                    tries += 1;
                    in_vain += u32::from(self.is_calm());
                    if in_vain > 12 {
                        self.violated("callers get an answer", format!("{failure:?}"));
                    }
                    self.clock.sleep(Duration::from_millis(150 * tries.min(14))).await;
                }
                answer => return answer,
            }
        }
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
