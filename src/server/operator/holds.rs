//! Holding and releasing runs.

use dropshot::{ApiDescription, ApiDescriptionRegisterError, HttpResponseOk, Path, RequestContext, endpoint};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{Actor, RunPath};
use crate::{
    coordinator::HeldRun,
    http_server::{ApiError, Caller, Json, ServerContext, request_bodies},
    record,
    time::Timestamp,
    types::{RunId, RunState},
};

type Rq = RequestContext<ServerContext>;
type Answer<T> = Result<T, ApiError>;

pub(super) fn register(api: &mut ApiDescription<ServerContext>) -> Result<(), ApiDescriptionRegisterError> {
    api.register(run_hold)?;
    api.register(run_release)
}

/// Why a run is held, and until when at the latest
#[derive(Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct HoldRequest {
    reason: String,
    /// When the run is released by itself. Without it, a caller has to release it
    until: Option<Timestamp>,
}

/// Why a run is released
#[derive(Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ReleaseRequest {
    reason: String,
}

request_bodies! { HoldRequest, ReleaseRequest }

/// Whether a run is held
#[derive(Serialize, JsonSchema)]
struct Held {
    run_id: RunId,
    state: RunState,
    /// Absent if it is not held
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<Hold>,
}

/// That a run is kept from starting work
#[derive(Serialize, JsonSchema)]
struct Hold {
    since: Timestamp,
    /// Who held it, or changed the hold last
    by: Actor,
    reason: String,
    /// When it is released by itself
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

/// Keep a run from starting work
///
/// What is at an executor goes on, and its results and new node runs are taken.
/// Deadlines go on. A run that is held gets the new reason and end.
#[endpoint { method = POST, path = "/x/runs/{run_id}/:hold", operation_id = "hold_run", tags = ["runs"] }]
async fn run_hold(
    rq: Rq,
    caller: Caller,
    path: Path<RunPath>,
    body: Json<HoldRequest>,
) -> Answer<HttpResponseOk<Held>> {
    let (run, HoldRequest { reason, until }) = (path.into_inner().run_id, body.0);
    let held = rq.context().coordinator.run_hold(&caller.0, &run, &reason, until).await?;
    Ok(HttpResponseOk(held.into()))
}

/// Let a run start work again
///
/// A run that is not held stays as it is.
#[endpoint { method = POST, path = "/x/runs/{run_id}/:release", operation_id = "release_run", tags = ["runs"] }]
async fn run_release(
    rq: Rq,
    caller: Caller,
    path: Path<RunPath>,
    body: Json<ReleaseRequest>,
) -> Answer<HttpResponseOk<Held>> {
    let run = path.into_inner().run_id;
    let released = rq.context().coordinator.run_release(&caller.0, &run, &body.0.reason).await?;
    Ok(HttpResponseOk(released.into()))
}

impl From<HeldRun> for Held {
    fn from(held: HeldRun) -> Self {
        let HeldRun { run, hold } = held;
        Self { run_id: run.run_id, state: run.state, hold: hold.map(Hold::from) }
    }
}

impl From<record::Hold> for Hold {
    fn from(hold: record::Hold) -> Self {
        let record::Hold { since, by, reason, until } = hold;
        Self { since, by: by.into(), reason, until }
    }
}
