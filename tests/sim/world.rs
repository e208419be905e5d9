//! What everybody in the simulation shares: time, the journal, whichever process
//! is up, what was seen and said, and what must be true.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use jarvis_run_coordinator::{
    coordinator::{CoordinatorError, Lane},
    journal::{
        JournalError,
        sqlite::memory::{MemoryJournal, Snapshot},
    },
    record::{AttemptOutcome, AttemptRecord, Job, NodeRecord},
    runtime::tasks::TaskSet,
    time::Clock,
    types::{IdSource, NodeRunId, RunId},
};
use scripted_executor::Chance;
use slog::{Drain, Level, Logger, o};

use crate::{
    clock::SimClock,
    executors::Ledger,
    process::Process,
    scenario::{CALM_AT, QuestionFault, Sabotage, Scenario, WriteFault},
    watch::{Promise, Watch},
};

/// What is due is begun within this, if nothing is in the way.
const SOON: Duration = Duration::from_secs(10);

pub struct World {
    pub scenario: Scenario,
    pub clock: Arc<SimClock>,
    pub journal: MemoryJournal,
    /// Of everybody but the process: callers, executors, whoever starts it.
    pub tasks: TaskSet,
    pub ids: Arc<SimIds>,
    pub story: Arc<Story>,
    up: Mutex<Option<Arc<Process>>>,
    watch: Mutex<Watch>,
    ledger: Mutex<Ledger>,
    chance: Mutex<Chance>,
    counters: Mutex<Counters>,
    troubles: Mutex<Troubles>,
    /// What is due and not in hand, and since when.
    waiting: Mutex<BTreeMap<(NodeRunId, Job), Duration>>,
}

/// What is wrong for a while.
#[derive(Default)]
struct Troubles {
    journal_down_until: Duration,
    journal_full_until: Option<Duration>,
    executors_down_until: Duration,
    pdp_down_until: Duration,
    /// Whose records could not be read, for a while or until now.
    damaged: BTreeSet<NodeRunId>,
}

/// How often something that faults are counted by has happened.
#[derive(Default)]
struct Counters {
    writes: u32,
    reads: u32,
    calls: u32,
    questions: u32,
}

/// Why a call to the coordinator has no answer that can be used.
#[derive(Debug)]
pub enum CallFailure {
    /// Nobody is there.
    Unreachable,
    /// The connection broke. Whether it was done, who knows.
    Lost,
    Refused(CoordinatorError),
}

