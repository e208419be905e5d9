//! `cargo xtask ui`: the tests of the web page, in a real browser (`tests/ui`).

use std::num::NonZeroUsize;

use anyhow::{Context, Result, ensure};
use xtask_support::{browser, workspace};

#[derive(clap::Args, Debug, Default)]
pub struct Args {
    /// Keep the pictures of the pages in docs/ui instead of target/ui
    #[arg(long)]
    pub pictures: bool,
    /// Only tests whose names contain this
    #[arg(value_name = "NAME")]
    pub filter: Option<String>,
}

/// Each test has a browser of its own, which takes a few hundred megabytes.
const AT_ONCE: usize = 2;

pub fn run(args: &Args) -> Result<()> {
    let browser = browser::ensure()?;
    let axe = browser::ensure_axe(&workspace::root())?;
    let at_once = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(AT_ONCE);
    let mut cargo = workspace::cargo(["test", "--all-features", "--locked", "--test", "ui", "--"]);
    cargo.args(&args.filter).arg(format!("--test-threads={at_once}"));
    cargo
        .env("UI_CHROMIUM", browser.chromium)
        .env("UI_CHROMEDRIVER", browser.chromedriver)
        .env("UI_AXE", axe);
    if args.pictures {
        cargo.env("UI_PICTURES", "docs/ui");
    }
    let status = cargo.status().context("start cargo test --test ui")?;
    ensure!(status.success(), "cargo test --test ui: {status}");
    Ok(())
}
