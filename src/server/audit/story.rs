//! What the events of a run tell by themselves, and that the records say the
//! same: state is the fold of events.

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
    findings.rule("an event is of its run", foreign.is_none(), || format!("{foreign:?}"));
    let ascend = events.is_sorted_by(|one, next| one.seq < next.seq);
    findings.rule("events are in order, each number once", ascend, || run.id().to_string());
    let last = events.last().map_or(0, |event| event.seq);
    findings.same("a run knows its last event", &run.id(), &run.last_seq, &last);
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
    findings.rule("a run starts once, first of all", started, || run.id().to_string());
    let ends = usize::from(run.is_terminal());
    findings.same("a run ends once", &run.id(), &count(RunEventType::RunCompleted), &ends);
    let mut after = events.iter().skip_while(|event| event.type_ != RunEventType::RunCompleted).skip(1);
    let judged = |event: &RunEvent| match event.type_ {
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
    let more = after.find(|event| !judged(event));
    findings.rule("a run that is over is only judged", more.is_none(), || format!("{more:?}"));
}

/// What the events alone say.
#[derive(Default)]
struct Story<'h> {
    run_ended_as: Option<Value>,
    nodes: BTreeMap<&'h NodeRunId, NodeStory>,
}

#[derive(Default)]
struct NodeStory {
    /// What was said when it was announced, each time.
    assigned: Vec<Value>,
    children: u64,
    rounds: u64,
    evaluation: Option<Value>,
    /// The newest that somebody reported; the other may be the coordinator's.
    verdict: Option<Value>,
    recovery: Vec<Value>,
    /// What was said when it was over, each time.
    executed: Vec<Told>,
    allowed: u32,
}

/// Of an atomic node's end: how, and whether it was executed at all.
type Told = (Option<Value>, Option<Value>);

impl<'h> Story<'h> {
    fn of(events: &'h [RunEvent], findings: &mut Findings) -> Self {
        let mut story = Self::default();
        for event in events {
            let says = |member: &str| event.data.as_ref().and_then(|data| data.get(member));
            let data = || Value::from(event.data.clone().unwrap_or_default());
            if event.type_ == RunEventType::RunCompleted {
                story.run_ended_as = says("state");
            }
            let Some(node) = &event.node_run_id else { continue };
            let node = story.nodes.entry(node).or_default();
            match event.type_ {
                RunEventType::NodeRunAssigned => node.assigned.push(data()),
                RunEventType::CompositeDecomposed => {
                    let count = says("node_run_count").as_ref().and_then(Value::as_u64);
                    findings.rule("a round says how many it made", count.is_some(), || format!("{event:?}"));
                    node.rounds += 1;
                    node.children += count.unwrap_or_default();
                }
                RunEventType::AtomicExecuted => node.executed.push((says("state"), says("executed"))),
                RunEventType::NodeEvaluated => {
                    if says("reason_code").as_ref().and_then(Value::as_str) != Some("atomic_completed") {
                        node.verdict = Some(data());
                    }
                    node.evaluation = Some(data());
                }
                RunEventType::RecoveryApplied => node.recovery.push(data()),
                RunEventType::PolicyDecided => {
                    let is = |member, value| says(member).as_ref().and_then(Value::as_str) == Some(value);
                    node.allowed += u32::from(is("action", "node.run.execute") && is("decision", "allow"));
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
        findings.same("a run ends as was told", &run.id(), &self.run_ended_as, &ended_as);
        let stranger = self.nodes.keys().find(|node| !scene.nodes.contains_key(**node));
        findings.rule("events are about nodes that exist", stranger.is_none(), || format!("{stranger:?}"));
        for node in scene.nodes.values() {
            match self.nodes.get(node.id()) {
                Some(story) => story.agrees(node, findings),
                None => findings.rule("every node was announced", false, || about(node)),
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
        findings.same("a node was announced once, for what it is", &id, &self.assigned, &vec![assigned]);
        let counted = (self.children, self.rounds);
        findings.same("children and rounds were told", &id, &counted, &(node.children, node.rounds));
        // Of programs that let the coordinator's own replace a verdict, too.
        let judged = json!(node.node.evaluation_result);
        let newest = match json!(self.verdict) == judged {
            true => json!(self.verdict),
            false => json!(self.evaluation),
        };
        findings.same("the newest judgement stands", &id, &newest, &judged);
        self.recoveries(node, findings);
        self.told_once(node, findings);
        let permitted = node.attempt <= self.allowed;
        findings.rule("no attempt without permission", permitted, || {
            format!("{}: {}", self.allowed, about(node))
        });
    }

    /// Every recovery was told; the node has the newest, and says how many more
    /// there were.
    fn recoveries(&self, node: &NodeRecord, findings: &mut Findings) {
        let kept = node.node.recovery_actions.as_deref().unwrap_or_default();
        let dropped =
            node.node.extensions.as_ref().and_then(|own| own.get("jarvis.recovery_actions_dropped"));
        let dropped =
            dropped.as_ref().and_then(Value::as_u64).and_then(|dropped| usize::try_from(dropped).ok());
        let told = self.recovery.get(dropped.unwrap_or_default()..);
        findings.same("every recovery was told", &node.id(), &json!(told), &json!(kept));
    }

    /// Consumers count one `atomic_executed` for each atomic node, when it is
    /// over.
    fn told_once(&self, node: &NodeRecord, findings: &mut Findings) {
        let state = json!(node.node.state);
        let never = Value::Bool(false);
        let expected: Vec<Told> = match (node.node.kind, node.is_terminal()) {
            (Some(NodeKind::Atomic), true) => {
                vec![(Some(state), node.node.started_at.is_none().then_some(never))]
            }
            (Some(NodeKind::Atomic), false) | (Some(NodeKind::Composite) | None, _) => Vec::new(),
        };
        findings.same("an atomic node's end is told once", &node.id(), &self.executed, &expected);
    }
}
