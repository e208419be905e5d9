//! What is always true of a run, as its records tell it: the architecture
//! invariants that can be seen from outside, checked on what a journal holds.
//!
//! ```text
//!   run · node runs · events · attempts ──▶ audit ──▶ violations (none, one hopes)
//!                                            ├─ records: what each says, and all together
//!                                            └─ story: what the events alone tell, and that it is the same
//! ```
//!
//! Pure, and by its own lights: it asks the engine nothing, or it would find
//! right whatever the engine does. The property tests of the engine use it
//! after each command, the simulator after each commit, and whoever has a
//! journal to look at.
//!
//! A run that was adopted from the JARVIS stores was begun by somebody else,
//! whose events may have gaps and tell another story. Of such a run only that
//! is asked which adoption itself sees to.

mod records;
mod story;

use std::{collections::BTreeMap, fmt};

use crate::{
    record::{AttemptRecord, NodeRecord, Origin, RunRecord},
    types::{NodeRunId, RunEvent},
};

/// All that a journal holds about a run.
#[derive(Clone, Copy, Debug)]
pub struct History<'h> {
    pub run: &'h RunRecord,
    /// In any order.
    pub nodes: &'h [NodeRecord],
    /// In the order of `seq`.
    pub events: &'h [RunEvent],
    /// Of all its nodes, in any order.
    pub attempts: &'h [AttemptRecord],
}

/// Something that must never be so, and is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What should hold, in a few words.
    pub rule: &'static str,
    /// Where it does not.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

/// Everything that is wrong with a run.
pub fn audit(history: &History<'_>) -> Vec<Violation> {
    let scene = Scene::of(history);
    let mut findings = Findings::default();
    records::check(&scene, &mut findings);
    story::check(&scene, &mut findings);
    findings.0
}

/// A history, with what every check wants to know about it.
struct Scene<'h> {
    run: &'h RunRecord,
    nodes: BTreeMap<&'h NodeRunId, &'h NodeRecord>,
    /// How many nodes name this one as their parent.
    children: BTreeMap<&'h NodeRunId, u64>,
    events: &'h [RunEvent],
    attempts: &'h [AttemptRecord],
    /// Somebody else began it.
    adopted: bool,
}

impl<'h> Scene<'h> {
    fn of(history: &History<'h>) -> Self {
        let History { run, nodes, events, attempts } = *history;
        let mut children = BTreeMap::new();
        for parent in nodes.iter().filter_map(|node| node.node.parent_node_run_id.as_ref()) {
            *children.entry(parent).or_default() += 1;
        }
        Self {
            run,
            nodes: nodes.iter().map(|node| (node.id(), node)).collect(),
            children,
            events,
            attempts,
            adopted: run.origin == Origin::Adopted,
        }
    }

    fn parent(&self, node: &NodeRecord) -> Option<&'h NodeRecord> {
        self.nodes.get(node.node.parent_node_run_id.as_ref()?).copied()
    }
}

/// Collects violations.
#[derive(Default)]
struct Findings(Vec<Violation>);

impl Findings {
    /// Unless `holds`, the rule is broken; `what` says where.
    fn rule(&mut self, rule: &'static str, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Violation { rule, what: what() });
        }
    }

    /// A rule that says that two things are the same.
    fn same<T: PartialEq + fmt::Debug>(
        &mut self,
        rule: &'static str,
        of: &dyn fmt::Display,
        is: &T,
        expected: &T,
    ) {
        self.rule(rule, is == expected, || format!("{of}: {is:?}, not {expected:?}"));
    }
}

#[cfg(test)]
mod tests;
