//! Spans of records, pure: the same records make the same spans.
//!
//! ```text
//!   caller's span
//!     └─ run accepted               from the request to its commit
//!          ├─ invoke_workflow T     from the start to the end of the run
//!          └─ execute T             an attempt of the root: from hand-over to its end
//!               ├─ execute U        an attempt of a child
//!               └─ execute U        the next one
//! ```
//!
//! A span is made by the commit with which its subject is over. Where a cascade has
//! changed no more than the head of a node, what is missing is read later
//! ([`Ended::Node`], [`Ended::Run`]).

use super::{
    derive,
    span::{Ended, Kind, Names, Span, SpanEvent, SpanStatus, Value},
};
use crate::{
    record::{
        AttemptNote, AttemptOutcome, AttemptRecord, ChangeSet, NodeRecord, Origin, RunRecord, RunTrace,
    },
    time::Timestamp,
    types::{NodeKind, NodeRunState, NodeTypeRef, RunEvent, RunEventType, RunState, trace::SpanId},
};

/// A run whose trace is recorded.
#[derive(Clone, Copy)]
pub(super) struct Traced<'r> {
    run: &'r RunRecord,
    trace: &'r RunTrace,
    names: Names,
}

/// What is over with these changes.
pub(super) fn ended_by(changes: &ChangeSet, names: Names) -> Vec<Ended> {
    let Some(traced) = changes.run.as_ref().and_then(|run| Traced::of(run, names)) else { return Vec::new() };
    let ChangeSet { run_id, at, nodes, heads, events, attempts, .. } = changes;
    let mut ended = Vec::new();
    let mut add = |span: Option<Span>| ended.extend(span.map(|span| Ended::Span(Box::new(span))));
    let run = traced.run;
    let root = nodes.iter().find(|node| *node.id() == run.run.root_node_run_id);
    if run.version == 0 {
        let events = events.iter().map(|record| &record.event);
        add(traced.accepted(root.map(|root| &root.node.node_type_ref), events));
    }
    for attempt in attempts {
        let node = nodes.iter().find(|node| *node.id() == attempt.node_run_id);
        add(node.and_then(|node| traced.logged(node, attempt)));
    }
    for node in nodes.iter().filter(|node| node.node.ended_at == Some(*at)) {
        add(traced.ended(node));
    }
    let of_head = heads.iter().filter(|head| head.ended_at == Some(*at) && head.attempt > 0);
    ended.extend(of_head.map(|head| Ended::Node {
        run: run_id.clone(),
        node: head.node_run_id.clone(),
        at: *at,
    }));
    if run.run.ended_at == Some(*at) {
        ended.push(
            match root.and_then(|root| traced.whole(&root.node.node_type_ref, root.error_code().as_deref())) {
                Some(span) => Ended::Span(Box::new(span)),
                None => Ended::Run { run: run_id.clone(), at: *at },
            },
        );
    }
    ended
}

impl<'r> Traced<'r> {
    /// `None`: its trace is not recorded.
    pub(super) fn of(run: &'r RunRecord, names: Names) -> Option<Self> {
        let trace = run.trace.as_deref().filter(|trace| trace.is_sampled())?;
        Some(Self { run, trace, names })
    }

