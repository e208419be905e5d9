//! The TLS of the listener.

use std::sync::Arc;

use rustls::{
    ServerConfig,
    server::{ResolvesServerCert, WebPkiClientVerifier},
    sign::SingleCertAndKey,
};

use super::{Certificate, TlsError, pem, provider};
use crate::config::InboundTls;

/// Reads and validates the files. With `client_ca`, only clients with a
/// certificate that it has signed can connect.
pub fn load_inbound(files: &InboundTls) -> Result<(ServerConfig, Option<Certificate>), TlsError> {
    let provider = provider();
    let identity = pem::identity(&files.pair.cert, &files.pair.key, &provider)?;
    let facts = identity.cert.first().and_then(Certificate::of);
    // Of TLS 1.3 and 1.2, which is all that rustls has.
    let versions =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = versions.map_err(|error| TlsError::unusable(&files.pair.cert, error.to_string()))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = Arc::new(pem::roots(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            builder.with_client_cert_verifier(
                verifier.map_err(|error| TlsError::unusable(path, error.to_string()))?,
            )
        }
    };
    let resolver: Arc<dyn ResolvesServerCert> =
        Arc::new(SingleCertAndKey::from(Arc::unwrap_or_clone(identity)));
    let mut config = builder.with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((config, facts))
}
