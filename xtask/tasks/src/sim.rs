//! `cargo xtask sim`: runs the simulator over many seeds, or over one with a trace of
//! all events.

use anyhow::{Context, Result, ensure};

use xtask_support::workspace;

/// The scenarios: each kind has a test of its own.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Kind {
    /// One process
    Alone,
    /// Several processes on one journal
    Replicas,
    /// The same, whose commits take long
    SlowCommits,
    /// The same without faults, and with composites that think
    Thoughtful,
    /// The same without faults but one: the journal is out for all of them
    Outage,
}

impl Kind {
    fn test(self) -> &'static str {
        match self {
            Self::Alone => "random_faults_lose_repeat_and_block_nothing",
            Self::Replicas => "random_faults_among_replicas_lose_repeat_and_block_nothing",
            Self::SlowCommits => "slow_commits_among_replicas_lose_no_call",
            Self::Thoughtful => "composite_that_another_process_hears_is_not_silent",
            Self::Outage => "outage_of_the_journal_expires_no_process_and_fails_no_node",
        }
    }
}

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
    /// What the scenarios are about
    #[arg(long, value_enum, default_value_t = Kind::Alone)]
    kind: Kind,
}

pub fn run(args: &Args) -> Result<()> {
    let test = args.kind.test();
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

    use clap::ValueEnum;

    use super::*;

    #[test]
    fn simulator_has_the_tests_of_these_names() {
        let source = fs::read_to_string(workspace::root().join("tests/sim/main.rs")).expect("the simulator");
        let kinds = fs::read_to_string(workspace::root().join("tests/sim/scenario.rs")).expect("its kinds");
        for kind in Kind::value_variants() {
            let test = kind.test();
            assert!(source.contains(&format!("fn {test}()")), "{test}");
            let name = kind.to_possible_value().expect("a name");
            assert!(kinds.contains(&format!("\"{}\"", name.get_name())), "{kind:?}");
        }
    }
}
