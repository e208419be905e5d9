//! `runs`: what can be asked about runs, and done to them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{
    bulk::RerunFrom,
    change::{Change, Runs},
    output::{Form, Listed, Shown},
    parse::{Until, until},
    select::Select,
    target::{OperatorTarget, Servers},
};
use crate::types::{NodeRunId, RunId};

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
    /// Cancel runs, and report what became of their node runs
    Cancel {
        #[command(flatten)]
        runs: Runs,
        #[command(flatten)]
        change: Change,
        /// Wait this long until executors have acknowledged it
        #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = clap::value_parser!(u16).range(..=3600))]
        wait: u16,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// Keep runs from starting work; what is at an executor goes on
    Hold {
        #[command(flatten)]
        runs: Runs,
        #[command(flatten)]
        change: Change,
        /// When they are released by themselves, such as 2026-11-28T12:00:00Z, or in which time, such as 12h
        #[arg(long, value_name = "TIME", value_parser = until)]
        until: Option<Until>,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// Let held runs start work again
    Release {
        #[command(flatten)]
        runs: Runs,
        #[command(flatten)]
        change: Change,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// Repeat runs that have ended, as new runs
    Rerun {
        #[command(flatten)]
        runs: Runs,
        /// Where they begin
        #[arg(long, value_name = "FROM", default_value = "start")]
        from: RerunFrom,
        #[command(flatten)]
        change: Change,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// Write all that is recorded about a run to a file that shows changes
    Export {
        run: RunId,
        /// Destination, which must not exist; without it, stdout
        #[arg(short = 'O', long, value_name = "FILE")]
        output_file: Option<PathBuf>,
        #[command(flatten)]
        shown: Shown,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// Check that an exported run is whole and unchanged; needs no server
    Verify {
        /// A file that `runs export` or `journal export` made
        file: PathBuf,
        /// The hash that the export printed: without it, a file that was written again from the start is not noticed
        #[arg(long, value_name = "HASH")]
        hash: Option<String>,
    },
    /// Show where two exported runs part; needs no server
    Diff {
        /// A file that `runs export` or `journal export` made
        first: PathBuf,
        /// Another one
        second: PathBuf,
    },
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
