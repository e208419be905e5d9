//! What is going to happen, drawn up front from a seed: so it can be printed,
//! and made smaller while it still fails.

use std::{collections::BTreeSet, fmt, time::Duration};

use jarvis_run_coordinator::types::CompletionState;
use scripted_executor::{Behaviour, Chance};

/// Everything that chance has a say in.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    /// What nodes are to do; they name theirs in their inputs.
    pub plans: Vec<Plan>,
    /// What callers and the world around do, and when.
    pub actions: Vec<Action>,
    /// What becomes of the nth write to the journal.
    pub writes: Vec<(u32, WriteFault)>,
    /// The nth read of the journal fails.
    pub reads: Vec<u32>,
    /// The answer to the nth call of the coordinator is lost.
    pub answers_lost: Vec<u32>,
    /// What becomes of the nth question to registry or PDP.
    pub questions: Vec<(u32, QuestionFault)>,
    /// The journal takes its time, now and then.
    pub laggy: bool,
    /// What the PDP should decide waits while it cannot be asked.
    pub pdp_holds: bool,
    pub sabotage: Option<Sabotage>,
}

/// A mistake that is made on purpose, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Some commits are answered and never made.
    AnswersBeforeItCommits,
    /// Some commits lose their last event.
    LosesEvents,
    /// The wake-ups of the dead stay theirs.
    LeavesTheDeadTheirWork,
    /// An executor is called twice for one attempt.
    ExecutesTwice,
    /// Executors are not told to stop, though the journal says so.
    TellsNobody,
    /// Some wake-ups are put off for a day.
    OversleepsWakes,
    /// Some commits are made one half after the other.
    TwoTransactions,
    /// What was read once is given again, though it has changed: a cache that
    /// forgets nothing.
    ForgetsNothing,
    /// Composites whose executor has gone are waited for until their deadline.
    WaitsForTheGone,
}

/// What a node is to do: an atomic one has executions, a composite one begins
/// and rounds.
#[derive(Clone, Debug)]
pub struct Plan {
    pub node_type: &'static str,
    /// What becomes of each call to execute it; beyond them it is done well.
    pub executions: Vec<Execution>,
    /// What becomes of each call to begin it; beyond them it is taken on.
    pub begins: Vec<Behaviour>,
    /// The plans of the children, round by round.
    pub rounds: Vec<Vec<usize>>,
    pub manners: Manners,
}

/// One call to execute a node.
#[derive(Clone, Copy, Debug)]
pub struct Execution {
    pub behaviour: Behaviour,
    /// How long the work takes, or how long a late request travels.
    pub after: Duration,
}

impl Execution {
    /// An execution that goes well at once.
    pub const WELL: Self = Self { behaviour: Behaviour::Echo, after: Duration::from_millis(20) };
}

/// How the executor of a composite goes about it.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// Children have idempotency keys.
    pub keyed: bool,
    /// Says everything twice.
    pub repeats: bool,
    pub evaluates: bool,
    /// None: it gives up without a word.
    pub completes: Option<CompletionState>,
    pub patience: Duration,
}

#[derive(Clone, Debug)]
pub struct Action {
    pub at: Duration,
    pub what: What,
}

