//! Canceling runs with a report, and trying now what waits.

use std::{collections::BTreeMap, time::Duration};

use dropshot::{
    ApiDescription, ApiDescriptionRegisterError, HttpResponseHeaders, HttpResponseOk, Path, RequestContext,
    endpoint,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    explain::NodeExplanation,
    model::{Actor, NodeRunPath, RunPath},
};
use crate::{
    coordinator::{self, CancelReport},
    http_server::{ApiError, Caller, Json, PreferWait, ServerContext, Waiting, request_bodies},
    time::Timestamp,
    types::{NodeRunId, RunId, RunState},
};

type Rq = RequestContext<ServerContext>;
type Answer<T> = Result<T, ApiError>;
/// With the preference that was applied, if the caller has waited.
type Waited<T> = HttpResponseHeaders<HttpResponseOk<T>>;

pub(super) fn register(api: &mut ApiDescription<ServerContext>) -> Result<(), ApiDescriptionRegisterError> {
    api.register(run_cancel_reported)?;
    api.register(cancel_report_get)?;
    api.register(node_run_wake)
}

/// Why a run is canceled
#[derive(Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct CancelRequest {
    reason: String,
}

/// Why a node run is to be tried now
#[derive(Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct WakeRequest {
    reason: String,
}

request_bodies! { CancelRequest, WakeRequest }

/// What became of the node runs that a cancel has ended
#[derive(Serialize, JsonSchema)]
struct Report {
    run_id: RunId,
    state: RunState,
    /// Who canceled it, and why, if that was through this API
    #[serde(skip_serializing_if = "Option::is_none")]
    canceled: Option<Canceled>,
    /// How many node runs have each fate
    counts: BTreeMap<String, u64>,
    /// There are more than were counted, which are 100,000
    more: bool,
    /// The first 1,000 of them
    node_runs: Vec<CanceledNodeRun>,
}

/// Who has canceled a run
#[derive(Serialize, JsonSchema)]
struct Canceled {
    by: Actor,
    reason: String,
    at: Timestamp,
}

/// A node run that was live when its run was canceled
#[derive(Serialize, JsonSchema)]
struct CanceledNodeRun {
    node_run_id: NodeRunId,
    /// The ordinal numbers of its ancestors and its own in the run: `1.4.9`
    path: String,
    /// The newest attempt; 0: none
    attempt: u32,
    fate: Fate,
    /// How often its executor was notified without an acknowledgement
    #[serde(skip_serializing_if = "Option::is_none")]
    tries: Option<u32>,
    /// When its executor is notified next
    #[serde(skip_serializing_if = "Option::is_none")]
    next_at: Option<Timestamp>,
    /// Why its executor was given up
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// No executor ever got it; its executor is being notified, has acknowledged that, or
/// was given up
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Fate {
    NeverStarted,
    Notified,
    Acknowledged,
    GivenUp,
}

/// Cancel a run, and report what becomes of its node runs
///
/// With `Prefer: wait=SECONDS` the answer comes when no executor is to be notified any
/// more, or when the time is up. A run that was canceled before is reported as it is.
#[endpoint {
    method = POST,
    path = "/x/runs/{run_id}/:cancel",
    operation_id = "cancel_run_with_report",
    tags = ["runs"],
}]
async fn run_cancel_reported(
    rq: Rq,
    caller: Caller,
    wait: PreferWait,
    path: Path<RunPath>,
    body: Json<CancelRequest>,
) -> Answer<Waited<Report>> {
    // A run that was canceled must not be answered with a refusal of the wait.
    let waiting = wait.begin(&rq, &caller).await?;
    let run = path.into_inner().run_id;
    let report = rq.context().coordinator.run_cancel_reported(&caller.0, &run, &body.0.reason).await?;
    settled(&rq, waiting, report).await
}

/// Report what became of the node runs of a run that was canceled
///
/// Waits like the cancel.
#[endpoint {
    method = GET,
    path = "/x/runs/{run_id}/cancel-report",
    operation_id = "get_cancel_report",
    tags = ["runs"],
}]
async fn cancel_report_get(
    rq: Rq,
    caller: Caller,
    wait: PreferWait,
    path: Path<RunPath>,
) -> Answer<Waited<Report>> {
    let waiting = wait.begin(&rq, &caller).await?;
    let report = rq.context().coordinator.cancel_report_get(&caller.0, &path.into_inner().run_id).await?;
    settled(&rq, waiting, report).await
}

/// The report as it is when the wait is over.
async fn settled(rq: &Rq, waiting: Option<Waiting>, report: CancelReport) -> Answer<Waited<Report>> {
    let Some(waiting) = waiting else {
        return Ok(HttpResponseHeaders::new_unnamed(HttpResponseOk(report.into())));
    };
    let (seconds, stopped) = (waiting.seconds(), report.clone());
    let settled = rq.context().coordinator.cancel_report_final(report, Duration::from_secs(seconds));
    let report = waiting.until(rq, settled).await?.unwrap_or(stopped);
    let mut answer = HttpResponseHeaders::new_unnamed(HttpResponseOk(report.into()));
    Waiting::applied(answer.headers_mut(), seconds);
    Ok(answer)
}

/// Try a node run now that waits for a time
///
/// Of one that backs off before a retry, that a circuit breaker keeps back, whose
/// executor is to be notified again, or that is parked. Nothing else of it changes.
#[endpoint {
    method = POST,
    path = "/x/node-runs/{node_run_id}/:wake",
    operation_id = "wake_node_run",
    tags = ["node_runs"],
}]
async fn node_run_wake(
    rq: Rq,
    caller: Caller,
    path: Path<NodeRunPath>,
    body: Json<WakeRequest>,
) -> Answer<HttpResponseOk<NodeExplanation>> {
    let node = path.into_inner().node_run_id;
    let explained = rq.context().coordinator.node_run_wake(&caller.0, &node, &body.0.reason).await?;
    Ok(HttpResponseOk(explained.into()))
}

impl From<CancelReport> for Report {
    fn from(report: CancelReport) -> Self {
        let CancelReport { run, canceled, counts, more, nodes } = report;
        Self {
            run_id: run.run_id,
            state: run.state,
            canceled: canceled.map(Canceled::from),
            counts: counts.into_iter().map(|(fate, count)| (fate.to_owned(), count)).collect(),
            more,
            node_runs: nodes.into_iter().map(CanceledNodeRun::from).collect(),
        }
    }
}

impl From<coordinator::Canceled> for Canceled {
    fn from(canceled: coordinator::Canceled) -> Self {
        let coordinator::Canceled { by, reason, at } = canceled;
        Self { by: by.into(), reason, at }
    }
}

impl From<coordinator::CanceledNodeRun> for CanceledNodeRun {
    fn from(node: coordinator::CanceledNodeRun) -> Self {
        let coordinator::CanceledNodeRun { node_run_id, path, attempt, fate } = node;
        let (fate, tries, next_at, error) = match fate {
            coordinator::Fate::NeverStarted => (Fate::NeverStarted, None, None, None),
            coordinator::Fate::Notified { tries, next_at } => {
                (Fate::Notified, Some(tries), Some(next_at), None)
            }
            coordinator::Fate::Acknowledged => (Fate::Acknowledged, None, None, None),
            coordinator::Fate::GivenUp { error } => (Fate::GivenUp, None, None, error),
        };
        Self { node_run_id, path, attempt, fate, tries, next_at, error }
    }
}
