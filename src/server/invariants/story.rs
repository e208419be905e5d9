//! The state that the events of a run imply, compared with the records: state is the
//! fold of events.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Findings, Scene, records::about};
use crate::{
    record::NodeRecord,
    types::{NodeKind, NodeRunId, RunEvent, RunEventType},
};

pub(super) fn check(scene: &Scene<'_>, findings: &mut Findings) {
    numbering(scene, findings);
    if !scene.adopted {
        beginning_and_end(scene, findings);
        Story::of(scene.events, findings).agrees(scene, findings);
    }
}

fn numbering(scene: &Scene<'_>, findings: &mut Findings) {
    let (run, events) = (scene.run, scene.events);
    let foreign = events.iter().find(|event| event.run_id != *run.id());
    findings.rule("an event names its run", foreign.is_none(), || format!("{foreign:?}"));
    let ascend = events.is_sorted_by(|one, next| one.seq < next.seq);
    findings.rule("events are in order without duplicates", ascend, || run.id().to_string());
    let last = events.last().map_or(0, |event| event.seq);
    findings.same("a run knows the number of its last event", &run.id(), &run.last_seq, &last);
    if !scene.adopted {
        let gap = (1..).zip(events).find(|(seq, event)| event.seq != *seq);
        let what = || gap.map(|(seq, event)| format!("{} instead of {seq}", event.seq)).unwrap_or_default();
        findings.rule("events are numbered from 1 without gaps", gap.is_none(), what);
    }
}

fn beginning_and_end(scene: &Scene<'_>, findings: &mut Findings) {
    let (run, events) = (scene.run, scene.events);
    let count = |type_| events.iter().filter(|event| event.type_ == type_).count();
    let first = events.first().map(|event| event.type_);
    let started = first == Some(RunEventType::RunStarted) && count(RunEventType::RunStarted) == 1;
    findings.rule("run_started is the first event, once", started, || run.id().to_string());
    let ends = usize::from(run.is_terminal());
    findings.same(
        "a terminal run has run_completed, once",
        &run.id(),
        &count(RunEventType::RunCompleted),
        &ends,
    );
    let mut after = events.iter().skip_while(|event| event.type_ != RunEventType::RunCompleted).skip(1);
    let is_evaluation = |event: &RunEvent| match event.type_ {
        RunEventType::NodeEvaluated | RunEventType::RecoveryApplied => true,
        RunEventType::RunStarted
        | RunEventType::RunCompleted
        | RunEventType::NodeRunAssigned
        | RunEventType::CompositeDecomposed
        | RunEventType::SubtaskMapped
        | RunEventType::CandidateSetGenerated
        | RunEventType::AtomicExecuted
        | RunEventType::PolicyDecided => false,
    };
    let more = after.find(|event| !is_evaluation(event));
    findings.rule("after run_completed there are only evaluations", more.is_none(), || format!("{more:?}"));
}

/// The state that the events alone imply.
#[derive(Default)]
struct Story<'h> {
    run_ended_as: Option<Value>,
    nodes: BTreeMap<&'h NodeRunId, NodeStory>,
}

#[derive(Default)]
struct NodeStory {
    /// The data of each `node_run_assigned`.
    assigned: Vec<Value>,
    children: u64,
    rounds: u64,
    evaluation: Option<Value>,
    evaluations: Vec<Value>,
    /// The newest evaluation that was reported; `evaluation` may be the
    /// coordinator's own.
    reported: Option<Value>,
    recovery: Vec<Value>,
    /// The data of each `atomic_executed`.
    executed: Vec<Executed>,
    allowed: u32,
    /// A caller has approved its execution.
    granted: bool,
}

/// The members of `atomic_executed`: the state, and `executed` if it is false.
type Executed = (Option<Value>, Option<Value>);

impl<'h> Story<'h> {
    fn of(events: &'h [RunEvent], findings: &mut Findings) -> Self {
        let mut story = Self::default();
        for event in events {
            let data_of = |member: &str| event.data.as_ref().and_then(|data| data.get(member));
            let data = || Value::from(event.data.clone().unwrap_or_default());
            if event.type_ == RunEventType::RunCompleted {
                story.run_ended_as = data_of("state");
            }
            let Some(node) = &event.node_run_id else { continue };
            let node = story.nodes.entry(node).or_default();
            match event.type_ {
                RunEventType::NodeRunAssigned => node.assigned.push(data()),
                RunEventType::CompositeDecomposed => {
                    let count = data_of("node_run_count").as_ref().and_then(Value::as_u64);
                    findings.rule("composite_decomposed has a node count", count.is_some(), || {
                        format!("{event:?}")
                    });
                    node.rounds += 1;
                    node.children += count.unwrap_or_default();
                }
                RunEventType::AtomicExecuted => node.executed.push((data_of("state"), data_of("executed"))),
                RunEventType::NodeEvaluated => {
                    if data_of("reason_code").as_ref().and_then(Value::as_str) != Some("atomic_completed") {
                        node.reported = Some(data());
                    }
                    node.evaluation = Some(data());
                    node.evaluations.push(data());
                }
                RunEventType::RecoveryApplied => node.recovery.push(data()),
                RunEventType::PolicyDecided => {
                    let is = |member, value| data_of(member).as_ref().and_then(Value::as_str) == Some(value);
                    let permitted =
                        is("decision", "allow") || node.granted && is("decision", "require_approval");
                    node.allowed += u32::from(is("action", "node.run.execute") && permitted);
                    node.granted |=
                        is("action", "node.run.approval") && is("reason_code", "approval_granted");
                }
                RunEventType::RunStarted
                | RunEventType::RunCompleted
                | RunEventType::CandidateSetGenerated
                | RunEventType::SubtaskMapped => {}
            }
        }
        story
    }

