//! The commands that use the operator API.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Since, base_url, secret, since};
use crate::{
    config::{
        ConfigError, HttpUrl, OutboundTls, Secret, SecretSource, Vars,
        settings::{client_token, operator_url},
    },
    types::{NodeRunId, RunId, RunState},
};

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ApprovalsCommand {
    /// List what waits for an approval, longest first
    List {
        /// Only of this run
        #[arg(long, value_name = "RUN")]
        run: Option<RunId>,
        #[command(flatten)]
        page: Listed,
    },
    /// Approve: the node run goes on
    Approve(Decision),
    /// Deny: the node run fails
    Deny(Decision),
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum RunLists {
    /// List runs, the newest first (operator API)
    List {
        #[command(flatten)]
        select: Select,
        #[command(flatten)]
        page: Listed,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// Count runs by state (operator API)
    Count {
        #[command(flatten)]
        select: Select,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// Explain why a run does not move (operator API)
    Explain {
        run: RunId,
        #[command(flatten)]
        shown: Shown,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// Show the node runs of a run (operator API)
    Tree {
        run: RunId,
        /// This node run and its descendants only
        #[arg(long, value_name = "NODE_RUN")]
        under: Option<NodeRunId>,
        #[command(flatten)]
        page: Listed,
        #[command(flatten)]
        target: OperatorTarget,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum NodesCommand {
    /// Show the attempts of a node run that did not end it
    Attempts {
        node_run: NodeRunId,
        #[command(flatten)]
        page: Listed,
    },
    /// Explain why a node run does not move
    Explain {
        node_run: NodeRunId,
        #[command(flatten)]
        shown: Shown,
    },
}

/// How one thing is printed.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Format: text, or a JSON object
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Output,
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

/// How much of a list is printed, and how.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The maximum number of lines
    #[arg(long, value_name = "NUMBER", default_value = "100", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Format: a table, or a JSON object a line
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Output,
}

/// Which runs.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Select {
    /// Only in this state: running, succeeded, failed, canceled
    #[arg(long, value_name = "STATE", value_parser = state)]
    pub state: Option<RunState>,
    /// Only with a root of this type
    #[arg(long, value_name = "NODE_TYPE")]
    pub node_type: Option<String>,
    /// Only of this tenant
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
    /// Only of this owner
    #[arg(long, value_name = "SUBJECT")]
    pub owner: Option<String>,
    /// Only if the root ended with this error
    #[arg(long, value_name = "CODE")]
    pub error_code: Option<String>,
    /// Only if started at this time or later, such as 2026-11-28T12:00:00Z, or this long ago, such as 12h
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<Since>,
    /// Only if started before this time
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub before: Option<Since>,
    /// Only if the id begins so
    #[arg(long, value_name = "PREFIX")]
    pub id_prefix: Option<String>,
}

fn state(text: &str) -> Result<RunState, String> {
    text.parse().map_err(|_| "not a state of a run: running, succeeded, failed or canceled".to_owned())
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
