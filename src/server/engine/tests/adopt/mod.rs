//! Runs that the JARVIS stores have and the journal has not: as another
//! coordinator leaves them, and as no coordinator ever would.

mod constraints;
mod continuing;
mod ending;
mod proptests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    invariants,
    support::{ROOT, RUN, World, answered, child, keyed, parse},
};
use crate::{
    engine::{self, Applied, BeginOutcome, Decision, NodeTypeFacts, StoredNode, StoredRun},
    record::{ChangeSet, Job, NodePath, NodeRecord, Origin, OutboxItem},
    time::Timestamp,
    types::{NodeKind, NodeRun, NodeRunId, NodeRunState, RunEvent, RunEventType, RunState, SideEffectClass},
};

/// Before now, but after any deadline started.
const BEGAN: &str = "2027-01-15T07:59:50Z";

fn run(more: Value) -> Value {
    merged(json!({"run_id": RUN, "state": "running", "root_node_run_id": ROOT, "started_at": BEGAN}), more)
}

/// A node of kind and state under `parent`.
fn node(id: &str, parent: Option<&str>, kind: &str, state: &str) -> Value {
    let mut node = json!({
        "node_run_id": id, "run_id": RUN, "parent_node_run_id": parent, "kind": kind, "state": state,
        "node_type_ref": {"node_type_id": format!("{kind}.x"), "version": "1"}, "created_at": BEGAN,
    });
    if !["queued", "assigned"].contains(&state) {
        node["started_at"] = json!(BEGAN);
    }
    if ["succeeded", "failed", "canceled"].contains(&state) {
        node["ended_at"] = json!(BEGAN);
    }
    node
}

#[expect(clippy::needless_pass_by_value, reason = "`json!({})` reads better without a borrow")]
fn event(seq: u64, type_: &str, node: Option<&str>, data: Value) -> Value {
    json!({"run_id": RUN, "seq": seq, "type": type_, "time": BEGAN, "node_run_id": node, "data": data})
}

fn merged(mut base: Value, more: Value) -> Value {
    if let (Value::Object(base), Value::Object(more)) = (&mut base, more) {
        base.extend(more);
    }
    base
}

fn stored(run: &Value, nodes: &[Value], events: &[Value]) -> StoredRun {
    let node = |node: &Value| StoredNode { node: parse(node.clone()), facts: NodeTypeFacts::default() };
    StoredRun {
        run: parse(run.clone()),
        nodes: nodes.iter().map(node).collect(),
        events: events.iter().cloned().map(parse).collect(),
    }
}

/// Adopts a run. The world after that, and the change set.
fn adopted(stored: &StoredRun) -> (World, ChangeSet) {
    let mut world = World::new();
    let Decision { changes, answer: () } = engine::run_adopt(stored.clone(), world.cx());
    let changes = changes.expect("a change set");
    sound(stored, &changes, world.now);
    world.import((*changes).clone());
    invariants::each_run(&world);
    (world, *changes)
}