    fn agrees(&self, scene: &Scene<'_>, findings: &mut Findings) {
        let run = scene.run;
        let ended_as = run.is_terminal().then(|| json!(run.run.state));
        findings.same("a run's state agrees with run_completed", &run.id(), &self.run_ended_as, &ended_as);
        let stranger = self.nodes.keys().find(|node| !scene.nodes.contains_key(**node));
        findings.rule("events name existing nodes", stranger.is_none(), || format!("{stranger:?}"));
        for node in scene.nodes.values() {
            match self.nodes.get(node.id()) {
                Some(story) => story.agrees(node, findings),
                None => findings.rule("every node has node_run_assigned", false, || about(node)),
            }
        }
    }
}

impl NodeStory {
    fn agrees(&self, node: &NodeRecord, findings: &mut Findings) {
        let id = node.id();
        let assigned = match &node.node.parent_node_run_id {
            Some(parent) => json!({"parent_node_run_id": parent}),
            None => json!({"root": true}),
        };
        findings.same("node_run_assigned is correct, once", &id, &self.assigned, &vec![assigned]);
        let counted = (self.children, self.rounds);
        findings.same(
            "children and rounds agree with the events",
            &id,
            &counted,
            &(node.children, node.rounds),
        );
        // Older programs let the coordinator's own evaluation replace a reported one.
        let stored = json!(node.node.evaluation_result);
        let newest =
            if json!(self.reported) == stored { json!(self.reported) } else { json!(self.evaluation) };
        findings.same("the evaluation agrees with the newest event", &id, &newest, &stored);
        self.recoveries(node, findings);
        self.evaluations(node, findings);
        self.executed_once(node, findings);
        let permitted = node.attempt <= self.allowed;
        findings.rule("every attempt was allowed by policy", permitted, || {
            format!("{}: {}", self.allowed, about(node))
        });
    }

    /// Every recovery action has an event. The node keeps the newest ones, and counts
    /// those that were dropped.
    fn recoveries(&self, node: &NodeRecord, findings: &mut Findings) {
        let kept = node.node.recovery_actions.as_deref().unwrap_or_default();
        let dropped =
            node.node.extensions.as_ref().and_then(|own| own.get("jarvis.recovery_actions_dropped"));
        let dropped =
            dropped.as_ref().and_then(Value::as_u64).and_then(|dropped| usize::try_from(dropped).ok());
        let expected = self.recovery.get(dropped.unwrap_or_default()..);
        findings.same("recovery actions agree with the events", &node.id(), &json!(expected), &json!(kept));
    }

    /// The history of evaluations has the newest of the events.
    fn evaluations(&self, node: &NodeRecord, findings: &mut Findings) {
        let kept = node.node.extensions.as_ref().and_then(|own| own.get("jarvis.evaluations"));
        let Some(Value::Array(kept)) = kept else { return };
        // What is older than the history is in it without a time.
        let kept = kept.iter().filter(|entry| entry.get("at").is_some());
        let kept: Vec<Value> = kept.map(|entry| entry["evaluation_result"].clone()).collect();
        let newest =
            self.evaluations.len().checked_sub(kept.len()).and_then(|from| self.evaluations.get(from..));
        findings.same(
            "the history of evaluations agrees with the events",
            &node.id(),
            &Some(&*kept),
            &newest,
        );
    }

    /// Consumers count one `atomic_executed` for each atomic node when it ends.
    fn executed_once(&self, node: &NodeRecord, findings: &mut Findings) {
        let state = json!(node.node.state);
        let never = Value::Bool(false);
        let expected: Vec<Executed> = match (node.node.kind, node.is_terminal()) {
            (Some(NodeKind::Atomic), true) => {
                vec![(Some(state), node.node.started_at.is_none().then_some(never))]
            }
            (Some(NodeKind::Atomic), false) | (Some(NodeKind::Composite) | None, _) => Vec::new(),
        };
        findings.same(
            "an atomic node has one atomic_executed when it ends",
            &node.id(),
            &self.executed,
            &expected,
        );
    }
}
