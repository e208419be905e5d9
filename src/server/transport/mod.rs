//! Certificates and keys: how this server proves who it is, and whom it trusts.
//!
//! ```text
//!   files ──▶ files ──▶ pem ──▶ inbound  ──▶ rustls::ServerConfig ──▶ api::listen
//!               ▲          └──▶ outbound ──▶ rustls::ClientConfig ──▶ clients
//!               │                  │
//!            reload ◀──────────────┴──▶ certificate: name, expiry ──▶ log, health
//! ```
//!
//! | module | purpose |
//! |---|---|
//! | `files` | bounded reading, and whether something changed |
//! | `pem` | certificates, keys, trusted roots out of PEM |
//! | `certificate` | who a certificate is for, when it expires, what health says |
//! | `inbound` | the TLS of the listener |
//! | `outbound` | the TLS of our own calls |
//! | `database` | the TLS of connections to a database |
//! | `reload` | takes changed files over without a restart |
//!
//! **Invariants.** TLS 1.2 is the oldest version. Files are validated as a whole
//! before any of them counts: a pair of which one half is new never serves. What
//! was in use stays in use until its successor is valid. No error has the
//! content of a file.

mod certificate;
mod database;
mod files;
mod inbound;
mod outbound;
mod pem;
mod reload;

use std::{io, path::PathBuf, sync::Arc};

use rustls::crypto::{CryptoProvider, aws_lc_rs};

pub use self::{
    certificate::{Certificate, CertificateStatus, Condition},
    database::database_tls,
    inbound::load_inbound,
    outbound::{Outbound, check_system_roots, unverified},
    reload::Reload,
};

/// Why a certificate, a key or a list of trusted roots cannot be used. The
/// message names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("{}: {reason}", path.display())]
    Unusable { path: PathBuf, reason: String },
    #[error("cannot load the system's root certificates: {0}")]
    SystemRoots(String),
    #[error("{needed_by} names what is called over https, but this program {error}")]
    NoRoots { needed_by: &'static str, error: Box<Self> },
    #[error("cannot take the files into use: {0}")]
    NotReplaced(String),
}

impl TlsError {
    fn unusable(path: &std::path::Path, reason: impl Into<String>) -> Self {
        Self::Unusable { path: path.to_owned(), reason: reason.into() }
    }
}

/// The cryptography of all TLS in this process.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
