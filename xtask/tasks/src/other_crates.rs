//! The commands that are crates of their own. `cargo run` builds them when they
//! are asked for.

use std::ffi::OsString;

use anyhow::{Context, Result, ensure};
use xtask_support::workspace;

/// A crate in `xtask/` with a command line.
#[derive(Clone, Copy, Debug)]
pub struct OtherCrate {
    package: &'static str,
    /// Built with optimisations: it shares the processors with what it measures.
    optimised: bool,
}

pub const BENCH: OtherCrate = OtherCrate { package: "jarvis-bench", optimised: true };
pub const CHAOS: OtherCrate = OtherCrate { package: "chaos", optimised: false };
pub const CONFORMANCE: OtherCrate = OtherCrate { package: "conformance", optimised: false };
pub const PACKAGE: OtherCrate = OtherCrate { package: "package", optimised: false };
pub const STACK: OtherCrate = OtherCrate { package: "jarvis-stack", optimised: false };

impl OtherCrate {
    /// Runs it with these arguments, in the directory that the user is in.
    pub fn run(self, args: &[OsString]) -> Result<()> {
        let Self { package, optimised } = self;
        let manifest = workspace::root().join("Cargo.toml");
        let mut command = workspace::cargo(["run", "--quiet", "--locked", "--package", package]);
        command.args(optimised.then_some("--release"));
        command.arg("--manifest-path").arg(manifest).arg("--").args(args);
        command.current_dir(".");
        let status = command.status().with_context(|| format!("start {package}"))?;
        ensure!(status.success(), "{package}: {status}");
        Ok(())
    }
}
