//! What every command has that changes something.

use clap::Args;

use super::output::Printed;

/// How a change is made.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The reason, which is kept with the change
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    pub care: Care,
    #[command(flatten)]
    pub printed: Printed,
}

/// What is asked before a change.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Care {
    /// Print what would be changed, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask before changing more than one
    #[arg(short, long)]
    pub yes: bool,
}

/// The runs that a command changes.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    /// Ids of runs; - reads them from stdin, one a line
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<String>,
}

/// The node runs that a command changes.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct NodeRuns {
    /// Ids of node runs; - reads them from stdin, one a line
    #[arg(required = true, value_name = "NODE_RUN")]
    pub node_runs: Vec<String>,
}
