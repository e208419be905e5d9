//! The program. Everything it does is in [`jarvis_run_coordinator::cli`].

use std::process::ExitCode;

use clap::Parser;
use jarvis_run_coordinator::cli::{self, Cli};

fn main() -> ExitCode {
    cli::run(&Cli::parse())
}
