//! The audit trail: who asked for what, and what came of it.

use dropshot::{
    ApiDescription, ApiDescriptionRegisterError, EmptyScanParams, HttpResponseOk, PaginationParams,
    RequestContext, endpoint,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    model::Actor,
    paging::{Page, after, limit, page},
};
use crate::{
    coordinator::LIST_PAGE_MAX,
    http_server::{ApiError, Caller, Params, ServerContext},
    journal::{AuditEntry, AuditFilter, AuditId},
    record::{AuditObject, AuditOutcome, AuditRecord, AuditedOperation},
    time::Timestamp,
    types::{NodeRunId, RunId},
};

type Rq = RequestContext<ServerContext>;
type Answer<T> = Result<T, ApiError>;

pub(super) fn register(api: &mut ApiDescription<ServerContext>) -> Result<(), ApiDescriptionRegisterError> {
    api.register(audit_list)
}

/// What was asked for, by whom, and what came of it
#[derive(Serialize, JsonSchema)]
struct AuditItem {
    /// Records are numbered in the order of commits, with gaps
    number: u64,
    at: Timestamp,
    actor: Actor,
    /// The operation id, or what the coordinator did itself
    operation: String,
    /// Absent: it was about no run in particular
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<RunId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_run_id: Option<NodeRunId>,
    outcome: RecordOutcome,
    /// The code of a refusal
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// A word more: a state, a role, a number
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// What it changed: the events of the same commit
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<EventRange>,
    /// Earlier refusals of this actor that have no record, because there were too many
    #[serde(skip_serializing_if = "Option::is_none")]
    suppressed: Option<u64>,
}

/// Whether it was done, or a rule refused it
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum RecordOutcome {
    Applied,
    Refused,
}

/// Events of a run, by `seq`
#[derive(Serialize, JsonSchema)]
struct EventRange {
    first: u64,
    last: u64,
}

#[derive(Deserialize, JsonSchema)]
struct AuditQuery {
    /// About this run or its node runs
    run_id: Option<RunId>,
    /// The subject of a caller, the node run of an executor, else the kind
    actor: Option<String>,
    /// The operation id, or what the coordinator did itself
    operation: Option<String>,
    outcome: Option<RecordOutcome>,
    /// At this time or later
    after: Option<Timestamp>,
    /// Before this time
    before: Option<Timestamp>,
}

/// Where a page begins. No other list has a member of this name.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BeforeRecord {
    before_record: u64,
}

/// List records of the audit trail, the newest first
///
/// A caller that may not read all runs sees what it did itself, what those did whose runs
/// it may read, and with `run_id` all about a run that it may read. A page may be shorter
/// than its limit, and even empty, although more follows: there is no more when it has no
/// `next_page`. Filters are given again with each page.
#[endpoint { method = GET, path = "/x/audit", operation_id = "list_audit", tags = ["audit"] }]
async fn audit_list(
    rq: Rq,
    caller: Caller,
    query: Params<AuditQuery>,
    paging: Params<PaginationParams<EmptyScanParams, BeforeRecord>>,
) -> Answer<HttpResponseOk<Page<AuditItem>>> {
    let (filter, paging) = (filter(query.into_inner())?, paging.into_inner());
    let limit = limit(&rq, &paging, LIST_PAGE_MAX)?;
    let before = after(paging, |BeforeRecord { before_record }| Some(AuditId(before_record)))?;
    let found = rq.context().coordinator.audit_list(&caller.0, filter, before, limit).await?;
    let next = (!found.at_end).then_some(BeforeRecord { before_record: found.scanned_to.0 });
    page(found.entries.into_iter().map(AuditItem::from).collect(), next)
}

fn filter(query: AuditQuery) -> Result<AuditFilter, ApiError> {
    let AuditQuery { run_id, actor, operation, outcome, after, before } = query;
    let named = |name: String| {
        AuditedOperation::named(&name).ok_or_else(|| {
            ApiError::invalid_at("enum", &["query", "operation"], "Input should be an audited operation")
        })
    };
    Ok(AuditFilter {
        run_id,
        since: after,
        until: before,
        actor,
        operation: operation.map(named).transpose()?,
        outcome: outcome.map(|outcome| match outcome {
            RecordOutcome::Applied => AuditOutcome::Applied,
            RecordOutcome::Refused => AuditOutcome::Refused,
        }),
    })
}

impl From<AuditEntry> for AuditItem {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { id, record } = entry;
        let detail = record.detail().map(str::to_owned);
        let AuditRecord { at, actor, operation, object, outcome, reason, events, suppressed, .. } = record;
        let AuditObject { run_id, node_run_id } = object;
        Self {
            number: id.0,
            at,
            actor: actor.into(),
            operation: operation.to_string(),
            run_id,
            node_run_id,
            outcome: match outcome {
                AuditOutcome::Applied => RecordOutcome::Applied,
                AuditOutcome::Refused => RecordOutcome::Refused,
            },
            reason,
            detail,
            events: events.map(|(first, last)| EventRange { first, last }),
            suppressed: Some(suppressed).filter(|suppressed| *suppressed > 0),
        }
    }
}
