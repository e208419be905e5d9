//! The server itself, and the caller as the server sees it.

use dropshot::{ApiDescription, ApiDescriptionRegisterError, HttpResponseOk, RequestContext, endpoint};
use schemars::JsonSchema;
use serde::Serialize;

use super::model::Principal;
use crate::{
    config::InEffect,
    coordinator::Profile,
    http_server::{ApiError, Caller, ServerContext},
    types::Health,
};

type Rq = RequestContext<ServerContext>;
type Answer<T> = Result<T, ApiError>;

pub(super) fn register(api: &mut ApiDescription<ServerContext>) -> Result<(), ApiDescriptionRegisterError> {
    api.register(who_am_i)?;
    api.register(system_get)?;
    api.register(configuration_get)
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

/// What the server was started with
#[derive(Serialize, JsonSchema)]
struct Configuration {
    /// All settings, in the order of their documentation
    settings: Vec<Setting>,
}

/// A setting that is in effect
#[derive(Serialize, JsonSchema)]
struct Setting {
    /// The heading that it is documented under
    group: String,
    /// The name of its variable or flag
    name: String,
    /// Secrets are masked. In parentheses: what applies because nothing is set
    value: String,
    /// `default`, `flag`, `env`, or the file that it comes from
    source: String,
    is_default: bool,
}

impl From<&InEffect> for Setting {
    fn from(setting: &InEffect) -> Self {
        Self {
            group: setting.group.to_owned(),
            name: setting.name.to_owned(),
            value: setting.value.clone(),
            source: setting.source.clone(),
            is_default: setting.is_default(),
        }
    }
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

/// Get the settings that are in effect, and where they come from
#[endpoint { method = GET, path = "/x/configuration", operation_id = "get_configuration", tags = ["system"] }]
async fn configuration_get(rq: Rq, caller: Caller) -> Answer<HttpResponseOk<Configuration>> {
    rq.context().coordinator.configuration_authorize(&caller.0).await?;
    let settings = rq.context().in_effect.iter().map(Setting::from).collect();
    Ok(HttpResponseOk(Configuration { settings }))
}
