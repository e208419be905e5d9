//! Traces: spans made from records when these are over, and sent to a collector.
//!
//! ```text
//!   door ── traceparent ──▶ current ──▶ stored with the run ──▶ current ── traceparent ──▶ services
//!                                              │
//!   committer ── committed changes ──▶ records ┴─▶ spans ──▶ queue ──▶ pump ── OTLP ──▶ collector
//!   door, policy ── what took time ──▶ calls ──────▲           full: dropped, counted
//!   start ── changed since the mark ──▶ replay ────┘
//! ```
//!
//! - `current`: the span that calls and log lines of a task belong to.
//! - `derive`: ids of spans, from what the records say.
//! - `span`: a span; `records`: spans of records, pure; `calls`: of what is no record.
//! - `sampler`: which traces are recorded; `tracer`: the handle that others have.
//! - `queue`, `pump`, `otlp`: the way to the collector; `replay`: what a killed process
//!   left unsent.
//!
//! **Architecture invariants.** A span is made once its commit is durable, and its id
//! depends on the records alone: making it again makes the same one. Nothing waits
//! for the collector. No span has inputs, outputs, messages or tokens. Without a
//! collector there is no queue, no task, and no span.

mod calls;
pub(crate) mod current;
mod derive;
mod otlp;
mod pump;
mod queue;
mod records;
mod replay;
mod sampler;
mod span;
#[cfg(test)]
mod tests;
mod tracer;

pub(crate) use self::{
    calls::{CallSpan, RequestScope},
    current::Current,
    pump::{Collector, PostError, Pump, PumpState},
};
pub use self::{
    otlp::Resource,
    queue::{Queue, QueueOptions},
    sampler::Sampler,
    span::{Ended, Kind, Link, Names, Recorded, Span, SpanEvent, SpanStatus, Spans, Value},
    tracer::{Tracer, Traces},
};
