//! `cargo xtask bench`: the command line.

use std::process::ExitCode;

use clap::Parser;

/// Measures the real binary: runs per second, latency, CPU, memory; beside the machine's limits, and beside others.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Cli {
    #[command(subcommand)]
    hidden: Option<jarvis_bench::Hidden>,
    #[command(flatten)]
    args: jarvis_bench::Args,
}

fn main() -> ExitCode {
    let Cli { hidden, args } = Cli::parse();
    xtask_support::exit(match hidden {
        Some(hidden) => hidden.run(),
        None => jarvis_bench::run(&args),
    })
}
