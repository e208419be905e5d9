//! The invariants of the records of a run, each alone and all together.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Findings, Scene};
use crate::{
    record::{AttemptOutcome, Hold, Job, NodeRecord},
    types::{
        ConstraintEnvelope, Extensions, NodeKind, NodeRunId, NodeRunState, SideEffectClass,
        StructuralConstraints,
    },
};

pub(super) fn check(scene: &Scene<'_>, findings: &mut Findings) {
    let run = scene.run;
    if !scene.adopted {
        // A foreign run may have no end time.
        let has_end = run.run.ended_at.is_some();
        findings.same("a terminal run has an end time", &run.id(), &has_end, &run.is_terminal());
    }
    let endless = run.deadline.is_none();
    findings.same("exactly live runs have a deadline", &run.id(), &endless, &run.is_terminal());
    hold(scene, findings);
    let mut places = BTreeSet::new();
    for node in scene.nodes.values() {
        findings.same("a node names its run", &node.id(), &&node.node.run_id, &run.id());
        findings.rule("node paths are unique", places.insert(node.path.as_str()), || about(node));
        wake_ups(scene, node, findings);
        attempts(scene, node, findings);
        repetition(scene, node, findings);
        if !scene.adopted {
            place(scene, node, findings);
            counters(scene, node, findings);
            limits(scene, node, findings);
        }
    }
    let twins: Vec<_> = scene.nodes.values().filter_map(|node| twin(node)).collect();
    let distinct = twins.iter().collect::<BTreeSet<_>>().len() == twins.len();
    findings.rule("a node is the twin of one node at most", distinct, || run.id().to_string());
    findings.same("a run counts its nodes", &run.id(), &run.nodes, &(scene.nodes.len() as u64));
    let root = scene.nodes.get(&run.run.root_node_run_id);
    findings.rule("a live run has a root", root.is_some() || run.is_terminal(), || run.id().to_string());
    if let Some(root) = root {
        let together = root.is_terminal() == run.is_terminal();
        findings.rule("a run ends with its root", together, || about(root));
    }
}

/// A hold is shown as it is, and only a live run has one: its deadline is the wake-up
/// that ends a hold without an end.
fn hold(scene: &Scene<'_>, findings: &mut Findings) {
    let (run, hold) = (scene.run, scene.run.hold.as_ref());
    let shown = run.run.extensions.as_ref().and_then(|extensions| extensions.raw("jarvis.held"));
    let shown: Option<Hold> = shown.and_then(|text| serde_json::from_str(text).ok());
    if !scene.adopted {
        findings.same("a hold is shown", &run.id(), &shown.as_ref(), &hold);
    }
    let over = hold.is_some() && (run.is_terminal() || run.due_at().is_none());
    findings.rule("a held run is live and has a wake-up", !over, || run.id().to_string());
}

/// Every live node has a wake-up, and every terminal node has none but its cancel
/// notification.
fn wake_ups(scene: &Scene<'_>, node: &NodeRecord, findings: &mut Findings) {
    let (job, state) = (node.wake.as_ref().map(|wake| wake.job), node.node.state);
    let what = || about(node);
    if !scene.adopted {
        let has_end = node.node.ended_at.is_some();
        findings.rule("exactly terminal nodes have an end time", has_end == node.is_terminal(), what);
    }
    if node.is_terminal() {
        let idle = matches!(job, None | Some(Job::CancelExecutor));
        findings.rule("a terminal node only waits to notify its executor", idle, what);
        return;
    }
    let awaited = matches!(job, Some(Job::Dispatch | Job::Deadline | Job::Approval | Job::SetAside));
    findings.rule("a live node has a wake-up", awaited, what);
    let starts_work = scene.run.hold.is_some() && job == Some(Job::Dispatch);
    findings.rule("a held run starts no work", !starts_work, what);
    findings.rule("a live node has a deadline", node.deadline.is_some(), what);
    findings.rule("a terminal run has no live nodes", !scene.run.is_terminal(), what);
    let is_root = *node.id() == scene.run.run.root_node_run_id;
    let orphan = !is_root && scene.parent(node).is_some_and(NodeRecord::is_terminal);
    findings.rule("a terminal node has no live children", !orphan, what);
    if job == Some(Job::Deadline) {
        findings.rule("a node that waits for its deadline is running", state == NodeRunState::Running, what);
    }
}

/// Each earlier attempt is logged with the reason why it did not end the node.
fn attempts(scene: &Scene<'_>, node: &NodeRecord, findings: &mut Findings) {
    let of_node = || scene.attempts.iter().filter(|attempt| attempt.node_run_id == *node.id());
    let logged: BTreeMap<u32, &AttemptOutcome> =
        of_node().map(|attempt| (attempt.attempt, &attempt.outcome)).collect();
    let what = || format!("{logged:?} of {}", about(node));
    findings.rule("an attempt is logged once", logged.len() == of_node().count(), what);
    let made = logged.keys().all(|number| (1..=node.attempt).contains(number));
    findings.rule("only attempts that were made are logged", made, what);
    let explained = (1..node.attempt).all(|number| logged.contains_key(&number));
    findings.rule("every superseded attempt is logged", explained, what);
    if !scene.adopted {
        // After a failed call it may be known that nothing was begun; after a lost or
        // late attempt it is not.
        let may_repeat = node.idempotent
            || node.side_effect == Some(SideEffectClass::Read)
            || node.node.kind == Some(NodeKind::Composite);
        let may_have_begun_before = logged.range(..node.attempt).any(|(_, outcome)| match outcome {
            AttemptOutcome::Failed { may_have_begun, .. } => *may_have_begun,
            // Its executor said that it may be executed again, or its type.
            AttemptOutcome::FailedResult { .. } => false,
            AttemptOutcome::Late { .. } | AttemptOutcome::Lost | AttemptOutcome::Fenced => true,
        });
        let repeated =
            logged.values().filter(|outcome| matches!(outcome, AttemptOutcome::FailedResult { .. }));
        let repeated = repeated.count();
        let allowed = node.result_retries.rule.as_ref().map_or(0, |rule| rule.max_attempts.saturating_sub(1));
        // A result that is delivered twice may replace its entry.
        let made = node.result_retries.made;
        let fits = repeated <= made as usize && made <= allowed;
        findings.rule("failed results are repeated as the type allows", fits, what);
        findings.rule(
            "a node that must not be executed twice is not",
            may_repeat || !may_have_begun_before,
            what,
        );
        let started = node.node.started_at.is_some();
        findings.same("exactly attempted nodes have a start time", &node.id(), &(node.attempt > 0), &started);
    }
}

