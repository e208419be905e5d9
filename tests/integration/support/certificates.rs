//! Certificates for the tests, made by authorities of their own.

use std::{fs, path::PathBuf, sync::Arc};

use chrono::{DateTime, Datelike};
use jarvis_run_coordinator::time::{Clock, SystemClock};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

/// An authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
pub struct Issued {
    pub cert: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for the loopback addresses, valid for 90 days.
    pub fn issue(&self, name: &str) -> Issued {
        self.issue_for_days(name, 90)
    }

    /// A certificate that expires after these days.
    pub fn issue_for_days(&self, name: &str, days: i64) -> Issued {
        let names = ["127.0.0.1", "localhost"].map(str::to_owned);
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let now = DateTime::from_timestamp_micros(SystemClock.now().as_micros()).expect("a time");
        let expires = now + chrono::TimeDelta::days(days);
        let part = |number: u32| u8::try_from(number).expect("small");
        params.not_after = date_time_ymd(expires.year(), part(expires.month()), part(expires.day()));
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.0).expect("a certificate");
        Issued { cert: cert.pem(), key: key.serialize_pem() }
    }

    /// A client that trusts this authority, and shows a certificate if it has one.
    pub fn client(&self, identity: Option<&Issued>) -> reqwest::Client {
        let root = reqwest::Certificate::from_pem(self.pem().as_bytes()).expect("a root");
        let mut builder = reqwest::Client::builder().tls_certs_only([root]).pool_max_idle_per_host(0);
        if let Some(Issued { cert, key }) = identity {
            let identity = reqwest::Identity::from_pem(format!("{cert}{key}").as_bytes());
            builder = builder.identity(identity.expect("an identity"));
        }
        builder.build().expect("a client")
    }

    /// The TLS of a service that shows this certificate, and demands one of this
    /// authority.
    pub fn demanding(&self, own: &Issued) -> ServerConfig {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("a root");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let chain = CertificateDer::pem_slice_iter(own.cert.as_bytes()).collect::<Result<_, _>>();
        let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("a key");
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier.build().expect("a verifier"))
            .with_single_cert(chain.expect("a chain"), key)
            .expect("a pair")
    }
}

/// A folder with certificates, as an orchestrator mounts a secret: the names are
/// links through `..data`, which is pointed at another folder at once.
pub struct Mounted {
    folder: tempfile::TempDir,
    versions: usize,
}

impl Mounted {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut mounted = Self { folder, versions: 0 };
        mounted.replace(files);
        for (name, _) in files {
            std::os::unix::fs::symlink(format!("..data/{name}"), mounted.path(name)).expect("a link");
        }
        mounted
    }

    /// The path of a file, as text.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Replaces all files at once.
    pub fn replace(&mut self, files: &[(&str, &str)]) {
        self.versions += 1;
        let version = format!("..{}", self.versions);
        let folder: PathBuf = self.folder.path().join(&version);
        fs::create_dir(&folder).expect("a folder");
        for (name, content) in files {
            fs::write(folder.join(name), content).expect("written");
        }
        let (new, data) = (self.folder.path().join("..new"), self.folder.path().join("..data"));
        std::os::unix::fs::symlink(version, &new).expect("a link");
        fs::rename(new, data).expect("renamed");
    }
}
