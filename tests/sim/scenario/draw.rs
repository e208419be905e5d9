//! Draws a scenario from a seed.

use std::time::Duration;

use scripted_executor::{Behaviour, Chance};

use super::{
    ATOMIC, Action, ActionKind, COMPOSITE, CompositeOptions, DEMANDED, Execution, GATED, Paused, Plan,
    STATES, Scenario, ServiceFault, WriteFault,
};

impl Scenario {
    /// The scenario of a seed.
    pub(super) fn of(seed: u64) -> Self {
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
            true => ServiceFault::Hangs,
            false => ServiceFault::Fails,
        };
        let questions = nth(chance, 5, 40).into_iter().map(|nth| (nth, question(chance))).collect();
        let laggy = !chance.one_in(4);
        let pdp_holds = chance.one_in(2);
        draw.pdp(&mut actions);
        let approvals_wait = draw.approvals(&mut actions);
        draw.steering(&mut actions, runs);
        actions.sort_by_key(|action| action.at);
        let without_pdp = draw.chance.one_in(2);
        Self {
            seed,
            plans: draw.plans,
            actions,
            writes,
            reads,
            answers_lost,
            questions,
            laggy,
            commits_take: Duration::ZERO,
            without_pdp,
            pdp_holds,
            approvals_wait,
            sabotage: None,
            replicas: 1,
            patient: false,
        }
    }

    /// The same with several processes on one journal, some of which stand still now and
    /// then.
    pub(super) fn with_replicas(mut self) -> Self {
        let mut chance = Chance::new(self.seed ^ 0x7265_706c);
        self.replicas = 2 + chance.below(2) as u32;
        for _ in 0..chance.below(4) {
            let (at, most) = (chance.millis(0, 20_000), if chance.one_in(2) { 4_000 } else { 25_000 });
            let what = ActionKind::Freeze(chance.millis(500, most));
            self.actions.push(Action { at, what });
        }
        for _ in 0..chance.below(3) {
            let (at, most) = (chance.millis(0, 20_000), if chance.one_in(2) { 4_000 } else { 20_000 });
            let what = ActionKind::CutOff(chance.millis(500, most));
            self.actions.push(Action { at, what });
        }
        if chance.one_in(3) {
            let (at, most) = (chance.millis(0, 12_000), if chance.one_in(2) { 3_000 } else { 28_000 });
            self.actions.push(Action { at, what: ActionKind::JournalOut(chance.millis(1_000, most)) });
        }
        self.actions.sort_by_key(|action| action.at);
        self
    }

    /// Several processes whose commits take longer than it takes them to look for news.
    pub(super) fn with_slow_commits(self) -> Self {
        Self { commits_take: Duration::from_millis(800), without_pdp: true, ..self.with_replicas() }
    }

    /// Several processes, of which none has a fault, and nodes that need no more than time.
    fn undisturbed(self) -> Self {
        let mut scenario = self.with_replicas();
        scenario.patient = true;
        scenario.approvals_wait = None;
        (scenario.writes, scenario.reads) = (Vec::new(), Vec::new());
        (scenario.answers_lost, scenario.questions) = (Vec::new(), Vec::new());
        scenario.actions.retain_mut(|action| {
            let ActionKind::Start { narrow, run, .. } = &mut action.what else { return false };
            *narrow = false;
            // One in three has budgets.
            *run = *run * 3 + 1;
            true
        });
        for plan in &mut scenario.plans {
            if plan.node_type != COMPOSITE {
                plan.node_type = ATOMIC[0];
            }
            (plan.begins, plan.executions) = (Vec::new(), Vec::new());
            plan.options.completes = Some(STATES[0]);
            plan.options.patience = Duration::from_secs(200);
        }
        scenario
    }

    /// Several processes, and composites that think for several times the silence limit:
    /// what each process hears of them is little.
    pub(super) fn with_thoughtful_composites(self) -> Self {
        let mut scenario = self.undisturbed();
        for plan in &mut scenario.plans {
            plan.options.thinks = Duration::from_secs(24);
        }
        scenario
    }

    /// Several processes, and an outage of their journal while nodes are at work.
    pub(super) fn with_an_outage(self) -> Self {
        let mut scenario = self.undisturbed();
        let mut chance = Chance::new(scenario.seed ^ 0x6f75_7461);
        for plan in &mut scenario.plans {
            let after = chance.millis(500, 30_000);
            plan.executions = vec![Execution { behaviour: Behaviour::Echo, after }];
        }
        let outage = ActionKind::JournalOut(Duration::from_secs(30));
        scenario.actions.push(Action { at: chance.millis(1_000, 9_000), what: outage });
        scenario.actions.sort_by_key(|action| action.at);
        scenario
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
        act(began, ActionKind::Start { run, plan, narrow, twice });
        if self.chance.one_in(5) {
            let plan = self.plan(2);
            act(began + self.chance.millis(0, 400), ActionKind::StartOther { run, plan });
        }
        if self.chance.one_in(2) {
            act(began + self.chance.millis(0, 3_000), ActionKind::Follow { run });
        }
        for _ in 0..self.chance.below(4) {
            let at = began + self.chance.millis(20, 9_000);
            let node = self.chance.below(6) as u32;
            let what = match self.chance.below(7) {
                0 | 1 => ActionKind::Cancel { run },
                2 | 3 => ActionKind::Evaluate { run, node },
                4 | 5 => ActionKind::Complete { run, node, state: *self.chance.pick(&STATES) },
                _ => ActionKind::Create { run, node, plan: self.plan(2) },
            };
            act(at, what);
        }
    }

    fn surroundings(&mut self, actions: &mut Vec<Action>) {
        for _ in 0..self.chance.below(4) {
            let at = self.chance.millis(0, 20_000);
            let what = match self.chance.below(11) {
                0..=2 => ActionKind::Crash,
                3 | 4 => ActionKind::Drain,
                5 => ActionKind::ClockSet(self.chance.below(60_000) as i64 - 30_000),
                6 => ActionKind::ExecutorRestart,
                7 | 8 => ActionKind::ExecutorsDown(self.chance.millis(500, 15_000)),
                _ => ActionKind::Damage { run: 0, node: self.chance.below(4) as u32 },
            };
            actions.push(Action { at, what });
        }
    }

    fn pdp(&mut self, actions: &mut Vec<Action>) {
        if self.chance.one_in(3) {
            let at = self.chance.millis(0, 12_000);
            actions.push(Action { at, what: ActionKind::PdpDown(self.chance.millis(500, 30_000)) });
        }
    }

    /// Some nodes need an approval, and operators decide about some. Returns how long
    /// they wait for it. (Drawn last: the rest of a scenario does not depend on it.)
    fn approvals(&mut self, actions: &mut Vec<Action>) -> Option<Duration> {
        let is_about_them = self.chance.one_in(2);
        for plan in self.plans.iter_mut().filter(|plan| is_about_them && plan.node_type != COMPOSITE) {
            if self.chance.one_in(2) {
                plan.node_type = if self.chance.one_in(2) { GATED } else { DEMANDED };
            }
        }
        for _ in 0..if is_about_them { self.chance.below(7) } else { 0 } {
            let at = self.chance.millis(500, 30_000);
            let (nth, approve) = (self.chance.below(6) as u32, !self.chance.one_in(4));
            actions.push(Action { at, what: ActionKind::Decide { nth, approve } });
        }
        let waits = Duration::from_secs(if self.chance.one_in(2) { 10 } else { 70 });
        (!self.chance.one_in(6)).then_some(waits)
    }

    /// Operators steer. (Drawn last: the rest of a scenario does not depend on it.)
    fn steering(&mut self, actions: &mut Vec<Action>, runs: u32) {
        let most = if self.chance.one_in(2) { 6 } else { 0 };
        for _ in 0..self.chance.below(most) {
            let (at, time) = (self.chance.millis(0, 20_000), self.chance.millis(100, 12_000));
            let run = self.chance.below(u64::from(runs)) as u32;
            let what = match self.chance.below(10) {
                0..=2 => ActionKind::Hold { run, time, by_itself: self.chance.one_in(2) },
                3 | 4 => {
                    let paused = [Paused::All, Paused::Executor, Paused::Atomic, Paused::Composite];
                    ActionKind::Pause { paused: *self.chance.pick(&paused), time }
                }
                _ => ActionKind::Wake { run, node: self.chance.below(6) as u32 },
            };
            actions.push(Action { at, what });
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
        let options = self.options();
        self.plans.push(Plan { node_type, executions, begins, rounds, options });
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

    fn options(&mut self) -> CompositeOptions {
        let chance = &mut self.chance;
        CompositeOptions {
            keyed: !chance.one_in(3),
            repeats: chance.one_in(4),
            evaluates: chance.one_in(2),
            thinks: Duration::ZERO,
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
