//! `runs`: what can be asked about runs, and done to them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{
    change::{Change, Runs},
    output::{Form, Listed, Shown},
    parse::{Since, since},
    target::{OperatorTarget, Servers},
};
use crate::types::{NodeRunId, RunId, RunState};

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum RunsCommand {
    /// List runs, the newest first
    List {
        #[command(flatten)]
        select: Select,
        #[command(flatten)]
        page: Listed,
        /// Show the list again every two seconds, until Ctrl-C
        #[arg(long)]
        watch: bool,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// Count runs by state
    Count {
        #[command(flatten)]
        select: Select,
        #[command(flatten)]
        shown: Shown,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// Show a run: state, times, owner, budgets, and why it is where it is
    Get {
        run: RunId,
        #[command(flatten)]
        shown: Shown,
        #[command(flatten)]
        servers: Servers,
    },
    /// Show the node runs of a run
    Tree {
        run: RunId,
        /// This node run and its descendants only
        #[arg(long, value_name = "NODE_RUN")]
        under: Option<NodeRunId>,
        /// Follow the run until it ends: redrawn on a terminal, otherwise a line an event
        #[arg(short, long, conflicts_with_all = ["under", "output", "limit"])]
        follow: bool,
        #[command(flatten)]
        page: Listed,
        #[command(flatten)]
        servers: Servers,
    },
    /// Print the events of a run
    Events {
        run: RunId,
        #[command(flatten)]
        read: ReadEvents,
        #[command(flatten)]
        servers: Servers,
    },
    /// Explain why a run does not move
    Explain {
        run: RunId,
        #[command(flatten)]
        shown: Shown,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// Cancel runs
    Cancel {
        #[command(flatten)]
        runs: Runs,
        #[command(flatten)]
        change: Change,
        #[command(flatten)]
        servers: Servers,
    },
    /// Check that an exported run is whole and unchanged; needs no server
    Verify {
        /// A file that `journal export` made
        file: PathBuf,
        /// The hash that the export printed: without it, a file that was written again from the start is not noticed
        #[arg(long, value_name = "HASH")]
        hash: Option<String>,
    },
    /// Show where two exported runs part; needs no server
    Diff { first: PathBuf, second: PathBuf },
}

/// Which events, and how.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadEvents {
    /// Wait for further events until the run ends
    #[arg(short, long)]
    pub follow: bool,
    /// Only the events after the one of this number
    #[arg(long, value_name = "SEQ", default_value = "0", hide_default_value = true)]
    pub after: u64,
    /// Format [default: table on a terminal, otherwise json]
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Form>,
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
