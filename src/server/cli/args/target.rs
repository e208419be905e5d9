//! The servers that commands call: where they are, and how to reach them.
//!
//! ```text
//!   send-request, health ──▶ Target   { Place, Access }                a coordinator
//!   approvals, bulk, … ────▶ OperatorTarget { URL, Access }            its operator API
//!   runs, nodes ───────────▶ Servers  { Place, OperatorTarget }        both
//! ```
//!
//! What a flag does not say, the variables of the server do: on its machine no flag
//! is needed.

use std::path::PathBuf;

use clap::Args;

use super::parse::{base_url, secret};
use crate::config::{
    ConfigError, Flags, HttpUrl, OutboundTls, Secret, SecretSource, Vars,
    settings::{DEFAULT_HOST, DEFAULT_PORT, client_token, operator_url, serves_https},
    value::{is_loopback_url, loopback_url},
};

/// The server that a command calls.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    access: Access,
}

/// The operator API that a command calls.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorTarget {
    /// Base URL of the operator API, instead of JARVIS_RUN_COORDINATOR_OPERATOR_URL
    #[arg(long, global = true, value_name = "URL", value_parser = base_url)]
    operator_url: Option<HttpUrl>,
    #[command(flatten)]
    access: Access,
}

/// A server and its operator API, for commands that call both.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    pub operator: OperatorTarget,
}

/// Where a server is.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    /// Base URL of the server [default: derived from --host and --port]
    #[arg(long, global = true, value_name = "URL", value_parser = base_url)]
    url: Option<HttpUrl>,
    /// Address or name that the server listens on [default: 127.0.0.1]
    #[arg(long, global = true, value_name = "HOST")]
    host: Option<String>,
    /// Port that the server listens on [default: 8081]
    #[arg(long, global = true, value_name = "PORT")]
    port: Option<u16>,
}

/// What a request to a server needs.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
struct Access {
    /// Bearer token; visible to other processes, unlike JARVIS_RUN_COORDINATOR_TOKEN
    #[arg(long, global = true, value_name = "TOKEN", value_parser = secret)]
    token: Option<Secret>,
    /// PEM file with root certificates to trust, instead of JARVIS_RUN_COORDINATOR_CA_BUNDLE
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Target {
    pub fn url(&self, vars: &dyn Vars, flags: &Flags) -> String {
        self.place.url(vars, flags)
    }

    /// Whether it is a server with HTTPS on a loopback address, found by its own
    /// settings.
    pub fn is_own(&self, vars: &dyn Vars, flags: &Flags) -> bool {
        let loopback = is_loopback_url(&self.url(vars, flags));
        self.place.url.is_none() && self.access.ca.is_none() && serves_https(vars) && loopback
    }

    /// The certificates to trust and to show.
    pub fn tls(&self, vars: &dyn Vars) -> Result<OutboundTls, ConfigError> {
        self.access.tls(vars)
    }

    pub fn token(&self, vars: &dyn Vars) -> Result<Option<SecretSource>, ConfigError> {
        self.access.token(vars)
    }
}

impl OperatorTarget {
    pub fn url(&self, vars: &dyn Vars) -> Result<String, ConfigError> {
        self.operator_url.as_ref().map_or_else(|| operator_url(vars), |url| Ok(url.as_str().to_owned()))
    }

    /// The certificates to trust and to show.
    pub fn tls(&self, vars: &dyn Vars) -> Result<OutboundTls, ConfigError> {
        self.access.tls(vars)
    }

    pub fn token(&self, vars: &dyn Vars) -> Result<Option<SecretSource>, ConfigError> {
        self.access.token(vars)
    }
}

impl Servers {
    /// The server itself.
    pub fn server(&self) -> Target {
        Target { place: self.place.clone(), access: self.operator.access.clone() }
    }
}

impl Place {
    fn url(&self, vars: &dyn Vars, flags: &Flags) -> String {
        let derived = || {
            let host = self.host.as_deref().or(flags.host.as_deref()).unwrap_or(DEFAULT_HOST);
            let port = self.port.or(flags.port).unwrap_or(DEFAULT_PORT);
            loopback_url(serves_https(vars), host, port)
        };
        self.url.as_ref().map_or_else(derived, |url| url.as_str().to_owned())
    }
}

impl Access {
    fn tls(&self, vars: &dyn Vars) -> Result<OutboundTls, ConfigError> {
        let configured = OutboundTls::from_vars(vars)?;
        Ok(OutboundTls { ca_bundle: self.ca.clone().or(configured.ca_bundle), ..configured })
    }

    fn token(&self, vars: &dyn Vars) -> Result<Option<SecretSource>, ConfigError> {
        match &self.token {
            Some(token) => Ok(Some(SecretSource::Value(token.clone()))),
            None => client_token(vars),
        }
    }
}
