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

use crate::{bed::Bed, plan::Workload, report::Results};

pub(crate) async fn measure(
    workload: Workload,
    bed: &Bed<'_>,
    round: usize,
    results: &mut Results,
) -> Result<()> {
    match workload {
        Workload::OneNode => runs::one_node(bed, round, results).await,
        Workload::TenInARow => runs::ten_in_a_row(bed, round, results).await,
        Workload::FanOut => trees::fan_out(bed, round, results).await,
        Workload::CreateChild => trees::create_child(bed, round, results).await,
        Workload::Reads => reads::measure(bed, round, results).await,
        Workload::Stored => stored::measure(bed, results).await,
        Workload::Stream => streams::stream(bed, round, results).await,
        Workload::Followers => streams::followers(bed, round, results).await,
        Workload::ColdStart => process::cold_start(bed, round, results).await,
        Workload::Memory => process::memory(bed, results).await,
    }
}
