//! Runs of one node, and of ten in a row: ours, bare servers, and peers.
//!
//! ```text
//!   a round:  all of ours at 1 client, at 16, …  ▶  each bare server  ▶  each peer
//! ```
//!
//! Ours of several kinds (binaries, stores) take turns at each number of clients. A peer runs
//! only while it is measured: some are busy when they are idle.

use anyhow::Result;
use clap::ValueEnum;

use crate::{
    bare::Bare,
    bed::Bed,
    peers::{self, Work},
    plan::{BareKind, rows},
    report::Results,
};

pub(super) async fn one_node(bed: &Bed<'_>, round: usize, results: &mut Results) -> Result<()> {
    ours(bed, round, rows::ONE_NODE, ("atomic.fast", 0), results).await?;
    for kind in BareKind::value_variants() {
        let bare = Bare::start(*kind, bed.executors.address)?;
        for count in &bed.settings.clients {
            bed.measure(rows::ONE_NODE, &bare.subject(), *count, results).await?;
        }
    }
    peers(bed, rows::ONE_NODE, Work::One, results).await
}

pub(super) async fn ten_in_a_row(bed: &Bed<'_>, round: usize, results: &mut Results) -> Result<()> {
    ours(bed, round, rows::TEN_IN_A_ROW, ("composite.row", 10), results).await?;
    peers(bed, rows::TEN_IN_A_ROW, Work::Ten, results).await
}

async fn ours(
    bed: &Bed<'_>,
    round: usize,
    workload: &'static str,
    (node_type, children): (&str, usize),
    results: &mut Results,
) -> Result<()> {
    let worlds = bed.worlds(round, &[]).await?;
    for count in &bed.settings.clients {
        for world in &worlds {
            bed.measure(workload, &world.subject(node_type, children), *count, results).await?;
        }
    }
    Ok(())
}

async fn peers(bed: &Bed<'_>, workload: &'static str, work: Work, results: &mut Results) -> Result<()> {
    for peer in &bed.settings.peers {
        peers::measure(*peer, bed, workload, work, results).await?;
    }
    Ok(())
}
