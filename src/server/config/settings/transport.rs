//! Certificates: of the listener, and of our own calls. Only the paths: what is in
//! the files is read at start, and again when it changes (`transport`).

use std::path::PathBuf;

use crate::config::{error::ConfigError, variable::Variable, variables as v, vars::Vars};

/// A chain of certificates, and the key of its first one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// The TLS of the listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundTls {
    pub pair: KeyPair,
    /// If set, clients need a certificate that one of these has signed.
    pub client_ca: Option<PathBuf>,
}

/// The TLS of our own calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboundTls {
    /// Trusted besides the system's roots.
    pub ca_bundle: Option<PathBuf>,
    /// What we show to servers that ask for a certificate.
    pub identity: Option<KeyPair>,
}

impl InboundTls {
    pub(super) fn from_vars(vars: &dyn Vars) -> Result<Option<Self>, ConfigError> {
        let pair = pair(vars, &v::TLS_CERT, &v::TLS_KEY)?;
        let client_ca = path(vars, &v::TLS_CLIENT_CA);
        match (pair, client_ca) {
            (Some(pair), client_ca) => Ok(Some(Self { pair, client_ca })),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(ConfigError::Requires(v::TLS_CLIENT_CA.name, v::TLS_CERT.name)),
        }
    }

    pub fn files(&self) -> Vec<PathBuf> {
        self.pair.files().chain(self.client_ca.clone()).collect()
    }
}

impl OutboundTls {
    pub fn from_vars(vars: &dyn Vars) -> Result<Self, ConfigError> {
        let identity = pair(vars, &v::CLIENT_CERT, &v::CLIENT_KEY)?;
        Ok(Self { ca_bundle: path(vars, &v::CA_BUNDLE), identity })
    }

    /// Whether it is the system's roots, and nothing else.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub fn files(&self) -> Vec<PathBuf> {
        self.identity.iter().flat_map(KeyPair::files).chain(self.ca_bundle.clone()).collect()
    }
}

impl KeyPair {
    fn files(&self) -> impl Iterator<Item = PathBuf> {
        [self.cert.clone(), self.key.clone()].into_iter()
    }
}

fn path(vars: &dyn Vars, variable: &Variable) -> Option<PathBuf> {
    variable.text(vars).map(PathBuf::from)
}

/// Both or neither.
fn pair(vars: &dyn Vars, cert: &Variable, key: &Variable) -> Result<Option<KeyPair>, ConfigError> {
    match (path(vars, cert), path(vars, key)) {
        (Some(cert), Some(key)) => Ok(Some(KeyPair { cert, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(ConfigError::Requires(cert.name, key.name)),
        (None, Some(_)) => Err(ConfigError::Requires(key.name, cert.name)),
    }
}
