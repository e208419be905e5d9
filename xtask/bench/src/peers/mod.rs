//! Other systems with the nearest equal work, at the same durability, in the same rounds.
//!
//! | | work | what it stands for |
//! |---|---|---|
//! | `python` | the same requests | the Python coordinator among its stores |
//! | `restate` | a handler with one durable step, or ten | durable execution in a server of its own |
//! | `dbos` | a workflow with one step, or ten | durable execution as a library on PostgreSQL |
//!
//! Each step calls the executor of the bench, as the coordinators do. Each peer is installed
//! below `target/`, pinned.

mod dbos;
mod python;
mod restate;

use anyhow::{Context, Result};

use crate::{bed::Bed, report::Results};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Peer {
    /// The coordinator of arp-jarvis 0.3.8, from PyPI
    Python,
    /// Restate, from npm, with a worker in Rust
    Restate,
    /// DBOS, from PyPI, on a private PostgreSQL
    Dbos,
}

/// What is done again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// A node, or a step.
    One,
    /// Ten, one after the other.
    Ten,
}

impl Peer {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Python => "Python coordinator",
            Self::Restate => "Restate",
            Self::Dbos => "DBOS",
        }
    }

    /// Starts it, measures it by all numbers of clients, and stops it.
    pub(crate) async fn measure(
        self,
        bed: &Bed<'_>,
        workload: &'static str,
        work: Work,
        results: &mut Results,
    ) -> Result<()> {
        let measured = match self {
            Self::Python => python::measure(bed, workload, work, results).await,
            Self::Restate => restate::measure(bed, workload, work, results).await,
            Self::Dbos => dbos::measure(bed, workload, work, results).await,
        };
        measured.with_context(|| self.label())
    }
}

impl Work {
    fn steps(self) -> usize {
        match self {
            Self::One => 1,
            Self::Ten => 10,
        }
    }
}
