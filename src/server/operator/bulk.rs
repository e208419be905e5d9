//! Bulk jobs: the same done to many runs.

use std::collections::BTreeMap;

use dropshot::{
    ApiDescription, ApiDescriptionRegisterError, EmptyScanParams, HttpResponseOk, PaginationParams, Path,
    Query, RequestContext, endpoint,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    model::{Actor, Principal},
    paging::{Page, after, limit, page},
    reruns::RerunFrom,
};
use crate::{
    coordinator::{BULK_PAGE_MAX, BulkDryRun, BulkRequest, BulkSelection},
    http_server::{ApiError, Caller, Json, ServerContext, request_bodies},
    journal::{BulkPlace, RunSelect},
    record::{self, BulkCounts, BulkJob},
    time::Timestamp,
    types::{BulkId, RunId, RunState},
};

type Rq = RequestContext<ServerContext>;
type Answer<T> = Result<T, ApiError>;

pub(super) fn register(api: &mut ApiDescription<ServerContext>) -> Result<(), ApiDescriptionRegisterError> {
    api.register(bulk_start)?;
    api.register(bulk_list)?;
    api.register(bulk_get)?;
    api.register(bulk_abort)
}

/// Runs that a job acts on in a second, if the request does not say.
const PER_SECOND: u32 = 50;

/// What is to be done to which runs: either those with these ids, or those that the
/// filter selects
#[derive(Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct BulkStartRequest {
    action: BulkAction,
    /// Why: kept with the job and in the audit trail
    reason: String,
    filter: Option<BulkFilter>,
    ids: Option<Vec<RunId>>,
    /// Say what would be acted on, and do nothing
    dry_run: Option<bool>,
    /// The most runs in a second; 50 if absent
    per_second: Option<u32>,
    /// How runs are repeated
    from: Option<RerunFrom>,
}

/// Why a job is aborted
#[derive(Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct BulkAbortRequest {
    reason: String,
}

request_bodies! { BulkStartRequest, BulkAbortRequest }

#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum BulkAction {
    Cancel,
    Rerun,
}

/// Selects runs as the list of runs does; at least one member is needed
#[derive(Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct BulkFilter {
    state: Option<RunState>,
    /// The id of the root's type
    node_type: Option<String>,
    /// The tenant of the owner
    tenant: Option<String>,
    /// The subject of the owner
    owner: Option<String>,
    /// The code of the root's error
    error_code: Option<String>,
    /// At this time or later
    started_after: Option<Timestamp>,
    /// Before this time
    started_before: Option<Timestamp>,
    /// The beginning of the id
    id_prefix: Option<String>,
    /// Whether it is held
    held: Option<bool>,
    /// All of these labels
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// What was begun, or would be
#[derive(Serialize, JsonSchema)]
struct BulkStarted {
    /// Absent after a dry run
    #[serde(skip_serializing_if = "Option::is_none")]
    bulk_id: Option<BulkId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<Bulk>,
    /// Of a dry run
    #[serde(skip_serializing_if = "Option::is_none")]
    would: Option<BulkWould>,
}

/// The runs that a job would act on
#[derive(Serialize, JsonSchema)]
struct BulkWould {
    count: u64,
    /// There are more than a job may have
    is_cut: bool,
    /// The first of them, at most 100
    run_ids: Vec<RunId>,
}

