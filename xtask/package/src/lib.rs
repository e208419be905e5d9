//! `cargo xtask package`: what people get, made from one build of the program.
//!
//! ```text
//!  program ──── built with a profile of cargo, or given
//!     ├─ documents ── licences of all that is linked, bill of materials, manual, completions
//!     │      └─ dependencies, native
//!     ├─▶ wheel     the program for pip, in the place of the Python coordinator
//!     ├─▶ deb       the program with a service of systemd
//!     └─▶ archive   the program with its documents
//!                    all in target/package, with SHA256SUMS
//! ```
//!
//! **Invariant:** the same program, source and date make the same bytes: packages have
//! no time of their own, no order of a file system, no user and no path of a machine.

mod archive;
mod deb;
mod dependencies;
mod documents;
mod files;
mod licences;
mod native;
mod package;
mod program;
mod sbom;
mod tarball;
mod wheel;

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result};
use chrono::{DateTime, SecondsFormat};
use xtask_support::workspace::{self, PROGRAM};

pub use crate::{
    archive::archive, deb::deb, documents::Documents, files::Files, package::Package, program::Program,
    wheel::wheel,
};

const FOLDER: &str = "target/package";

#[derive(clap::Args, Debug)]
pub struct Args {
    /// What to make; everything by default
    #[arg(value_enum)]
    kinds: Vec<Kind>,
    /// The profile of cargo that the program is built with
    #[arg(long, default_value = "release")]
    profile: String,
    /// A program that is built already, instead
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    program: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// For pip, in the place of the Python coordinator
    Wheel,
    /// For Debian, with a service of systemd
    Deb,
    /// A folder with the program and its documents
    Archive,
}

pub fn run(args: &Args) -> Result<()> {
    let file = match &args.program {
        Some(file) => std::path::absolute(file).context("where the program is")?,
        None => build(&args.profile)?,
    };
    let linked = dependencies::linked()?;
    let natives = native::of(&linked)?;
    let own = linked.iter().find(|package| package.name == PROGRAM).context("the program is a package")?;
    let program = Program::read(&file, own.version.clone())?;
    let date = i64::try_from(program.epoch).ok().and_then(|epoch| DateTime::from_timestamp(epoch, 0));
    let date = date.context("the date of the source is a date")?.to_rfc3339_opts(SecondsFormat::Secs, true);
    let bill = sbom::cyclonedx(sbom::Subject { version: &program.version, date: &date }, &linked, &natives)?;
    let documents = Documents::of(&file, licences::file(&linked, &natives)?, bill)?;

    let folder = workspace::root().join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("create {FOLDER}"))?;
    let kinds =
        if args.kinds.is_empty() { &[Kind::Wheel, Kind::Deb, Kind::Archive] } else { &args.kinds[..] };
    for kind in kinds {
        let made = match kind {
            Kind::Wheel => wheel(&program, &documents),
            Kind::Deb => deb(&program, &documents),
            Kind::Archive => archive(&program, &documents),
        };
        let package = made.with_context(|| format!("make the {kind:?}").to_lowercase())?;
        package.write(&folder)?;
        println!("{FOLDER}/{} ({} KiB)", package.name, package.content.len() / 1024);
    }
    package::write_checksums(&folder)?;
    let (major, minor) = program.glibc;
    println!("{} packages are linked in; runs with glibc {major}.{minor} or newer", linked.len() - 1);
    Ok(())
}

/// Builds the program with its default features, as for development: people try the
/// demo. A release has no path of this machine in it, so that other
/// machines can make the same one; other profiles use what is built for development.
fn build(profile: &str) -> Result<PathBuf> {
    let mut cargo = workspace::cargo(["build", "--locked", "--package", PROGRAM, "--bin", PROGRAM]);
    cargo.args(["--profile", profile]);
    if profile != "dev" {
        let mut places = vec![(cargo_home()?, "/cargo"), (workspace::root(), "/source")];
        // Of several that fit, the last one counts.
        places.extend(env::var_os("CARGO_TARGET_DIR").map(|folder| (folder.into(), "/source/target")));
        let of = |option: &str| -> Vec<String> {
            places.iter().map(|(place, name)| format!("{option}={}={name}", place.display())).collect()
        };
        cargo.env("CARGO_ENCODED_RUSTFLAGS", of("--remap-path-prefix").join("\u{1f}"));
        cargo.env("CFLAGS", of("-ffile-prefix-map").join(" "));
        // How code is divided into units must not depend on what was compiled before.
        cargo.env("CARGO_INCREMENTAL", "0");
    }
    workspace::built(&mut cargo)
}

/// Where cargo keeps the sources of packages.
fn cargo_home() -> Result<PathBuf> {
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"));
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home).context("neither CARGO_HOME nor HOME is set")
}
