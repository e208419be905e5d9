//! What came of each run of a bulk job.

use dropshot::{
    ApiDescription, ApiDescriptionRegisterError, EmptyScanParams, HttpResponseOk, PaginationParams, Path,
    Query, RequestContext, endpoint,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    bulk::BulkPath,
    paging::{Page, after, limit, page},
};
use crate::{
    coordinator::BULK_PAGE_MAX,
    http_server::{ApiError, Caller, ServerContext},
    record,
    types::RunId,
};

type Rq = RequestContext<ServerContext>;
type Answer<T> = Result<T, ApiError>;

pub(super) fn register(api: &mut ApiDescription<ServerContext>) -> Result<(), ApiDescriptionRegisterError> {
    api.register(bulk_results)
}

/// What came of one run
#[derive(Serialize, JsonSchema)]
struct BulkResult {
    run_id: RunId,
    outcome: BulkOutcome,
    /// Why it was skipped or failed; the run that repeats it
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum BulkOutcome {
    Pending,
    Done,
    Skipped,
    Failed,
}

#[derive(Deserialize, JsonSchema)]
struct ResultsQuery {
    /// Only those
    outcome: Option<BulkOutcome>,
}

/// Where a page of results begins.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AfterResult {
    after_result: u64,
}

/// List what came of each run of a bulk job
#[endpoint {
    method = GET,
    path = "/x/bulk/{bulk_id}/results",
    operation_id = "list_bulk_results",
    tags = ["bulk"],
}]
async fn bulk_results(
    rq: Rq,
    caller: Caller,
    path: Path<BulkPath>,
    query: Query<ResultsQuery>,
    paging: Query<PaginationParams<EmptyScanParams, AfterResult>>,
) -> Answer<HttpResponseOk<Page<BulkResult>>> {
    let (bulk, paging) = (path.into_inner().bulk_id, paging.into_inner());
    let limit = limit(&rq, &paging, BULK_PAGE_MAX)?;
    let after = after(paging, |AfterResult { after_result }| Some(after_result))?.unwrap_or(0);
    let outcome = query.into_inner().outcome.map(record::BulkOutcome::from);
    let coordinator = &rq.context().coordinator;
    let found = coordinator.bulk_results(&caller.0, &bulk, after, outcome, limit).await?;
    let next = found.last().filter(|_| found.len() == limit as usize);
    let next = next.map(|last| AfterResult { after_result: last.number });
    page(found.into_iter().map(BulkResult::from).collect(), next)
}

impl From<record::BulkResult> for BulkResult {
    fn from(result: record::BulkResult) -> Self {
        let record::BulkResult { number: _, run_id, outcome, detail } = result;
        let outcome = match outcome {
            record::BulkOutcome::Pending => BulkOutcome::Pending,
            record::BulkOutcome::Done => BulkOutcome::Done,
            record::BulkOutcome::Skipped => BulkOutcome::Skipped,
            record::BulkOutcome::Failed => BulkOutcome::Failed,
        };
        Self { run_id, outcome, detail }
    }
}

impl From<BulkOutcome> for record::BulkOutcome {
    fn from(outcome: BulkOutcome) -> Self {
        match outcome {
            BulkOutcome::Pending => Self::Pending,
            BulkOutcome::Done => Self::Done,
            BulkOutcome::Skipped => Self::Skipped,
            BulkOutcome::Failed => Self::Failed,
        }
    }
}
