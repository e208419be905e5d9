//! What is checked: each run after each commit, by itself and against what it
//! was before; and whatever anybody was told.

use std::collections::BTreeMap;

use jarvis_run_coordinator::{
    audit::{History, audit},
    engine::lifecycle,
    ids::{NodeRunId, RunId},
    model::{NodeRunState, RunEventType, RunState},
    record::{NodeRecord, RunRecord},
    store::{Store, memory::MemoryStore},
};

use crate::world::at_once;

/// Remembers what every run was.
#[derive(Default)]
pub struct Watch {
    runs: BTreeMap<RunId, Seen>,
    pub promises: Vec<Promise>,
}

struct Seen {
    run: RunRecord,
    nodes: BTreeMap<NodeRunId, NodeRecord>,
}

/// A rule that is broken, and where.
pub type Broken = (String, String);

impl Watch {
    /// Everything that is wrong with a run, and with what has become of it.
    pub fn look(&mut self, journal: &MemoryStore, id: &RunId) -> Vec<Broken> {
        let Some(run) = at_once(journal.run_fetch(id)).expect("memory does not fail") else {
            return Vec::new();
        };
        let (nodes, events) = (journal.nodes(id), journal.events(id));
        let attempts = journal.attempts(id);
        let found = audit(&History { run: &run, nodes: &nodes, events: &events, attempts: &attempts });
        let mut broken: Vec<Broken> =
            found.into_iter().map(|violation| (violation.rule.to_owned(), violation.what)).collect();
        if !events.is_sorted_by_key(|event| event.time) {
            broken.push(("events are in the order of time".into(), id.to_string()));
        }
        let nodes: BTreeMap<_, _> = nodes.into_iter().map(|node| (node.id().clone(), node)).collect();
        if let Some(seen) = self.runs.get(id) {
            broken.extend(seen.became(&run, &nodes));
        }
        self.runs.insert(id.clone(), Seen { run, nodes });
        broken
    }
}

impl Seen {
    fn became(&self, run: &RunRecord, nodes: &BTreeMap<NodeRunId, NodeRecord>) -> Vec<Broken> {
        let mut broken = Vec::new();
        let mut rule = |rule: &str, holds: bool, what: &dyn Fn() -> String| {
            if !holds {
                broken.push((rule.to_owned(), what()));
            }
        };
        let (from, to) = (&self.run.run, &run.run);
        rule("a run goes forward", lifecycle::run_may(from.state, to.state), &|| {
            format!("{}: {} -> {}", run.id(), from.state, to.state)
        });
        rule("a run that is over never changes", !self.run.is_terminal() || from == to, &|| {
            format!("{to:?}")
        });
        rule("events only grow", run.last_seq >= self.run.last_seq, &|| run.id().to_string());
        for (id, old) in &self.nodes {
            let Some(node) = nodes.get(id) else {
                rule("a node stays", false, &|| id.to_string());
                continue;
            };
            let (from, to) = (&old.node, &node.node);
            rule("a node goes forward", lifecycle::node_run_may(from.state, to.state), &|| {
                format!("{id}: {} -> {}", from.state, to.state)
            });
            let same = (from.state, from.ended_at, &from.outputs, &from.extensions)
                == (to.state, to.ended_at, &to.outputs, &to.extensions);
            rule("a node that is over never changes", !old.is_terminal() || same, &|| format!("{to:?}"));
            let grows = node.attempt >= old.attempt && node.children >= old.children;
            rule("counters only grow", grows, &|| id.to_string());
        }
        broken
    }
}

/// What somebody was told.
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
    /// An evaluation that says this was recorded.
    Evaluated {
        run: RunId,
        reason: String,
    },
    /// Of a run, these events in this order, from the first on.
    Events {
        run: RunId,
        lines: Vec<String>,
    },
}

impl Promise {
    pub fn holds(&self, journal: &MemoryStore) -> Result<(), String> {
        let run = |id| at_once(journal.run_fetch(id)).expect("memory does not fail");
        let node = |id| at_once(journal.node_fetch(id)).expect("memory does not fail");
        let holds = match self {
            Self::Run { run: id, root } => {
                run(id).is_some_and(|run| run.run.root_node_run_id == *root) && node(root).is_some()
            }
            Self::RunOver { run: id, state } => run(id).is_some_and(|run| run.run.state == *state),
            Self::NodeOver { node: id, state } => node(id).is_some_and(|node| node.node.state == *state),
            Self::Children { parent, children } => children.iter().all(|child| {
                node(child).is_some_and(|node| node.node.parent_node_run_id.as_ref() == Some(parent))
            }),
            Self::Evaluated { run, reason } => journal.events(run).iter().any(|event| {
                let said = event.data.as_ref().and_then(|data| data.text("reason_code"));
                event.type_ == RunEventType::NodeEvaluated && said.as_deref() == Some(reason)
            }),
            Self::Events { run, lines } => {
                let text = |event| serde_json::to_string(event).expect("serializes");
                let stored: Vec<String> = journal.events(run).iter().map(text).collect();
                stored.starts_with(lines)
            }
        };
        if holds { Ok(()) } else { Err(format!("{self:?}")) }
    }
}
