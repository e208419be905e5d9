//! `cargo xtask`: the command line. Each command is a module of the library,
//! but for those that are crates of their own: they are built when they are
//! asked for, so that the others start quickly.

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;
use xtask::{
    check_client, check_spec, ci, deny, dev, other_crates, postgres, schemathesis, sim, site, tidy, ui,
    upgrade_sdk,
};
use xtask_support::venv;

/// The project's own tools.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    /// Measure the real binary: runs per second, latency, CPU, memory; beside the machine's limits, and beside others.
    #[command(disable_help_flag = true)]
    Bench(Forwarded),
    /// Kill, stop and starve the server among random callers and executors: is anything lost, duplicated or stuck?
    #[command(disable_help_flag = true)]
    Chaos(Forwarded),
    /// Check the library as others use it, without the server.
    CheckClient,
    /// Compare our documents with the program, the official ones and the real stores, by meaning.
    CheckSpec(check_spec::Args),
    /// Run every check in order, and stop at the first that fails.
    Ci(ci::Args),
    /// Check a coordinator, this one or any other, against the contract.
    #[command(disable_help_flag = true)]
    Conformance(Forwarded),
    /// Check licences, bans and sources of dependencies (deny.toml).
    Deny(deny::Args),
    /// Start the server for development; rebuild and restart it as files change.
    Dev(dev::Args),
    /// Package the program: a wheel for Python, a package for Debian, an archive; with its licences and its SBOM.
    #[command(disable_help_flag = true)]
    Package(Forwarded),
    /// Test the journal on PostgreSQL, on a real server.
    Postgres(postgres::Args),
    /// Send our server requests that its document allows, and many that it does not.
    Schemathesis(schemathesis::Args),
    /// Simulate the coordinator among everything that can go wrong, seed by seed.
    Sim(sim::Args),
    /// Make the site of docs/, with search and diagrams.
    Site(site::Args),
    /// Start the whole JARVIS stack on loopback, with our coordinator in the middle.
    #[command(disable_help_flag = true)]
    Stack(Forwarded),
    /// Check imports, names, words, the size of files, and what must not be in them.
    Tidy(tidy::Args),
    /// Test the web page in a real browser.
    Ui(ui::Args),
    /// Move to another version of the official specification: what changes, our documents, what breaks.
    UpgradeSdk(upgrade_sdk::Args),
    /// Create the Python environment that the tests against the real services need.
    Venv(VenvArgs),
}

/// The arguments of a command that is a crate of its own.
#[derive(clap::Args)]
struct Forwarded {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    args: Vec<OsString>,
}

#[derive(clap::Args)]
struct VenvArgs {
    /// Print the path of its python
    #[arg(long)]
    print: bool,
}

fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Bench(Forwarded { args }) => other_crates::BENCH.run(&args),
        Command::Chaos(Forwarded { args }) => other_crates::CHAOS.run(&args),
        Command::CheckClient => check_client::run(),
        Command::CheckSpec(args) => check_spec::run(&args),
        Command::Ci(args) => ci::run(&args),
        Command::Conformance(Forwarded { args }) => other_crates::CONFORMANCE.run(&args),
        Command::Deny(args) => deny::run(&args),
        Command::Dev(args) => dev::run(&args),
        Command::Package(Forwarded { args }) => other_crates::PACKAGE.run(&args),
        Command::Postgres(args) => postgres::run(&args),
        Command::Schemathesis(args) => schemathesis::run(&args),
        Command::Sim(args) => sim::run(&args),
        Command::Site(args) => site::run(&args),
        Command::Stack(Forwarded { args }) => other_crates::STACK.run(&args),
        Command::Tidy(args) => tidy::run(&args),
        Command::Ui(args) => ui::run(&args),
        Command::UpgradeSdk(args) => upgrade_sdk::run(&args),
        Command::Venv(VenvArgs { print }) => venv::run(print),
    };
    xtask_support::exit(result)
}
