//! `cargo xtask stack`: the command line.

use std::process::ExitCode;

use clap::Parser;

/// Starts the whole JARVIS stack on loopback, with our coordinator in the middle.
#[derive(Parser)]
#[command(name = "cargo xtask stack", bin_name = "cargo xtask stack")]
struct Cli {
    #[command(flatten)]
    args: jarvis_stack::Args,
}

fn main() -> ExitCode {
    xtask_support::exit(jarvis_stack::run(&Cli::parse().args))
}
