//! Certificates, keys and trusted roots out of PEM files.

use std::{path::Path, sync::Arc};

use rustls::{
    Error, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::{TlsError, files};

/// The certificates in a file, at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let content = files::read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content).collect();
    // The parser's error would quote the file.
    let found = found.map_err(|_| TlsError::unusable(path, "not valid PEM"))?;
    if found.is_empty() {
        return Err(TlsError::unusable(path, "no certificate in it (expected -----BEGIN CERTIFICATE-----)"));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let content = files::read(path)?;
    PrivateKeyDer::from_pem_slice(&content).map_err(|_| {
        TlsError::unusable(
            path,
            "no private key in it (expected PEM, unencrypted: PKCS #8, PKCS #1 or SEC 1)",
        )
    })
}

/// A chain of certificates and the key of its first one.
pub(super) fn identity(
    cert: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = certificates(cert)?;
    let private = provider.key_provider.load_private_key(private_key(key)?);
    let private = private.map_err(|error| TlsError::unusable(key, error.to_string()))?;
    let pair = CertifiedKey::new(chain, private);
    pair.keys_match().map_err(|error| {
        let reason = if matches!(error, Error::InvalidCertificate(_)) {
            "its first certificate is not valid".to_owned()
        } else if matches!(error, Error::InconsistentKeys(_)) {
            format!("its key is not that in {}", key.display())
        } else {
            error.to_string()
        };
        TlsError::unusable(cert, reason)
    })?;
    Ok(Arc::new(pair))
}

/// The certificates in a file, as trusted roots.
pub(super) fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for (number, root) in certificates(path)?.into_iter().enumerate() {
        roots.add(root).map_err(|error| {
            TlsError::unusable(path, format!("certificate {} in it: {error}", number + 1))
        })?;
    }
    Ok(roots)
}
