//! `cargo xtask sim`: runs the simulator over many seeds, or over one with a trace of
//! all events.

use anyhow::{Context, Result, ensure};

use xtask_support::workspace;

/// The tests that run the simulator: with one process, and with several on one journal.
const ALONE: &str = "random_faults_lose_repeat_and_block_nothing";
const AMONG_REPLICAS: &str = "random_faults_among_replicas_lose_repeat_and_block_nothing";

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The number of seeds
    #[arg(long, default_value_t = 300)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Run this seed only, with its trace
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// With several processes on one journal
    #[arg(long)]
    replicas: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let test = if args.replicas { AMONG_REPLICAS } else { ALONE };
    let mut command =
        workspace::cargo(["test", "--locked", "--test", "sim", test, "--", "--exact", "--nocapture"]);
    match args.seed {
        Some(seed) => command.env("SIM_SEED", seed.to_string()),
        None => command.env("SIM_SEEDS", args.seeds.to_string()).env("SIM_FROM", args.from.to_string()),
    };
    let status = command.status().context("cargo cannot be started")?;
    ensure!(status.success(), "the simulator found something");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn simulator_has_the_tests_of_these_names() {
        let source = fs::read_to_string(workspace::root().join("tests/sim/main.rs")).expect("the simulator");
        for test in [ALONE, AMONG_REPLICAS] {
            assert!(source.contains(&format!("fn {test}()")), "{test}");
        }
    }
}
