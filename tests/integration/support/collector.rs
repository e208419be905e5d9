//! A collector of OpenTelemetry: takes spans by OTLP over HTTP, and knows each by its
//! id.

use std::{collections::BTreeMap, sync::Arc};

use dropshot::{ApiDescription, Body, HttpError, HttpServer, RequestContext, UntypedBody, endpoint};
use http::{HeaderMap, Response};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value},
    trace::v1::{Span as Message, span::SpanKind, status::StatusCode},
};
use prost::Message as _;
use tokio::sync::watch;

use super::{loopback::serve, soon};

/// A span as the collector received it.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub trace: String,
    pub id: String,
    /// Empty if it has none.
    pub parent: String,
    pub state: String,
    pub name: String,
    pub kind: SpanKind,
    pub start: u64,
    pub end: u64,
    pub attributes: BTreeMap<String, String>,
    /// The code of its error.
    pub error: Option<String>,
    pub events: Vec<String>,
    /// The ids of the spans that it is linked to.
    pub links: Vec<String>,
    pub resource: BTreeMap<String, String>,
}

/// The collector, and its URL.
pub struct Collector {
    state: Arc<State>,
    url: String,
    _server: HttpServer<Arc<State>>,
}

struct State {
    /// In the order of their arrival; one that comes again is there again.
    spans: watch::Sender<Vec<Span>>,
    headers: watch::Sender<Vec<HeaderMap>>,
    status: watch::Sender<u16>,
}

impl Collector {
    pub fn start() -> Self {
        let state = Arc::new(State {
            spans: watch::Sender::default(),
            headers: watch::Sender::default(),
            status: watch::Sender::new(200),
        });
        let mut api = ApiDescription::new();
        api.register(traces).expect("a sound API");
        let (server, url) = serve(api, &state);
        Self { state, url, _server: server }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on requests are answered with this status, and spans taken with 200
    /// only.
    pub fn answer(&self, status: u16) {
        self.state.status.send_replace(status);
    }

    /// The headers of the requests so far.
    pub fn headers(&self) -> Vec<HeaderMap> {
        self.state.headers.borrow().clone()
    }

    /// All spans so far, as often as they came.
    pub fn received(&self) -> Vec<Span> {
        self.state.spans.borrow().clone()
    }

    /// The spans so far by their ids. One that came again must be the same.
    pub fn spans(&self) -> Vec<Span> {
        let mut known: Vec<Span> = Vec::new();
        for mut span in self.received() {
            // Another process sent it.
            span.resource.remove("service.instance.id");
            match known.iter().find(|known| known.id == span.id) {
                Some(known) => assert_eq!(*known, span, "the same id, another span"),
                None => known.push(span),
            }
        }
        known
    }

    /// Waits until the spans so far satisfy `done`.
    pub async fn spans_until(&self, what: &str, done: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let mut spans = self.state.spans.subscribe();
        let _seen = soon(what, spans.wait_for(|spans| done(spans))).await.expect("the collector lives");
        self.spans()
    }

    /// Waits until there have been `count` requests.
    pub async fn called(&self, count: usize) {
        let mut headers = self.state.headers.subscribe();
        let _seen = soon("requests", headers.wait_for(|headers| headers.len() >= count)).await;
    }
}

impl Span {
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    fn of(message: Message, resource: &BTreeMap<String, String>) -> Self {
        let status = message.status.clone().unwrap_or_default();
        Self {
            kind: message.kind(),
            trace: hex(&message.trace_id),
            id: hex(&message.span_id),
            parent: hex(&message.parent_span_id),
            state: message.trace_state,
            name: message.name,
            start: message.start_time_unix_nano,
            end: message.end_time_unix_nano,
            attributes: texts(message.attributes),
            error: (status.code() == StatusCode::Error).then_some(status.message),
            events: message.events.into_iter().map(|event| event.name).collect(),
            links: message.links.iter().map(|link| hex(&link.span_id)).collect(),
            resource: resource.clone(),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |pair: KeyValue| {
        let value = match pair.value.and_then(|value| value.value) {
            Some(any_value::Value::StringValue(text)) => text,
            Some(any_value::Value::IntValue(number)) => number.to_string(),
            other => panic!("{}: {other:?}", pair.key),
        };
        (pair.key, value)
    };
    attributes.into_iter().map(text).collect()
}

#[endpoint { method = POST, path = "/v1/traces", unpublished = true }]
async fn traces(rq: RequestContext<Arc<State>>, body: UntypedBody) -> Result<Response<Body>, HttpError> {
    let state = rq.context();
    let status = *state.status.borrow();
    if status == 200 {
        let request = ExportTraceServiceRequest::decode(body.as_bytes()).expect("OTLP");
        for of_resource in request.resource_spans {
            let resource = texts(of_resource.resource.unwrap_or_default().attributes);
            let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            let spans: Vec<Span> = spans.map(|message| Span::of(message, &resource)).collect();
            state.spans.send_modify(|known| known.extend(spans));
        }
    }
    state.headers.send_modify(|headers| headers.push(rq.request.headers().clone()));
    Ok(Response::builder().status(status).body(Body::empty()).expect("a response"))
}
