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

use crate::{bed::Bed, plan::Peer, report::Results};

/// What is done again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// A node, or a step.
    One,
    /// Ten, one after the other.
    Ten,
}

/// Starts a peer, measures it by all numbers of clients, and stops it.
pub(crate) async fn measure(
    peer: Peer,
    bed: &Bed<'_>,
    workload: &'static str,
    work: Work,
    results: &mut Results,
) -> Result<()> {
    let measured = match peer {
        Peer::Python => python::measure(bed, workload, work, results).await,
        Peer::Restate => restate::measure(bed, workload, work, results).await,
        Peer::Dbos => dbos::measure(bed, workload, work, results).await,
    };
    measured.with_context(|| peer.label())
}

impl Work {
    fn steps(self) -> usize {
        match self {
            Self::One => 1,
            Self::Ten => 10,
        }
    }
}
