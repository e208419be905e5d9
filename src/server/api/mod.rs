//! The HTTP surface: eleven operations of the ARP Standard, on this page.
//!
//! ```text
//! door.rs     every request: route, authentication, limits, envelopes
//!   path.rs     colon verbs
//!   crowd.rs    how many requests at once
//!   connections.rs, sockets.rs  what sends nothing is closed
//!   visit.rs    the caller, on its way in; the error, on its way out
//! mod.rs      the endpoints: take the request apart, call the coordinator, wrap the answer
//!   body.rs     JSON in: read by tree.rs, checked by shape.rs
//!   stream.rs   lines out
//!   nodelay.rs  … without waiting
//!   errors.rs   failures out
//! openapi.rs  the document, made from the endpoints
//! ```
//!
//! **Invariant:** no decision is made here. An endpoint that is not public asks
//! for a `Caller`, which only the door can give; the coordinator asks for its
//! principal in turn.

mod body;
mod connections;
mod crowd;
mod door;
mod errors;
mod nodelay;
pub mod openapi;
mod path;
#[cfg(test)]
mod proptests;
mod shape;
mod sockets;
mod stream;
#[cfg(test)]
mod tests;
mod tree;
mod visit;

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use dropshot::{
    ApiDescription, BuildError, ConfigDropshot, HandlerTaskMode, HttpResponseOk,
    HttpResponseUpdatedNoContent, HttpServer, Path, RequestContext, ServerBuilder, endpoint,
};
use http::HeaderMap;
use schemars::JsonSchema;
use serde::Deserialize;
use slog::{Drain, LevelFilter, Logger, o, warn};
use tokio_util::sync::CancellationToken;

use self::{
    body::Json,
    connections::Connections,
    crowd::Crowd,
    stream::{Ndjson, StreamQuery},
    visit::{Caller, Patience},
};
use crate::{
    auth::{Admission, AuthError, Authenticator, Principal},
    coordinator::Coordinator,
    health::HealthReport,
    runtime::tasks::TaskSet,
    types::{
        Health, NodeRun, NodeRunCompleteRequest, NodeRunEvaluationReportRequest, NodeRunId,
        NodeRunsCreateRequest, NodeRunsCreateResponse, NonEmpty, Run, RunId, RunStartRequest, VersionInfo,
    },
};

#[cfg(any(test, feature = "test-util"))]
pub use self::body::read_strictly;
pub use self::errors::ApiError;

const SERVICE_NAME: &str = "arp-jarvis-run-coordinator";
const API_VERSION: &str = "v1";

/// What endpoints work with.
pub struct ServerContext {
    pub coordinator: Arc<Coordinator>,
    pub authenticator: Arc<Authenticator>,
    pub health: HealthReport,
    /// How many JSON values a request body may have.
    pub body_values_max: u64,
    /// Cancelled when the server begins to stop: streams that wait for more
    /// events end then, because closing waits for them.
    pub stopping: CancellationToken,
    pub front: Front,
}

/// What holds crowds and laggards off. Clones are the same.
#[derive(Clone)]
pub struct Front {
    crowd: Arc<Crowd>,
    connections: Arc<Connections>,
    patience: Patience,
    /// Cancelled when the server has closed.
    closed: CancellationToken,
}

/// How much of a crowd is let in, and how long anybody is waited for.
#[derive(Clone, Copy, Debug)]
pub struct FrontLimits {
    /// Requests in work.
    pub requests: usize,
    /// Event streams open.
    pub streams: usize,
    /// For a request body to arrive; and a connection without a request is kept
    /// for so long.
    pub body_timeout: Duration,
}

impl Front {
    pub fn new(limits: FrontLimits, stopping: &CancellationToken) -> Self {
        let FrontLimits { requests, streams, body_timeout } = limits;
        Self {
            crowd: Arc::new(Crowd::new(requests, streams)),
            connections: Connections::new(),
            patience: Patience { body: body_timeout, stopping: stopping.clone() },
            closed: CancellationToken::new(),
        }
    }
}

impl door::Doorkeeper for ServerContext {
    async fn admit(&self, path: &str, headers: &HeaderMap) -> Result<Admission, AuthError> {
        self.authenticator.authenticate(path, headers).await
    }

    fn body_values_max(&self) -> u64 {
        self.body_values_max
    }

    fn front(&self) -> &Front {
        &self.front
    }

    async fn visitor(&self, headers: &HeaderMap) -> Principal {
        self.authenticator.visitor(headers).await
    }
}

/// Where and how to listen.
#[derive(Clone, Debug)]
pub struct ListenConfig {
    /// Port 0 takes any free one.
    pub bind_address: SocketAddr,
    /// Larger request bodies are 413.
    pub body_limit_bytes: usize,
}

