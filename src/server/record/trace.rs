//! Where a run belongs in a distributed trace, as it is stored with it.

use serde::{Deserialize, Serialize};

use crate::{
    time::Timestamp,
    types::{
        RunContext,
        trace::{SpanId, TraceFlags, TraceId, TraceParent, TraceState},
    },
};

/// The trace of a run. What is called for the run, and what is recorded of it,
/// belongs to this trace, in whatever process that happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunTrace {
    pub trace_id: TraceId,
    /// The span that caused the run. `None`: the trace begins with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<SpanId>,
    pub flags: TraceFlags,
    #[serde(default, skip_serializing_if = "TraceState::is_empty")]
    pub state: TraceState,
    /// When the request that started the run was taken up. `None`: it was adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Timestamp>,
}

/// What the span of an attempt shows that its record would not tell any more: the policy
/// decision that let it begin, and its executor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptNote {
    pub at: Timestamp,
    pub action: String,
    pub decision: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
}

impl RunTrace {
    /// The trace that a caller continues.
    pub fn continuing(parent: TraceParent, state: TraceState) -> Self {
        let TraceParent { trace_id, span_id, flags } = parent;
        Self { trace_id, parent: Some(span_id), flags, state, requested_at: None }
    }

    /// The trace that a run's context names, if its ids are usable. It says nothing
    /// about sampling: the caller of this decides.
    pub fn named_by(context: &RunContext, sampled: impl FnOnce(&TraceId) -> bool) -> Option<Self> {
        let named = context.trace.as_ref()?;
        let trace_id = TraceId::parse(named.trace_id.as_deref()?)?;
        let parent = named.span_id.as_deref().and_then(SpanId::parse);
        let flags = TraceFlags::sampled(sampled(&trace_id));
        Some(Self { trace_id, parent, flags, state: TraceState::default(), requested_at: None })
    }

    pub fn is_sampled(&self) -> bool {
        self.flags.is_sampled()
    }
}
