//! Pauses of dispatch.

use dropshot::{ApiDescription, ApiDescriptionRegisterError, HttpResponseOk, RequestContext, endpoint};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::Actor;
use crate::{
    http_server::{ApiError, Caller, Json, ServerContext, request_bodies},
    record::{self, PauseScope},
    time::Timestamp,
};

type Rq = RequestContext<ServerContext>;
type Answer<T> = Result<T, ApiError>;

pub(super) fn register(api: &mut ApiDescription<ServerContext>) -> Result<(), ApiDescriptionRegisterError> {
    api.register(dispatch_pauses)?;
    api.register(dispatch_pause)?;
    api.register(dispatch_resume)
}

/// The node runs whose dispatch is paused. Of the names there is the one that belongs
/// to the kind
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Scope {
    kind: ScopeKind,
    /// The name of the executor, or of a member of a pool, in the health report
    #[serde(default, skip_serializing_if = "Option::is_none")]
    executor: Option<String>,
    /// The id of the type, of whatever version
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node_type_id: Option<String>,
    /// The tenant of the owner of the run
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
}

/// All node runs, those that go to an executor, those of a type, those of a tenant
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ScopeKind {
    All,
    Executor,
    NodeType,
    Tenant,
}

/// What is paused or resumed, and why
#[derive(Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct PauseRequest {
    scope: Scope,
    reason: String,
}

request_bodies! { PauseRequest }

/// That node runs are kept from being dispatched
#[derive(Serialize, JsonSchema)]
struct Pause {
    scope: Scope,
    since: Timestamp,
    /// Who paused it, or changed the pause last
    by: Actor,
    reason: String,
}

/// What is paused
#[derive(Serialize, JsonSchema)]
struct Dispatch {
    /// The pauses that the caller may see, the oldest first
    pauses: Vec<Pause>,
}

/// Whether there was a pause
#[derive(Serialize, JsonSchema)]
struct Resumed {
    scope: Scope,
    /// Whether there was a pause of this scope
    was_paused: bool,
}

/// List what keeps node runs from being dispatched
#[endpoint { method = GET, path = "/x/dispatch", operation_id = "list_dispatch_pauses", tags = ["dispatch"] }]
async fn dispatch_pauses(rq: Rq, caller: Caller) -> Answer<HttpResponseOk<Dispatch>> {
    let pauses = rq.context().coordinator.dispatch_pauses(&caller.0).await?;
    Ok(HttpResponseOk(Dispatch { pauses: pauses.into_iter().map(Pause::from).collect() }))
}

/// Keep node runs from being dispatched, of all runs
///
/// What is at an executor goes on. What waits keeps its place, and costs nothing. The
/// same scope again gets the new reason.
#[endpoint { method = POST, path = "/x/dispatch:pause", operation_id = "pause_dispatch", tags = ["dispatch"] }]
async fn dispatch_pause(rq: Rq, caller: Caller, body: Json<PauseRequest>) -> Answer<HttpResponseOk<Pause>> {
    let PauseRequest { scope, reason } = body.0;
    let scope = scope.checked()?;
    Ok(HttpResponseOk(rq.context().coordinator.dispatch_pause(&caller.0, scope, &reason).await?.into()))
}

/// Let node runs be dispatched again
///
/// Other pauses stay. Without a pause of this scope, nothing changes.
#[endpoint { method = POST, path = "/x/dispatch:resume", operation_id = "resume_dispatch", tags = ["dispatch"] }]
async fn dispatch_resume(
    rq: Rq,
    caller: Caller,
    body: Json<PauseRequest>,
) -> Answer<HttpResponseOk<Resumed>> {
    let PauseRequest { scope, reason } = body.0;
    let scope = scope.checked()?;
    let was_paused = rq.context().coordinator.dispatch_resume(&caller.0, &scope, &reason).await?;
    Ok(HttpResponseOk(Resumed { scope: scope.into(), was_paused }))
}

impl Scope {
    /// The scope, if it has the name that belongs to its kind and no other.
    fn checked(self) -> Result<PauseScope, ApiError> {
        let Self { kind, executor, node_type_id, tenant } = self;
        let missing = |member: &str| {
            ApiError::invalid_at("missing", &["body", "scope", member], "this kind of scope needs the member")
        };
        let surplus = |member: &str| {
            let message = "this kind of scope has no such member";
            ApiError::invalid_at("extra_forbidden", &["body", "scope", member], message)
        };
        let given = [
            ("executor", executor.is_some()),
            ("node_type_id", node_type_id.is_some()),
            ("tenant", tenant.is_some()),
        ];
        let wanted = match kind {
            ScopeKind::All => None,
            ScopeKind::Executor => Some("executor"),
            ScopeKind::NodeType => Some("node_type_id"),
            ScopeKind::Tenant => Some("tenant"),
        };
        if let Some((member, _)) = given.iter().find(|(member, given)| *given && Some(*member) != wanted) {
            return Err(surplus(member));
        }
        Ok(match kind {
            ScopeKind::All => PauseScope::All,
            ScopeKind::Executor => {
                PauseScope::Executor { executor: executor.ok_or_else(|| missing("executor"))? }
            }
            ScopeKind::NodeType => {
                PauseScope::NodeType { node_type_id: node_type_id.ok_or_else(|| missing("node_type_id"))? }
            }
            ScopeKind::Tenant => PauseScope::Tenant { tenant: tenant.ok_or_else(|| missing("tenant"))? },
        })
    }
}

impl From<PauseScope> for Scope {
    fn from(scope: PauseScope) -> Self {
        let bare = |kind| Self { kind, executor: None, node_type_id: None, tenant: None };
        match scope {
            PauseScope::All => bare(ScopeKind::All),
            PauseScope::Executor { executor } => {
                Self { executor: Some(executor), ..bare(ScopeKind::Executor) }
            }
            PauseScope::NodeType { node_type_id } => {
                Self { node_type_id: Some(node_type_id), ..bare(ScopeKind::NodeType) }
            }
            PauseScope::Tenant { tenant } => Self { tenant: Some(tenant), ..bare(ScopeKind::Tenant) },
        }
    }
}

impl From<record::Pause> for Pause {
    fn from(pause: record::Pause) -> Self {
        let record::Pause { scope, since, by, reason } = pause;
        Self { scope: scope.into(), since, by: by.into(), reason }
    }
}
