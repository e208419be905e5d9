//! What is always true of a run, looked at from outside: in its records, in its
//! events, and in that both tell the same story.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::support::World;
use crate::{
    engine::lifecycle,
    ids::{NodeRunId, RunId},
    model::{NodeKind, NodeRunState, RunEvent, RunEventType, StructuralConstraints},
    record::{Job, NodeRecord, RunRecord},
};

/// Checks a world, and the step that led to it from `before`.
pub(super) fn check(before: &World, world: &World) {
    for run in world.runs.values() {
        let nodes: Vec<&NodeRecord> =
            world.nodes.values().filter(|node| node.node.run_id == *run.id()).collect();
        let events: Vec<&RunEvent> = world
            .events
            .iter()
            .map(|record| &record.event)
            .filter(|event| event.run_id == *run.id())
            .collect();
        numbering(run, &events);
        beginning_and_end(run, &events);
        nobody_is_stuck(world, run, &nodes);
        counters(run, &nodes);
        limits(run, &nodes);
        told_once(&nodes, &events);
        Story::of(&events).agrees(run, &nodes);
    }
    transitions(before, world);
    places(world);
}

fn numbering(run: &RunRecord, events: &[&RunEvent]) {
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=run.last_seq).collect::<Vec<_>>(), "seq is gap-free from 1");
    assert!(events.is_sorted_by_key(|event| event.time), "in the order of time");
}

fn beginning_and_end(run: &RunRecord, events: &[&RunEvent]) {
    let of = |type_: RunEventType| events.iter().filter(move |event| event.type_ == type_);
    assert_eq!(of(RunEventType::RunStarted).count(), 1);
    assert_eq!(events[0].type_, RunEventType::RunStarted);
    assert_eq!(of(RunEventType::RunCompleted).count(), usize::from(run.is_terminal()));
    assert_eq!((run.run.ended_at.is_some(), run.deadline.is_none()), (run.is_terminal(), run.is_terminal()));
    let after = events.iter().skip_while(|event| event.type_ != RunEventType::RunCompleted).skip(1);
    for event in after {
        let judged = [RunEventType::NodeEvaluated, RunEventType::RecoveryApplied].contains(&event.type_);
        assert!(judged, "a run that is over is only judged: {event:?}");
    }
}

fn nobody_is_stuck(world: &World, run: &RunRecord, nodes: &[&NodeRecord]) {
    for node in nodes {
        let job = node.wake.as_ref().map(|wake| wake.job);
        assert_eq!(node.node.ended_at.is_some(), node.is_terminal());
        if node.is_terminal() {
            assert!([None, Some(Job::CancelExecutor)].contains(&job), "{node:?}");
        } else {
            assert!(
                [Some(Job::Dispatch), Some(Job::Deadline)].contains(&job),
                "a live node has a wake-up: {node:?}"
            );
            assert!(!run.is_terminal(), "no live node in a run that is over: {node:?}");
            let parent = node.node.parent_node_run_id.as_ref().map(|parent| &world.nodes[parent]);
            assert!(
                parent.is_none_or(|parent| !parent.is_terminal()),
                "no live node under one that is over: {node:?}"
            );
            assert!(node.deadline.is_some());
        }
        if job == Some(Job::Deadline) {
            assert_eq!(node.node.state, NodeRunState::Running);
            assert_eq!(node.wake.as_ref().map(|wake| wake.at), node.deadline);
        }
    }
    let root = &world.nodes[&run.run.root_node_run_id];
    assert_eq!(root.is_terminal(), run.is_terminal(), "a run lives as long as its root");
}

fn counters(run: &RunRecord, nodes: &[&NodeRecord]) {
    assert_eq!(run.nodes, nodes.len() as u64);
    for node in nodes {
        let children = nodes.iter().filter(|other| other.node.parent_node_run_id.as_ref() == Some(node.id()));
        assert_eq!(node.children, children.count() as u64, "{node:?}");
        let shown = node.node.extensions.as_ref().and_then(|map| map.get("decomposition_rounds"));
        assert_eq!(shown.cloned(), (node.rounds > 0).then(|| json!(node.rounds)));
        assert!(node.rounds <= node.children && (node.children == 0 || node.rounds > 0));
        assert_eq!(node.attempt > 0, node.node.started_at.is_some());
    }
}

fn limits(run: &RunRecord, nodes: &[&NodeRecord]) {
    let given = run.run.extensions.as_ref().and_then(|map| map.get("constraints"));
    let structural = given.map_or(Value::Null, |constraints| constraints["structural"].clone());
    let Ok(limits) = serde_json::from_value::<StructuralConstraints>(structural) else { return };
    let within = |value: u64, limit: Option<u64>| limit.is_none_or(|limit| value <= limit);
    // The root is there whatever the limit says.
    assert!(run.nodes == 1 || within(run.nodes, limits.max_total_nodes_per_run));
    for node in nodes {
        assert!(node.path.depth() == 0 || within(node.path.depth(), limits.max_depth));
        assert!(within(node.children, limits.max_children_per_composite));
        assert!(within(node.rounds, limits.max_decomposition_rounds_per_node));
    }
}

