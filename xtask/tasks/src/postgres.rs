//! `cargo xtask postgres`: the tests of the journal on PostgreSQL, on a real server
//! (`tests/postgres`).

use anyhow::{Context, Result, ensure};
use xtask_support::{postgres, workspace};

#[derive(clap::Args, Debug, Default)]
pub struct Args {
    /// The version of the server [default: the newest that the system has, else 17]
    #[arg(long, value_name = "NUMBER")]
    pub version: Option<u32>,
    /// Only tests whose names contain this
    #[arg(value_name = "NAME")]
    pub filter: Option<String>,
}

pub fn run(args: &Args) -> Result<()> {
    let bin = postgres::ensure(&workspace::root(), args.version)?;
    eprintln!("with the server in {}", bin.display());
    let mut cargo = workspace::cargo(["test", "--all-features", "--locked", "--test", "postgres", "--"]);
    // Each test waits for the disk of the server most of the time.
    cargo.arg("--test-threads=4").args(&args.filter);
    let status =
        cargo.env("PRIVATE_POSTGRES_BIN", bin).status().context("start cargo test --test postgres")?;
    ensure!(status.success(), "cargo test --test postgres: {status}");
    Ok(())
}
