//! What is measured: one module for each kind.
//!
//! | module | |
//! |---|---|
//! | `runs` | runs of one node, and of ten in a row: with bare servers and peers beside them |
//! | `trees` | runs that fan out, and one more child in runs of several sizes |
//! | `reads` | single records and lists |
//! | `stored` | lists and counts with a thousand and a million stored runs |
//! | `streams` | a long list of events, and a run with many followers |
//! | `process` | the start of the process, and its memory |

mod process;
mod reads;
mod runs;
mod stored;
mod streams;
mod trees;

use anyhow::Result;
use clap::ValueEnum;

use crate::{bed::Bed, limits::LIMITS, report::Results};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// Runs of one node, from the start to the end
    OneNode,
    /// Runs whose composite creates ten nodes one after the other
    TenInARow,
    /// Runs whose composite creates many nodes at once
    FanOut,
    /// One more child in runs of 10, 1,000 and 10,000 nodes
    CreateChild,
    /// Single records and lists
    Reads,
    /// Lists and counts with 1,000 and 1,000,000 stored runs
    Stored,
    /// A long list of events
    Stream,
    /// Many followers of one run
    Followers,
    /// The start of the process
    ColdStart,
    /// Memory, idle and after many runs
    Memory,
}

impl Workload {
    pub(crate) async fn measure(self, bed: &Bed<'_>, round: usize, results: &mut Results) -> Result<()> {
        match self {
            Self::OneNode => runs::one_node(bed, round, results).await,
            Self::TenInARow => runs::ten_in_a_row(bed, round, results).await,
            Self::FanOut => trees::fan_out(bed, round, results).await,
            Self::CreateChild => trees::create_child(bed, round, results).await,
            Self::Reads => reads::measure(bed, round, results).await,
            Self::Stored => stored::measure(bed, results).await,
            Self::Stream => streams::stream(bed, round, results).await,
            Self::Followers => streams::followers(bed, round, results).await,
            Self::ColdStart => process::cold_start(bed, round, results).await,
            Self::Memory => process::memory(bed, round, results).await,
        }
    }
}

/// What the rows of this name are, in a sentence.
pub(crate) fn about(rows: &str) -> &'static str {
    match rows {
        LIMITS => {
            "Appends of 4 KiB with `fdatasync`, and transactions of a small row with `synchronous=FULL`."
        }
        runs::ONE_NODE => {
            "From the start of a run of one node to `succeeded`; its client follows its events. The executor answers at once."
        }
        runs::TEN_IN_A_ROW => {
            "A composite creates ten nodes, each when the one before has ended, and completes. It follows the events below its node."
        }
        trees::FAN_OUT => {
            "A composite creates all nodes in one request and completes when all have ended. One client."
        }
        trees::CREATE_CHILD => {
            "One request creates one more node in a run of that size; nothing is dispatched. One client."
        }
        reads::RUN => "`GET /v1/runs/{run_id}`.",
        reads::NODE_RUN => "`GET /v1/node-runs/{node_run_id}`.",
        reads::LIST => "`GET /x/runs?limit=100` of the operator API, among 500 runs.",
        stored::STORED => {
            "Requests to the operator API, best of five, with that many stored runs of 100 owners."
        }
        streams::STREAM => "The events of a run that has ended, read by one client.",
        streams::FOLLOWERS => {
            "Evaluations of a node, one after the other: from when one is sent (and from its answer) to its line at the last follower."
        }
        process::COLD_START => {
            "From the start of the process with an empty journal, best of five: to the first answered `/readyz`, and to the end of a first run."
        }
        process::MEMORY => "Resident memory before and after runs of one node by 16 clients.",
        _ => "",
    }
}
