//! `cargo xtask chaos`: the command line.

use std::process::ExitCode;

use clap::Parser;

/// Kills, stops and starves the server among random callers and executors: is anything lost, duplicated or stuck?
#[derive(Parser)]
#[command(name = "cargo xtask chaos", bin_name = "cargo xtask chaos")]
struct Cli {
    #[command(flatten)]
    args: chaos::Args,
}

fn main() -> ExitCode {
    xtask_support::exit(chaos::run(&Cli::parse().args))
}