impl CallFailure {
    /// The same call may succeed later.
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
            ids: Arc::new(SimIds(Mutex::new(Chance::new(scenario.seed)))),
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
        })
    }

    // ---- what is told ----

    pub fn tell(&self, what: impl Display) {
        self.story.tell(&self.clock, what);
    }

    /// Something of a kind happened that the simulation is there to make happen.
    pub fn count(&self, kind: &'static str) {
        *lock(&self.story.counts).entry(kind).or_default() += 1;
    }

    /// A rule is broken: the simulation ends with this.
    pub fn violated(&self, rule: &str, what: impl Display) {
        self.tell(format!("VIOLATED {rule}: {what}"));
        lock(&self.story.violations).push((rule.to_owned(), what.to_string()));
    }

    // ---- faults ----

    /// Nothing goes wrong any more.
    pub fn is_calm(&self) -> bool {
        self.clock.elapsed() >= CALM_AT
    }

    pub fn write_fault(&self) -> Option<WriteFault> {
        let nth = bump(&mut lock(&self.counters).writes);
        let planned = self.scenario.writes.iter().find(|(at, _)| *at == nth);
        planned.map(|(_, fault)| *fault).filter(|_| !self.is_calm())
    }

    pub fn read_fails(&self) -> bool {
        let nth = bump(&mut lock(&self.counters).reads);
        self.scenario.reads.contains(&nth) && !self.is_calm()
    }

    /// No write comes through for so long.
    pub fn journal_down(&self, time: Duration) {
        lock(&self.troubles).journal_down_until = self.clock.elapsed() + time;
    }

    pub fn is_journal_down(&self) -> bool {
        self.clock.elapsed() < lock(&self.troubles).journal_down_until && !self.is_calm()
    }

    /// The journal cannot grow for so long.
    pub fn journal_full(&self, time: Duration) {
        self.journal.fill(true).expect("memory does not fail");
        lock(&self.troubles).journal_full_until = Some(self.clock.elapsed() + time);
    }

    /// No call of an executor comes through for so long.
    pub fn executors_down(&self, time: Duration) {
        lock(&self.troubles).executors_down_until = self.clock.elapsed() + time;
    }

    pub fn are_executors_down(&self) -> bool {
        self.clock.elapsed() < lock(&self.troubles).executors_down_until && !self.is_calm()
    }

    /// No question of the PDP is answered for so long.
    pub fn pdp_down(&self, time: Duration) {
        lock(&self.troubles).pdp_down_until = self.clock.elapsed() + time;
    }

    pub fn is_pdp_down(&self) -> bool {
        self.clock.elapsed() < lock(&self.troubles).pdp_down_until && !self.is_calm()
    }

    /// The record of this node cannot be read from now on.
    pub fn damage(&self, node: &NodeRunId) {
        self.journal.damage(node).expect("memory does not fail");
        lock(&self.troubles).damaged.insert(node.clone());
    }

    /// Ends what lasts until its time, or until it is calm.
    pub fn mend(&self) {
        let over = |until: &mut Duration| *until <= self.clock.elapsed() || self.is_calm();
        if lock(&self.troubles).journal_full_until.take_if(over).is_some() {
            self.journal.fill(false).expect("memory does not fail");
        }
        if self.is_calm() {
            self.journal.repair().expect("memory does not fail");
        }
    }

    /// Its record could not be read, for a while or until now.
    pub fn was_damaged(&self, node: &NodeRunId) -> bool {
        lock(&self.troubles).damaged.contains(node)
    }

    pub fn question_fault(&self) -> Option<QuestionFault> {
        let nth = bump(&mut lock(&self.counters).questions);
        let planned = self.scenario.questions.iter().find(|(at, _)| *at == nth);
        planned.map(|(_, fault)| *fault).filter(|_| !self.is_calm())
    }

    pub fn is_sabotaged(&self, sabotage: Sabotage) -> bool {
        self.scenario.sabotage == Some(sabotage)
    }

    pub fn one_in(&self, many: u64) -> bool {
        lock(&self.chance).one_in(many)
    }

    /// Waits as long as a journal may take for a piece of work, so that others
    /// get in between.
    pub async fn lag(&self) {
        if !self.scenario.laggy {
            return;
        }
        let (yields, sleep) = {
            let mut chance = lock(&self.chance);
            match chance.below(6) {
                0 => (1 + chance.below(6), None),
                1 | 2 => (0, Some(Duration::from_micros(100 + chance.below(60_000)))),
                _ => (0, None),
            }
        };
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
        if let Some(time) = sleep {
            self.clock.sleep(time).await;
        }
    }

    // ---- the process ----

    pub fn process(&self) -> Option<Arc<Process>> {
        lock(&self.up).clone()
    }

    pub fn set_process(&self, process: Option<Arc<Process>>) {
        *lock(&self.up) = process;
    }

    /// Calls the coordinator, as somebody on the network does.
    pub async fn call<T>(
        &self,
        work: impl FnOnce(Arc<Process>) -> BoxFuture<'static, Result<T, CoordinatorError>> + Send,
    ) -> Result<T, CallFailure> {
        let Some(process) = self.process() else { return Err(CallFailure::Unreachable) };
        let nth = bump(&mut lock(&self.counters).calls);
        let died = process.life.died();
        let answer = tokio::select! {
            biased;
            () = died => return Err(CallFailure::Lost),
            answer = work(Arc::clone(&process)) => answer,
        };
        if self.scenario.answers_lost.contains(&nth) && !self.is_calm() {
            self.tell("the answer is lost");
            self.count("answer to a caller lost");
            return Err(CallFailure::Lost);
        }
        answer.map_err(CallFailure::Refused)
    }

    /// As [`World::call`], until there is an answer that counts.
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

    // ---- what must be true ----

    /// Whether a valid answer about an attempt that was heard by a process has
    /// left its mark.
    pub fn is_recorded(&self, node: &NodeRunId, attempt: u32, said: &str) -> bool {
        let Some(record) = self.node(node) else { return false };
        let applied = record.node.outputs.as_ref().and_then(|outputs| outputs.get("execution"));
        let journal = self.committed();
        let whole = journal.run(&record.node.run_id);
        let late = |kept: &AttemptRecord| match kept.outcome {
            AttemptOutcome::Late { .. } => kept.node_run_id == *node && kept.attempt == attempt,
            AttemptOutcome::Lost | AttemptOutcome::Failed { .. } | AttemptOutcome::Fenced => false,
        };
        applied.is_some_and(|applied| applied == said)
            || whole.is_some_and(|whole| whole.attempts.iter().any(late))
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    /// What is committed.
    pub fn committed(&self) -> Arc<Snapshot> {
        self.readable(self.journal.snapshot())
    }

    fn readable(&self, snapshot: Result<Arc<Snapshot>, JournalError>) -> Arc<Snapshot> {
        snapshot.unwrap_or_else(|failure| {
            self.violated("what is committed can be read", failure);
            Arc::default()
        })
    }

    /// Looks at whatever was committed since the last time.
    pub fn look(&self) {
        let (journal, mut watch) = (self.committed(), lock(&self.watch));
        for (rule, what) in watch.look(&journal) {
            self.violated(&rule, what);
        }
        let parked = journal.parked().len();
        if parked > watch.parked {
            self.count("parked");
        }
        watch.parked = parked;
    }

    /// Somebody was told this. It is true now, and for ever.
    pub fn promised(&self, promise: Promise) {
        if let Err(broken) = promise.holds(&self.committed()) {
            self.violated("what is answered is durable", broken);
        }
        lock(&self.watch).promises.push(promise);
    }

    /// Somebody was told that this node is over, or its run.
    pub fn is_promised_over(&self, run: &RunId, node: &NodeRunId) -> bool {
        lock(&self.watch).promises.iter().any(|promise| match promise {
            Promise::RunOver { run: over, state: _ } => over == run,
            Promise::NodeOver { node: over, state: _ } => over == node,
            Promise::Run { .. }
            | Promise::Children { .. }
            | Promise::Evaluated { .. }
            | Promise::Events { .. } => false,
        })
    }

    /// Every live node has somebody who will look at it in time. (What is
    /// parked has been given up for a while.)
    pub fn nobody_is_forgotten(&self) {
        let Some(process) = self.process() else { return };
        let now = process.clock.now();
        let journal = self.committed();
        let parked = journal.parked();
        let (mut waiting, mut still) = (std::mem::take(&mut *lock(&self.waiting)), BTreeMap::new());
        for whole in journal.runs() {
            for node in &whole.nodes {
                let Some(wake) = &node.wake else { continue };
                let late = node.deadline.is_some_and(|deadline| wake.at > deadline.max(now));
                let parked = parked.iter().any(|item| item.node_run_id.as_ref() == Some(node.id()));
                if late && !parked && !node.is_terminal() {
                    self.violated(
                        "a wake-up is not later than the deadline",
                        format!("{wake:?} of {}", node.id()),
                    );
                }
                let ours = wake.owner.as_ref() == Some(process.queue.worker());
                let in_hand = match ours {
                    true => process.queue.has(node.id(), wake.job),
                    // Others of its sort may have to be first, and nobody else.
                    false => {
                        let lane = Lane::of(wake.job, node.node.kind);
                        process.queue.room(lane) == 0
                            || process.queue.full_runs(lane).contains(whole.run.id())
                    }
                };
                if self.is_calm() && !in_hand && wake.at <= now {
                    let key = (node.id().clone(), wake.job);
                    let since = waiting.remove(&key).filter(|since| *since >= process.up_since);
                    let since = since.unwrap_or(self.clock.elapsed());
                    if self.clock.elapsed() - since > SOON {
                        self.violated("what is due is soon in hand", format!("{wake:?} of {}", node.id()));
                    }
                    still.insert(key, since);
                }
                if wake.owner.is_some() && !ours {
                    let what = format!("{wake:?} of {}", node.id());
                    self.violated("no wake-up is left with the dead", what);
                }
            }
        }
        *lock(&self.waiting) = still;
    }

    /// What is still to be done, if anything.
    pub fn unfinished(&self) -> Option<String> {
        for whole in self.committed().runs() {
            let run = &whole.run;
            if !run.is_terminal() {
                return Some(format!("run {} is {}", run.id(), run.run.state));
            }
            if let Some(node) = whole.nodes.iter().find(|node| node.wake.is_some()) {
                return Some(format!("node {} still has {:?}", node.id(), node.wake));
            }
        }
        // One of them is whoever starts the process.
        (self.tasks.len() > 1).then(|| format!("{} callers and executors are at it", self.tasks.len() - 1))
    }

    /// When all is over.
    pub fn last_look(&self) {
        self.look();
        // Nothing that was only seen, but all as it is stored.
        let journal = self.readable(self.journal.snapshot_afresh());
        self.look();
        for promise in &lock(&self.watch).promises {
            if let Err(broken) = promise.holds(&journal) {
                self.violated("what was answered stays true", broken);
            }
        }
        for (rule, what) in self.ledger().settled(&journal) {
            self.violated(rule, what);
        }
        if !journal.parked().is_empty() {
            self.violated("nothing is parked for ever", format!("{:?}", journal.parked()));
        }
        for problem in self.journal.check().words {
            self.violated("the journal is sound", problem);
        }
    }

    pub fn node(&self, node: &NodeRunId) -> Option<NodeRecord> {
        self.committed().node(node).cloned()
    }

    /// The how-manieth node of a run there is.
    pub fn pick(&self, run: &RunId, nth: u32) -> Option<NodeRecord> {
        self.pick_of(run, nth, |_| true)
    }

    /// The same of those that still have a wake-up.
    pub fn pick_waiting(&self, run: &RunId, nth: u32) -> Option<NodeRecord> {
        self.pick_of(run, nth, |node| node.wake.is_some())
    }

    fn pick_of(&self, run: &RunId, nth: u32, which: impl Fn(&NodeRecord) -> bool) -> Option<NodeRecord> {
        let mut nodes = self.committed().run(run)?.nodes.clone();
        nodes.retain(which);
        nodes.sort_by(|a, b| a.path.as_str().cmp(b.path.as_str()));
        let at = nth as usize % nodes.len().max(1);
        nodes.into_iter().nth(at)
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bump(counter: &mut u32) -> u32 {
    *counter += 1;
    *counter
}

/// Ids from the seed.
pub struct SimIds(Mutex<Chance>);

impl IdSource for SimIds {
    fn fresh(&self) -> String {
        let mut chance = lock(&self.0);
        format!("{:016x}{:016x}", chance.draw(), chance.draw())
    }
}

/// What happened, in order.
#[derive(Default)]
pub struct Story {
    pub lines: Mutex<Vec<String>>,
    pub counts: Mutex<BTreeMap<&'static str, u64>>,
    /// Rule and place.
    pub violations: Mutex<Vec<(String, String)>>,
}

impl Story {
    pub fn tell(&self, clock: &SimClock, what: impl Display) {
        lock(&self.lines).push(format!("{:>11.6}  {what}", clock.elapsed().as_secs_f64()));
    }

    pub fn is_violated(&self) -> bool {
        !lock(&self.violations).is_empty()
    }

    /// A log that goes into the story.
    pub fn logger(self: &Arc<Self>, clock: &Arc<SimClock>, who: &'static str) -> Logger {
        Logger::root(Teller { story: Arc::clone(self), clock: Arc::clone(clock), who }.fuse(), o!())
    }
}

struct Teller {
    story: Arc<Story>,
    clock: Arc<SimClock>,
    who: &'static str,
}

impl Drain for Teller {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &slog::Record<'_>, _: &slog::OwnedKVList) -> Result<(), slog::Never> {
        if record.level().is_at_least(Level::Warning) {
            self.story.tell(&self.clock, format!("{} says: {}", self.who, record.msg()));
        }
        if record.msg().to_string().contains("panicked") {
            let what = format!("{}: {}", self.who, record.msg());
            lock(&self.story.violations).push(("nobody panics".into(), what));
        }
        Ok(())
    }
}