    /// The start of the run, short, so that its spans have a parent at once.
    pub(super) fn accepted<'e>(
        self,
        root: Option<&NodeTypeRef>,
        events: impl Iterator<Item = &'e RunEvent>,
    ) -> Option<Span> {
        match self.run.origin {
            Origin::Request { .. } => {}
            // It was started elsewhere.
            Origin::Adopted => return None,
        }
        let end = self.run.run.started_at?;
        let start = self.trace.requested_at.unwrap_or(end);
        let id = derive::accepted(&self.trace.trace_id, self.run.id());
        let mut span = self.span(id, self.trace.parent, "run accepted".to_owned(), start, end);
        span.kind = Kind::Server;
        span.attributes.extend(root.into_iter().flat_map(type_attributes));
        // The first is about the start. Others of the same commit are about a node that
        // begins in it.
        span.events = events.filter(|event| event.time == end).filter_map(policy_event).take(1).collect();
        Some(span)
    }

    /// The run, from its start to its end.
    pub(super) fn whole(self, root: &NodeTypeRef, error_code: Option<&str>) -> Option<Span> {
        let end = self.run.run.ended_at?;
        let start = self.run.run.started_at.unwrap_or(end);
        let trace = &self.trace.trace_id;
        let (id, parent) = (derive::whole(trace, self.run.id()), derive::accepted(trace, self.run.id()));
        let mut span =
            self.span(id, Some(parent), format!("invoke_workflow {}", root.node_type_id), start, end);
        span.attributes.extend(type_attributes(root));
        span.attributes.push(("arp.run.state", Value::text(run_state(self.run.run.state))));
        span.attributes.push(("arp.run.node_runs", self.run.nodes.into()));
        if self.names.gen_ai {
            span.attributes.push(("gen_ai.operation.name", Value::text("invoke_workflow")));
            span.attributes.push(("gen_ai.workflow.name", Value::text(&root.node_type_id)));
        }
        if self.run.run.state == RunState::Failed {
            span.fail(error_code.unwrap_or("failed"));
        }
        Some(span)
    }

    /// An attempt that another one follows.
    pub(super) fn logged(self, node: &NodeRecord, attempt: &AttemptRecord) -> Option<Span> {
        if node.is_terminal() && node.attempt == attempt.attempt && node.attempt_is_open() {
            // Its end is that of the node.
            return None;
        }
        let (code, retry_at) = match &attempt.outcome {
            AttemptOutcome::Failed { error, retry_at, .. } => (error.code.as_str(), Some(*retry_at)),
            AttemptOutcome::FailedResult { error, retry_at } => {
                (error.as_ref().map_or("failed", |error| error.code.as_str()), Some(*retry_at))
            }
            AttemptOutcome::Lost => ("attempt_lost", None),
            // The attempt was over before, and so was its span.
            AttemptOutcome::Late { .. } | AttemptOutcome::Fenced => return None,
        };
        let mut span = self.attempt(
            node,
            attempt.attempt,
            (attempt.started_at, attempt.ended_at),
            attempt.note.as_deref(),
        );
        span.fail(code);
        if let Some(retry_at) = retry_at {
            let at = Value::text(retry_at.to_string());
            span.events.push(SpanEvent {
                name: "retry scheduled",
                at: attempt.ended_at,
                attributes: vec![("arp.retry.at", at)],
            });
        }
        Some(span)
    }

    /// What ended with the node: its last attempt, or the failure of a node that was
    /// not at an executor.
    pub(super) fn ended(self, node: &NodeRecord) -> Option<Span> {
        let end = node.node.ended_at?;
        let failed = node.node.state == NodeRunState::Failed;
        let mut span = if node.attempt_is_open() {
            let start = node.attempt_started_at.or(node.node.started_at).unwrap_or(end);
            self.attempt(node, node.attempt, (start, end), node.note.as_deref())
        } else if failed {
            let id = derive::attempt(&self.trace.trace_id, node.id(), 0);
            let start = node.node.created_at.unwrap_or(end);
            let name = format!("not executed {}", node.node.node_type_ref.node_type_id);
            let mut span = self.span(id, Some(self.above(node)), name, start, end);
            span.attributes.extend(node_attributes(node));
            span
        } else {
            return None;
        };
        span.attributes.push(("arp.node_run.state", Value::text(node_state(node.node.state))));
        if failed {
            span.fail(node.error_code().as_deref().unwrap_or("failed"));
        }
        Some(span)
    }

    /// The span above those of a node.
    pub(super) fn above(self, node: &NodeRecord) -> SpanId {
        above(self.run, self.trace, node)
    }

    fn attempt(
        self,
        node: &NodeRecord,
        number: u32,
        (start, end): (Timestamp, Timestamp),
        note: Option<&AttemptNote>,
    ) -> Span {
        let id = derive::attempt(&self.trace.trace_id, node.id(), number);
        let node_type = &node.node.node_type_ref.node_type_id;
        let (of_gen_ai, named) = match node.node.kind {
            Some(NodeKind::Composite) => ("invoke_agent", "gen_ai.agent.name"),
            Some(NodeKind::Atomic) | None => ("execute_tool", "gen_ai.tool.name"),
        };
        let verb = if self.names.gen_ai { of_gen_ai } else { "execute" };
        let mut span = self.span(id, Some(self.above(node)), format!("{verb} {node_type}"), start, end);
        span.kind = Kind::Client;
        span.attributes.extend(node_attributes(node));
        span.attributes.push(("arp.attempt", u64::from(number).into()));
        if self.names.gen_ai {
            span.attributes.push(("gen_ai.operation.name", Value::text(of_gen_ai)));
            span.attributes.push((named, Value::text(node_type)));
        }
        if let Some(note) = note {
            let executor = note.executor.as_ref().map(|executor| ("arp.executor.id", Value::text(executor)));
            span.attributes.extend(executor);
            span.events.push(note_event(note));
        }
        span
    }

    fn span(
        self,
        span_id: SpanId,
        parent: Option<SpanId>,
        name: String,
        start: Timestamp,
        end: Timestamp,
    ) -> Span {
        let mut attributes = vec![("arp.run.id", Value::text(self.run.id()))];
        let of_context = self.run.run.run_context.as_ref().and_then(|context| context.tenant_id.as_deref());
        let of_owner = self.run.owner.as_ref().and_then(|owner| owner.tenant.as_deref());
        attributes.extend(of_context.or(of_owner).map(|tenant| ("arp.tenant.id", Value::text(tenant))));
        Span {
            trace_id: self.trace.trace_id,
            span_id,
            parent,
            state: self.trace.state.clone(),
            name,
            kind: Kind::Internal,
            start: start.min(end),
            end,
            attributes,
            status: SpanStatus::Unset,
            events: Vec::new(),
            links: Vec::new(),
        }
    }
}

