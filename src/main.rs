//! The program. Everything it does is in [`jarvis_run_coordinator::cli`].

use std::process::ExitCode;

use clap::Parser;
use jarvis_run_coordinator::cli::{self, Cli};

/// A third less CPU a run than with that of the C library, for a few MiB more
/// (docs/performance.md). `.cargo/config.toml` says how soon it gives memory back. SQLite
/// keeps the one of the C library: jemalloc's names have a prefix.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::run(&Cli::parse())
}
