//! Which runs: the filters of lists, counts and bulk jobs.

use std::collections::BTreeMap;

use clap::Args;

use super::{
    super::exit::{Exit, Failure},
    parse::{Since, label, since},
};
use crate::types::RunState;

/// Which runs are listed or counted.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Select {
    #[command(flatten)]
    pub basic: BasicSelect,
    /// Only those that need attention: parked, retrying, waiting long or for an approval
    #[arg(long)]
    pub attention: bool,
}

/// Which runs.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct BasicSelect {
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
    /// Only with this label of its request, K=V; several: with all of them
    #[arg(long = "label", value_name = "LABEL", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// Only those that are held
    #[arg(long)]
    pub held: bool,
}

impl BasicSelect {
    /// The labels by name. A run has one value of each, so none has two.
    pub(in crate::server::cli) fn labels(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut labels = BTreeMap::new();
        for (name, value) in &self.labels {
            if labels.insert(name.clone(), value.clone()).is_some_and(|other| other != *value) {
                let message = format!("--label {name} is given twice: a run has one value of it");
                return Err(Failure::new(Exit::Usage, message));
            }
        }
        Ok(labels)
    }
}

fn state(text: &str) -> Result<RunState, String> {
    text.parse().map_err(|_| "not a state of a run: running, succeeded, failed or canceled".to_owned())
}
