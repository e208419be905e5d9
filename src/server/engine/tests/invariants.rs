//! What is always true: of each run by itself, as `invariants` has it; of every step
//! that leads from one world to the next; and of all records together.

use std::collections::BTreeMap;

use super::support::World;
use crate::{
    engine::lifecycle,
    explain::{self, Below, Cause, ExecutorFacts, Facts},
    invariants::{self, History},
    record::{AttemptRecord, AuditRecord, Job, NodeRecord},
    types::{NodeRunState, RunEvent, RunId, WorkerId},
};

/// Checks a world, and the step that led to it from `before`.
pub(super) fn check(before: &World, world: &World) {
    each_run(world);
    assert!(world.events.is_sorted_by_key(|record| record.event.time), "in the order of time");
    let waiting = world.nodes.values().filter_map(|node| Some((node, node.wake.as_ref()?)));
    for (node, wake) in waiting.filter(|(_, wake)| wake.job == Job::Deadline) {
        // The next check is always before the deadline.
        assert_eq!(Some(wake.at), node.waits.check_at.or(node.deadline), "{node:?}");
        assert!(Some(wake.at) <= node.deadline, "{node:?}");
    }
    transitions(before, world);
    places(world);
    explained(world);
}

/// Every node has a reason for where it is, and the reasons are true of its record.
fn explained(world: &World) {
    let worker = WorkerId::new("worker");
    for node in world.nodes.values() {
        let below = world.nodes.values().filter(|other| {
            !other.is_terminal()
                && other.node.run_id == node.node.run_id
                && other.id() != node.id()
                && node.path.contains(&other.path)
        });
        let facts = Facts {
            now: world.now,
            worker: &worker,
            is_in_hand: true,
            below: Below { live: below.count() as u64, ..Below::default() },
            parked: None,
            last_attempt: None,
            executor: ExecutorFacts::default(),
            auto_dispatch: true,
            hold: world.runs[&node.node.run_id].hold.as_ref(),
            pause: None,
        };
        let reasons = explain::node_reasons(node, &facts);
        assert!(!reasons.is_empty(), "unexplained: {node:?}");
        for reason in reasons {
            let state = node.node.state;
            let at = node.wake.as_ref().map(|wake| wake.at);
            let holds = match &reason.cause {
                Cause::Over { state: said, .. } => *said == state && state.is_terminal(),
                Cause::NotifyingExecutor { .. } => state.is_terminal() && at.is_some(),
                Cause::AtExecutor { attempt, .. } => {
                    (state, *attempt) == (NodeRunState::Running, node.attempt) && *attempt > 0
                }
                Cause::WaitingForChildren { live, .. } => *live > 0 && state == NodeRunState::Running,
                Cause::BackingOff { .. } => at > Some(world.now) && state == NodeRunState::Running,
                Cause::Postponed { .. } => at > Some(world.now),
                Cause::WaitingForApproval { approval_id } => {
                    node.waits.approval.as_ref().is_some_and(|approval| {
                        approval.approval_id.to_string() == *approval_id && approval.decision.is_none()
                    })
                }
                Cause::Reused { node_run_id } => {
                    world.nodes[node_run_id].node.state == NodeRunState::Succeeded
                }
                Cause::PolicyUnavailable => node.waits.held_since.is_some() && at > Some(world.now),
                Cause::DispatchDue
                | Cause::AskingPolicy
                | Cause::WaitingForSlot { .. }
                | Cause::AtWorker { .. } => {
                    let is_aside = world.job(node.id().as_str()) == Some(Job::SetAside);
                    !state.is_terminal() && (at <= Some(world.now) || is_aside)
                }
                Cause::Held { .. } => world.runs[&node.node.run_id].hold.is_some(),
                Cause::QueueFull { .. }
                | Cause::BreakerOpen { .. }
                | Cause::DispatchOff
                | Cause::DispatchPaused { .. }
                | Cause::Parked { .. }
                | Cause::LostByWorker
                | Cause::NoWakeUp => false,
            };
            assert!(holds, "{reason:?} of {node:?}");
        }
    }
}

/// Each run tells one story, and a possible one.
pub(super) fn each_run(world: &World) {
    for run in world.runs.values() {
        let of_run = |id: &RunId| id == run.id();
        let nodes = world.nodes.values().filter(|node| of_run(&node.node.run_id));
        let nodes: Vec<NodeRecord> = nodes.cloned().collect();
        let events = world.events.iter().map(|record| &record.event).filter(|event| of_run(&event.run_id));
        let events: Vec<RunEvent> = events.cloned().collect();
        let attempts = newest(world.attempts.iter().filter(|attempt| of_run(&attempt.run_id)));
        let audit = world.audit.iter().filter(|record| record.object.run_id.as_ref().is_some_and(of_run));
        let audit: Vec<AuditRecord> = audit.cloned().collect();
        let audit = Some(audit.as_slice());
        let violations =
            invariants::check(&History { run, nodes: &nodes, events: &events, attempts: &attempts, audit });
        assert_eq!(violations, Vec::new());
    }
}

/// What a store keeps of the attempts: the newest entry of each.
fn newest<'w>(attempts: impl Iterator<Item = &'w AttemptRecord>) -> Vec<AttemptRecord> {
    let mut kept = BTreeMap::new();
    for attempt in attempts {
        kept.insert((attempt.node_run_id.clone(), attempt.attempt), attempt.clone());
    }
    kept.into_values().collect()
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
            assert_eq!((from.state, from.ended_at), (to.state, to.ended_at), "{id} has ended");
        }
        let was_held = before.runs[&from.run_id].hold.is_some();
        assert!(!was_held || node.attempt == old.attempt, "{id}: an attempt began while its run was held");
        assert!(node.attempt >= old.attempt && node.children >= old.children && node.rounds >= old.rounds);
        assert_eq!((&old.path, &from.parent_node_run_id), (&node.path, &to.parent_node_run_id));
    }
    for (id, run) in &world.runs {
        let Some(old) = before.runs.get(id) else { continue };
        assert!(lifecycle::run_may(old.run.state, run.run.state), "{id}");
        if old.is_terminal() {
            assert_eq!(old.run, run.run, "{id} has ended");
        }
    }
    assert!(world.events.starts_with(&before.events), "events stay");
    assert!(world.nodes.len() >= before.nodes.len());
}

/// An event has the place of the node that it is about.
fn places(world: &World) {
    for record in &world.events {
        let of_node = record.event.node_run_id.as_ref().map(|node| world.nodes[node].path.clone());
        assert_eq!(record.path, of_node);
    }
}
