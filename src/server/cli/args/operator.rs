//! `approvals` and `nodes`.

use clap::{Args, Subcommand};

use super::{
    change::{Change, NodeRuns},
    output::{AtMost, Listed, Shown},
    runs::ReadEvents,
};
use crate::types::{NodeRunId, RunId};

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

#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Ids of approvals, as `list` shows them; - reads them from stdin, one a line
    #[arg(required = true, value_name = "APPROVAL")]
    pub approvals: Vec<String>,
    #[command(flatten)]
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum NodesCommand {
    /// Show a node run, and why it is where it is
    Get {
        node_run: NodeRunId,
        #[command(flatten)]
        shown: Shown,
    },
    /// Print the events of a node run
    Events {
        node_run: NodeRunId,
        #[command(flatten)]
        read: ReadEvents,
    },
    /// Show the attempts of a node run that did not end it
    Attempts {
        node_run: NodeRunId,
        #[command(flatten)]
        at_most: AtMost,
        #[command(flatten)]
        shown: Shown,
    },
    /// Explain why a node run does not move
    Explain {
        node_run: NodeRunId,
        #[command(flatten)]
        shown: Shown,
    },
    /// Try node runs now that wait for a time: before a retry, behind a breaker, parked
    Wake {
        #[command(flatten)]
        node_runs: NodeRuns,
        #[command(flatten)]
        change: Change,
    },
}
