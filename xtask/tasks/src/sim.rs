//! `cargo xtask sim`: runs the simulator over many seeds, or over one with a trace of
//! all events.

use anyhow::{Context, Result, ensure};

use xtask_support::workspace;

/// The test that runs the simulator.
const TEST: &str = "random_faults_lose_repeat_and_block_nothing";

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
}

pub fn run(args: &Args) -> Result<()> {
    let mut command = workspace::cargo(["test", "--locked", "--test", "sim", TEST, "--", "--nocapture"]);
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
    fn simulator_has_the_test_of_this_name() {
        let source = fs::read_to_string(workspace::root().join("tests/sim/main.rs")).expect("the simulator");
        assert!(source.contains(&format!("fn {TEST}()")), "{TEST}");
    }
}
