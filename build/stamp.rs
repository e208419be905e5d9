//! What the program is built from: its commit and its date, for `--version`,
//! `GET /v1/version` and `arp_build_info`.
//!
//! ```text
//!  commit:  BUILD_COMMIT ─┬─ set ───────────────▶ that (containers, and others without git)
//!                         └─ else, release ─git─▶ HEAD, and whether what is compiled differs from it
//!                                        └─────── no work tree of ours, another profile ─▶ unknown
//!  date:    SOURCE_DATE_EPOCH, else that of the commit
//! ```
//!
//! The date is never that of the clock: the same source makes the same program on any
//! day. Builds for development do not ask git, because then each commit would have the
//! whole crate compiled again.

use std::{env, path::Path, process::Command};

/// What gets into the program: changes elsewhere are no changes of it.
const COMPILED: [&str; 7] = [".cargo", "Cargo.lock", "Cargo.toml", "build", "build.rs", "openapi", "src"];

#[derive(Default)]
struct Stamp {
    commit: String,
    has_changes: bool,
    epoch: String,
}

/// Hands the stamp to the code, which reads it with `env!`.
pub(crate) fn emit() {
    for name in ["BUILD_COMMIT", "SOURCE_DATE_EPOCH"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let given = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let mut stamp = match given("BUILD_COMMIT") {
        Some(commit) => Stamp { commit, ..Stamp::default() },
        None if given("PROFILE").as_deref() == Some("release") => of_work_tree().unwrap_or_default(),
        None => Stamp::default(),
    };
    if let Some(epoch) = given("SOURCE_DATE_EPOCH") {
        stamp.epoch = epoch;
    }
    println!("cargo:rustc-env=STAMP_COMMIT={}", stamp.commit);
    println!("cargo:rustc-env=STAMP_HAS_CHANGES={}", stamp.has_changes);
    println!("cargo:rustc-env=STAMP_EPOCH={}", stamp.epoch);
}

/// The stamp of the work tree, if this folder is the root of one: an unpacked archive
/// may lie in a work tree of something else.
fn of_work_tree() -> Option<Stamp> {
    if !git(&["rev-parse", "--show-cdup"])?.is_empty() {
        return None;
    }
    // What a commit, or a checkout of another one, changes; and what makes changes.
    for file in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", file])?;
        if Path::new(&path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    for path in COMPILED {
        println!("cargo:rerun-if-changed={path}");
    }
    let head = git(&["log", "-1", "--format=%H %ct"])?;
    let (commit, epoch) = head.split_once(' ')?;
    let changes = git(&[&["status", "--porcelain", "--"], &COMPILED[..]].concat())?;
    Some(Stamp { commit: commit.into(), has_changes: !changes.is_empty(), epoch: epoch.into() })
}

/// What git says, if there is one, and it says something.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| said.trim_end().to_owned())
}
