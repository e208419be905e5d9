//! Adoption: taking over a run that the JARVIS stores have and the journal has not,
//! because another coordinator started it or the journal was lost.
//!
//! ```text
//!   as stored                                 as adopted
//!   ─────────────────────────────────────────────────────────────────────────
//!   terminal ───────────────────────────────▶ unchanged
//!   queued, assigned ───────────────────────▶ to be dispatched: it never was
//!   running atomic ─────────────────────────▶ a lost attempt: the caller that waited
//!                                             for its answer is gone (see `attempt`)
//!   running composite ──────────────────────▶ at its executor, which will report
//!   live, but under a terminal node, in a
//!   terminal run (D-17), or in no tree ─────▶ canceled
//! ```
//!
//! Another coordinator wrote all of it, in several steps of which the last may be
//! missing, so nothing about it is certain except its types. What continues is first
//! narrowed by the constraints of the run and of all its ancestors.
//!
//! - `tree`: the places of the nodes.
//!
//! **Invariants.** The adopted run satisfies our own rules from then on. Imported
//! events keep their numbers, gaps included; ours continue after the highest. The
//! outbox gets only what the stores do not have.

mod tree;

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    time::Duration,
};

use serde_json::{Value, json};

use self::tree::Tree;
use super::{
    bookkeeping::wake,
    command::{Cx, Decision, NodeTypeFacts, Rules},
    constraints::{self, effective_constraints},
    draft::{Draft, Place},
    extensions::{self, CONSTRAINTS, DECOMPOSITION_ROUNDS, Writer, own},
    failing::Failing,
    ledger, silence,
};
use crate::{
    record::{
        ChangeSet, EventRecord, Job, NodeBudget, NodePath, NodeRecord, Origin, OutboxItem, ResultRetries,
        RunRecord,
    },
    time::Timestamp,
    types::{
        NodeKind, NodeRun, NodeRunId, NodeRunState, Run, RunEvent, RunEventType, RunId, RunState,
        StructuralConstraints,
    },
};

/// Events with a higher number are ignored: ours could not continue after it.
const SEQ_MAX: u64 = 1 << 53;

/// The maximum of decompositions of one node.
const ROUNDS_MAX: u64 = 1 << 32;

/// A run as the JARVIS stores have it.
#[derive(Clone, Debug)]
pub struct StoredRun {
    pub run: Run,
    /// In the order in which they were created.
    pub nodes: Vec<StoredNode>,
    pub events: Vec<RunEvent>,
}

#[derive(Clone, Debug)]
pub struct StoredNode {
    pub node: NodeRun,
    /// What is known about its type; the default if the node is terminal.
    pub facts: NodeTypeFacts,
}

