//! The attempts of a node run.

use dropshot::{
    ApiDescription, ApiDescriptionRegisterError, EmptyScanParams, HttpResponseOk, PaginationParams, Path,
    RequestContext, endpoint,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    model::NodeRunPath,
    paging::{Page, after, limit, page},
};
use crate::{
    coordinator::LIST_PAGE_MAX,
    http_server::{ApiError, Caller, Params, ServerContext},
    journal::AttemptsPage,
    record,
    time::Timestamp,
};

type Rq = RequestContext<ServerContext>;
type Answer<T> = Result<T, ApiError>;

pub(super) fn register(api: &mut ApiDescription<ServerContext>) -> Result<(), ApiDescriptionRegisterError> {
    api.register(attempts_list)
}

/// An attempt that did not end its node run
#[derive(Serialize, JsonSchema)]
struct Attempt {
    attempt: u32,
    started_at: Timestamp,
    ended_at: Timestamp,
    outcome: AttemptOutcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
    /// When it was to be repeated
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<Timestamp>,
}

/// Answered too late, its worker gone, its call failed or its result a failure and to
/// be repeated, or its executor given up
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum AttemptOutcome {
    Late,
    Lost,
    Failed,
    FailedResult,
    Fenced,
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AfterAttempt {
    after_attempt: u32,
}

/// List the attempts of a node run that did not end it
#[endpoint {
    method = GET,
    path = "/x/node-runs/{node_run_id}/attempts",
    operation_id = "list_attempts",
    tags = ["node_runs"],
}]
async fn attempts_list(
    rq: Rq,
    caller: Caller,
    path: Path<NodeRunPath>,
    paging: Params<PaginationParams<EmptyScanParams, AfterAttempt>>,
) -> Answer<HttpResponseOk<Page<Attempt>>> {
    let paging = paging.into_inner();
    let limit = limit(&rq, &paging, LIST_PAGE_MAX)?;
    let after = after(paging, |AfterAttempt { after_attempt }| Some(after_attempt))?.unwrap_or(0);
    let node = path.into_inner().node_run_id;
    let AttemptsPage { attempts, next } =
        rq.context().coordinator.attempts_list(&caller.0, &node, after, limit).await?;
    let next = next.map(|after_attempt| AfterAttempt { after_attempt });
    page(attempts.into_iter().map(Attempt::from).collect(), next)
}

impl From<record::AttemptRecord> for Attempt {
    fn from(attempt: record::AttemptRecord) -> Self {
        let record::AttemptRecord {
            node_run_id: _,
            run_id: _,
            attempt: number,
            started_at,
            ended_at,
            outcome,
            because,
            note: _,
        } = attempt;
        let (outcome, error, retry_at) = match outcome {
            record::AttemptOutcome::Late { state: _, error } => (AttemptOutcome::Late, error, None),
            record::AttemptOutcome::Lost => (AttemptOutcome::Lost, None, None),
            record::AttemptOutcome::Failed { error, retry_at, may_have_begun: _ } => {
                (AttemptOutcome::Failed, Some(error), Some(retry_at))
            }
            record::AttemptOutcome::FailedResult { error, retry_at } => {
                (AttemptOutcome::FailedResult, error, Some(retry_at))
            }
            record::AttemptOutcome::Fenced => (AttemptOutcome::Fenced, None, None),
        };
        let (error_code, error_message) = error.map(|error| (error.code, error.message)).unzip();
        let error_message = error_message.or(because);
        Self { attempt: number, started_at, ended_at, outcome, error_code, error_message, retry_at }
    }
}
