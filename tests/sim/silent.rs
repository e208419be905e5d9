//! Silent composites, and nodes that are held during an outage of the PDP: their rules,
//! and their counts.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use jarvis_run_coordinator::{
    record::{Job, NodeRecord},
    types::{NodeKind, NodeRunId, RunEvent, RunEventType},
};

use crate::{
    process::SILENCE,
    world::{World, lock},
};

/// The time within which a composite without an executor is begun again or ended: the
/// silence period, once more because a process may just have started, and the time to
/// notice it. The deadlines of runs are several times longer.
const ABANDONED: Duration = Duration::from_secs(2 * SILENCE.as_secs() + 10);

/// The composites without an executor, and since when.
#[derive(Default)]
pub struct Abandoned(Mutex<BTreeMap<NodeRunId, Duration>>);

impl World {
    /// Checks that no composite waits for an executor that has gone.
    pub fn check_silent_composites(&self, abandoned: &Abandoned) {
        let up = self.processes();
        let Some(process) = up.iter().max_by_key(|process| process.up_since) else { return };
        let abandoned_after = ABANDONED + self.found_dead_within();
        let now = self.clock.elapsed();
        let (mut before, mut still) = (std::mem::take(&mut *lock(&abandoned.0)), BTreeMap::new());
        let journal = self.committed();
        for whole in journal.runs().filter(|whole| !whole.run.is_terminal() && self.is_calm()) {
            let nodes = &whole.nodes;
            let live_below = |of: &NodeRecord| {
                let below = |node: &&NodeRecord| of.path.contains(&node.path) && node.path != of.path;
                nodes.iter().filter(below).any(|node| !node.is_terminal())
            };
            for node in nodes {
                let waits = node.wake.as_ref().is_some_and(|wake| wake.job == Job::Deadline);
                let composite = node.node.kind == Some(NodeKind::Composite) && !node.is_terminal();
                if !composite || !waits || live_below(node) || self.ledger().is_open(node.id()) {
                    continue;
                }
                if journal.parked().iter().any(|item| item.node_run_id.as_ref() == Some(node.id())) {
                    continue;
                }
                let since = before.remove(node.id()).filter(|since| *since >= process.up_since);
                let since = since.unwrap_or(now);
                if now - since > abandoned_after {
                    let what = format!("{} at {}, {:?}", node.id(), process.clock.now(), node.waits);
                    self.violated("nothing waits for an executor that has gone", what);
                }
                still.insert(node.id().clone(), since);
            }
        }
        *lock(&abandoned.0) = still;
    }

    /// Counts events about waiting, and checks that a decision that is to be held is not
    /// denied.
    pub fn count_waiting(&self, event: &RunEvent) {
        let member = |key: &str| event.data.as_ref().map(|data| data.value(key)).unwrap_or_default();
        let says = |key: &str| member(key).as_str().unwrap_or_default().to_owned();
        let code = || member("extensions")["jarvis.code"].as_str().unwrap_or_default().to_owned();
        match event.type_ {
            RunEventType::RecoveryApplied
                if code() == "composite_executor_silent" && self.is_heard(event) =>
            {
                let what = format!("{event:?}");
                self.violated("a composite whose executor was heard is not begun again", what);
            }
            RunEventType::RecoveryApplied => match (&*code(), &*says("type")) {
                ("pdp_unavailable", _) => self.count("held for the PDP"),
                ("composite_executor_silent", "retry") => self.count("silent composite begun again"),
                ("composite_executor_silent", _) => self.count("silent composite given up"),
                _ => {}
            },
            RunEventType::PolicyDecided if says("reason_code") == "pdp_unavailable" => {
                self.count("denied without the PDP");
                if self.scenario.pdp_holds {
                    self.violated("what waits for the PDP is not denied", format!("{event:?}"));
                }
            }
            RunEventType::PolicyDecided
            | RunEventType::RunStarted
            | RunEventType::RunCompleted
            | RunEventType::NodeRunAssigned
            | RunEventType::NodeEvaluated
            | RunEventType::CompositeDecomposed
            | RunEventType::SubtaskMapped
            | RunEventType::CandidateSetGenerated
            | RunEventType::AtomicExecuted => {}
        }
    }

    /// Whether the executor of the composite that an event is about was heard by any
    /// process. (Clocks that go wrong make some of the time.)
    fn is_heard(&self, event: &RunEvent) -> bool {
        let node = event.node_run_id.as_ref();
        node.is_some_and(|node| self.was_heard_within(node, SILENCE * 3 / 4))
    }

    /// Counts the nodes whose deadline passed while they were held.
    pub fn count_held_to_the_end(&self, node: &NodeRecord) {
        let error = node.node.extensions.as_ref().map(|all| all.value("completion_error"));
        let code = &error.unwrap_or_default()["details"]["code"];
        if node.is_terminal() && *code == "pdp_unavailable" {
            self.count("held until its time was up");
        }
    }
}
