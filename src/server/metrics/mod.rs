//! Metrics: counted where things happen, or read when they are scraped.
//!
//! ```text
//!   committer ── tally ──▶ runs, nodes, events ─┐
//!   journal, door, clients, dispatch ───────────┼─▶ Metrics ──▶ encode ──▶ GET /metrics
//!   health, queue, journal's files, /proc ──────┘      (operator API)
//!            └─ readings, taken at a scrape
//! ```
//!
//! - `families`: the table of metrics.
//! - `tally`: what a commit changes; `readings`: what is known without counting;
//!   `process`: about the process.
//!
//! A [`Metrics`] is handed down like the clock: nothing is global. Clones count
//! into the same registry.
//!
//! **Architecture invariants.** No label has a value that a caller chooses: codes of
//! errors are those of the contract, or `other`. Counting never fails and never
//! waits for anything but a short lock.

pub(crate) mod families;
mod process;
mod readings;
mod tally;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, prometheus_text},
    metrics::{counter::Counter, family::Family as Labelled, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry},
};

use self::{
    families::{self as f, Family},
    tally::{
        EventLabels, KindLabels, LogLabels, NodeEndLabels, NodeStateLabels, PolicyLabels, RunEndLabels,
        StateLabels,
    },
};
pub(crate) use self::{
    process::process_readings,
    readings::{Reading, Source},
    tally::Tally,
};
use crate::types::NodeKind;

/// The content type of [`Metrics::encode`].
pub(crate) const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// Buckets for what takes milliseconds, as OpenTelemetry has them for HTTP.
const SHORT: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Buckets for commits.
const COMMIT: [f64; 12] = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 1.0, 4.0];
/// Buckets for work, which may take a day.
const LONG: [f64; 15] = [
    0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0, 86_400.0,
];

/// Counts, and gives the counts to scrapers.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

type Histograms<L> = Labelled<L, Histogram, fn() -> Histogram>;