/// Imports a whole run into the journal. The outbox gets only what this changes.
pub fn run_adopt(stored: StoredRun, cx: Cx<'_>) -> Decision<()> {
    let Cx { rules, now, .. } = cx;
    let StoredRun { run: given, nodes, events } = stored;
    let mut nodes = nodes_of(&given.run_id, nodes);
    let theirs: Vec<NodeRun> = nodes.iter().map(|stored| stored.node.clone()).collect();
    let events = events_of(&given.run_id, events);

    let mut run = run_record(given.clone(), &nodes, &events, rules, now);
    let (mut stay, mut unwanted) = (Vec::new(), Vec::new());
    let mut paths = HashMap::new();
    let (mut records, mut awaited) = (Vec::new(), Vec::new());
    let tree = Tree::of(&run.run, &nodes);
    let rounds = rounds(&events);
    narrow(&run, &mut nodes, &tree, rules);
    for ((stored, place), children) in nodes.into_iter().zip(tree.places).zip(tree.children) {
        paths.insert(stored.node.node_run_id.clone(), place.path.clone());
        // A refused request may have its event nevertheless. The higher of both
        // numbers counts: the limit was reached then.
        let published = rounds.get(&stored.node.node_run_id).copied().unwrap_or_default();
        let record = node_record(stored, place.path, &run, cx);
        let rounds = record.rounds.max(published).min(ROUNDS_MAX);
        records.push(NodeRecord { children, rounds, ..record });
        awaited.push(place.awaited);
    }
    ledger::adopt(&mut run, &mut records, rules);
    for (record, awaited) in records.into_iter().zip(awaited) {
        if record.is_terminal() || awaited {
            stay.push(record);
        } else {
            unwanted.push(record);
        }
    }
    let imported = events.iter().map(|event| EventRecord {
        path: event.node_run_id.as_ref().and_then(|node| paths.get(node)).cloned(),
        event: event.clone(),
    });
    let imported: Vec<EventRecord> = imported.collect();

    let root = stay.iter().find(|node| *node.id() == run.run.root_node_run_id).cloned();
    let mut draft = Draft::new(run, cx);
    if imported.is_empty() && paths.is_empty() && !draft.run.is_terminal() {
        // The start was interrupted after the Run itself.
        draft.event(RunEventType::RunStarted, None, [("root_node_run_id", json!(given.root_node_run_id))]);
    }
    unwanted.sort_by_key(|node| Reverse(node.path.depth()));
    draft.cancel_new(unwanted);
    end_run(&mut draft, root.as_ref(), &events);
    for node in stay {
        draft.put(node);
    }
    let mut changes = draft.into_changes();
    // The imported events are not in the outbox, and come before our own.
    changes.events.splice(0..0, imported);
    without_known(&mut changes, &given, &theirs);
    Decision { changes: Some(Box::new(changes)), answer: () }
}

/// Takes the outbox entries of records that the JARVIS stores have word for
/// word. If the comparison misses one, that costs a call and loses nothing.
fn without_known(changes: &mut ChangeSet, run: &Run, nodes: &[NodeRun]) {
    let stored: HashMap<&NodeRunId, &NodeRun> = nodes.iter().map(|node| (&node.node_run_id, node)).collect();
    let is_known = |node: &NodeRecord| stored.get(node.id()) == Some(&&node.node);
    let known: HashSet<&NodeRunId> =
        changes.nodes.iter().filter(|node| is_known(node)).map(NodeRecord::id).collect();
    let run_is_known = changes.run.as_ref().is_some_and(|record| record.run == *run);
    changes.outbox.retain(|item| match item {
        OutboxItem::Run { .. } => !run_is_known,
        OutboxItem::NodeRun { node_run_id, .. } => !known.contains(node_run_id),
        OutboxItem::Events { .. } => true,
    });
}

/// Ends the run if its root ended or is missing, and adds a missing
/// `run_completed` to a terminal run that has events.
fn end_run(draft: &mut Draft<'_>, root: Option<&NodeRecord>, events: &[RunEvent]) {
    let has = |type_: RunEventType| events.iter().any(|event| event.type_ == type_);
    if draft.run.is_terminal() {
        if has(RunEventType::RunStarted) && !has(RunEventType::RunCompleted) {
            let state = draft.run.run.state;
            // A run that was canceled by request did not end with its root.
            let root = root.filter(|_| state != RunState::Canceled);
            draft.event(RunEventType::RunCompleted, root, [("state", json!(state))]);
        }
        return;
    }
    let place = root.map(Place::of);
    match root.map(|root| root.node.state) {
        None => draft.end_run(RunState::Failed, None, None),
        Some(NodeRunState::Succeeded) => draft.end_run(RunState::Succeeded, place, None),
        Some(NodeRunState::Failed) => {
            draft.end_run(RunState::Failed, place, root.map(Failing::recorded).as_ref());
        }
        Some(NodeRunState::Canceled) => draft.end_run(RunState::Canceled, place, None),
        Some(NodeRunState::Queued | NodeRunState::Assigned | NodeRunState::Running) => {}
    }
}

