//! `cargo xtask conformance`: the command line of the suite.

use std::process::ExitCode;

use clap::Parser;

/// Checks a coordinator, this one or any other, against the contract.
#[derive(Parser)]
#[command(name = "cargo xtask conformance", bin_name = "cargo xtask conformance")]
struct Cli {
    #[command(flatten)]
    args: conformance::Args,
}

fn main() -> ExitCode {
    xtask_support::exit(conformance::run(&Cli::parse().args))
}
