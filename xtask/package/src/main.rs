//! `cargo xtask package`: the command line.

use std::process::ExitCode;

use clap::Parser;

/// Packages the program: a wheel for Python, a package for Debian, an archive; with its licences and its SBOM.
#[derive(Parser)]
#[command(name = "cargo xtask package", bin_name = "cargo xtask package")]
struct Cli {
    #[command(flatten)]
    args: package::Args,
}

fn main() -> ExitCode {
    xtask_support::exit(package::run(&Cli::parse().args))
}
