//! TLS to the database: always verified.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, pem::PemObject},
};
use rustls_platform_verifier::{BuilderVerifierExt, Verifier};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::DatabaseTls;

/// What connections are encrypted with. Without TLS it is made and not used.
pub(super) fn connector(tls: &DatabaseTls) -> Result<MakeRustlsConnect, String> {
    let config = match tls {
        // No root is needed, and a bare system has none.
        DatabaseTls::Off => {
            builder()?.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
        }
        DatabaseTls::Verified { extra_roots: None } => builder()?
            .with_platform_verifier()
            .map_err(|e| format!("the root certificates of the system cannot be used: {e}"))?
            .with_no_client_auth(),
        DatabaseTls::Verified { extra_roots: Some(file) } => {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let verifier = Verifier::new_with_extra_roots(roots(file)?, provider)
                .map_err(|e| format!("{}: its certificates cannot be used: {e}", file.display()))?;
            builder()?.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())
}

fn roots(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let named = |reason: String| format!("sslrootcert {}: {reason}", file.display());
    let text = fs::read(file).map_err(|e| named(e.to_string()))?;
    let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|e| named(e.to_string()))?;
    if certificates.is_empty() {
        return Err(named("it has no certificate (PEM)".into()));
    }
    Ok(certificates)
}
