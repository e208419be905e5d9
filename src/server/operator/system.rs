//! The server itself, and the caller as the server sees it.

use dropshot::{ApiDescription, ApiDescriptionRegisterError, HttpResponseOk, RequestContext, endpoint};
use schemars::JsonSchema;
use serde::Serialize;

use super::model::Principal;
use crate::{
    coordinator::Profile,
    http_server::{ApiError, Caller, ServerContext},
    types::Health,
};

type Rq = RequestContext<ServerContext>;
type Answer<T> = Result<T, ApiError>;

pub(super) fn register(api: &mut ApiDescription<ServerContext>) -> Result<(), ApiDescriptionRegisterError> {
    api.register(who_am_i)?;
    api.register(system_get)
}

/// The caller as the server sees it
#[derive(Serialize, JsonSchema)]
struct Me {
    principal: Principal,
    /// The ids of the operations that it may ask for. Whether it may do them with a
    /// certain run is decided with each request
    operations: Vec<String>,
}

/// The server: its version and its health
#[derive(Serialize, JsonSchema)]
struct System {
    version: String,
    health: Health,
}

/// Say who the caller is, and what it may do
#[endpoint { method = GET, path = "/x/me", operation_id = "who_am_i", tags = ["system"] }]
async fn who_am_i(rq: Rq, caller: Caller) -> Answer<HttpResponseOk<Me>> {
    let Profile { identity, may } = rq.context().coordinator.profile(&caller.0).await?;
    let operations = may.into_iter().map(|operation| operation.to_string()).collect();
    Ok(HttpResponseOk(Me { principal: identity.into(), operations }))
}

/// Get the version and the health of the server
#[endpoint { method = GET, path = "/x/system", operation_id = "get_system", tags = ["system"] }]
async fn system_get(rq: Rq, caller: Caller) -> Answer<HttpResponseOk<System>> {
    rq.context().coordinator.system_authorize(&caller.0).await?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Ok(HttpResponseOk(System { version, health: rq.context().health.now() }))
}
