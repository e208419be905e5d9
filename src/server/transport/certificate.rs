//! Who a certificate is for, when it expires, and whether that is a problem.
//!
//! ```text
//!   sound ──7 days left──▶ expires soon ──▶ expired
//!     │ ▲                       │ ▲
//!     ▼ │   broken files        ▼ │
//!   reload failed  ◀────────────────        (the certificate in use stays)
//! ```

use std::time::Duration;

use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use x509_cert::{
    der::Decode,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

use crate::time::Timestamp;

/// A certificate that has less time left is reported.
const EXPIRES_SOON: Duration = Duration::from_secs(7 * 24 * 3600);

/// Public facts of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The subject, or the first name that it is valid for.
    pub name: String,
    pub expires: Timestamp,
}

impl Certificate {
    /// The facts; `None` if TLS can use the certificate and we cannot read it.
    pub(super) fn of(der: &CertificateDer<'_>) -> Option<Self> {
        let certificate = x509_cert::Certificate::from_der(der).ok()?;
        let inner = certificate.tbs_certificate();
        let name = if inner.subject().is_empty() {
            let names = inner.get_extension::<SubjectAltName>().ok().flatten();
            names.and_then(|(_, names)| names.0.iter().find_map(dns_name)).unwrap_or_default()
        } else {
            inner.subject().to_string()
        };
        let expires = inner.validity().not_after.to_unix_duration().as_micros();
        Some(Self { name, expires: Timestamp::from_micros(i64::try_from(expires).unwrap_or(i64::MAX)) })
    }
}

fn dns_name(name: &GeneralName) -> Option<String> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "other kinds of names are not shown")]
    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        _ => None,
    }
}

/// What is wrong with a certificate in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Sound,
    ExpiresSoon,
    Expired,
    /// The files were changed, and what is in them now cannot be used.
    ReloadFailed,
}

/// The certificate in use, shared by what reloads it and what reports on it.
#[derive(Debug)]
pub struct CertificateStatus(Mutex<State>);

#[derive(Debug)]
struct State {
    certificate: Option<Certificate>,
    reload_failed: bool,
}

impl CertificateStatus {
    pub fn new(certificate: Option<Certificate>) -> Self {
        Self(Mutex::new(State { certificate, reload_failed: false }))
    }

    pub(super) fn replaced(&self, certificate: Option<Certificate>) {
        *self.0.lock() = State { certificate, reload_failed: false };
    }

    pub(super) fn reload_failed(&self) {
        self.0.lock().reload_failed = true;
    }

    /// When the certificate in use expires, if that is known.
    pub fn expires(&self) -> Option<Timestamp> {
        self.0.lock().certificate.as_ref().map(|certificate| certificate.expires)
    }

    /// The worst of what is wrong.
    pub fn condition(&self, now: Timestamp) -> Condition {
        let state = self.0.lock();
        let expires = state.certificate.as_ref().map(|certificate| certificate.expires);
        match expires {
            Some(expires) if expires <= now => Condition::Expired,
            _ if state.reload_failed => Condition::ReloadFailed,
            Some(expires) if expires.since(now) < EXPIRES_SOON => Condition::ExpiresSoon,
            Some(_) | None => Condition::Sound,
        }
    }
}
