//! A scenario: all plans, actions and faults of a simulation, drawn in advance from a
//! seed, so that it can be printed, and shrunk while it still fails.

mod draw;
mod sabotage;

use std::{collections::BTreeSet, fmt, time::Duration};

use jarvis_run_coordinator::types::{CompletionState, NodeKind};
use scripted_executor::Behaviour;

pub use self::sabotage::Sabotage;

/// Everything that is drawn at random.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    /// The plans of nodes. The inputs of a node name its plan.
    pub plans: Vec<Plan>,
    /// The actions of callers and of the surroundings, with their times.
    pub actions: Vec<Action>,
    /// The faults of writes to the journal, by the index of the write.
    pub writes: Vec<(u32, WriteFault)>,
    /// The indexes of the reads of the journal that fail.
    pub reads: Vec<u32>,
    /// The indexes of the calls of the coordinator whose answers are lost.
    pub answers_lost: Vec<u32>,
    /// The faults of requests to the registry or the PDP, by the index of the request.
    pub questions: Vec<(u32, ServiceFault)>,
    /// Whether the journal is slow now and then.
    pub laggy: bool,
    /// How long a commit is on its way to the journal.
    pub commits_take: Duration,
    /// Whether the policy is local. Then new nodes begin in the commit that creates them.
    pub without_pdp: bool,
    /// Whether decisions are held during an outage of the PDP (or denied).
    pub pdp_holds: bool,
    /// How long nodes wait for approvals. `None`: they fail.
    pub approvals_wait: Option<Duration>,
    pub sabotage: Option<Sabotage>,
    /// The number of processes that share the journal.
    pub replicas: u32,
    /// Nodes and runs have time enough for an outage of the journal.
    pub patient: bool,
}

/// What scenarios have in common. Each kind has a test of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One process.
    Alone,
    /// Several processes on one journal.
    Replicas,
    /// The same, whose commits take long.
    SlowCommits,
    /// The same without faults, and with composites that think.
    Thoughtful,
    /// The same without faults but one: the journal is out for all of them.
    Outage,
}

impl Kind {
    /// As `cargo xtask sim --kind` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Replicas => "replicas",
            Self::SlowCommits => "slow-commits",
            Self::Thoughtful => "thoughtful",
            Self::Outage => "outage",
        }
    }

    /// The scenario of a seed.
    pub fn scenario(self, seed: u64) -> Scenario {
        let scenario = Scenario::of(seed);
        match self {
            Self::Alone => scenario,
            Self::Replicas => scenario.with_replicas(),
            Self::SlowCommits => scenario.with_slow_commits(),
            Self::Thoughtful => scenario.with_thoughtful_composites(),
            Self::Outage => scenario.with_an_outage(),
        }
    }
}

/// What becomes of a node: an atomic node has executions, a composite has begins and
/// rounds.
#[derive(Clone, Debug)]
pub struct Plan {
    pub node_type: &'static str,
    /// The behaviour of each call to execute it. Further calls succeed.
    pub executions: Vec<Execution>,
    /// The behaviour of each call to begin it. Further calls are accepted.
    pub begins: Vec<Behaviour>,
    /// The plans of the children, round by round.
    pub rounds: Vec<Vec<usize>>,
    pub options: CompositeOptions,
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

/// How the executor of a composite works through its plan.
#[derive(Clone, Copy, Debug)]
pub struct CompositeOptions {
    /// Children have idempotency keys.
    pub keyed: bool,
    /// Each request is sent twice.
    pub repeats: bool,
    pub evaluates: bool,
    /// For how long it evaluates itself, again and again, without a child at work.
    pub thinks: Duration,
    /// The state of the completion. `None`: the executor goes silent.
    pub completes: Option<CompletionState>,
    pub patience: Duration,
}

#[derive(Clone, Debug)]
pub struct Action {
    pub at: Duration,
    pub what: ActionKind,
}

/// The kind of an action. `node` is an index into the nodes that the run has then.
#[derive(Clone, Debug)]
pub enum ActionKind {
    Start {
        run: u32,
        plan: usize,
        narrow: bool,
        twice: bool,
    },
    /// A different start request under the same run id.
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
    /// The process is drained.
    Drain,
    /// A process stands still for this time, as after a SIGSTOP.
    Freeze(Duration),
    /// A process does not reach the journal for this time.
    CutOff(Duration),
    /// The journal's database is out for this time.
    JournalOut(Duration),
    /// The wall clock is stepped by this number of milliseconds.
    ClockSet(i64),
    /// The composite executor restarts and loses its state.
    ExecutorRestart,
    /// The executors are unreachable for this time.
    ExecutorsDown(Duration),
    /// The PDP is unreachable for this time.
    PdpDown(Duration),
    /// The record of a node with a wake-up is unreadable until the calm.
    Damage {
        run: u32,
        node: u32,
    },
    /// An operator holds a run for that time.
    Hold {
        run: u32,
        time: Duration,
        /// Until it is over by itself.
        by_itself: bool,
    },
    /// An operator pauses dispatch for that time.
    Pause {
        paused: Paused,
        time: Duration,
    },
    /// An operator has a node tried now.
    Wake {
        run: u32,
        node: u32,
    },
    /// An operator decides about an approval: of those that wait, that one.
    Decide {
        nth: u32,
        approve: bool,
    },
}

/// What an operator pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Paused {
    All,
    Executor,
    /// The nodes of one type.
    Atomic,
    Composite,
}

