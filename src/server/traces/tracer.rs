//! The handle that others have: what a trace is, and what has ended.

use std::{fmt, sync::Arc};

use super::{
    current::{self, Current},
    derive, records,
    sampler::Sampler,
    span::{Ended, Link, Names, Spans},
};
use crate::{
    record::{ChangeSet, NodeRecord, RunRecord, RunTrace},
    time::{Clock, Timestamp},
    types::{
        IdSource, NodeRunId, RunContext, RunId,
        trace::{SpanId, TraceFlags, TraceId, TraceParent, TraceState},
    },
};

/// Traces, or none. Clones are the same.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<Tracer>>);

/// How traces are made, and who takes them.
pub struct Tracer {
    pub spans: Arc<dyn Spans>,
    /// Of traces that begin here.
    pub sampler: Sampler,
    pub names: Names,
    pub ids: Arc<dyn IdSource>,
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Traces").field(&self.0.is_some()).finish()
    }
}

impl Traces {
    /// None: what callers send is passed on, and nothing is recorded.
    pub fn off() -> Self {
        Self(None)
    }

    pub fn on(tracer: Tracer) -> Self {
        Self(Some(Arc::new(tracer)))
    }

    /// Whether spans are recorded.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn tracer(&self) -> Option<&Tracer> {
        self.0.as_deref()
    }

    /// What a request belongs to: a span of its own in the trace that its caller
    /// names, or in one that begins here. Without traces, the caller's.
    pub(crate) fn of_request(&self, named: Option<&(TraceParent, TraceState)>) -> Option<Current> {
        let named = named.cloned();
        let Some(tracer) = self.tracer() else {
            let (TraceParent { trace_id, span_id, flags }, state) = named?;
            return Some(Current { trace_id, span_id: Some(span_id), flags, state });
        };
        let span_id = Some(tracer.span_id());
        Some(match named {
            Some((TraceParent { trace_id, flags, .. }, state)) => Current { trace_id, span_id, flags, state },
            None => {
                let trace_id = derive::fresh_trace(&*tracer.ids);
                let flags = TraceFlags::sampled(tracer.sampler.samples(&trace_id));
                Current { trace_id, span_id, flags, state: TraceState::default() }
            }
        })
    }

    /// The trace of a run that this task's request starts: the one that its caller
    /// named, in the headers or in the run's context, or that of the request.
    pub(crate) fn of_start(
        &self,
        named: Option<(TraceParent, TraceState)>,
        context: Option<&RunContext>,
        now: Timestamp,
    ) -> Option<Box<RunTrace>> {
        let sampled = |trace: &TraceId| self.tracer().is_none_or(|tracer| tracer.sampler.samples(trace));
        let named = named
            .map(|(parent, state)| RunTrace::continuing(parent, state))
            .or_else(|| RunTrace::named_by(context?, sampled));
        let trace = named.or_else(|| {
            self.tracer()?;
            let Current { trace_id, flags, .. } = current::get()?;
            Some(RunTrace { trace_id, parent: None, flags, state: TraceState::default(), requested_at: None })
        })?;
        Some(Box::new(RunTrace { requested_at: Some(now), ..trace }))
    }

    /// What the start of a run belongs to.
    pub(crate) fn of_run(&self, run: &RunId, trace: Option<&RunTrace>) -> Option<Current> {
        self.of(trace?, |trace| derive::accepted(&trace.trace_id, run))
    }

    /// What an attempt belongs to.
    pub(crate) fn of_attempt(&self, run: &RunRecord, node: &NodeRunId, attempt: u32) -> Option<Current> {
        self.of(run.trace.as_deref()?, |trace| derive::attempt(&trace.trace_id, node, attempt))
    }

    /// What belongs to a node, but to none of its attempts.
    pub(crate) fn of_node(&self, run: &RunRecord, node: &NodeRecord) -> Option<Current> {
        self.of(run.trace.as_deref()?, |trace| records::above(run, trace, node))
    }

    fn of(&self, trace: &RunTrace, span: impl FnOnce(&RunTrace) -> SpanId) -> Option<Current> {
        let span_id = if self.0.is_some() { Some(span(trace)) } else { trace.parent };
        Some(Current { trace_id: trace.trace_id, span_id, flags: trace.flags, state: trace.state.clone() })
    }

    /// The span that a change of a run is about, for a request that caused it.
    pub(crate) fn link(&self, changes: &ChangeSet) -> Option<Link> {
        self.tracer()?;
        let run = changes.run.as_ref()?;
        let trace_id = run.trace.as_deref()?.trace_id;
        let attempted = |node: &&NodeRecord| node.version > 0 && node.attempt > 0;
        let ended =
            changes.nodes.iter().filter(attempted).find(|node| node.node.ended_at == Some(changes.at));
        let node = ended.or_else(|| changes.nodes.iter().find(attempted));
        let span_id = match node {
            Some(node) => derive::attempt(&trace_id, node.id(), node.attempt),
            None => derive::accepted(&trace_id, run.id()),
        };
        Some(Link { trace_id, span_id })
    }

    /// What is over once these changes are durable.
    pub(crate) fn ended_by(&self, changes: &ChangeSet) -> Vec<Ended> {
        self.tracer().map(|tracer| records::ended_by(changes, tracer.names)).unwrap_or_default()
    }

    /// These are over, durably.
    pub(crate) fn ended(&self, ended: Vec<Ended>) {
        if let Some(tracer) = self.tracer() {
            ended.into_iter().for_each(|ended| tracer.spans.ended(ended));
        }
    }
}

impl Tracer {
    pub(super) fn span_id(&self) -> SpanId {
        derive::fresh_span(&*self.ids)
    }
}
