//! The TLS of our own calls: roots beside the system's, and a client
//! certificate.
//!
//! ```text
//!   ClientConfig ──▶ Trust    ──▶ the verifier of now   ◀── Outbound::reload
//!                └─▶ Identity ──▶ the certificate of now ◀──┘
//! ```
//!
//! The HTTP client keeps one configuration for its life. So the configuration
//! asks [`Trust`] and [`Identity`] at each handshake.

use std::sync::Arc;

use parking_lot::RwLock;
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        ResolvesClientCert, Resumption, WantsClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::CertifiedKey,
};
use rustls_platform_verifier::Verifier;

use super::{Certificate, TlsError, pem, provider};
use crate::config::OutboundTls;

/// Trust and identity of our own calls, which can be reloaded.
#[derive(Clone, Debug)]
pub struct Outbound {
    files: OutboundTls,
    provider: Arc<CryptoProvider>,
    trust: Arc<Trust>,
    identity: Arc<Identity>,
}

/// What is read from the files.
struct Loaded {
    verifier: Arc<dyn ServerCertVerifier>,
    identity: Option<Arc<CertifiedKey>>,
}

fn system_roots(provider: &Arc<CryptoProvider>) -> Result<Verifier, TlsError> {
    Verifier::new(Arc::clone(provider)).map_err(|error| {
        // Without the words that stand before: nothing unexpected has happened.
        let reason = if let Error::General(reason) = error { reason } else { error.to_string() };
        TlsError::SystemRoots(reason)
    })
}

/// Reads the system's root certificates. Fails if there are none.
pub fn check_system_roots() -> Result<(), TlsError> {
    system_roots(&provider()).map(drop)
}

impl Loaded {
    fn from_files(files: &OutboundTls, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let identity = match &files.identity {
            None => None,
            Some(pair) => Some(pem::identity(&pair.cert, &pair.key, provider)?),
        };
        let verifier = match &files.ca_bundle {
            None => system_roots(provider)?,
            Some(path) => {
                // For the number of the certificate that is not valid.
                pem::roots(path)?;
                Verifier::new_with_extra_roots(pem::certificates(path)?, Arc::clone(provider))
                    .map_err(|error| TlsError::unusable(path, error.to_string()))?
            }
        };
        Ok(Self { verifier: Arc::new(verifier), identity })
    }

    fn certificate(&self) -> Option<Certificate> {
        self.identity.as_ref()?.cert.first().and_then(Certificate::of)
    }
}

impl Outbound {
    /// Reads and validates the files.
    pub fn load(files: &OutboundTls) -> Result<(Self, Option<Certificate>), TlsError> {
        let provider = provider();
        let loaded = Loaded::from_files(files, &provider)?;
        let certificate = loaded.certificate();
        let trust = Arc::new(Trust(RwLock::new(loaded.verifier)));
        let identity = Arc::new(Identity(RwLock::new(loaded.identity)));
        Ok((Self { files: files.clone(), provider, trust, identity }, certificate))
    }

    /// Reads the files again. If they are invalid, nothing changes. Calls on open
    /// connections go on.
    pub fn reload(&self) -> Result<Option<Certificate>, TlsError> {
        let loaded = Loaded::from_files(&self.files, &self.provider)?;
        let certificate = loaded.certificate();
        *self.identity.0.write() = loaded.identity;
        *self.trust.0.write() = loaded.verifier;
        Ok(certificate)
    }

    /// The configuration for an HTTP client, which follows reloads.
    pub fn client_config(&self) -> Result<ClientConfig, TlsError> {
        self.configure(Arc::clone(&self.trust) as _)
    }

    /// As [`Outbound::client_config`], without our certificate: for targets that are
    /// no services of ours.
    pub fn nameless_config(&self) -> Result<ClientConfig, TlsError> {
        Ok(self.trusting(Arc::clone(&self.trust) as _)?.with_no_client_auth())
    }

    /// As [`Outbound::client_config`], without verification of the server: see
    /// [`unverified`].
    fn unverified_config(&self) -> Result<ClientConfig, TlsError> {
        self.configure(Arc::new(AnyCertificate(Arc::clone(&self.provider))))
    }

    fn configure(&self, verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, TlsError> {
        let mut config = self.trusting(verifier)?.with_client_cert_resolver(Arc::clone(&self.identity) as _);
        if self.files.identity.is_some() {
            // A resumed session would go on with the certificate before the last.
            config.resumption = Resumption::disabled();
        }
        Ok(config)
    }

    fn trusting(
        &self,
        verifier: Arc<dyn ServerCertVerifier>,
    ) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider));
        let builder = builder
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::SystemRoots(error.to_string()))?;
        Ok(builder.dangerous().with_custom_certificate_verifier(verifier))
    }
}

/// The configuration of a client that accepts every certificate: for the health
/// of our own server on a loopback address, for which no certificate is issued.
/// The client must not send anything secret.
pub fn unverified(files: &OutboundTls) -> Result<ClientConfig, TlsError> {
    Outbound::load(files)?.0.unverified_config()
}

/// Verifies servers as the newest valid files say.
#[derive(Debug)]
struct Trust(RwLock<Arc<dyn ServerCertVerifier>>);

impl Trust {
    fn now(&self) -> Arc<dyn ServerCertVerifier> {
        Arc::clone(&self.0.read())
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.now().verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.now().verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.now().verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.now().supported_verify_schemes()
    }
}

/// Presents the newest valid client certificate, if there is one.
#[derive(Debug)]
struct Identity(RwLock<Option<Arc<CertifiedKey>>>);

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.read().clone()
    }

    fn has_certs(&self) -> bool {
        self.0.read().is_some()
    }
}

/// Accepts every certificate. The peer must still have the key of the one that
/// it shows.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