/// The span above those of a node: its parent's attempt, or the start of the run.
pub(super) fn above(run: &RunRecord, trace: &RunTrace, node: &NodeRecord) -> SpanId {
    match &node.node.parent_node_run_id {
        Some(parent) => derive::attempt(&trace.trace_id, parent, node.parent_attempt),
        None => derive::accepted(&trace.trace_id, run.id()),
    }
}

impl Span {
    /// Notes that it failed, with a code.
    pub(crate) fn fail(&mut self, code: &str) {
        self.attributes.push(("error.type", Value::text(code)));
        self.status = SpanStatus::Error(code.to_owned());
    }
}

fn type_attributes(node_type: &NodeTypeRef) -> [(&'static str, Value); 2] {
    [
        ("arp.node_type.id", Value::text(&node_type.node_type_id)),
        ("arp.node_type.version", Value::text(&node_type.version)),
    ]
}

fn node_attributes(node: &NodeRecord) -> impl Iterator<Item = (&'static str, Value)> {
    let kind = node.node.kind.map(|kind| match kind {
        NodeKind::Atomic => "atomic",
        NodeKind::Composite => "composite",
    });
    let [id, version] = type_attributes(&node.node.node_type_ref);
    let named = [
        ("arp.node_run.id", Value::text(node.id())),
        id,
        version,
        ("arp.node.depth", node.path.depth().into()),
    ];
    named.into_iter().chain(kind.map(|kind| ("arp.node.kind", Value::text(kind))))
}

fn note_event(note: &AttemptNote) -> SpanEvent {
    let AttemptNote { at, action, decision, reason_code, executor: _ } = note;
    let mut attributes =
        vec![("arp.policy.action", Value::text(action)), ("arp.policy.decision", Value::text(decision))];
    attributes.extend(reason_code.as_ref().map(|code| ("arp.policy.reason_code", Value::text(code))));
    SpanEvent { name: "policy decision", at: *at, attributes }
}

/// The policy decision that an event reports.
fn policy_event(event: &RunEvent) -> Option<SpanEvent> {
    if event.type_ != RunEventType::PolicyDecided {
        return None;
    }
    let data = event.data.as_ref()?;
    Some(note_event(&AttemptNote {
        at: event.time,
        action: data.text("action")?,
        decision: data.text("decision")?,
        reason_code: data.text("reason_code"),
        executor: None,
    }))
}

fn run_state(state: RunState) -> &'static str {
    match state {
        RunState::Queued => "queued",
        RunState::Running => "running",
        RunState::Succeeded => "succeeded",
        RunState::Failed => "failed",
        RunState::Canceled => "canceled",
    }
}

fn node_state(state: NodeRunState) -> &'static str {
    match state {
        NodeRunState::Queued => "queued",
        NodeRunState::Assigned => "assigned",
        NodeRunState::Running => "running",
        NodeRunState::Succeeded => "succeeded",
        NodeRunState::Failed => "failed",
        NodeRunState::Canceled => "canceled",
    }
}