impl Paused {
    /// Whether the dispatch of a node of this kind and type is paused.
    pub fn covers(self, kind: Option<NodeKind>, node_type: &str) -> bool {
        match self {
            Self::All => true,
            Self::Executor => kind == Some(NodeKind::Atomic),
            Self::Atomic => node_type == ATOMIC[0],
            Self::Composite => node_type == COMPOSITE,
        }
    }
}

/// A fault of a write to the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFault {
    CrashBefore,
    /// The process dies when the transaction is written and not committed.
    CrashInside,
    /// The process dies when the transaction is committed and not answered.
    CrashAfter,
    FailBefore,
    FailInside,
    FailAfter,
    Twice,
    Slow(Duration),
    /// This write and all others fail for this time.
    Outage(Duration),
    /// The journal cannot grow for this time.
    Full(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceFault {
    Fails,
    Hangs,
}

/// The calm: no action begins after this time, and faults stop.
pub const CALM_AT: Duration = Duration::from_secs(40);

const STATES: [CompletionState; 3] =
    [CompletionState::Succeeded, CompletionState::Failed, CompletionState::Canceled];
/// A type whose constraints demand an approval, and one of which policy demands it.
pub const GATED: &str = "sim.gated";
pub const DEMANDED: &str = "sim.demanded";
pub const COMPOSITE: &str = "sim.plan";
pub const ATOMIC: [&str; 5] = ["sim.write", "sim.write", "sim.read", "sim.idempotent", "atomic.unlisted"];

impl Scenario {
    /// The number of members of each executor: half of the worlds have pools.
    pub fn members(&self) -> usize {
        if self.seed.is_multiple_of(2) { 1 } else { 3 }
    }

    /// The plans that an action may use, directly or through children.
    pub fn plans_in_use(&self) -> BTreeSet<usize> {
        let named = |action: &Action| match action.what {
            ActionKind::Start { plan, .. }
            | ActionKind::StartOther { plan, .. }
            | ActionKind::Create { plan, .. } => Some(plan),
            ActionKind::Cancel { .. }
            | ActionKind::Evaluate { .. }
            | ActionKind::Complete { .. }
            | ActionKind::Follow { .. }
            | ActionKind::Crash
            | ActionKind::Drain
            | ActionKind::Freeze(_)
            | ActionKind::CutOff(_)
            | ActionKind::JournalOut(_)
            | ActionKind::ClockSet(_)
            | ActionKind::ExecutorRestart
            | ActionKind::ExecutorsDown(_)
            | ActionKind::PdpDown(_)
            | ActionKind::Damage { .. }
            | ActionKind::Hold { .. }
            | ActionKind::Pause { .. }
            | ActionKind::Wake { .. }
            | ActionKind::Decide { .. } => None,
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

    /// A measure of the scenario, which shrinking reduces.
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
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for number in self.plans_in_use() {
            let Plan { node_type, executions, begins, rounds, options } = &self.plans[number];
            write!(f, "plan {number}: {node_type}")?;
            match *node_type {
                COMPOSITE => writeln!(f, ", begins {begins:?}, rounds {rounds:?}, {options:?}")?,
                _ => writeln!(f, ", executions {executions:?}")?,
            }
        }
        for Action { at, what } in &self.actions {
            writeln!(f, "at {at:?}: {what:?}")?;
        }
        let Self {
            writes,
            reads,
            answers_lost,
            questions,
            laggy,
            without_pdp,
            pdp_holds,
            approvals_wait,
            ..
        } = self;
        writeln!(f, "writes {writes:?}, reads {reads:?}, answers lost {answers_lost:?}")?;
        write!(
            f,
            "questions {questions:?}, laggy {laggy}, without PDP {without_pdp}, pdp holds {pdp_holds}, approvals {approvals_wait:?}"
        )
    }
}
