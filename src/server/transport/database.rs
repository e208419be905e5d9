//! The TLS of connections to a database: verified, or off.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Outbound, TlsError, provider};
use crate::config::{DatabaseTls, OutboundTls};

/// What connections are encrypted with. Without TLS it is made and not used, and needs
/// no root certificates, which a bare system does not have.
pub fn database_tls(tls: &DatabaseTls) -> Result<MakeRustlsConnect, TlsError> {
    let config = match tls {
        DatabaseTls::Off => ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::SystemRoots(error.to_string()))?
            .with_root_certificates(Arc::new(RootCertStore::empty()))
            .with_no_client_auth(),
        DatabaseTls::Verified { extra_roots } => {
            let files = OutboundTls { ca_bundle: extra_roots.clone(), ..OutboundTls::default() };
            Outbound::load(&files)?.0.client_config()?
        }
    };
    Ok(MakeRustlsConnect::new(config))
}