/// Consumers count one `atomic_executed` for each atomic node, when it is over.
fn told_once(nodes: &[&NodeRecord], events: &[&RunEvent]) {
    for node in nodes {
        let told: Vec<&&RunEvent> = events
            .iter()
            .filter(|event| {
                event.type_ == RunEventType::AtomicExecuted && event.node_run_id.as_ref() == Some(node.id())
            })
            .collect();
        let is_atomic = node.node.kind == Some(NodeKind::Atomic);
        assert_eq!(told.len(), usize::from(is_atomic && node.is_terminal()), "{node:?}");
        for event in told {
            let executed = event.data.as_ref().and_then(|data| data.get("executed"));
            let expected = node.node.started_at.is_none().then_some(&Value::Bool(false));
            assert_eq!(executed, expected, "{node:?}");
        }
    }
}

fn transitions(before: &World, world: &World) {
    for (id, node) in &world.nodes {
        let Some(old) = before.nodes.get(id) else {
            assert!([NodeRunState::Queued, NodeRunState::Failed].contains(&node.node.state), "new: {node:?}");
            continue;
        };
        let (from, to) = (&old.node, &node.node);
        assert!(lifecycle::node_run_may(from.state, to.state), "{id}: {} -> {}", from.state, to.state);
        if old.is_terminal() {
            assert_eq!((from.state, from.ended_at), (to.state, to.ended_at), "{id} is over");
        }
        assert!(node.attempt >= old.attempt && node.children >= old.children && node.rounds >= old.rounds);
        assert_eq!((&old.path, &from.parent_node_run_id), (&node.path, &to.parent_node_run_id));
    }
    for (id, run) in &world.runs {
        let Some(old) = before.runs.get(id) else { continue };
        assert!(lifecycle::run_may(old.run.state, run.run.state), "{id}");
        if old.is_terminal() {
            assert_eq!(old.run, run.run, "{id} is over");
        }
    }
    assert!(world.events.starts_with(&before.events), "what was told stays told");
    assert!(world.nodes.len() >= before.nodes.len());
}

/// A child's path goes on from its parent's, and no two are the same.
fn places(world: &World) {
    let mut taken: BTreeMap<(&RunId, &str), &NodeRunId> = BTreeMap::new();
    for node in world.nodes.values() {
        assert_eq!(taken.insert((&node.node.run_id, node.path.as_str()), node.id()), None);
        if let Some(parent) = &node.node.parent_node_run_id {
            let parent = &world.nodes[parent];
            assert!(parent.path.contains(&node.path) && node.path.depth() == parent.path.depth() + 1);
        }
    }
    for record in &world.events {
        let of_node = record.event.node_run_id.as_ref().map(|node| world.nodes[node].path.clone());
        assert_eq!(record.path, of_node);
    }
}

/// What the events alone say.
#[derive(Default)]
struct Story {
    run_ended_as: Option<Value>,
    nodes: BTreeMap<NodeRunId, NodeStory>,
}

#[derive(Default)]
struct NodeStory {
    assigned: Option<Value>,
    children: u64,
    rounds: u64,
    evaluation: Option<Value>,
    recovery: Vec<Value>,
    ended_as: Option<Value>,
    allowed: u32,
}

impl Story {
    fn of(events: &[&RunEvent]) -> Self {
        let mut story = Self::default();
        for event in events {
            let data = Value::Object(event.data.clone().unwrap_or_default());
            if event.type_ == RunEventType::RunCompleted {
                story.run_ended_as = Some(data["state"].clone());
            }
            let Some(node) = &event.node_run_id else { continue };
            let node = story.nodes.entry(node.clone()).or_default();
            match event.type_ {
                RunEventType::NodeRunAssigned => {
                    assert!(node.assigned.replace(data).is_none(), "assigned once")
                }
                RunEventType::CompositeDecomposed => {
                    node.rounds += 1;
                    node.children += data["node_run_count"].as_u64().expect("a count");
                }
                RunEventType::AtomicExecuted => node.ended_as = Some(data["state"].clone()),
                RunEventType::NodeEvaluated => node.evaluation = Some(data),
                RunEventType::RecoveryApplied => node.recovery.push(data),
                RunEventType::PolicyDecided => {
                    let execute = data["action"] == "node.run.execute" && data["decision"] == "allow";
                    node.allowed += u32::from(execute);
                }
                RunEventType::RunCompleted => assert_eq!(node.assigned, Some(json!({"root": true}))),
                RunEventType::RunStarted
                | RunEventType::CandidateSetGenerated
                | RunEventType::SubtaskMapped => {}
            }
        }
        story
    }

    fn agrees(&self, run: &RunRecord, nodes: &[&NodeRecord]) {
        assert_eq!(self.run_ended_as, run.is_terminal().then(|| json!(run.run.state)));
        assert_eq!(self.nodes.len(), nodes.len(), "every node was announced");
        for node in nodes {
            let story = &self.nodes[node.id()];
            let assigned = match &node.node.parent_node_run_id {
                Some(parent) => json!({"parent_node_run_id": parent}),
                None => json!({"root": true}),
            };
            assert_eq!(story.assigned, Some(assigned));
            assert_eq!((story.children, story.rounds), (node.children, node.rounds), "{node:?}");
            assert_eq!(json!(story.evaluation), json!(node.node.evaluation_result), "{node:?}");
            assert_eq!(json!(story.recovery), json!(node.node.recovery_actions.clone().unwrap_or_default()));
            if let Some(state) = &story.ended_as {
                assert_eq!(*state, json!(node.node.state));
            }
            assert!(node.attempt <= story.allowed, "no attempt without permission: {node:?}");
        }
    }
}
