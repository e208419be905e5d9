//! The bare server on dropshot.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use dropshot::{
    ApiDescription, Body, HttpError, HttpResponseOk, Path, RequestContext, ServerBuilder, TypedBody, endpoint,
};
use http::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use slog::{Discard, Logger, o};

use super::{RunAnswer, Runs, StartRequest};

pub(super) async fn serve(runs: Arc<Runs>) -> Result<()> {
    let mut api = ApiDescription::new();
    api.register(start_run).map_err(|error| anyhow!("{error}"))?;
    api.register(stream_events).map_err(|error| anyhow!("{error}"))?;
    let server = ServerBuilder::new(api, runs, Logger::root(Discard, o!())).start()?;
    println!("{}", server.local_addr());
    server.await.map_err(|error| anyhow!(error))
}

#[endpoint { method = POST, path = "/v1/runs" }]
async fn start_run(
    rq: RequestContext<Arc<Runs>>,
    body: TypedBody<StartRequest>,
) -> Result<HttpResponseOk<RunAnswer>, HttpError> {
    Ok(HttpResponseOk(rq.context().start(body.into_inner()).await))
}

#[derive(Deserialize, JsonSchema)]
struct OfRun {
    run_id: String,
}

#[endpoint { method = GET, path = "/v1/runs/{run_id}/events" }]
async fn stream_events(
    rq: RequestContext<Arc<Runs>>,
    path: Path<OfRun>,
) -> Result<Response<Body>, HttpError> {
    let lines = rq.context().events(&path.into_inner().run_id).await;
    let lines = lines.ok_or_else(|| HttpError::for_not_found(None, "no such run".into()))?;
    Ok(Response::builder().header("content-type", "application/x-ndjson").body(lines.into())?)
}
