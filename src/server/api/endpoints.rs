//! The endpoints: each takes the request apart, calls the coordinator, and wraps
//! the answer.

use dropshot::{
    ApiDescription, HttpResponseOk, HttpResponseUpdatedNoContent, Path, RequestContext, endpoint,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    build_info,
    http_server::{
        ApiError, Caller, Json, Ndjson, PreferWait, Probe, RunAnswer, ServerContext, StreamQuery, Waiting,
        live, ready,
    },
    types::{
        Health, NodeRun, NodeRunCompleteRequest, NodeRunEvaluationReportRequest, NodeRunId,
        NodeRunsCreateRequest, NodeRunsCreateResponse, NonEmpty, Run, RunId, RunStartRequest, VersionInfo,
    },
};

const SERVICE_NAME: &str = "arp-jarvis-run-coordinator";
pub(super) const API_VERSION: &str = "v1";

/// Makes the inner API, which spells `:verb` as `/:verb` (see `http_server::path`).
pub(crate) fn endpoints() -> ApiDescription<ServerContext> {
    let mut api = ApiDescription::new();
    let mut register = || {
        api.register(health_get)?;
        api.register(version_get)?;
        api.register(livez)?;
        api.register(readyz)?;
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

/// Report the health of the service
#[endpoint { method = GET, path = "/v1/health", operation_id = "health", tags = ["health"] }]
async fn health_get(rq: Rq) -> Answer<HttpResponseOk<Health>> {
    // A server that is taken out of service for want of keys would otherwise
    // never fetch them.
    rq.context().authenticator.warm_up();
    Ok(HttpResponseOk(rq.context().health.now()))
}

/// Report the version of the service
#[endpoint { method = GET, path = "/v1/version", operation_id = "version", tags = ["version"] }]
async fn version_get(_: Rq) -> Answer<HttpResponseOk<VersionInfo>> {
    Ok(HttpResponseOk(VersionInfo {
        service_name: SERVICE_NAME.into(),
        service_version: build_info::VERSION.into(),
        supported_api_versions: NonEmpty::from(API_VERSION.to_owned()),
        build: build_info::for_callers(),
        extensions: None,
    }))
}

/// Probe whether the process lives
#[endpoint { method = GET, path = "/livez", operation_id = "livez", unpublished = true }]
async fn livez(_: Rq) -> Answer<HttpResponseOk<Probe>> {
    Ok(live())
}

/// Probe whether the server can take requests
#[endpoint { method = GET, path = "/readyz", operation_id = "readyz", unpublished = true }]
async fn readyz(rq: Rq) -> Answer<HttpResponseOk<Probe>> {
    ready(&rq)
}

/// Start a run
#[endpoint { method = POST, path = "/v1/runs", operation_id = "start_run", tags = ["runs"] }]
async fn run_start(
    rq: Rq,
    caller: Caller,
    wait: PreferWait,
    body: Json<RunStartRequest>,
) -> Answer<RunAnswer> {
    // A run that was started must not be answered with a refusal of the wait.
    let waiting = wait.begin(&rq, &caller).await?;
    let run = rq.context().coordinator.run_start(&caller.0, body.0).await?;
    ended(&rq, waiting, run).await
}

/// Get a run
#[endpoint { method = GET, path = "/v1/runs/{run_id}", operation_id = "get_run", tags = ["runs"] }]
async fn run_get(rq: Rq, caller: Caller, wait: PreferWait, path: Path<RunPath>) -> Answer<RunAnswer> {
    let run = rq.context().coordinator.run_get(&caller.0, &path.into_inner().run_id).await?;
    let waiting = if run.state.is_terminal() { None } else { wait.begin(&rq, &caller).await? };
    ended(&rq, waiting, run).await
}

/// The run as it is when the wait is over. Waiting for what has ended takes no time.
async fn ended(rq: &Rq, waiting: Option<Waiting>, run: Run) -> Answer<RunAnswer> {
    let Some(waiting) = waiting else { return Ok(RunAnswer { run, waited: None }) };
    let seconds = waiting.for_end(rq, &run.run_id).await?;
    // The caller was authorized before the wait, and is answered about that run.
    let run = rq.context().coordinator.run_waited_for(run).await?;
    Ok(RunAnswer { run, waited: Some(seconds) })
}

/// Cancel a run
#[endpoint { method = POST, path = "/v1/runs/{run_id}/:cancel", operation_id = "cancel_run", tags = ["runs"] }]
async fn run_cancel(rq: Rq, caller: Caller, path: Path<RunPath>) -> Answer<HttpResponseOk<Run>> {
    let run = rq.context().coordinator.run_cancel(&caller.0, &path.into_inner().run_id).await?;
    Ok(HttpResponseOk(run))
}

/// Stream the events of a run
#[endpoint { method = GET, path = "/v1/runs/{run_id}/events", operation_id = "stream_run_events", tags = ["runs"] }]
async fn run_events(rq: Rq, caller: Caller, path: Path<RunPath>, query: StreamQuery) -> Answer<Ndjson> {
    let (run, options) = (path.into_inner().run_id, query.0);
    let follow = options.follow;
    let permit = ServerContext::stream_permit(&rq, &caller).await?;
    let lines = rq.context().coordinator.run_events(&caller.0, &run, options).await?;
    Ok(Ndjson::new(lines, follow, &rq.context().stopping, permit))
}

/// Create child node runs of a composite
#[endpoint { method = POST, path = "/v1/node-runs", operation_id = "create_node_runs", tags = ["node_runs"] }]
async fn node_runs_create(
    rq: Rq,
    caller: Caller,
    body: Json<NodeRunsCreateRequest>,
) -> Answer<HttpResponseOk<NodeRunsCreateResponse>> {
    let created = rq.context().coordinator.node_runs_create(&caller.0, body.0).await?;
    Ok(HttpResponseOk(created))
}

/// Get a node run
#[endpoint { method = GET, path = "/v1/node-runs/{node_run_id}", operation_id = "get_node_run", tags = ["node_runs"] }]
async fn node_run_get(rq: Rq, caller: Caller, path: Path<NodeRunPath>) -> Answer<HttpResponseOk<NodeRun>> {
    let node = rq.context().coordinator.node_run_get(&caller.0, &path.into_inner().node_run_id).await?;
    Ok(HttpResponseOk(node))
}

/// Stream the events of a node run and its descendants
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
    let permit = ServerContext::stream_permit(&rq, &caller).await?;
    let lines = rq.context().coordinator.node_run_events(&caller.0, &node, options).await?;
    Ok(Ndjson::new(lines, follow, &rq.context().stopping, permit))
}

/// Report the evaluation of a node run
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

/// Complete a node run
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
