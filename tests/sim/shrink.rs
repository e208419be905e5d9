//! Shrinks a failing scenario while it violates the same rule, so that only the causes are
//! left.

use crate::{run::run, scenario::Scenario};

/// The bound on attempts: each is a complete run.
const TRIES: u32 = 400;

pub fn shrunk(scenario: Scenario, rule: &str) -> Scenario {
    let mut shrinker = Shrinker { best: scenario, rule, tries: 0 };
    loop {
        let before = shrinker.best.size();
        shrinker.fewer(|scenario| &mut scenario.actions);
        shrinker.fewer(|scenario| &mut scenario.writes);
        shrinker.fewer(|scenario| &mut scenario.reads);
        shrinker.fewer(|scenario| &mut scenario.answers_lost);
        shrinker.fewer(|scenario| &mut scenario.questions);
        shrinker.attempt(|scenario| scenario.laggy = false);
        for plan in shrinker.best.plans_in_use() {
            shrinker.simpler(plan);
        }
        if shrinker.best.size() >= before || shrinker.tries >= TRIES {
            return shrinker.best;
        }
    }
}

struct Shrinker<'r> {
    best: Scenario,
    rule: &'r str,
    tries: u32,
}

impl Shrinker<'_> {
    /// Keeps a change if the scenario becomes smaller and still fails.
    fn attempt(&mut self, change: impl FnOnce(&mut Scenario)) -> bool {
        let mut smaller = self.best.clone();
        change(&mut smaller);
        if self.tries >= TRIES || smaller.size() >= self.best.size() {
            return false;
        }
        self.tries += 1;
        let fails = run(smaller.clone()).violation.is_some_and(|(rule, _)| rule == self.rule);
        if fails {
            self.best = smaller;
        }
        fails
    }

    /// Removes elements of a list: in halves, in quarters, … one by one.
    fn fewer<T>(&mut self, list: impl Fn(&mut Scenario) -> &mut Vec<T>) {
        let mut piece = list(&mut self.best).len();
        while piece > 0 {
            let mut at = 0;
            while at < list(&mut self.best).len() {
                let out = |scenario: &mut Scenario| {
                    let list = list(scenario);
                    let end = (at + piece).min(list.len());
                    list.drain(at..end);
                };
                if !self.attempt(out) {
                    at += piece;
                }
            }
            piece /= 2;
        }
    }

    fn simpler(&mut self, plan: usize) {
        self.fewer(|scenario| &mut scenario.plans[plan].executions);
        self.fewer(|scenario| &mut scenario.plans[plan].begins);
        self.fewer(|scenario| &mut scenario.plans[plan].rounds);
        for round in 0..self.best.plans[plan].rounds.len() {
            self.fewer(|scenario| &mut scenario.plans[plan].rounds[round]);
        }
    }
}
