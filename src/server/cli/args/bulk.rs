//! `bulk`: the same done to many runs.

use clap::{Args, Subcommand, ValueEnum};

use super::{
    change::{Care, Change},
    output::{Listed, Printed},
    select::BasicSelect,
};

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum BulkCommand {
    /// Do the same to many runs, as a job that goes on by itself
    Start(BulkStart),
    /// List bulk jobs, the newest first
    List {
        #[command(flatten)]
        page: Listed,
    },
    /// Show a bulk job: how far it is
    Get {
        bulk: String,
        #[command(flatten)]
        printed: Printed,
    },
    /// List what came of each run of a bulk job
    Results {
        bulk: String,
        #[command(flatten)]
        page: Listed,
    },
    /// Abort bulk jobs: what is pending is not acted on
    Abort {
        /// Ids of bulk jobs; - reads them from stdin, one a line
        #[arg(required = true, value_name = "BULK")]
        bulks: Vec<String>,
        #[command(flatten)]
        change: Change,
    },
}

/// A bulk job to be started, on runs by ids or by a filter.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct BulkStart {
    /// What is done
    pub action: BulkAction,
    /// Ids of runs; - reads them from stdin, one a line. Without any, the filter selects
    #[arg(value_name = "RUN", conflicts_with = "BasicSelect")]
    pub runs: Vec<String>,
    #[command(flatten)]
    pub select: BasicSelect,
    /// Where reruns begin
    #[arg(long, value_name = "FROM")]
    pub from: Option<RerunFrom>,
    /// The most runs in a second
    #[arg(long, value_name = "NUMBER")]
    pub per_second: Option<u32>,
    /// The reason, which is kept with the job
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    pub care: Care,
    #[command(flatten)]
    pub printed: Printed,
}

/// What a bulk job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BulkAction {
    Cancel,
    Rerun,
}

/// Where a rerun begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RerunFrom {
    /// Everything is executed again
    Start,
    /// What had succeeded is not executed again
    Succeeded,
}
