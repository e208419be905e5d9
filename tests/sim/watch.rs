//! The checks: each run after each commit, by itself and against its earlier state; and
//! every answer that a caller got.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jarvis_run_coordinator::{
    engine::lifecycle,
    explain::{Below, Cause, ExecutorFacts, Facts, node_reasons},
    invariants::{self, History},
    journal::sqlite::memory::{Snapshot, Whole},
    record::{ApprovalId, ApprovalOutcome, NodeRecord, RunRecord},
    time::Timestamp,
    types::{NodeRun, NodeRunId, NodeRunState, RunEventType, RunId, RunState, WorkerId},
};

use crate::scenario::Paused;

/// The last seen state of every run, and all promises.
#[derive(Default)]
pub struct Watch {
    runs: BTreeMap<RunId, Arc<Whole>>,
    /// With the times at which they were made.
    promises: Vec<(Duration, Promise)>,
    /// The number of parked items at the last check.
    pub parked: usize,
    /// What an operator was answered is paused, and has not begun to resume.
    pub paused: BTreeSet<Paused>,
    /// What an operator has begun to resume at some time: later pauses of it are not
    /// watched.
    pub resumed: BTreeSet<Paused>,
}

/// A violated rule, and where.
pub type Broken = (String, String);

impl Watch {
    pub fn promised(&mut self, at: Duration, promise: Promise) {
        self.promises.push((at, promise));
    }

    /// The promises that were made by then.
    pub fn promises_until(&self, until: Duration) -> impl Iterator<Item = &Promise> {
        self.promises.iter().filter(move |(at, _)| *at <= until).map(|(_, promise)| promise)
    }

    /// The violations of the runs that have changed since the last check.
    pub fn look(&mut self, journal: &Snapshot) -> Vec<Broken> {
        let mut broken = Vec::new();
        for id in self.runs.keys().filter(|id| journal.run(id).is_none()) {
            broken.push(("a run stays".into(), id.to_string()));
        }
        for whole in journal.runs() {
            let id = whole.run.id();
            let seen = self.runs.insert(id.clone(), Arc::clone(whole));
            if seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, whole)) {
                continue;
            }
            let Whole { run, nodes, events, attempts, audit, .. } = &**whole;
            let found = invariants::check(&History { run, nodes, events, attempts, audit: Some(audit) });
            broken.extend(found.into_iter().map(|violation| (violation.rule.to_owned(), violation.what)));
            broken.extend(
                nodes
                    .iter()
                    .filter(|node| !is_explained(node, run))
                    .map(|node| ("each node run has a reason for where it is".into(), node.id().to_string())),
            );
            if !events.is_sorted_by_key(|event| event.time) {
                broken.push(("events are in the order of time".into(), id.to_string()));
            }
            if let Some(seen) = seen {
                broken.extend(check_transition(&seen, whole));
                broken.extend(self.check_paused(&seen, whole));
            }
        }
        broken
    }
}

impl Watch {
    /// No attempt begins in the scope of a pause.
    fn check_paused(&self, seen: &Whole, whole: &Whole) -> Option<Broken> {
        let begins = |node: &&NodeRecord| {
            let before = seen.node(node.id()).map_or(0, |old| old.attempt);
            let (kind, node_type) = (node.node.kind, &node.node.node_type_ref.node_type_id);
            node.attempt > before && self.paused.iter().any(|paused| paused.covers(kind, node_type))
        };
        let node = whole.nodes.iter().find(begins)?;
        Some(("no attempt begins while its dispatch is paused".into(), node.id().to_string()))
    }
}

/// Whether there is a reason for where a node is, and it says rightly whether the node
/// has ended, and whether its run is held.
fn is_explained(node: &NodeRecord, run: &RunRecord) -> bool {
    let worker = WorkerId::new("watch");
    let facts = Facts {
        now: node.wake.as_ref().map_or(Timestamp::from_micros(0), |wake| wake.at),
        worker: &worker,
        is_in_hand: false,
        below: Below::default(),
        parked: None,
        last_attempt: None,
        executor: ExecutorFacts::default(),
        auto_dispatch: true,
        hold: run.hold.as_ref(),
        pause: None,
    };
    let reasons = node_reasons(node, &facts);
    let says_over = reasons.first().map(|reason| matches!(reason.cause, Cause::Over { .. }));
    let says_held = reasons.iter().any(|reason| matches!(reason.cause, Cause::Held { .. }));
    let is_held = run.hold.is_some() && !node.is_terminal();
    says_over == Some(node.is_terminal())
        && says_held == is_held
        && !reasons.iter().any(|reason| reason.cause == Cause::NoWakeUp)
}

