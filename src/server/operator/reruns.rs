//! Repeating a run that has ended.

use dropshot::{ApiDescription, ApiDescriptionRegisterError, HttpResponseOk, Path, RequestContext, endpoint};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::RunPath;
use crate::{
    coordinator,
    http_server::{ApiError, Caller, Json, ServerContext, request_bodies},
    record,
    types::{NodeRunId, RunId, RunState},
};

type Rq = RequestContext<ServerContext>;
type Answer<T> = Result<T, ApiError>;

pub(super) fn register(api: &mut ApiDescription<ServerContext>) -> Result<(), ApiDescriptionRegisterError> {
    api.register(run_rerun)
}

/// How a run is to be repeated
#[derive(Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RerunRequest {
    /// Why: kept in the audit trail
    reason: String,
    /// Absent: from the start
    from: Option<RerunFrom>,
    /// The same request with the same key makes no other run
    idempotency_key: Option<String>,
}

/// Execute everything again, or only what had not succeeded and what is above it
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum RerunFrom {
    Start,
    Succeeded,
}

request_bodies! { RerunRequest }

/// A run that repeats another
#[derive(Serialize, JsonSchema)]
struct Rerun {
    run_id: RunId,
    root_node_run_id: NodeRunId,
    /// The run that it repeats
    rerun_of: RunId,
    state: RunState,
}

impl From<RerunFrom> for record::RerunFrom {
    fn from(from: RerunFrom) -> Self {
        match from {
            RerunFrom::Start => Self::Start,
            RerunFrom::Succeeded => Self::Succeeded,
        }
    }
}

/// Repeat a run that has ended, as a new run of the same owner
///
/// The new run has the request of the original: its root type, inputs, context,
/// extensions, and its constraints within the bounds of today.
#[endpoint {
    method = POST,
    path = "/x/runs/{run_id}/:rerun",
    operation_id = "rerun_run",
    tags = ["runs"],
}]
async fn run_rerun(
    rq: Rq,
    caller: Caller,
    path: Path<RunPath>,
    body: Json<RerunRequest>,
) -> Answer<HttpResponseOk<Rerun>> {
    let RunPath { run_id } = path.into_inner();
    let RerunRequest { reason, from, idempotency_key } = body.0;
    let from = from.map(record::RerunFrom::from).unwrap_or_default();
    let request = coordinator::RerunRequest { reason, from, idempotency_key };
    let run = rq.context().coordinator.run_rerun(&caller.0, &run_id, request).await?;
    let (state, root_node_run_id) = (run.state, run.root_node_run_id);
    Ok(HttpResponseOk(Rerun { run_id: run.run_id, root_node_run_id, rerun_of: run_id, state }))
}
