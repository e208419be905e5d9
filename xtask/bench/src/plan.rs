//! What may be measured: the words of the command line, the names of subjects and of rows.
//! Everything else imports from here, and this from nothing.
//!
//! | on the command line | what it means | rows |
//! |---|---|---|
//! | a [`Workload`] | what is measured | one name, or several (`rows`) |
//! | `--store`, `--binary`, `--replicas` | each of ours: [`Ours`] | subjects |
//! | `--peers` | each [`Peer`] | subjects |

use std::path::PathBuf;

use clap::ValueEnum;

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

/// Where the journal is, and what stands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Store {
    /// SQLite in a file
    File,
    /// A private PostgreSQL
    Postgres,
    /// SQLite, with the Run Store, Event Stream and Artifact Store of the JARVIS stack behind it
    Jarvis,
}

/// A coordinator of ours that is to be measured.
#[derive(Clone, Debug)]
pub(crate) struct Ours {
    pub(crate) binary: PathBuf,
    /// Which of several binaries it is.
    pub(crate) number: Option<usize>,
    pub(crate) store: Store,
    pub(crate) replicas: usize,
    pub(crate) traces: bool,
}

impl Ours {
    pub(crate) fn label(&self) -> String {
        let number = self.number.map_or(String::new(), |number| format!(" {number}"));
        let store = match self.store {
            Store::File => "",
            Store::Postgres => " on PostgreSQL",
            Store::Jarvis => " with the JARVIS stores",
        };
        let replicas =
            if self.replicas > 1 { format!(", {} replicas", self.replicas) } else { String::new() };
        format!("ours{number}{store}{replicas}")
    }
}

/// A server without a coordinator in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BareKind {
    /// hyper alone
    Hyper,
    /// dropshot, as the coordinator uses it
    Dropshot,
}

impl BareKind {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Hyper => "a bare hyper server",
            Self::Dropshot => "a bare dropshot server",
        }
    }
}

/// Another system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// The coordinator of arp-jarvis 0.3.8, from PyPI
    Python,
    /// Restate, from npm, with a worker in Rust
    Restate,
    /// DBOS, from PyPI, on a private PostgreSQL
    Dbos,
}

impl Peer {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Python => "Python coordinator",
            Self::Restate => "Restate",
            Self::Dbos => "DBOS",
        }
    }
}

/// The names of rows.
pub(crate) mod rows {
    pub(crate) const LIMITS: &str = "limits";
    pub(crate) const ONE_NODE: &str = "one-node";
    pub(crate) const TEN_IN_A_ROW: &str = "ten-in-a-row";
    pub(crate) const FAN_OUT: &str = "fan-out";
    pub(crate) const CREATE_CHILD: &str = "create-child";
    pub(crate) const READ_RUN: &str = "read-run";
    pub(crate) const READ_NODE_RUN: &str = "read-node-run";
    pub(crate) const READ_LIST: &str = "read-list";
    pub(crate) const STORED: &str = "stored";
    pub(crate) const STREAM: &str = "stream";
    pub(crate) const FOLLOWERS: &str = "followers";
    pub(crate) const COLD_START: &str = "cold-start";
    pub(crate) const MEMORY: &str = "memory";
}

/// What the rows of this name are, in a sentence or two.
pub(crate) fn about(name: &str) -> &'static str {
    match name {
        rows::LIMITS => {
            "Appends of 4 KiB with `fdatasync`, and transactions of a small row with `synchronous=FULL`."
        }
        rows::ONE_NODE => {
            "From the start of a run of one node to `succeeded`; its client follows its events. The executor answers at once."
        }
        rows::TEN_IN_A_ROW => {
            "A composite creates ten nodes, each when the one before has ended, and completes. It follows the events below its node."
        }
        rows::FAN_OUT => {
            "A composite creates all nodes in one request and completes when all have ended. One client."
        }
        rows::CREATE_CHILD => {
            "One request creates one more node in a run of that size; nothing is dispatched. One client."
        }
        rows::READ_RUN => "`GET /v1/runs/{run_id}`.",
        rows::READ_NODE_RUN => "`GET /v1/node-runs/{node_run_id}`.",
        rows::READ_LIST => "`GET /x/runs?limit=100` of the operator API, among 500 runs.",
        rows::STORED => {
            "Requests to the operator API, best of five, with that many stored runs of 100 owners."
        }
        rows::STREAM => "The events of a run that has ended, read by one client.",
        rows::FOLLOWERS => {
            "Evaluations of a node, one after the other: from when one is sent (and from its answer) to its line at the last follower."
        }
        rows::COLD_START => {
            "From the start of the process with an empty journal, best of five: to the first answered `/readyz`, and to the end of a first run."
        }
        rows::MEMORY => "Resident memory before and after runs of one node by 16 clients.",
        _ => "",
    }
}
