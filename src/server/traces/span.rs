//! A span, and what takes what has ended.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::{
    time::Timestamp,
    types::{
        NodeRunId, RunId,
        trace::{SpanId, TraceId, TraceState},
    },
};

/// The longest value of an attribute, in characters: ids and codes are shorter.
const VALUE_CHARS: usize = 500;

/// Something that took time, and is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    pub parent: Option<SpanId>,
    pub state: TraceState,
    pub name: String,
    pub kind: Kind,
    pub start: Timestamp,
    pub end: Timestamp,
    pub attributes: Vec<(&'static str, Value)>,
    pub status: SpanStatus,
    pub events: Vec<SpanEvent>,
    pub links: Vec<Link>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Internal,
    Server,
    Client,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Number(i64),
}

/// How it ended. An error has a code, and never a message, which might quote inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SpanStatus {
    #[default]
    Unset,
    Ok,
    Error(String),
}

/// Something that happened in a span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanEvent {
    pub name: &'static str,
    pub at: Timestamp,
    pub attributes: Vec<(&'static str, Value)>,
}

/// Another span that has to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub trace_id: TraceId,
    pub span_id: SpanId,
}

/// Something of a trace that is over.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    Span(Box<Span>),
    /// An attempt that ended with its node.
    Node {
        run: RunId,
        node: NodeRunId,
        at: Timestamp,
    },
    Run {
        run: RunId,
        at: Timestamp,
    },
}

impl Ended {
    /// When it ended.
    pub(super) fn at(&self) -> Timestamp {
        match self {
            Self::Span(span) => span.end,
            Self::Node { at, .. } | Self::Run { at, .. } => *at,
        }
    }
}

/// The names of spans and attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// With those of the GenAI conventions, which are still in development.
    pub gen_ai: bool,
}

/// Takes what has ended. It must not wait.
pub trait Spans: std::fmt::Debug + Send + Sync + 'static {
    fn ended(&self, ended: Ended);
}

/// Keeps all spans, for tests.
#[derive(Clone, Debug, Default)]
pub struct Recorded(Arc<Mutex<Vec<Ended>>>);

impl Recorded {
    /// What has ended so far.
    pub fn all(&self) -> Vec<Ended> {
        self.0.lock().clone()
    }
}

impl Spans for Recorded {
    fn ended(&self, ended: Ended) {
        self.0.lock().push(ended);
    }
}

impl Value {
    /// A text, cut off where it is too long.
    pub fn text(text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        let end = text.char_indices().nth(VALUE_CHARS).map_or(text.len(), |(end, _)| end);
        Self::Text(text[..end].to_owned())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}