/// Checks what holds for every adoption.
fn sound(stored: &StoredRun, changes: &ChangeSet, now: Timestamp) {
    let run = changes.run.as_ref().expect("the run is new");
    let over = run.is_terminal();
    assert_eq!((run.version, run.deadline.is_none(), &run.owner), (0, over, &None));
    assert_eq!(run.origin, Origin::Adopted);
    if stored.run.state.is_terminal() {
        assert_eq!(run.run, stored.run, "an ended run never changes");
    }
    assert_eq!(run.nodes, changes.nodes.len() as u64);

    let of_run = stored.nodes.iter().filter(|node| node.node.run_id == stored.run.run_id);
    let given: BTreeMap<&NodeRunId, &StoredNode> =
        of_run.rev().map(|stored| (&stored.node.node_run_id, stored)).collect();
    assert_eq!(records_of(changes).len(), given.len(), "all of them");
    let records = records_of(changes);
    assert_eq!(records.len(), changes.nodes.len(), "each node once");
    let places: BTreeSet<&str> = changes.nodes.iter().map(|node| node.path.as_str()).collect();
    assert_eq!(places.len(), changes.nodes.len(), "each in a place of its own");
    for record in &changes.nodes {
        let before = &given[record.id()].node;
        let again = NodeRecord { wake: record.wake.clone(), ..parse(json!(record)) };
        assert_eq!(again, *record, "a journal can keep it");
        let job = record.wake.as_ref().map(|wake| wake.job);
        assert_eq!((record.version, &record.node.run_id), (0, &run.run.run_id));
        assert_eq!(record.path == NodePath::root(), *record.id() == run.run.root_node_run_id);
        assert!(record.wake.as_ref().is_none_or(|wake| wake.claimed_by.is_none()), "unclaimed");
        assert!(record.path.contains(&record.path) && NodePath::root().contains(&record.path));
        if record.is_terminal() {
            assert!([None, Some(Job::CancelExecutor)].contains(&job));
            assert!(!before.state.is_terminal() || (record.node == *before && job.is_none()));
        } else {
            assert!(!over, "an ended run has no live node");
            let but_constraints = |node: &NodeRun| {
                let mut extensions = node.extensions.clone().unwrap_or_default();
                extensions.remove("constraints");
                NodeRun { extensions: Some(extensions), ..node.clone() }
            };
            assert_eq!(but_constraints(&record.node), but_constraints(before), "a live node is as it was");
            let executing = record.node.state == NodeRunState::Running;
            assert_eq!(job, Some(if executing { Job::Deadline } else { Job::Dispatch }), "{record:?}");
            assert!(record.deadline <= run.deadline && record.deadline.is_some());
            let parent = record.node.parent_node_run_id.as_ref().and_then(|parent| records.get(parent));
            let is_root = *record.id() == run.run.root_node_run_id;
            assert!(is_root || parent.is_some_and(|parent| !parent.is_terminal()), "its parent waits for it");
            assert!(is_root || parent.is_some_and(|parent| parent.path.contains(&record.path)));
        }
        assert_eq!(owes_node(changes, record.id()), record.node != *before, "owed if changed");
    }
    assert_eq!(owes_run(changes), run.run != stored.run);
    let live_root = records.get(&run.run.root_node_run_id).is_some_and(|root| !root.is_terminal());
    assert_eq!(live_root, !over, "a run lives as long as its root");

    let seqs: Vec<u64> = changes.events.iter().map(|event| event.event.seq).collect();
    assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?}");
    assert_eq!(seqs.last().copied().unwrap_or_default(), run.last_seq);
    let (theirs, ours): (Vec<_>, Vec<_>) =
        changes.events.iter().partition(|event| event.event.seq < first_owed(changes));
    assert!(theirs.iter().all(|event| stored.events.contains(&event.event)));
    assert!(ours.iter().all(|event| event.event.time == now));
    let first = theirs.last().map_or(1, |event| event.event.seq + 1);
    assert!(
        ours.iter().zip(first..).all(|(event, seq)| event.event.seq == seq),
        "new events follow the adopted ones"
    );
    for event in &changes.events {
        let node = event.event.node_run_id.as_ref().and_then(|node| records.get(node));
        assert_eq!(event.path.as_ref(), node.map(|node| &node.path));
    }
    let completed = changes.events.iter().filter(|event| event.event.type_ == RunEventType::RunCompleted);
    assert!(!stored.run.state.is_terminal() || over);
    assert!(over || completed.count() == 0);
}

fn records_of(changes: &ChangeSet) -> BTreeMap<&NodeRunId, &NodeRecord> {
    changes.nodes.iter().map(|node| (node.id(), node)).collect()
}

fn owes_run(changes: &ChangeSet) -> bool {
    changes.outbox.contains(&OutboxItem::Run { new: true })
}

fn owes_node(changes: &ChangeSet, id: &NodeRunId) -> bool {
    changes.outbox.contains(&OutboxItem::NodeRun { node_run_id: id.clone(), new: true })
}

/// `seq` of the first event that the Event Stream does not have; those before
/// it came from there.
fn first_owed(changes: &ChangeSet) -> u64 {
    let range = |item: &OutboxItem| match item {
        OutboxItem::Events { first, last } => Some((*first, *last)),
        OutboxItem::Run { .. } | OutboxItem::NodeRun { .. } => None,
    };
    let Some((first, last)) = changes.outbox.iter().find_map(range) else { return u64::MAX };
    assert_eq!(Some(last), changes.events.last().map(|event| event.event.seq));
    first
}

/// Events that the adoption added, as `[type, node_run_id, data]`.
fn added(changes: &ChangeSet) -> Vec<Value> {
    let ours = changes.events.iter().filter(|event| event.event.seq >= first_owed(changes));
    ours.map(|event| json!([event.event.type_, event.event.node_run_id, event.event.data])).collect()
}