/// `node` is the how-manieth of the run's nodes, whichever there are then.
#[derive(Clone, Debug)]
pub enum What {
    Start {
        run: u32,
        plan: usize,
        narrow: bool,
        twice: bool,
    },
    /// Another request for the same run.
    StartOther {
        run: u32,
        plan: usize,
    },
    Cancel {
        run: u32,
    },
    Evaluate {
        run: u32,
        node: u32,
    },
    Complete {
        run: u32,
        node: u32,
        state: CompletionState,
    },
    Create {
        run: u32,
        node: u32,
        plan: usize,
    },
    Follow {
        run: u32,
    },
    /// The process is killed.
    Crash,
    /// The process is told to stop.
    Drain,
    /// Somebody sets the clock, by so many milliseconds.
    ClockSet(i64),
    /// The composite executor forgets everything.
    ExecutorRestart,
    /// Nobody can reach the executors for so long.
    ExecutorsDown(Duration),
    /// The PDP does not answer for so long.
    PdpDown(Duration),
    /// A node that still has a wake-up cannot be read until it is calm.
    Damage {
        run: u32,
        node: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFault {
    CrashBefore,
    /// All of its transaction is written, and not committed.
    CrashInside,
    /// It is committed, and not answered.
    CrashAfter,
    FailBefore,
    FailInside,
    FailAfter,
    Twice,
    Slow(Duration),
    /// This one and all others for so long.
    Outage(Duration),
    /// The journal cannot grow for so long.
    Full(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuestionFault {
    Fails,
    Hangs,
}

/// By then everything has begun that will, and faults stop.
pub const CALM_AT: Duration = Duration::from_secs(40);

const STATES: [CompletionState; 3] =
    [CompletionState::Succeeded, CompletionState::Failed, CompletionState::Canceled];
pub const COMPOSITE: &str = "sim.plan";
const ATOMIC: [&str; 5] = ["sim.write", "sim.write", "sim.read", "sim.idempotent", "atomic.unlisted"];

impl Scenario {
    /// Those of nodes that somebody may create.
    pub fn plans_in_use(&self) -> BTreeSet<usize> {
        let named = |action: &Action| match action.what {
            What::Start { plan, .. } | What::StartOther { plan, .. } | What::Create { plan, .. } => {
                Some(plan)
            }
            What::Cancel { .. }
            | What::Evaluate { .. }
            | What::Complete { .. }
            | What::Follow { .. }
            | What::Crash
            | What::Drain
            | What::ClockSet(_)
            | What::ExecutorRestart
            | What::ExecutorsDown(_)
            | What::PdpDown(_)
            | What::Damage { .. } => None,
        };
        let mut used = BTreeSet::new();
        let mut next: Vec<usize> = self.actions.iter().filter_map(named).collect();
        while let Some(plan) = next.pop() {
            if used.insert(plan) {
                next.extend(self.plans[plan].rounds.iter().flatten());
            }
        }
        used
    }

    /// How much there is to it.
    pub fn size(&self) -> usize {
        let Self { plans, actions, writes, reads, answers_lost, questions, laggy, .. } = self;
        let of_plan = |plan: &Plan| {
            let children: usize = plan.rounds.iter().map(|round| 1 + round.len()).sum();
            plan.executions.len() + plan.begins.len() + children
        };
        let in_use = self.plans_in_use();
        let plans = in_use.iter().map(|plan| &plans[*plan]);
        let faults = writes.len() + reads.len() + answers_lost.len() + questions.len();
        actions.len() + faults + usize::from(*laggy) + plans.map(of_plan).sum::<usize>()
    }

    pub fn of(seed: u64) -> Self {
        let mut draw = Draw { chance: Chance::new(seed), plans: Vec::new() };
        let mut actions = Vec::new();
        let runs = 1 + draw.chance.below(4) as u32;
        for run in 0..runs {
            draw.run(run, &mut actions);
        }
        draw.surroundings(&mut actions);
        actions.sort_by_key(|action| action.at);
        let chance = &mut draw.chance;
        let nth = |chance: &mut Chance, most, limit| {
            (0..chance.below(most)).map(|_| chance.below(limit) as u32).collect::<Vec<_>>()
        };
        let writes = nth(chance, 9, 150).into_iter().map(|nth| (nth, write_fault(chance))).collect();
        let reads = nth(chance, 3, 600);
        let answers_lost = nth(chance, 6, 60);
        let question = |chance: &mut Chance| match chance.one_in(3) {
            true => QuestionFault::Hangs,
            false => QuestionFault::Fails,
        };
        let questions = nth(chance, 5, 40).into_iter().map(|nth| (nth, question(chance))).collect();
        let laggy = !chance.one_in(4);
        let pdp_holds = chance.one_in(2);
        draw.pdp(&mut actions);
        actions.sort_by_key(|action| action.at);
        Self {
            seed,
            plans: draw.plans,
            actions,
            writes,
            reads,
            answers_lost,
            questions,
            laggy,
            pdp_holds,
            sabotage: None,
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for number in self.plans_in_use() {
            let Plan { node_type, executions, begins, rounds, manners } = &self.plans[number];
            write!(f, "plan {number}: {node_type}")?;
            match *node_type {
                COMPOSITE => writeln!(f, ", begins {begins:?}, rounds {rounds:?}, {manners:?}")?,
                _ => writeln!(f, ", executions {executions:?}")?,
            }
        }
        for Action { at, what } in &self.actions {
            writeln!(f, "at {at:?}: {what:?}")?;
        }
        let Self { writes, reads, answers_lost, questions, laggy, pdp_holds, .. } = self;
        writeln!(f, "writes {writes:?}, reads {reads:?}, answers lost {answers_lost:?}")?;
        write!(f, "questions {questions:?}, laggy {laggy}, pdp holds {pdp_holds}")
    }
}

fn write_fault(chance: &mut Chance) -> WriteFault {
    match chance.below(17) {
        0 | 1 => WriteFault::CrashBefore,
        2 | 3 => WriteFault::CrashInside,
        4..=6 => WriteFault::CrashAfter,
        7 => WriteFault::FailBefore,
        8 | 9 => WriteFault::FailInside,
        10 | 11 => WriteFault::FailAfter,
        12 => WriteFault::Twice,
        13 => WriteFault::Outage(chance.millis(500, 12_000)),
        14 => WriteFault::Full(chance.millis(500, 12_000)),
        _ => WriteFault::Slow(chance.millis(100, 8_000)),
    }
}

struct Draw {
    chance: Chance,
    plans: Vec<Plan>,
}

impl Draw {
    fn run(&mut self, run: u32, actions: &mut Vec<Action>) {
        let began = self.chance.millis(0, 8_000);
        let mut act = |at, what| actions.push(Action { at, what });
        let plan = self.plan(0);
        let (narrow, twice) = (self.chance.one_in(6), self.chance.one_in(4));
        act(began, What::Start { run, plan, narrow, twice });
        if self.chance.one_in(5) {
            let plan = self.plan(2);
            act(began + self.chance.millis(0, 400), What::StartOther { run, plan });
        }
        if self.chance.one_in(2) {
            act(began + self.chance.millis(0, 3_000), What::Follow { run });
        }
        for _ in 0..self.chance.below(4) {
            let at = began + self.chance.millis(20, 9_000);
            let node = self.chance.below(6) as u32;
            let what = match self.chance.below(7) {
                0 | 1 => What::Cancel { run },
                2 | 3 => What::Evaluate { run, node },
                4 | 5 => What::Complete { run, node, state: *self.chance.pick(&STATES) },
                _ => What::Create { run, node, plan: self.plan(2) },
            };
            act(at, what);
        }
    }

    fn surroundings(&mut self, actions: &mut Vec<Action>) {
        for _ in 0..self.chance.below(4) {
            let at = self.chance.millis(0, 20_000);
            let what = match self.chance.below(11) {
                0..=2 => What::Crash,
                3 | 4 => What::Drain,
                5 => What::ClockSet(self.chance.below(60_000) as i64 - 30_000),
                6 => What::ExecutorRestart,
                7 | 8 => What::ExecutorsDown(self.chance.millis(500, 15_000)),
                _ => What::Damage { run: 0, node: self.chance.below(4) as u32 },
            };
            actions.push(Action { at, what });
        }
    }

    fn pdp(&mut self, actions: &mut Vec<Action>) {
        if self.chance.one_in(3) {
            let at = self.chance.millis(0, 12_000);
            actions.push(Action { at, what: What::PdpDown(self.chance.millis(500, 30_000)) });
        }
    }

    /// A new plan, for a node at that depth.
    fn plan(&mut self, depth: u32) -> usize {
        let composite = depth < 2 && !self.chance.one_in(4);
        let most = |many| if composite { many } else { 0 };
        let begins = (0..self.chance.below(most(3))).map(|_| self.begin()).collect();
        let rounds = (0..self.chance.below(most(3)))
            .map(|_| (0..1 + self.chance.below(3)).map(|_| self.plan(depth + 1)).collect())
            .collect();
        let executions = match composite {
            true => Vec::new(),
            false => (0..self.chance.below(4)).map(|_| self.execution()).collect(),
        };
        let node_type = if composite { COMPOSITE } else { self.atomic_type() };
        let manners = self.manners();
        self.plans.push(Plan { node_type, executions, begins, rounds, manners });
        self.plans.len() - 1
    }

    fn atomic_type(&mut self) -> &'static str {
        if self.chance.one_in(20) { "sim.denied" } else { self.chance.pick::<&str>(&ATOMIC) }
    }

    fn execution(&mut self) -> Execution {
        let chance = &mut self.chance;
        let after = if chance.one_in(8) { chance.millis(5_000, 30_000) } else { chance.millis(0, 1_500) };
        let soon = Duration::from_millis(50);
        let (behaviour, after) = match chance.below(16) {
            0..=5 => (if chance.one_in(5) { Behaviour::Fail } else { Behaviour::Echo }, after),
            6 => (Behaviour::Late, chance.millis(100, 4_000)),
            7 | 8 => (Behaviour::Hang, soon),
            9 => (Behaviour::BreakBefore, soon),
            10 | 11 => (Behaviour::BreakAfter, after),
            12 => (Behaviour::Refuse, soon),
            13 => (self.busy(), soon),
            14 => (*chance.pick(&[Behaviour::Mesh429, Behaviour::Proxy, Behaviour::Mesh]), after),
            _ => (if chance.one_in(2) { Behaviour::Running } else { Behaviour::Other }, soon),
        };
        Execution { behaviour, after }
    }

    fn busy(&mut self) -> Behaviour {
        if self.chance.one_in(2) { Behaviour::Throttled } else { Behaviour::Busy }
    }

    fn manners(&mut self) -> Manners {
        let chance = &mut self.chance;
        Manners {
            keyed: !chance.one_in(3),
            repeats: chance.one_in(4),
            evaluates: chance.one_in(2),
            completes: (!chance.one_in(8)).then(|| *chance.pick(&STATES)),
            patience: chance.millis(2_000, 60_000),
        }
    }

    fn begin(&mut self) -> Behaviour {
        match self.chance.below(14) {
            0 => Behaviour::Silent,
            1 | 2 => Behaviour::BreakBefore,
            3 | 4 => Behaviour::BreakAfter,
            5..=7 => Behaviour::Refuse,
            8..=12 => self.busy(),
            _ => Behaviour::Deaf,
        }
    }
}