/// The node of the original that is the same as this one.
fn twin(node: &NodeRecord) -> Option<&NodeRunId> {
    let twin = &node.repetition.twin;
    twin.reused().or(twin.repeated())
}

/// What has the outputs of another node was not executed.
fn repetition(scene: &Scene<'_>, node: &NodeRecord, findings: &mut Findings) {
    let reused = node.repetition.twin.reused();
    let shown = node.node.extensions.as_ref().and_then(|own| own.text("jarvis.reused_from"));
    let is_same = shown.as_deref() == reused.map(NodeRunId::as_str);
    findings.rule("a node shows whose outputs it has", is_same, || about(node));
    if reused.is_some() {
        let idle = node.attempt == 0 && node.children == 0 && node.node.started_at.is_none();
        let ended = node.node.state == NodeRunState::Succeeded && idle;
        findings.rule("a node with outputs of another was not executed", ended, || about(node));
    }
    if twin(node).is_some() {
        let reuses = scene.run.rerun.as_ref().is_some_and(|rerun| rerun.reuses);
        findings.rule("only a run that repeats another has twins", reuses, || about(node));
        let is_root = *node.id() == scene.run.run.root_node_run_id;
        let below = scene.parent(node).is_some_and(|parent| parent.repetition.twin.repeated().is_some());
        findings.rule("the parent of a twin repeats a node", is_root || below, || about(node));
    }
}

fn place(scene: &Scene<'_>, node: &NodeRecord, findings: &mut Findings) {
    let is_root = *node.id() == scene.run.run.root_node_run_id;
    findings.same(
        "exactly the root has no parent",
        &node.id(),
        &node.node.parent_node_run_id.is_none(),
        &is_root,
    );
    let below = match scene.parent(node) {
        Some(parent) => parent.path.contains(&node.path) && node.path.depth() == parent.path.depth() + 1,
        None => is_root && node.path.depth() == 0,
    };
    findings.rule("a node's path is below its parent's", below, || about(node));
}

fn counters(scene: &Scene<'_>, node: &NodeRecord, findings: &mut Findings) {
    let children = scene.children.get(node.id()).copied().unwrap_or_default();
    findings.same("a node counts its children", &node.id(), &node.children, &children);
    let shown = extension(node.node.extensions.as_ref(), "decomposition_rounds")
        .and_then(|text| serde_json::from_str::<Value>(text).ok());
    let rounds = (node.rounds > 0).then(|| json!(node.rounds));
    findings.same("a node publishes its decomposition rounds", &node.id(), &shown, &rounds);
    let fits = node.rounds <= node.children && (node.children == 0 || node.rounds > 0);
    findings.rule("each round made a child, and each child is of a round", fits, || about(node));
}

/// The run's limits hold for all of its nodes. (Those of nodes are narrower.)
fn limits(scene: &Scene<'_>, node: &NodeRecord, findings: &mut Findings) {
    let Some(limits) = structural(scene.run.run.extensions.as_ref()) else { return };
    let within = |value: u64, limit: Option<u64>| limit.is_none_or(|limit| value <= limit);
    // The root exists whatever the limit is.
    let others = node.path.depth() == 0
        || (within(node.path.depth(), limits.max_depth)
            && within(scene.run.nodes, limits.max_total_nodes_per_run));
    let own = within(node.children, limits.max_children_per_composite)
        && within(node.rounds, limits.max_decomposition_rounds_per_node);
    findings.rule("structural limits hold", others && own, || about(node));
}

fn structural(extensions: Option<&Extensions>) -> Option<StructuralConstraints> {
    let constraints = extension(extensions, "constraints")?;
    serde_json::from_str::<ConstraintEnvelope>(constraints).ok()?.structural
}

/// The value of one of the coordinator's own keys, in either spelling.
pub(super) fn extension<'m>(extensions: Option<&'m Extensions>, key: &str) -> Option<&'m str> {
    let extensions = extensions?;
    extensions.raw(key).or_else(|| extensions.raw(&format!("jarvis.{key}")))
}

/// Describes a node in a violation, without its content.
pub(super) fn about(node: &NodeRecord) -> String {
    let NodeRecord { path, version, attempt, children, rounds, wake, deadline, .. } = node;
    format!(
        "node {} at {path} ({}), version {version}, attempt {attempt}, children {children}, rounds {rounds}, \
         deadline {deadline:?}, wake {wake:?}",
        node.id(),
        node.node.state,
    )
}
