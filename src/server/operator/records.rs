//! Runs and node runs in full, and the events of a run: what the API of the standard
//! shows, on this listener, for the web page, which can only call its own origin.

use dropshot::{
    ApiDescription, ApiDescriptionRegisterError, HttpResponseOk, Path, Query, RequestContext, endpoint,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::model::{NodeRunPath, RunPath};
use crate::{
    http_server::{ApiError, Caller, Ndjson, ServerContext, StreamQuery},
    types::{NodeRun, Run},
};

type Rq = RequestContext<ServerContext>;
type Answer<T> = Result<T, ApiError>;

pub(super) fn register(api: &mut ApiDescription<ServerContext>) -> Result<(), ApiDescriptionRegisterError> {
    api.register(run_show)?;
    api.register(run_events)?;
    api.register(node_run_show)
}

#[derive(Deserialize, JsonSchema)]
struct TailQuery {
    /// Begin with the newest, this many of those that there are
    tail: Option<u64>,
}

/// Show a run
#[endpoint { method = GET, path = "/x/runs/{run_id}", operation_id = "show_run", tags = ["runs"] }]
async fn run_show(rq: Rq, caller: Caller, path: Path<RunPath>) -> Answer<HttpResponseOk<Run>> {
    let run = rq.context().coordinator.run_show(&caller.0, &path.into_inner().run_id).await?;
    Ok(HttpResponseOk(run))
}

/// Stream the events of a run
///
/// As `GET /v1/runs/{run_id}/events` does, with its `cursor`, `limit` and `follow`.
#[endpoint { method = GET, path = "/x/runs/{run_id}/events", operation_id = "show_run_events", tags = ["runs"] }]
async fn run_events(
    rq: Rq,
    caller: Caller,
    path: Path<RunPath>,
    tail: Query<TailQuery>,
    query: StreamQuery,
) -> Answer<Ndjson> {
    let tail = tail.into_inner().tail;
    let (run, options) = (path.into_inner().run_id, query.0);
    let follow = options.follow;
    let permit = ServerContext::stream_permit(&rq, &caller).await?;
    let lines = rq.context().coordinator.run_events_show(&caller.0, &run, options, tail).await?;
    Ok(Ndjson::new(lines, follow, &rq.context().stopping, permit))
}

/// Show a node run with its inputs and outputs
#[endpoint {
    method = GET,
    path = "/x/node-runs/{node_run_id}",
    operation_id = "show_node_run",
    tags = ["node_runs"],
}]
async fn node_run_show(rq: Rq, caller: Caller, path: Path<NodeRunPath>) -> Answer<HttpResponseOk<NodeRun>> {
    let node = rq.context().coordinator.node_run_show(&caller.0, &path.into_inner().node_run_id).await?;
    Ok(HttpResponseOk(node))
}
