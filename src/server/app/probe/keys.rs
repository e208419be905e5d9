//! The keys with which callers' tokens are verified, and the certificates.

use super::{super::certificates::Certificates, ask::Asker, finding::Finding};
use crate::{
    auth::count_keys,
    config::{KeySource, Settings, variables as v},
    time::Timestamp,
    types::HealthStatus,
};

/// Fetches the signing keys, if tokens are verified.
pub(super) async fn signing_keys(settings: &Settings, asker: &Asker<'_>) -> Option<Finding> {
    const CHECK: &str = "signing_keys";
    let source = settings.inbound.keys.as_ref()?;
    let set_by = match source {
        KeySource::Jwks(_) => v::AUTH_JWKS_URI.name.to_owned(),
        KeySource::Discovery(_) => format!("{} or {}", v::AUTH_DISCOVERY_URL.name, v::AUTH_ISSUER.name),
    };
    let remedy = format!(
        "Until there are keys every token is refused. Start the identity provider, or correct {set_by}."
    );
    Some(match count_keys(&asker.http, source).await {
        Ok(0) => Finding::failed(CHECK, "the identity provider publishes no key that can be used", remedy),
        Ok(1) => Finding::ok(CHECK, "1 key"),
        Ok(count) => Finding::ok(CHECK, format!("{count} keys")),
        Err(error) => Finding::failed(CHECK, error, remedy),
    })
}

/// When the certificates expire.
pub(super) fn certificates(certificates: &Certificates, now: Timestamp) -> Vec<Finding> {
    let checks = certificates.checks().into_iter().flat_map(|check| check(now));
    checks
        .map(|check| {
            let expires = check.details.and_then(|details| details.text("expires_at"));
            let until =
                expires.map_or_else(|| "in order".to_owned(), |expires| format!("good until {expires}"));
            let message =
                check.message.map_or_else(|| until.clone(), |message| format!("{message} ({until})"));
            match check.status {
                HealthStatus::Ok => Finding::ok(&check.name, message),
                HealthStatus::Degraded | HealthStatus::Down => {
                    let files = format!("{} or {}", v::TLS_CERT.name, v::CLIENT_CERT.name);
                    Finding::failed(&check.name, message, format!("Renew the file that {files} names."))
                }
            }
        })
        .collect()
}
