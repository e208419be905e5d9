//! The checks `tls_certificate` and `client_certificate`: whether the
//! certificates in use will last.

use crate::{
    time::Timestamp,
    transport::{CertificateStatus, Condition},
    types::HealthCheck,
};

/// Reports on a certificate. Never worse than degraded: the server works, or its
/// health could not be asked for. Which file is wrong is in the log.
pub fn certificate_check(name: &str, status: &CertificateStatus, now: Timestamp) -> HealthCheck {
    let trouble = match status.condition(now) {
        Condition::Sound => None,
        Condition::ExpiresSoon => Some("The certificate expires within 7 days"),
        Condition::Expired => Some("The certificate has expired"),
        Condition::ReloadFailed => {
            Some("The changed certificate files cannot be used: the previous ones stay in use")
        }
    };
    let details = status.expires().map(|expires| [("expires_at", expires.to_string().into())].into());
    HealthCheck::new(name, trouble.map(str::to_owned), details)
}
