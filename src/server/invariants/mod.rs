//! An independent check of the invariants of a run, on its records in a journal.
//!
//! ```text
//!   run · node runs · events · attempts ──▶ check ──▶ violations (none, if all is well)
//!                                            ├─ records: each record, and all of them together
//!                                            ├─ budgets: the accounts
//!                                            ├─ approvals: each ends once
//!                                            ├─ story: the state that the events alone imply,
//!                                            │          compared with the records
//!                                            └─ audited: who asked for it, compared with the
//!                                                      audit trail
//! ```
//!
//! **Architecture invariant:** pure, and independent of the engine, because a check
//! that used its rules would confirm its mistakes. The property tests of the engine
//! use it after each command, the simulator after each commit, and `journal check` on
//! a file.
//!
//! Another coordinator started an adopted run, and its events may have gaps and imply
//! another state. Such a run is checked only for what adoption itself guarantees.

mod approvals;
mod audited;
mod budgets;
mod records;
mod story;

use std::{collections::BTreeMap, fmt};

use crate::{
    record::{AttemptRecord, AuditRecord, NodeRecord, Origin, RunRecord},
    types::{NodeRunId, RunEvent},
};

/// Everything that a journal contains about a run.
#[derive(Clone, Copy, Debug)]
pub struct History<'h> {
    pub run: &'h RunRecord,
    /// In any order.
    pub nodes: &'h [NodeRecord],
    /// In the order of `seq`.
    pub events: &'h [RunEvent],
    /// The attempts of all its nodes, in any order.
    pub attempts: &'h [AttemptRecord],
    /// All records of the audit trail about it, in order; `None` if some may have
    /// been deleted.
    pub audit: Option<&'h [AuditRecord]>,
}

/// A violated invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant.
    pub rule: &'static str,
    /// Where it is violated.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

/// All violations of a run.
pub fn check(history: &History<'_>) -> Vec<Violation> {
    let scene = Scene::of(history);
    let mut findings = Findings::default();
    records::check(&scene, &mut findings);
    story::check(&scene, &mut findings);
    budgets::check(&scene, &mut findings);
    approvals::check(&scene, &mut findings);
    if let Some(trail) = history.audit {
        audited::check(&scene, trail, &mut findings);
    }
    findings.0
}

/// A history with the lookups that the checks need.
struct Scene<'h> {
    run: &'h RunRecord,
    nodes: BTreeMap<&'h NodeRunId, &'h NodeRecord>,
    /// The number of nodes that name this one as their parent.
    children: BTreeMap<&'h NodeRunId, u64>,
    events: &'h [RunEvent],
    attempts: &'h [AttemptRecord],
    /// Another coordinator started it.
    adopted: bool,
}

impl<'h> Scene<'h> {
    fn of(history: &History<'h>) -> Self {
        let History { run, nodes, events, attempts, audit: _ } = *history;
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
    /// Records a violation unless `holds`; `what` describes where.
    fn rule(&mut self, rule: &'static str, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Violation { rule, what: what() });
        }
    }

    /// Records a violation unless both values are the same.
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
