//! Spans of what is no record: requests of callers, questions to the policy point. They
//! are made where their subject ends, and those that a killed process has not sent are
//! lost.
//!
//! A request that starts a run has no span of its own: `run accepted`, which is made of
//! the record, stands for it.

use std::cell::{Cell, RefCell};

use super::{
    current::{self, Current},
    span::{Ended, Kind, Link, Span, SpanStatus, Value},
    tracer::Traces,
};
use crate::{
    time::Timestamp,
    types::trace::{SpanId, TraceParent, TraceState},
};

/// The most spans that one request is linked to.
const LINKS_MAX: usize = 8;

/// What is known of a request while it is served.
pub(crate) struct RequestScope {
    /// The span that its caller named.
    named: Option<(TraceParent, TraceState)>,
    links: RefCell<Vec<Link>>,
    started_run: Cell<bool>,
}

tokio::task_local! {
    static REQUEST: RequestScope;
}

/// How a request was answered.
pub(crate) struct AnsweredRequest {
    current: Current,
    parent: Option<SpanId>,
    links: Vec<Link>,
    began: Timestamp,
}

impl RequestScope {
    /// Serves a request, whose headers name this span, as a span of its own.
    pub(crate) async fn serve<F: Future>(
        traces: &Traces,
        named: Option<(TraceParent, TraceState)>,
        served: F,
    ) -> (F::Output, Option<AnsweredRequest>) {
        if named.is_none() && traces.tracer().is_none() {
            return (served.await, None);
        }
        let parent = named.as_ref().map(|(parent, _)| parent.span_id);
        let current = traces.of_request(named.as_ref());
        let scope = Self { named, links: RefCell::default(), started_run: Cell::new(false) };
        let began = traces.tracer().map(|tracer| tracer.clock.now());
        let whole = async {
            let answer = served.await;
            (answer, REQUEST.with(|scope| (scope.links.take(), scope.started_run.get())))
        };
        let (answer, (links, started_run)) =
            REQUEST.scope(scope, current::scope(current.clone(), whole)).await;
        let recorded = current.filter(|current| !started_run && current.flags.is_sampled()).zip(began);
        (answer, recorded.map(|(current, began)| AnsweredRequest { current, parent, links, began }))
    }

    /// The span that the caller of this task's request named.
    pub(crate) fn named() -> Option<(TraceParent, TraceState)> {
        REQUEST.try_with(|scope| scope.named.clone()).ok().flatten()
    }

    /// The request has to do with this span.
    pub(crate) fn link(link: Link) {
        let _outside_of_a_request = REQUEST.try_with(|scope| {
            let mut links = scope.links.borrow_mut();
            if links.len() < LINKS_MAX && !links.contains(&link) {
                links.push(link);
            }
        });
    }

    /// The request has started a run, whose record stands for it.
    pub(crate) fn started_run() {
        let _outside_of_a_request = REQUEST.try_with(|scope| scope.started_run.set(true));
    }
}

impl AnsweredRequest {
    /// Records the request, by the conventions for HTTP servers.
    pub(crate) fn record(self, traces: &Traces, method: &str, operation: &'static str, status: u16) {
        let Self { current, parent, links, began } = self;
        let (Some(span_id), Some(tracer)) = (current.span_id, traces.tracer()) else { return };
        let attributes = vec![
            ("http.request.method", Value::text(method)),
            ("http.response.status_code", u64::from(status).into()),
            ("arp.operation", Value::text(operation)),
        ];
        let mut span = Span {
            trace_id: current.trace_id,
            span_id,
            parent,
            state: current.state,
            name: format!("{method} {operation}"),
            kind: Kind::Server,
            start: began,
            end: tracer.clock.now().max(began),
            attributes,
            status: SpanStatus::Unset,
            events: Vec::new(),
            links,
        };
        // What a client did wrong is no error of the server.
        if status >= 500 {
            span.fail(&status.to_string());
        }
        traces.ended(vec![Ended::Span(Box::new(span))]);
    }
}

/// A call of another service, under way. Its own span is what the service continues.
pub(crate) struct CallSpan {
    traces: Traces,
    current: Current,
    parent: Option<SpanId>,
    name: String,
    began: Timestamp,
}

impl CallSpan {
    /// Makes a call within a span of its own, where the current trace is recorded.
    /// `noted` notes what came of it.
    pub(crate) async fn call<F: Future>(
        traces: &Traces,
        name: &str,
        call: F,
        noted: impl FnOnce(&F::Output, &mut Span),
    ) -> F::Output {
        let under_way = traces.tracer().zip(current::get()).filter(|(_, current)| current.flags.is_sampled());
        let Some((tracer, above)) = under_way else { return call.await };
        let parent = above.span_id;
        let current = Current { span_id: Some(tracer.span_id()), ..above };
        let span = Self {
            traces: traces.clone(),
            current: current.clone(),
            parent,
            name: name.to_owned(),
            began: tracer.clock.now(),
        };
        let answer = current::scope(Some(current), call).await;
        span.end(tracer.clock.now(), |span| noted(&answer, span));
        answer
    }

    fn end(self, now: Timestamp, noted: impl FnOnce(&mut Span)) {
        let Self { traces, current, parent, name, began } = self;
        let Some(span_id) = current.span_id else { return };
        let mut span = Span {
            trace_id: current.trace_id,
            span_id,
            parent,
            state: current.state,
            name,
            kind: Kind::Client,
            start: began,
            end: now.max(began),
            attributes: Vec::new(),
            status: SpanStatus::Unset,
            events: Vec::new(),
            links: Vec::new(),
        };
        noted(&mut span);
        traces.ended(vec![Ended::Span(Box::new(span))]);
    }
}
