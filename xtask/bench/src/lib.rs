//! `cargo xtask bench`: what the real binary does in a second, how long a caller waits, what
//! a run costs; beside the limits of the machine and beside other systems, in the same
//! minutes.
//!
//! ```text
//!   Args ─▶ Bed: settings, executors, folders
//!             │      ┌──────────── for each round ────────────┐
//!             └─▶ workloads ─▶ worlds (ours), bare servers, peers ─▶ Load, CPU, memory
//!                                                                        │
//!                     results.json, table.md, *.svg ◀─ report ◀──────────┘
//!
//!   this process                            measured processes
//!   ────────────                            ──────────────────
//!   clients ───── HTTP on loopback ───────▶ coordinator ─▶ SQLite, PostgreSQL, the JARVIS stores
//!   executors ◀──────────────────────────── coordinator
//! ```
//!
//! The client shares the processors with what it measures, so it is built with optimisations
//! and does little: `http`, `executor`. The speed of disks varies by an order of magnitude
//! within an hour; so each figure that depends on it stands beside the rate of bare
//! `fdatasync` calls in the same seconds, rounds are interleaved, and ratios are taken round
//! by round. The bench asserts no figure.
//!
//! | module | |
//! |---|---|
//! | `plan`, `settings` | what may be measured, and what was asked for |
//! | `bed`, `world`, `subject` | what is shared; a coordinator with everything around it; what is under load |
//! | `coordinator`, `database`, `collector`, `child` | its processes |
//! | `arp`, `http`, `load` | the clients |
//! | `workloads` | one module for each kind of measurement |
//! | `limits`, `bare` | what the machine and a server without a journal would do |
//! | `peers` | other systems with the nearest equal work |
//! | `procfs`, `stats`, `report` | what was spent; tables and drawings |

#![expect(clippy::disallowed_methods, reason = "a bench measures the machine's own time")]

mod arp;
mod bare;
mod bed;
mod child;
mod collector;
mod coordinator;
mod database;
mod executor;
mod http;
mod limits;
mod load;
mod peers;
mod plan;
mod procfs;
mod report;
mod settings;
mod stats;
mod subject;
mod workloads;
mod world;

use anyhow::Result;

pub use self::{bare::Hidden, settings::Args};
use self::{bed::Bed, report::Results, settings::Settings};

pub fn run(args: &Args) -> Result<()> {
    // Followers are many; each has a connection.
    _ = rlimit::increase_nofile_limit(1 << 16);
    let settings = Settings::of(args)?;
    let mut results = Results::new(settings.setting()?);
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(measure(&settings, &mut results))?;
    results.write(&settings.out)?;
    println!("{}", results.table());
    println!("written: {}", settings.out.display());
    Ok(())
}

async fn measure(settings: &Settings, results: &mut Results) -> Result<()> {
    let bed = Bed::make(settings).await?;
    for [over, under] in settings.comparisons() {
        results.compare(&over, &under);
    }
    for workload in &settings.workloads {
        for round in 0..settings.rounds {
            limits::measure(bed.folder()?.path(), results).await?;
            workloads::measure(*workload, &bed, round, results).await?;
            // What was measured is not lost if something later fails.
            results.write(&settings.out)?;
        }
    }
    Ok(())
}