struct Inner {
    registry: Mutex<Registry>,
    http_server: Histograms<ServerLabels>,
    http_active: Gauge,
    http_client: Histograms<ClientLabels>,
    runs_started: Counter,
    runs_completed: Labelled<RunEndLabels, Counter>,
    run_duration: Histograms<StateLabels>,
    nodes_created: Labelled<KindLabels, Counter>,
    nodes_completed: Labelled<NodeEndLabels, Counter>,
    node_queue: Histograms<KindLabels>,
    node_duration: Histograms<NodeStateLabels>,
    attempts: Labelled<AttemptLabels, Counter>,
    attempts_logged: Labelled<LogLabels, Counter>,
    policy: Labelled<PolicyLabels, Counter>,
    events: Labelled<EventLabels, Counter>,
    cancels: Labelled<OutcomeLabels, Counter>,
    commit_duration: Histogram,
    commits: Labelled<ResultLabels, Counter>,
    auth_refusals: Labelled<ReasonLabels, Counter>,
    limit_refusals: Labelled<LimitLabels, Counter>,
    tokens: Labelled<ResultLabels, Counter>,
    followers: Gauge,
    spans: Labelled<ResultLabels, Counter>,
    webhook_deliveries: Labelled<ResultLabels, Counter>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ServerLabels {
    operation: &'static str,
    http_response_status_code: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ClientLabels {
    service: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AttemptLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LimitLabels {
    limit: &'static str,
}

/// One of those that a gauge counts: a request without an answer, an open stream.
pub(crate) struct Active(Gauge);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let r = &mut registry;
        let inner = Inner {
            http_server: histograms(r, &f::HTTP_SERVER_DURATION, || Histogram::new(SHORT)),
            http_active: add(r, &f::HTTP_SERVER_ACTIVE, Gauge::default()),
            http_client: histograms(r, &f::HTTP_CLIENT_DURATION, || Histogram::new(SHORT)),
            runs_started: add(r, &f::RUNS_STARTED, Counter::default()),
            runs_completed: add(r, &f::RUNS_COMPLETED, Labelled::default()),
            run_duration: histograms(r, &f::RUN_DURATION, || Histogram::new(LONG)),
            nodes_created: add(r, &f::NODE_RUNS_CREATED, Labelled::default()),
            nodes_completed: add(r, &f::NODE_RUNS_COMPLETED, Labelled::default()),
            node_queue: histograms(r, &f::NODE_RUN_QUEUE, || Histogram::new(LONG)),
            node_duration: histograms(r, &f::NODE_RUN_DURATION, || Histogram::new(LONG)),
            attempts: add(r, &f::ATTEMPTS, Labelled::default()),
            attempts_logged: add(r, &f::ATTEMPTS_LOGGED, Labelled::default()),
            policy: add(r, &f::POLICY_DECISIONS, Labelled::default()),
            events: add(r, &f::EVENTS, Labelled::default()),
            cancels: add(r, &f::CANCELS, Labelled::default()),
            commit_duration: add(r, &f::COMMIT_DURATION, Histogram::new(COMMIT)),
            commits: add(r, &f::COMMITS, Labelled::default()),
            auth_refusals: add(r, &f::AUTH_REFUSALS, Labelled::default()),
            limit_refusals: add(r, &f::LIMIT_REFUSALS, Labelled::default()),
            tokens: add(r, &f::TOKEN_REQUESTS, Labelled::default()),
            followers: add(r, &f::EVENT_FOLLOWERS, Gauge::default()),
            spans: add(r, &f::SPANS, Labelled::default()),
            webhook_deliveries: add(r, &f::WEBHOOK_DELIVERIES, Labelled::default()),
            registry: Mutex::default(),
        };
        *inner.registry.lock() = registry;
        Self(Arc::new(inner))
    }

    /// From now on a scrape also has what this source knows.
    pub(crate) fn read_from(&self, source: Source) {
        self.0.registry.lock().register_collector(Box::new(readings::Readings(source)));
    }

    /// The metrics, in the text format of Prometheus.
    pub(crate) fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.0.registry.lock())?;
        Ok(text)
    }

    /// Counts a request until it is dropped.
    pub(crate) fn active_request(&self) -> Active {
        Active::of(&self.0.http_active)
    }

    /// Counts a follower of events until it is dropped.
    pub(crate) fn follower(&self) -> Active {
        Active::of(&self.0.followers)
    }

    /// A request was refused for its caller: no valid token, or a foreign page.
    pub(crate) fn caller_refused(&self, reason: &'static str) {
        self.0.auth_refusals.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// A limit refused a request or a connection.
    pub(crate) fn limit_refused(&self, limit: &'static str) {
        self.0.limit_refusals.get_or_create(&LimitLabels { limit }).inc();
    }

    /// A token was asked for.
    pub(crate) fn token_asked(&self, result: &'static str) {
        self.0.tokens.get_or_create(&ResultLabels { result }).inc();
    }

    /// A request was answered.
    pub(crate) fn request_answered(&self, operation: &'static str, status: u16, time: Duration) {
        let labels = ServerLabels { operation, http_response_status_code: status };
        self.0.http_server.get_or_create(&labels).observe(time.as_secs_f64());
    }

    /// A service has answered our request with this status, or has not.
    pub(crate) fn call_answered(&self, service: &'static str, status: Option<u16>, time: Duration) {
        let outcome = match status {
            None => "none",
            Some(..=299) => "2xx",
            Some(300..=399) => "3xx",
            Some(400..=499) => "4xx",
            Some(500..) => "5xx",
        };
        self.0.http_client.get_or_create(&ClientLabels { service, outcome }).observe(time.as_secs_f64());
    }

    /// A call to execute or begin a node came out like this.
    pub(crate) fn attempt(&self, kind: NodeKind, outcome: &'static str) {
        let kind = tally::kind_name(Some(kind));
        self.0.attempts.get_or_create(&AttemptLabels { kind, outcome }).inc();
    }

    /// A cancel was sent to executors.
    pub(crate) fn cancel_sent(&self, outcome: &'static str) {
        self.0.cancels.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// A commit has ended.
    pub(crate) fn commit(&self, result: &'static str, time: Duration) {
        self.0.commit_duration.observe(time.as_secs_f64());
        self.0.commits.get_or_create(&ResultLabels { result }).inc();
    }

    /// This became of spans.
    pub(crate) fn spans(&self, result: &'static str, count: u64) {
        if count > 0 {
            self.0.spans.get_or_create(&ResultLabels { result }).inc_by(count);
        }
    }

    /// Reports were sent to webhooks, with this result.
    pub(crate) fn webhook_deliveries(&self, result: &'static str, number: u64) {
        self.0.webhook_deliveries.get_or_create(&ResultLabels { result }).inc_by(number);
    }

    /// What a commit changed is durable.
    pub(crate) fn committed(&self, tally: &Tally) {
        tally.count(&self.0);
    }
}

impl Active {
    fn of(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

fn add<M: Metric + Clone>(registry: &mut Registry, family: &Family, metric: M) -> M {
    registry.register(family.registered(), family.help, metric.clone());
    metric
}

fn histograms<L>(registry: &mut Registry, family: &Family, new: fn() -> Histogram) -> Histograms<L>
where
    L: Clone + std::hash::Hash + Eq + EncodeLabelSet + fmt::Debug + Send + Sync + 'static,
{
    add(registry, family, Labelled::new_with_constructor(new))
}
