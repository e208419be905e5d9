//! `cargo xtask sim`: the simulator over many seeds, or one of them with all
//! that happens.

use anyhow::{Context, Result, ensure};

use xtask_support::workspace;

const TEST: &str = "whatever_goes_wrong_nothing_is_lost_nothing_twice_and_nothing_stuck";

#[derive(clap::Args, Debug)]
pub struct Args {
    /// How many seeds.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// This seed alone, with its story.
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