/// A job that does the same to many runs
#[derive(Serialize, JsonSchema)]
struct Bulk {
    bulk_id: BulkId,
    action: BulkAction,
    state: BulkState,
    reason: String,
    /// The principal that made it, with whose rights it acts
    by: Principal,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    /// When it goes on
    #[serde(skip_serializing_if = "Option::is_none")]
    next_at: Option<Timestamp>,
    /// The most runs in a second
    per_second: u32,
    /// Whether all runs are known; otherwise the counts grow
    is_listed: bool,
    /// There were more runs than a job may have
    is_cut: bool,
    pending: u64,
    done: u64,
    skipped: u64,
    failed: u64,
    /// Why the newest run that failed did
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aborted_by: Option<Actor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    abort_reason: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum BulkState {
    Running,
    Finished,
    Aborted,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct BulkPath {
    pub(super) bulk_id: BulkId,
}

/// Where a page of jobs begins.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AfterBulk {
    bulk_created_at: Timestamp,
    bulk_id: BulkId,
}

/// Do the same to many runs, as a job of the server
///
/// It is durable: it goes on after a restart.
#[endpoint { method = POST, path = "/x/bulk", operation_id = "start_bulk", tags = ["bulk"] }]
async fn bulk_start(
    rq: Rq,
    caller: Caller,
    body: Json<BulkStartRequest>,
) -> Answer<HttpResponseOk<BulkStarted>> {
    let BulkStartRequest { action, reason, filter, ids, dry_run, per_second, from } = body.0;
    let action = match (action, from) {
        (BulkAction::Cancel, None) => record::BulkAction::Cancel,
        (BulkAction::Cancel, Some(_)) => {
            let message = "only a rerun begins somewhere";
            return Err(ApiError::invalid_at("extra_forbidden", &["body", "from"], message));
        }
        (BulkAction::Rerun, from) => {
            record::BulkAction::Rerun { from: from.map(record::RerunFrom::from).unwrap_or_default() }
        }
    };
    let runs = match (filter, ids) {
        (Some(filter), None) => BulkSelection::Filter(filter.into()),
        (None, Some(ids)) => BulkSelection::Ids(ids),
        (Some(_), Some(_)) | (None, None) => {
            let message = "either a filter or ids";
            return Err(ApiError::invalid_at("value_error", &["body", "filter"], message));
        }
    };
    let request = BulkRequest { action, reason, per_second: per_second.unwrap_or(PER_SECOND), runs };
    let coordinator = &rq.context().coordinator;
    let started = if dry_run == Some(true) {
        let BulkDryRun { count, is_cut, run_ids } = coordinator.bulk_dry_run(&caller.0, request).await?;
        BulkStarted { bulk_id: None, job: None, would: Some(BulkWould { count, is_cut, run_ids }) }
    } else {
        let job = coordinator.bulk_start(&caller.0, request).await?;
        BulkStarted { bulk_id: Some(job.bulk_id.clone()), job: Some(job.into()), would: None }
    };
    Ok(HttpResponseOk(started))
}

/// List bulk jobs, the newest first
#[endpoint { method = GET, path = "/x/bulk", operation_id = "list_bulk", tags = ["bulk"] }]
async fn bulk_list(
    rq: Rq,
    caller: Caller,
    paging: Query<PaginationParams<EmptyScanParams, AfterBulk>>,
) -> Answer<HttpResponseOk<Page<Bulk>>> {
    let paging = paging.into_inner();
    let limit = limit(&rq, &paging, BULK_PAGE_MAX)?;
    let place = |AfterBulk { bulk_created_at: created_at, bulk_id }| Some(BulkPlace { created_at, bulk_id });
    let after = after(paging, place)?;
    let (jobs, next) = rq.context().coordinator.bulk_list(&caller.0, after.as_ref(), limit).await?;
    let next =
        next.map(|BulkPlace { created_at: bulk_created_at, bulk_id }| AfterBulk { bulk_created_at, bulk_id });
    page(jobs.into_iter().map(Bulk::from).collect(), next)
}

/// Get a bulk job: how far it is
#[endpoint { method = GET, path = "/x/bulk/{bulk_id}", operation_id = "get_bulk", tags = ["bulk"] }]
async fn bulk_get(rq: Rq, caller: Caller, path: Path<BulkPath>) -> Answer<HttpResponseOk<Bulk>> {
    let job = rq.context().coordinator.bulk_get(&caller.0, &path.into_inner().bulk_id).await?;
    Ok(HttpResponseOk(job.into()))
}

/// Abort a bulk job: what is pending is not acted on
#[endpoint {
    method = POST,
    path = "/x/bulk/{bulk_id}/:abort",
    operation_id = "abort_bulk",
    tags = ["bulk"],
}]
async fn bulk_abort(
    rq: Rq,
    caller: Caller,
    path: Path<BulkPath>,
    body: Json<BulkAbortRequest>,
) -> Answer<HttpResponseOk<Bulk>> {
    let bulk = path.into_inner().bulk_id;
    let job = rq.context().coordinator.bulk_abort(&caller.0, &bulk, &body.0.reason).await?;
    Ok(HttpResponseOk(job.into()))
}

impl From<BulkFilter> for RunSelect {
    fn from(filter: BulkFilter) -> Self {
        let BulkFilter {
            state,
            node_type,
            tenant,
            owner,
            error_code,
            started_after,
            started_before,
            id_prefix,
            held,
            labels,
        } = filter;
        Self {
            state,
            node_type,
            tenant,
            owner,
            error_code,
            started_after,
            started_before,
            id_prefix,
            held,
            labels,
            attention: false,
        }
    }
}

impl From<BulkJob> for Bulk {
    fn from(job: BulkJob) -> Self {
        let BulkCounts { pending, done, skipped, failed } = job.counts;
        let (aborted_by, abort_reason) =
            job.aborted.map(|aborted| (Actor::from(aborted.by), aborted.reason)).unzip();
        Self {
            bulk_id: job.bulk_id,
            action: match job.action {
                record::BulkAction::Cancel => BulkAction::Cancel,
                record::BulkAction::Rerun { from: _ } => BulkAction::Rerun,
            },
            state: match job.state {
                record::BulkState::Running => BulkState::Running,
                record::BulkState::Finished => BulkState::Finished,
                record::BulkState::Aborted => BulkState::Aborted,
            },
            reason: job.reason,
            by: job.by.identity.into(),
            created_at: job.created_at,
            ended_at: job.ended_at,
            next_at: job.wake_at,
            per_second: job.per_second,
            is_listed: job.is_listed,
            is_cut: job.is_cut,
            pending,
            done,
            skipped,
            failed,
            last_error: job.last_error,
            aborted_by,
            abort_reason,
        }
    }
}
