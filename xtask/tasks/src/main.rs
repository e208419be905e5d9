//! `cargo xtask`: the command line. Each command is a module of the library.

use std::process::ExitCode;

use clap::Parser;
use xtask::{
    chaos, check_client, check_spec, ci, conformance, dev, fuzz, sim, stack, tidy, upgrade_sdk, venv,
};

/// The project's own tools.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    /// Kill, stop and starve the server among random callers and executors: is anything lost, twice, stuck?
    Chaos(chaos::Args),
    /// Check the library as others use it, without the server.
    CheckClient,
    /// Compare our documents with the program, the official ones and the real stores, by meaning.
    CheckSpec(check_spec::Args),
    /// Run every check in order, and stop at the first that fails.
    Ci(ci::Args),
    /// Ask a coordinator, any, whether it does what the contract says.
    Conformance(conformance::Args),
    /// Start the server for development; build it and start it anew as files change.
    Dev(dev::Args),
    /// Ask a server of ours everything that its document allows, and much that it does not.
    Fuzz(fuzz::Args),
    /// Simulate the coordinator among everything that can go wrong, seed by seed.
    Sim(sim::Args),
    /// Start the whole JARVIS stack on loopback, with our coordinator in the middle.
    Stack(stack::Args),
    /// Check who imports whom, the size of files, and what must not be in them.
    Tidy(tidy::Args),
    /// Go to another version of the official specification: what changes, our documents, what breaks.
    UpgradeSdk(upgrade_sdk::Args),
    /// Make the Python environment that the tests against the real services need.
    Venv(venv::Args),
}

fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Chaos(args) => chaos::run(&args),
        Command::CheckClient => check_client::run(),
        Command::CheckSpec(args) => check_spec::run(&args),
        Command::Ci(args) => ci::run(&args),
        Command::Conformance(args) => conformance::run(&args),
        Command::Dev(args) => dev::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Sim(args) => sim::run(&args),
        Command::Stack(args) => stack::run(&args),
        Command::Tidy(args) => tidy::run(&args),
        Command::UpgradeSdk(args) => upgrade_sdk::run(&args),
        Command::Venv(args) => venv::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // What is wrong is wrong with the project: no backtrace of ours.
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