impl ListenConfig {
    pub const DEFAULT_BODY_LIMIT_BYTES: usize = 8 * 1024 * 1024;
    pub const DEFAULT_BODY_VALUES_MAX: u64 = 200_000;
}

/// A server that listens.
pub struct Http {
    server: HttpServer<ServerContext>,
    front: Front,
}

impl Http {
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Lets requests finish for so long. What is still open then is cut off, and
    /// `Err` says so.
    pub async fn close(self, patience: Duration) -> Result<(), String> {
        let Self { server, front } = self;
        let mut closing = pin!(server.close());
        let closed = tokio::time::timeout(patience, &mut closing).await;
        let closed = match closed {
            Ok(closed) => closed,
            Err(_) => {
                front.connections.cut_off().await;
                // Handlers go on: what their callers began is finished, or is in
                // the journal.
                let _ = tokio::time::timeout(CUT_OFF, &mut closing).await;
                Err(format!("requests were cut off after {} s", patience.as_secs_f64()))
            }
        };
        front.closed.cancel();
        closed
    }
}

/// How long connections that are cut off may take to end.
const CUT_OFF: Duration = Duration::from_millis(250);

/// Listens, and serves until [`Http::close`].
pub fn serve(
    config: &ListenConfig,
    context: ServerContext,
    tasks: &TaskSet,
    log: &Logger,
) -> Result<Http, BuildError> {
    let config = dropshot_config(config);
    let front = context.front.clone();
    let server =
        ServerBuilder::new(door::behind_door(endpoints()), context, quieter(log)).config(config).start()?;
    let watch = Arc::clone(&front.connections).watch(server.local_addr(), &front, log.clone());
    tasks.spawn("idle connections", watch);
    if let Err(error) = nodelay::set(server.local_addr()) {
        warn!(log, "cannot set TCP_NODELAY: followed events come up to 40 ms late"; "error" => %error);
    }
    Ok(Http { server, front })
}

fn dropshot_config(config: &ListenConfig) -> ConfigDropshot {
    ConfigDropshot {
        bind_address: config.bind_address,
        default_request_body_max_bytes: config.body_limit_bytes,
        // What a caller began is finished although the caller has left.
        default_handler_task_mode: HandlerTaskMode::Detached,
        ..ConfigDropshot::default()
    }
}

/// Dropshot reports each connection and request at the info level, which takes
/// longer than many an endpoint. So that is for those who debug.
fn quieter(log: &Logger) -> Logger {
    if log.is_debug_enabled() {
        log.clone()
    } else {
        Logger::root(LevelFilter::new(log.clone(), slog::Level::Warning).ignore_res(), o!())
    }
}

/// The inner API. `/:verb` is how it spells `:verb` (see `path`).
fn endpoints() -> ApiDescription<ServerContext> {
    let mut api = ApiDescription::new();
    let mut register = || {
        api.register(health_get)?;
        api.register(version_get)?;
        api.register(run_start)?;
        api.register(run_get)?;
        api.register(run_cancel)?;
        api.register(run_events)?;
        api.register(node_runs_create)?;
        api.register(node_run_get)?;
        api.register(node_run_events)?;
        api.register(node_run_evaluate)?;
        api.register(node_run_complete)
    };
    register().expect("the endpoints do not contradict each other");
    api
}

type Rq = RequestContext<ServerContext>;
type Answer<T> = Result<T, ApiError>;

#[derive(Deserialize, JsonSchema)]
struct RunPath {
    run_id: RunId,
}

#[derive(Deserialize, JsonSchema)]
struct NodeRunPath {
    node_run_id: NodeRunId,
}

/// Report how the service is doing
#[endpoint { method = GET, path = "/v1/health", operation_id = "health", tags = ["health"] }]
async fn health_get(rq: Rq) -> Answer<HttpResponseOk<Health>> {
    // A server that is taken out of service for want of keys would otherwise
    // never fetch them.
    rq.context().authenticator.warm_up();
    Ok(HttpResponseOk(rq.context().health.now()))
}

/// Tell which build is running
#[endpoint { method = GET, path = "/v1/version", operation_id = "version", tags = ["version"] }]
async fn version_get(_: Rq) -> Answer<HttpResponseOk<VersionInfo>> {
    Ok(HttpResponseOk(VersionInfo {
        service_name: SERVICE_NAME.into(),
        service_version: env!("CARGO_PKG_VERSION").into(),
        supported_api_versions: NonEmpty::from(API_VERSION.to_owned()),
        build: None,
        extensions: None,
    }))
}

