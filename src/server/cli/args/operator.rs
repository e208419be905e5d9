//! The commands that use the operator API.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{base_url, secret};
use crate::{
    config::{
        ConfigError, HttpUrl, OutboundTls, Secret, SecretSource, Vars,
        settings::{client_token, operator_url},
    },
    types::RunId,
};

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ApprovalsCommand {
    /// List what waits for an approval, longest first
    List {
        /// Only of this run
        #[arg(long, value_name = "RUN")]
        run: Option<RunId>,
        /// The maximum number of approvals
        #[arg(long, value_name = "NUMBER", default_value = "100", value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// Format: a table, or a JSON object a line
        #[arg(short, long, value_name = "FORMAT", default_value = "table")]
        output: Output,
    },
    /// Approve: the node run goes on
    Approve(Decision),
    /// Deny: the node run fails
    Deny(Decision),
}

#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The id of the approval, as `list` shows it
    pub approval: String,
    /// The reason, which is kept with the decision
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Format: a table, or a JSON object
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Output,
}

/// How a command prints what it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Table,
    Json,
}

/// The operator API that a command calls.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorTarget {
    /// Base URL of the operator API, instead of JARVIS_RUN_COORDINATOR_OPERATOR_URL
    #[arg(long, global = true, value_name = "URL", value_parser = base_url)]
    operator_url: Option<HttpUrl>,
    /// Bearer token; visible to other processes, unlike JARVIS_RUN_COORDINATOR_TOKEN
    #[arg(long, global = true, value_name = "TOKEN", value_parser = secret)]
    token: Option<Secret>,
    /// PEM file with root certificates to trust, instead of JARVIS_RUN_COORDINATOR_CA_BUNDLE
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl OperatorTarget {
    pub fn url(&self, vars: &dyn Vars) -> Result<String, ConfigError> {
        self.operator_url.as_ref().map_or_else(|| operator_url(vars), |url| Ok(url.as_str().to_owned()))
    }

    /// The certificates to trust and to show.
    pub fn tls(&self, vars: &dyn Vars) -> Result<OutboundTls, ConfigError> {
        let configured = OutboundTls::from_vars(vars)?;
        Ok(OutboundTls { ca_bundle: self.ca.clone().or(configured.ca_bundle), ..configured })
    }

    pub fn token(&self, vars: &dyn Vars) -> Result<Option<SecretSource>, ConfigError> {
        match &self.token {
            Some(token) => Ok(Some(SecretSource::Value(token.clone()))),
            None => client_token(vars),
        }
    }
}
