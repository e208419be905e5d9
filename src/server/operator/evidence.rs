//! All that is recorded about a run, as evidence.

use dropshot::{ApiDescription, ApiDescriptionRegisterError, Path, RequestContext, endpoint};

use super::model::RunPath;
use crate::http_server::{ApiError, Caller, Ndjson, ServerContext};

type Rq = RequestContext<ServerContext>;
type Answer<T> = Result<T, ApiError>;

pub(super) fn register(api: &mut ApiDescription<ServerContext>) -> Result<(), ApiDescriptionRegisterError> {
    api.register(run_export)
}

/// Export everything that is recorded about a run, as of one moment
///
/// The lines are an evidence bundle: the run, its node runs, events, attempts and audit
/// records, chained by hashes, and last a footer. Without the footer it is not whole.
#[endpoint { method = GET, path = "/x/runs/{run_id}/export", operation_id = "export_run", tags = ["runs"] }]
async fn run_export(rq: Rq, caller: Caller, path: Path<RunPath>) -> Answer<Ndjson> {
    let permit = ServerContext::stream_permit(&rq, &caller).await?;
    let pieces = rq.context().coordinator.run_export(&caller.0, &path.into_inner().run_id).await?;
    Ok(Ndjson::whole(pieces, &rq.context().stopping, permit))
}
