//! The span that the calls and the log lines of a task belong to.
//!
//! ```text
//!   scope(span of an attempt) ──▶ [ call of the executor ] ── headers ──▶ traceparent
//!                                 [ log lines            ] ── get ──────▶ trace_id, span_id
//! ```
//!
//! It is set from what is stored with a run, never from what the process happens to
//! do: another process that goes on with the run sets the same.

use http::{HeaderMap, HeaderValue};

use crate::types::trace::{SpanId, TraceFlags, TraceId, TraceParent, TraceState};

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// A span that something belongs to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Current {
    pub(crate) trace_id: TraceId,
    /// `None`: spans are not recorded here, and the caller named none.
    pub(crate) span_id: Option<SpanId>,
    pub(crate) flags: TraceFlags,
    pub(crate) state: TraceState,
}

tokio::task_local! {
    static CURRENT: Option<Current>;
}

/// Runs `work` as a part of this span. `None`: as a part of none.
pub(crate) fn scope<F: Future>(current: Option<Current>, work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(current, work)
}

/// The span that this task works for.
pub(crate) fn get() -> Option<Current> {
    CURRENT.try_with(Option::clone).ok().flatten()
}

/// Looks at the span that this task works for.
pub(crate) fn look<T>(at: impl FnOnce(&Current) -> T) -> Option<T> {
    CURRENT.try_with(|current| current.as_ref().map(at)).ok().flatten()
}

/// Puts the headers of the current span into a request.
pub(crate) fn put_into(headers: &mut HeaderMap) {
    look(|current| {
        let Some(parent) = current.parent() else { return };
        // Both consist of visible characters and blanks.
        if let Ok(value) = HeaderValue::from_str(&parent.to_string()) {
            headers.insert(TRACEPARENT, value);
        }
        if !current.state.is_empty()
            && let Ok(value) = HeaderValue::from_str(current.state.as_str())
        {
            headers.insert(TRACESTATE, value);
        }
    });
}

/// The span that a request's headers name. Two `traceparent` name none.
pub(crate) fn named_in(headers: &HeaderMap) -> Option<(TraceParent, TraceState)> {
    let mut named = headers.get_all(TRACEPARENT).iter();
    let parent = TraceParent::parse(named.next()?.to_str().ok()?)?;
    if named.next().is_some() {
        return None;
    }
    let lines: Option<Vec<&str>> =
        headers.get_all(TRACESTATE).iter().map(|line| line.to_str().ok()).collect();
    let state = lines.map(|lines| TraceState::parse(&lines.join(",")));
    Some((parent, state.unwrap_or_default()))
}

impl Current {
    /// As the headers of a call name it.
    pub(crate) fn parent(&self) -> Option<TraceParent> {
        Some(TraceParent { trace_id: self.trace_id, span_id: self.span_id?, flags: self.flags })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().expect("a value")))
            .collect()
    }

    #[test]
    fn headers_that_are_no_use_count_as_missing() {
        let with =
            |more: &[(&'static str, &str)]| named_in(&headers(more)).map(|(_, state)| state.to_string());
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[(TRACESTATE, "a=1")]), None);
        assert_eq!(with(&[(TRACEPARENT, "00-x"), (TRACESTATE, "a=1")]), None);
        assert_eq!(with(&[(TRACEPARENT, PARENT), (TRACEPARENT, PARENT)]), None);
        assert_eq!(with(&[(TRACEPARENT, PARENT), (TRACESTATE, "A=1")]), Some(String::new()));
        let lines = [(TRACEPARENT, PARENT), (TRACESTATE, "a=1"), (TRACESTATE, "b=2")];
        assert_eq!(with(&lines), Some("a=1,b=2".to_owned()));
    }

    #[tokio::test]
    async fn scope_ends_with_its_work() {
        let (parent, state) =
            named_in(&headers(&[(TRACEPARENT, PARENT), (TRACESTATE, "a=1")])).expect("a span");
        let TraceParent { trace_id, span_id, flags } = parent;
        let current = Current { trace_id, span_id: Some(span_id), flags, state };
        let sent = async {
            let mut sent = HeaderMap::new();
            put_into(&mut sent);
            sent
        };
        let sent = scope(Some(current), sent).await;
        assert_eq!(
            (&sent[TRACEPARENT], &sent[TRACESTATE]),
            (&PARENT.parse::<HeaderValue>().unwrap(), &"a=1".parse::<HeaderValue>().unwrap())
        );
        let mut outside = HeaderMap::new();
        put_into(&mut outside);
        assert!(outside.is_empty() && get().is_none());
    }
}
