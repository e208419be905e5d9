//! Credentials for other services.

use super::OutboundAuth;
use crate::config::{
    AuthSettings, Mode,
    error::ConfigError,
    value::{self, AudienceField, HttpUrl, Secret, SecretSource},
    variable::Variable,
    variables as v,
    vars::Vars,
};

/// Start-up failures 2 and 3: credentials for the services that are called.
///
/// They are optional if no service is called, or if callers need no token either
/// (FIX G43). One without the other is always an error. `inbound` is `None` if
/// its settings are invalid: that is failure 4, and is reported after these.
pub(super) fn outbound(
    vars: &dyn Vars,
    inbound: Option<&AuthSettings>,
) -> Result<Option<OutboundAuth>, ConfigError> {
    let secret = secret_source(vars, &v::AUTH_CLIENT_SECRET, &v::AUTH_CLIENT_SECRET_FILE)?;
    let (client_id, client_secret) = match (v::AUTH_CLIENT_ID.text(vars), secret) {
        (Some(id), Some(secret)) => (id, secret),
        (None, None) if !credentials_needed(vars, inbound) => return Ok(None),
        _ => return Err(ConfigError::CredentialsMissing),
    };
    // The reference reads the timeout first, so its error comes first.
    let timeout = v::AUTH_TIMEOUT_SECS.text(vars).unwrap_or_default();
    if timeout.parse::<f64>().is_err() {
        return Err(ConfigError::TimeoutNotANumber);
    }
    let token_endpoint = match (v::AUTH_TOKEN_ENDPOINT.given(vars), v::AUTH_ISSUER.given(vars)) {
        (Some(endpoint), _) => {
            HttpUrl::exact(&endpoint.text).ok_or_else(|| v::AUTH_TOKEN_ENDPOINT.invalid(&endpoint))?
        }
        (None, Some(issuer)) => {
            let base = issuer.text.trim_end_matches('/');
            HttpUrl::exact(&format!("{base}/protocol/openid-connect/token"))
                .ok_or_else(|| v::AUTH_ISSUER.invalid(&issuer))?
        }
        (None, None) => return Err(ConfigError::TokenEndpointMissing),
    };
    Ok(Some(OutboundAuth {
        client_id,
        client_secret,
        token_endpoint,
        timeout: v::AUTH_TIMEOUT_SECS.read_required(vars, value::seconds)?,
        scope: v::AUTH_SCOPE.text(vars),
        audience_field: v::TOKEN_AUDIENCE_FIELD.read_required(vars, AudienceField::parse)?,
    }))
}

/// A secret that is given as it is, or as the path of a file.
pub(super) fn secret_source(
    vars: &dyn Vars,
    value: &Variable,
    file: &Variable,
) -> Result<Option<SecretSource>, ConfigError> {
    match (value.text(vars), file.text(vars)) {
        (Some(_), Some(_)) => Err(ConfigError::Both(value.name, file.name)),
        (Some(text), None) => Ok(Some(SecretSource::Value(Secret::new(text)))),
        (None, Some(path)) => Ok(Some(SecretSource::File(path.into()))),
        (None, None) => Ok(None),
    }
}

/// The key that seals callers' tokens, if they are exchanged.
pub(super) fn exchange_key(
    vars: &dyn Vars,
    has_credentials: bool,
) -> Result<Option<SecretSource>, ConfigError> {
    let key = secret_source(vars, &v::SECRETS_KEY, &v::SECRETS_KEY_FILE)?;
    if !v::TOKEN_EXCHANGE.read_required(vars, value::switch)? {
        return Ok(None);
    }
    if !has_credentials {
        return Err(ConfigError::Requires(v::TOKEN_EXCHANGE.name, v::AUTH_CLIENT_ID.name));
    }
    key.map(Some).ok_or(ConfigError::Requires(v::TOKEN_EXCHANGE.name, v::SECRETS_KEY.name))
}

fn credentials_needed(vars: &dyn Vars, inbound: Option<&AuthSettings>) -> bool {
    let services = [
        v::RUN_STORE_URL,
        v::EVENT_STREAM_URL,
        v::ARTIFACT_STORE_URL,
        v::ATOMIC_EXECUTOR_URL,
        v::COMPOSITE_EXECUTOR_URL,
        v::NODE_REGISTRY_URL,
        v::PDP_URL,
        v::SELECTION_URL,
    ];
    let disabled = inbound.is_some_and(|inbound| inbound.mode == Mode::Disabled);
    !disabled && services.iter().any(|url| url.given(vars).is_some())
}
