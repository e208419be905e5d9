//! The program. Everything it does is in [`jarvis_run_coordinator::cli`].

use std::process::ExitCode;

use clap::Parser;
use jarvis_run_coordinator::cli::{self, Cli};

/// A fifth less CPU a run than with that of the C library, for some MiB more
/// (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(&Cli::parse())
}