/// The nodes that belong to this run, each once.
fn nodes_of(run: &RunId, mut nodes: Vec<StoredNode>) -> Vec<StoredNode> {
    let mut seen = HashSet::new();
    nodes.retain(|stored| stored.node.run_id == *run && seen.insert(stored.node.node_run_id.clone()));
    nodes
}

/// The events that belong to this run, each number once, in order.
fn events_of(run: &RunId, mut events: Vec<RunEvent>) -> Vec<RunEvent> {
    events.retain(|event| event.run_id == *run && (1..=SEQ_MAX).contains(&event.seq));
    events.sort_by_key(|event| event.seq);
    events.dedup_by_key(|event| event.seq);
    events
}

/// How often each node was decomposed according to the events.
fn rounds(events: &[RunEvent]) -> HashMap<NodeRunId, u64> {
    let mut rounds = HashMap::new();
    for event in events.iter().filter(|event| event.type_ == RunEventType::CompositeDecomposed) {
        if let Some(node) = &event.node_run_id {
            *rounds.entry(node.clone()).or_default() += 1;
        }
    }
    rounds
}

fn run_record(
    mut run: Run,
    nodes: &[StoredNode],
    events: &[RunEvent],
    rules: &Rules,
    now: Timestamp,
) -> RunRecord {
    // A run with a `run_completed` has ended: a second end would contradict it.
    let completed = events.iter().find(|event| event.type_ == RunEventType::RunCompleted);
    match (run.state, completed) {
        (RunState::Queued | RunState::Running, Some(completed)) => {
            let state = completed.data.as_ref().and_then(|data| data.get("state"));
            let state = state
                .as_ref()
                .and_then(Value::as_str)
                .and_then(|state| state.parse().ok())
                .filter(|state: &RunState| state.is_terminal());
            run.state = state.unwrap_or(RunState::Failed);
            run.ended_at.get_or_insert(completed.time);
        }
        (RunState::Queued, None) => run.state = RunState::Running,
        (RunState::Running, None) | (RunState::Succeeded | RunState::Failed | RunState::Canceled, _) => {}
    }
    let ceilings = if run.state.is_terminal() { None } else { bound(&mut run, nodes, rules) };
    let constraints = constraints::stored(run.extensions.as_ref()).unwrap_or_default();
    let time = constraints::wall_time(constraints.as_ref(), rules.run_timeout);
    let deadline = (!run.state.is_terminal()).then(|| began(run.started_at, now) + time);
    let owner = extensions::stored_owner(run.extensions.as_ref());
    let hold = extensions::stored_hold(run.extensions.as_ref()).filter(|_| deadline.is_some());
    RunRecord {
        run,
        version: 0,
        last_seq: events.last().map_or(0, |event| event.seq),
        nodes: nodes.len() as u64,
        origin: Origin::Adopted,
        owner,
        subject_token: None,
        deadline,
        ceilings,
        account: None,
        hold,
        rerun: None,
        attempts: 0,
        changed_at: None,
        trace: None,
    }
}

/// Narrows the constraints of the run by the operator's bounds, and returns its
/// ceilings. Constraints that cannot be read stay as they are: nothing in the run
/// can be created or executed.
fn bound(run: &mut Run, nodes: &[StoredNode], rules: &Rules) -> Option<StructuralConstraints> {
    let root = nodes.iter().find(|stored| stored.node.node_run_id == run.root_node_run_id);
    let of_type = root.and_then(|root| root.facts.constraints.as_ref());
    let given = constraints::stored(run.extensions.as_ref()).ok()?;
    let bounded = rules.bounds.within(given.clone(), of_type);
    if bounded != given {
        let extensions = Writer::update(rules, run.extensions.take());
        run.extensions = extensions.own(CONSTRAINTS, bounded.as_ref()).done();
    }
    rules.bounds.ceilings(bounded.as_ref(), of_type)
}

