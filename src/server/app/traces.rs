//! Wiring of traces: the collector, the queue before it, and the task that empties it.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use parking_lot::Mutex;
use reqwest::StatusCode;
use slog::Logger;

use super::StartError;
use crate::{
    clients::with_causes,
    config::{HttpUrl, TraceSettings},
    journal::Journal,
    metrics::Metrics,
    runtime::tasks::TaskSet,
    time::Clock,
    traces::{
        Collector, Names, PostError, Pump, PumpState, Queue, QueueOptions, Resource, Sampler, Tracer, Traces,
    },
    types::{IdSource, WorkerId},
};

/// The largest answer of a collector that is read.
const ANSWER_BYTES: usize = 64 << 10;

/// What traces need of a server.
pub(super) struct Parts<'p> {
    pub(super) journal: &'p Arc<dyn Journal>,
    pub(super) clock: &'p Arc<dyn Clock>,
    pub(super) ids: &'p Arc<dyn IdSource>,
    pub(super) http: &'p reqwest::Client,
    pub(super) metrics: &'p Metrics,
    pub(super) worker: &'p WorkerId,
    /// Stopped when nothing more ends.
    pub(super) tasks: &'p TaskSet,
    pub(super) log: Logger,
}

impl Parts<'_> {
    /// The traces of a server, and the pump that is to be started.
    pub(super) async fn traces(
        self,
        settings: Option<&TraceSettings>,
    ) -> Result<(Traces, Option<Pump>), StartError> {
        let Some(settings) = settings else { return Ok((Traces::off(), None)) };
        let collector = HttpCollector {
            http: self.http.clone(),
            url: settings.endpoint.clone(),
            headers: headers(settings)?,
            timeout: settings.timeout,
        };
        let TraceSettings { queue: size, batch, delay, gen_ai, .. } = *settings;
        let queue = Arc::new(Queue::new(QueueOptions { size, batch, delay }, self.metrics.clone()));
        let mut attributes = settings.attributes.clone();
        attributes.push(("service.instance.id".to_owned(), self.worker.to_string()));
        let names = Names { gen_ai };
        let pump = Pump {
            queue: Arc::clone(&queue),
            collector: Arc::new(collector),
            resource: Resource(attributes),
            names,
            journal: Arc::clone(self.journal),
            clock: Arc::clone(self.clock),
            metrics: self.metrics.clone(),
            stopping: self.tasks.stopping().clone(),
            state: Arc::new(Mutex::new(PumpState::default())),
            log: self.log,
        };
        pump.prepare().await.map_err(StartError::TakeUp)?;
        let tracer = Tracer {
            spans: queue,
            sampler: Sampler::of(settings.share),
            names,
            ids: Arc::clone(self.ids),
            clock: Arc::clone(self.clock),
        };
        Ok((Traces::on(tracer), Some(pump)))
    }
}

fn headers(settings: &TraceSettings) -> Result<HeaderMap, StartError> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    for (name, secret) in &settings.headers {
        // Both were checked with the settings.
        let name = http::HeaderName::from_bytes(name.as_bytes())
            .map_err(|error| StartError::Setup(error.to_string()))?;
        let mut value =
            HeaderValue::from_str(secret.expose()).map_err(|error| StartError::Setup(error.to_string()))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// A collector that speaks OTLP over HTTP. It is called like other services: with the
/// same trusted roots, client certificate and proxies.
struct HttpCollector {
    http: reqwest::Client,
    url: HttpUrl,
    headers: HeaderMap,
    timeout: Duration,
}

/// Without the headers, which may be secrets.
impl fmt::Debug for HttpCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCollector").field("url", &self.url).finish_non_exhaustive()
    }
}

#[async_trait]
impl Collector for HttpCollector {
    async fn send(&self, body: Bytes) -> Result<Bytes, PostError> {
        let request =
            self.http.post(self.url.as_str()).headers(self.headers.clone()).timeout(self.timeout).body(body);
        let answer = request.send().await.map_err(|error| no_answer(&error.without_url()))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(taken(answer).await);
        }
        let retry_after =
            answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Err(PostError {
            is_temporary: matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            ),
            retry_after: retry_after.map(Duration::from_secs),
            reason: format!("the collector answered {status}"),
        })
    }
}

fn no_answer(error: &reqwest::Error) -> PostError {
    PostError { is_temporary: true, retry_after: None, reason: with_causes(error) }
}

/// The answer, up to a limit: one that is larger, or breaks off, counts as empty. The
/// spans were taken either way.
async fn taken(mut answer: reqwest::Response) -> Bytes {
    let mut whole = Vec::new();
    while let Ok(Some(piece)) = answer.chunk().await {
        if whole.len() + piece.len() > ANSWER_BYTES {
            return Bytes::new();
        }
        whole.extend_from_slice(&piece);
    }
    whole.into()
}