fn check_transition(seen: &Whole, whole: &Whole) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut rule = |rule: &str, holds: bool, what: &dyn Fn() -> String| {
        if !holds {
            broken.push((rule.to_owned(), what()));
        }
    };
    let run = &whole.run;
    let (from, to) = (&seen.run.run, &run.run);
    rule("a run goes forward", lifecycle::run_may(from.state, to.state), &|| {
        format!("{}: {} -> {}", run.id(), from.state, to.state)
    });
    rule("a run that is over never changes", !seen.run.is_terminal() || from == to, &|| format!("{to:?}"));
    let grows = run.last_seq >= seen.run.last_seq && whole.lines.starts_with(&seen.lines);
    rule("events only grow", grows, &|| run.id().to_string());
    for old in &seen.nodes {
        let id = old.id();
        let Some(node) = whole.node(id) else {
            rule("a node stays", false, &|| id.to_string());
            continue;
        };
        let (from, to) = (&old.node, &node.node);
        rule("a node goes forward", lifecycle::node_run_may(from.state, to.state), &|| {
            format!("{id}: {} -> {}", from.state, to.state)
        });
        // It may still be evaluated.
        let extensions = |node: &NodeRun| {
            let kept = node.extensions.as_ref().map(|all| {
                all.edited(|key| key.starts_with("jarvis.evaluations"), &std::collections::BTreeMap::new())
            });
            kept.filter(|kept| !kept.is_empty())
        };
        let same = (from.state, from.ended_at, &from.outputs, extensions(from))
            == (to.state, to.ended_at, &to.outputs, extensions(to));
        rule("a node that is over never changes", !old.is_terminal() || same, &|| format!("{to:?}"));
        let grows =
            node.attempt >= old.attempt && node.children >= old.children && node.version >= old.version;
        let begins = node.attempt > old.attempt && seen.run.hold.is_some();
        rule("no attempt begins while its run is held", !begins, &|| id.to_string());
        rule("counters only grow", grows, &|| id.to_string());
    }
    broken
}

/// An answer that a caller got, and that must stay true.
#[derive(Clone, Debug)]
pub enum Promise {
    /// The run was started, with that root.
    Run {
        run: RunId,
        root: NodeRunId,
    },
    RunOver {
        run: RunId,
        state: RunState,
    },
    NodeOver {
        node: NodeRunId,
        state: NodeRunState,
    },
    Children {
        parent: NodeRunId,
        children: Vec<NodeRunId>,
    },
    /// An approval was decided like this.
    Approval {
        id: ApprovalId,
        outcome: ApprovalOutcome,
    },
    /// An evaluation with this reason was recorded.
    Evaluated {
        run: RunId,
        reason: String,
    },
    /// The first events of a run, as lines.
    Events {
        run: RunId,
        lines: Vec<String>,
    },
}

impl Promise {
    pub fn holds(&self, journal: &Snapshot) -> Result<(), String> {
        let run = |id| journal.run(id).map(|whole| &whole.run);
        let node = |id| journal.node(id);
        let holds = match self {
            Self::Run { run: id, root } => {
                run(id).is_some_and(|run| run.run.root_node_run_id == *root) && node(root).is_some()
            }
            Self::RunOver { run: id, state } => run(id).is_some_and(|run| run.run.state == *state),
            Self::NodeOver { node: id, state } => node(id).is_some_and(|node| node.node.state == *state),
            Self::Children { parent, children } => children.iter().all(|child| {
                node(child).is_some_and(|node| node.node.parent_node_run_id.as_ref() == Some(parent))
            }),
            Self::Approval { id, outcome } => node(&id.node).is_some_and(|node| {
                let approval = node.waits.approval.as_ref();
                approval.is_some_and(|of| of.approval_id == *id && of.outcome() == Some(*outcome))
            }),
            Self::Evaluated { run, reason } => journal.run(run).is_some_and(|whole| {
                whole.events.iter().any(|event| {
                    let said = event.data.as_ref().and_then(|data| data.text("reason_code"));
                    event.type_ == RunEventType::NodeEvaluated && said.as_deref() == Some(reason)
                })
            }),
            Self::Events { run, lines } => {
                journal.run(run).is_some_and(|whole| whole.lines.starts_with(lines))
            }
        };
        if holds { Ok(()) } else { Err(format!("{self:?}")) }
    }
}