/// The record of a node, without what its children and events add.
fn node_record(stored: StoredNode, path: NodePath, run: &RunRecord, cx: Cx<'_>) -> NodeRecord {
    let Cx { rules, now, .. } = cx;
    let StoredNode { node, facts } = stored;
    let rounds = own(node.extensions.as_ref(), DECOMPOSITION_ROUNDS).and_then(|text| text.parse().ok());
    let mut record = NodeRecord {
        rounds: rounds.unwrap_or_default(),
        side_effect: facts.side_effect,
        idempotent: facts.idempotent,
        result_retries: ResultRetries::of(facts.retry.clone()),
        type_constraints: facts.constraints.clone(),
        budget: NodeBudget { estimate: facts.estimated_usage, ..NodeBudget::default() },
        deadline: run.deadline,
        ..NodeRecord::new(node, path)
    };
    match record.node.state {
        NodeRunState::Succeeded | NodeRunState::Failed | NodeRunState::Canceled => {
            record.attempt = u32::from(record.node.started_at.is_some());
        }
        NodeRunState::Queued | NodeRunState::Assigned => record.wake = Some(wake(Job::Dispatch, now, None)),
        NodeRunState::Running => {
            let constraints = effective_constraints(run, &record, &facts).unwrap_or_default();
            let (default, is_at_it) = match record.node.kind {
                Some(NodeKind::Composite) => (Duration::MAX, true),
                Some(NodeKind::Atomic) | None => (rules.node_timeout, false),
            };
            let by_time =
                began(record.node.started_at, now) + constraints::wall_time(constraints.as_ref(), default);
            record.attempt = 1;
            // In a terminal run it has no time at all.
            record.deadline = run.deadline.map(|of_run| of_run.min(by_time));
            match record.deadline.filter(|_| is_at_it) {
                Some(_) => silence::await_executor(&mut record, cx.unclaimed()),
                // Unclaimed and due before its time: a lost attempt.
                None => record.wake = Some(wake(Job::Deadline, now, None)),
            }
        }
    }
    record
}

/// Narrows the constraints of continuing nodes by those of the run and of their
/// ancestors (D-14), which the other coordinator may not have done. Top-down, so
/// that a parent's constraints already include everything above it.
///
/// Below unreadable constraints nothing may be executed or created: they replace the
/// node's own, and are rejected where those are evaluated.
fn narrow(run: &RunRecord, nodes: &mut [StoredNode], tree: &Tree, rules: &Rules) {
    let lives_on = |at: &usize| tree.places[*at].awaited && !nodes[*at].node.state.is_terminal();
    let mut order: Vec<usize> = (0..nodes.len()).filter(lives_on).collect();
    order.sort_by_key(|&at| tree.places[at].path.depth());
    for at in order {
        let above = match tree.parents[at] {
            Some(parent) => nodes[parent].node.extensions.as_ref(),
            None => run.run.extensions.as_ref(),
        };
        let StoredNode { node, facts } = &nodes[at];
        let narrowed = match (constraints::stored(above), constraints::stored(node.extensions.as_ref())) {
            (Ok(above), Ok(own)) => {
                let narrowed = constraints::merge([above.as_ref(), own.as_ref(), facts.constraints.as_ref()]);
                let already = constraints::merge([own.as_ref()]) == narrowed;
                narrowed.filter(|_| !already).and_then(|envelope| serde_json::to_value(envelope).ok())
            }
            (Err(_), _) if tree.parents[at].is_some() => {
                own(above, CONSTRAINTS).and_then(|text| serde_json::from_str::<Value>(text).ok())
            }
            // The run's are evaluated each time, and its own reject it.
            (Err(_), _) | (Ok(_), Err(_)) => None,
        };
        let extensions = &mut nodes[at].node.extensions;
        if narrowed.is_some() {
            *extensions = Writer::update(rules, extensions.take()).own(CONSTRAINTS, narrowed.as_ref()).done();
        }
    }
}

/// When something began, but never in the future.
fn began(at: Option<Timestamp>, now: Timestamp) -> Timestamp {
    at.map_or(now, |at| at.min(now))
}
