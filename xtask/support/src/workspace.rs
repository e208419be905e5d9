//! The workspace: its directory, its files, its cargo.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The program of this project, and its package.
pub const PROGRAM: &str = "jarvis-run-coordinator";

/// The directory of the workspace: the one with the lock file. It is determined
/// at run time, because worktrees may share one build directory.
pub fn root() -> PathBuf {
    let package =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    let root = package.ancestors().find(|folder| folder.join("Cargo.lock").exists());
    root.unwrap_or(&package).to_owned()
}

/// The cargo that started this process, to run in the workspace.
pub fn cargo<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// Builds our program and returns its path.
pub fn build_program(release: bool) -> Result<PathBuf> {
    built(&mut cargo(["build", "--bin", PROGRAM, "--profile", if release { "release" } else { "dev" }]))
}

/// Runs a command that has cargo build our program, and returns its path.
pub fn built(cargo_build: &mut Command) -> Result<PathBuf> {
    cargo_build.args(["--message-format", "json-render-diagnostics"]);
    let output = cargo_build.stderr(Stdio::inherit()).output().context("run cargo build")?;
    ensure!(output.status.success(), "cargo build: {}", output.status);
    let messages = String::from_utf8(output.stdout).context("cargo writes UTF-8")?;
    let program = messages.lines().rev().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from((message["target"]["name"] == PROGRAM).then(|| message["executable"].as_str())??))
    });
    program.context("cargo does not say where the program is")
}

/// The files that git tracks or would track, relative to the root: new files are
/// checked before they are committed.
pub fn tracked_files() -> Result<Vec<String>> {
    let git = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(git).current_dir(root()).output().context("run git ls-files")?;
    ensure!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim());
    let names = String::from_utf8(output.stdout).context("file names are UTF-8")?;
    Ok(names.split_terminator('\0').map(str::to_owned).collect())
}