/// Begin a run
#[endpoint { method = POST, path = "/v1/runs", operation_id = "start_run", tags = ["runs"] }]
async fn run_start(rq: Rq, caller: Caller, body: Json<RunStartRequest>) -> Answer<HttpResponseOk<Run>> {
    let run = rq.context().coordinator.run_start(&caller.0, body.0).await?;
    Ok(HttpResponseOk(run))
}

/// Read a run
#[endpoint { method = GET, path = "/v1/runs/{run_id}", operation_id = "get_run", tags = ["runs"] }]
async fn run_get(rq: Rq, caller: Caller, path: Path<RunPath>) -> Answer<HttpResponseOk<Run>> {
    let run = rq.context().coordinator.run_get(&caller.0, &path.into_inner().run_id).await?;
    Ok(HttpResponseOk(run))
}

/// Stop a run
#[endpoint { method = POST, path = "/v1/runs/{run_id}/:cancel", operation_id = "cancel_run", tags = ["runs"] }]
async fn run_cancel(rq: Rq, caller: Caller, path: Path<RunPath>) -> Answer<HttpResponseOk<Run>> {
    let run = rq.context().coordinator.run_cancel(&caller.0, &path.into_inner().run_id).await?;
    Ok(HttpResponseOk(run))
}

/// Read the events of a run
#[endpoint { method = GET, path = "/v1/runs/{run_id}/events", operation_id = "stream_run_events", tags = ["runs"] }]
async fn run_events(rq: Rq, caller: Caller, path: Path<RunPath>, query: StreamQuery) -> Answer<Ndjson> {
    let (run, options) = (path.into_inner().run_id, query.0);
    let follow = options.follow;
    let place = rq.context().front.crowd.stream(&rq.log)?;
    let lines = rq.context().coordinator.run_events(&caller.0, &run, options).await?;
    Ok(Ndjson::new(lines, follow, &rq.context().stopping, place))
}

/// Add child node runs under a composite
#[endpoint { method = POST, path = "/v1/node-runs", operation_id = "create_node_runs", tags = ["node_runs"] }]
async fn node_runs_create(
    rq: Rq,
    caller: Caller,
    body: Json<NodeRunsCreateRequest>,
) -> Answer<HttpResponseOk<NodeRunsCreateResponse>> {
    let created = rq.context().coordinator.node_runs_create(&caller.0, body.0).await?;
    Ok(HttpResponseOk(created))
}

/// Read a node run
#[endpoint { method = GET, path = "/v1/node-runs/{node_run_id}", operation_id = "get_node_run", tags = ["node_runs"] }]
async fn node_run_get(rq: Rq, caller: Caller, path: Path<NodeRunPath>) -> Answer<HttpResponseOk<NodeRun>> {
    let node = rq.context().coordinator.node_run_get(&caller.0, &path.into_inner().node_run_id).await?;
    Ok(HttpResponseOk(node))
}

/// Read the events of a node run and everything below it
#[endpoint {
    method = GET,
    path = "/v1/node-runs/{node_run_id}/events",
    operation_id = "stream_node_run_events",
    tags = ["node_runs"],
}]
async fn node_run_events(
    rq: Rq,
    caller: Caller,
    path: Path<NodeRunPath>,
    query: StreamQuery,
) -> Answer<Ndjson> {
    let (node, options) = (path.into_inner().node_run_id, query.0);
    let follow = options.follow;
    let place = rq.context().front.crowd.stream(&rq.log)?;
    let lines = rq.context().coordinator.node_run_events(&caller.0, &node, options).await?;
    Ok(Ndjson::new(lines, follow, &rq.context().stopping, place))
}

/// Record how well a node run did
#[endpoint {
    method = POST,
    path = "/v1/node-runs/{node_run_id}/:evaluation",
    operation_id = "report_node_run_evaluation",
    tags = ["node_runs"],
}]
async fn node_run_evaluate(
    rq: Rq,
    caller: Caller,
    path: Path<NodeRunPath>,
    body: Json<NodeRunEvaluationReportRequest>,
) -> Answer<HttpResponseUpdatedNoContent> {
    let node = path.into_inner().node_run_id;
    rq.context().coordinator.node_run_evaluate(&caller.0, &node, body.0).await?;
    Ok(HttpResponseUpdatedNoContent())
}

/// End a node run
#[endpoint {
    method = POST,
    path = "/v1/node-runs/{node_run_id}/:complete",
    operation_id = "complete_node_run",
    tags = ["node_runs"],
}]
async fn node_run_complete(
    rq: Rq,
    caller: Caller,
    path: Path<NodeRunPath>,
    body: Json<NodeRunCompleteRequest>,
) -> Answer<HttpResponseUpdatedNoContent> {
    let node = path.into_inner().node_run_id;
    rq.context().coordinator.node_run_complete(&caller.0, &node, body.0).await?;
    Ok(HttpResponseUpdatedNoContent())
}
