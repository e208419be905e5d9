//! Approvals: what waits for one, and decisions.

use dropshot::{
    ApiDescription, ApiDescriptionRegisterError, EmptyScanParams, HttpResponseOk, PaginationParams, Path,
    RequestContext, endpoint,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    model::{Actor, Principal},
    paging::{Page, after, limit, page},
};
use crate::{
    coordinator::{APPROVALS_PAGE_MAX, ApprovalView, ApprovalsQuery},
    engine::ApprovalVerdict,
    http_server::{ApiError, Caller, Json, Params, ServerContext, request_bodies},
    record::{self, ApprovalId, ApprovalOutcome, Demand},
    time::Timestamp,
    types::{JsonObject, NodeRunId, NodeTypeRef, RunId},
};

type Rq = RequestContext<ServerContext>;
type Answer<T> = Result<T, ApiError>;

pub(super) fn register(api: &mut ApiDescription<ServerContext>) -> Result<(), ApiDescriptionRegisterError> {
    api.register(approvals_list)?;
    api.register(approval_get)?;
    api.register(approval_approve)?;
    api.register(approval_deny)
}

/// What a node run waits for before it may be executed, and who decided
#[derive(Serialize, JsonSchema)]
struct Approval {
    approval_id: String,
    run_id: RunId,
    node_run_id: NodeRunId,
    node_type_ref: NodeTypeRef,
    demanded_by: DemandedBy,
    /// The checkpoint at which policy demands it
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    /// Why policy demands it
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// The approval as the policy decision point knows it
    #[serde(skip_serializing_if = "Option::is_none")]
    approval_ref: Option<JsonObject>,
    requested_at: Timestamp,
    /// Without a decision by then, the node run fails
    expires_at: Timestamp,
    /// Who started the run
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Principal>,
    /// Absent while it waits
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<Decision>,
}

/// What demands an approval
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum DemandedBy {
    /// `gates.require_approval` of the constraints
    Gate,
    /// The policy decision point
    Policy,
}

/// How an approval ended
#[derive(Serialize, JsonSchema)]
struct Decision {
    outcome: Outcome,
    by: Actor,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    at: Timestamp,
}

/// Granted, refused, not decided in time, or not demanded any more
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Approved,
    Denied,
    Expired,
    Lifted,
}

/// The reason for a decision, which is kept with it
#[derive(Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct DecisionRequest {
    reason: String,
}

request_bodies! { DecisionRequest }

#[derive(Deserialize, JsonSchema)]
struct ApprovalPath {
    approval_id: String,
}

#[derive(Deserialize, JsonSchema)]
struct ApprovalsFilter {
    /// Only of this run
    run_id: Option<RunId>,
}

/// Where a page begins. No other list has a member of this name.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AfterApproval {
    after_approval: String,
}

/// List the approvals that wait, those that have waited longest first
///
/// A page may be shorter than its limit, and even empty, although more follows: there
/// is no more when it has no `next_page`. Filters are given again with each page.
#[endpoint { method = GET, path = "/x/approvals", operation_id = "list_approvals", tags = ["approvals"] }]
async fn approvals_list(
    rq: Rq,
    caller: Caller,
    filter: Params<ApprovalsFilter>,
    paging: Params<PaginationParams<EmptyScanParams, AfterApproval>>,
) -> Answer<HttpResponseOk<Page<Approval>>> {
    let (filter, paging) = (filter.into_inner(), paging.into_inner());
    let query = ApprovalsQuery {
        run_id: filter.run_id,
        limit: limit(&rq, &paging, APPROVALS_PAGE_MAX)?,
        after: after(paging, |AfterApproval { after_approval }| after_approval.parse().ok())?,
    };
    let found = rq.context().coordinator.approvals_list(&caller.0, query).await?;
    let next = found.next.map(|cursor| AfterApproval { after_approval: cursor.to_string() });
    page(found.approvals.into_iter().map(Approval::from).collect(), next)
}

/// Get the newest approval of a node run
#[endpoint { method = GET, path = "/x/approvals/{approval_id}", operation_id = "get_approval", tags = ["approvals"] }]
async fn approval_get(rq: Rq, caller: Caller, path: Path<ApprovalPath>) -> Answer<HttpResponseOk<Approval>> {
    let id = approval_id(path)?;
    let approval = rq.context().coordinator.approval_get(&caller.0, &id).await?;
    Ok(HttpResponseOk(approval.into()))
}

/// Approve: the node run goes on
#[endpoint {
    method = POST,
    path = "/x/approvals/{approval_id}/:approve",
    operation_id = "approve_node_run",
    tags = ["approvals"],
}]
async fn approval_approve(
    rq: Rq,
    caller: Caller,
    path: Path<ApprovalPath>,
    body: Json<DecisionRequest>,
) -> Answer<HttpResponseOk<Approval>> {
    decide(&rq, &caller, path, ApprovalVerdict::Approve, &body.0).await
}

/// Deny: the node run fails
#[endpoint {
    method = POST,
    path = "/x/approvals/{approval_id}/:deny",
    operation_id = "deny_node_run",
    tags = ["approvals"],
}]
async fn approval_deny(
    rq: Rq,
    caller: Caller,
    path: Path<ApprovalPath>,
    body: Json<DecisionRequest>,
) -> Answer<HttpResponseOk<Approval>> {
    decide(&rq, &caller, path, ApprovalVerdict::Deny, &body.0).await
}

async fn decide(
    rq: &Rq,
    caller: &Caller,
    path: Path<ApprovalPath>,
    verdict: ApprovalVerdict,
    body: &DecisionRequest,
) -> Answer<HttpResponseOk<Approval>> {
    let id = approval_id(path)?;
    let decided = rq.context().coordinator.approval_decide(&caller.0, &id, verdict, &body.reason).await?;
    Ok(HttpResponseOk(decided.into()))
}

fn approval_id(path: Path<ApprovalPath>) -> Result<ApprovalId, ApiError> {
    let text = path.into_inner().approval_id;
    text.parse().map_err(|wrong: record::NoApprovalId| {
        ApiError::invalid_at("value_error", &["path", "approval_id"], &wrong.to_string())
    })
}

impl From<ApprovalView> for Approval {
    fn from(view: ApprovalView) -> Self {
        let ApprovalView { approval, run_id, node_run_id, node_type_ref, owner } = view;
        let record::Approval { approval_id, demand, requested_at, expires_at, decision } = approval;
        let (demanded_by, action, reason_code, message, approval_ref) = match demand {
            Demand::Gate => (DemandedBy::Gate, None, None, None, None),
            Demand::Policy { action, reason_code, message, approval_ref } => {
                (DemandedBy::Policy, Some(action), reason_code, message, approval_ref)
            }
        };
        Self {
            approval_id: approval_id.to_string(),
            run_id,
            node_run_id,
            node_type_ref,
            demanded_by,
            action,
            reason_code,
            message,
            approval_ref,
            requested_at,
            expires_at,
            owner: owner.map(Principal::from),
            decision: decision.map(Decision::from),
        }
    }
}

impl From<record::ApprovalDecision> for Decision {
    fn from(decision: record::ApprovalDecision) -> Self {
        let record::ApprovalDecision { outcome, by, reason, at } = decision;
        let outcome = match outcome {
            ApprovalOutcome::Approved => Outcome::Approved,
            ApprovalOutcome::Denied => Outcome::Denied,
            ApprovalOutcome::Expired => Outcome::Expired,
            ApprovalOutcome::Lifted => Outcome::Lifted,
        };
        Self { outcome, by: by.into(), reason, at }
    }
}
