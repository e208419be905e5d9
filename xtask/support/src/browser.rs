//! What the tests of the web page need besides a Rust toolchain: Chromium with its
//! driver, and axe, which judges the accessibility of what the browser shows.
//!
//! ```text
//!   chromium, chromedriver ──┬─ on the PATH ──────────────▶ these
//!                            ├─ Debian, and we are root ──▶ apt-get install
//!                            └─ else ─────────────────────▶ an error that says what to install
//!   axe-core ── tests/ui/axe/package-lock.json ──▶ target/ui-axe (by npm, once)
//! ```
//!
//! Debian has both programs in the same version, which they must have.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use crate::{npm::Packages, pinned_folder::silently};

/// The programs, by the package of Debian that has them.
const PROGRAMS: [(&str, &str); 2] = [("chromium", "chromium"), ("chromedriver", "chromium-driver")];

const AXE: Packages = Packages {
    sources: "tests/ui/axe",
    folder: "target/ui-axe",
    files: &["package.json", "package-lock.json"],
    result: "node_modules/axe-core/axe.min.js",
};

/// Where everything is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Browser {
    pub chromium: PathBuf,
    pub chromedriver: PathBuf,
}

/// Finds the browser and its driver, or installs them.
pub fn ensure() -> Result<Browser> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    if let Ok(browser) = find(&folders) {
        return Ok(browser);
    }
    let is_root = fs::read_to_string("/proc/self/status").is_ok_and(|status| has_user_0(&status));
    if is_root && Path::new("/usr/bin/apt-get").exists() {
        eprintln!("installing chromium and chromium-driver (a minute or two, from Debian's archive)");
        let apt = || {
            let mut command = Command::new("apt-get");
            command.env("DEBIAN_FRONTEND", "noninteractive");
            command
        };
        silently(apt().arg("update"))?;
        let packages = PROGRAMS.map(|(_, package)| package);
        silently(apt().args(["install", "--yes", "--no-install-recommends"]).args(packages))?;
    }
    find(&folders)
}

/// The programs in these folders, or which of them are missing.
fn find(folders: &[PathBuf]) -> Result<Browser> {
    let found = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    let [chromium, chromedriver] = PROGRAMS.map(|(name, _)| found(name));
    match (chromium, chromedriver) {
        (Some(chromium), Some(chromedriver)) => Ok(Browser { chromium, chromedriver }),
        (chromium, chromedriver) => {
            let missing = PROGRAMS.iter().zip([chromium, chromedriver]).filter(|(_, found)| found.is_none());
            let missing: Vec<String> =
                missing.map(|((name, package), _)| format!("{name} (Debian: {package})")).collect();
            bail!("not on the PATH: {}; both must have the same version", missing.join(", "))
        }
    }
}

/// Whether the effective user of a `/proc/…/status` is root.
fn has_user_0(status: &str) -> bool {
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    ids.is_some_and(|ids| ids.split_ascii_whitespace().nth(1) == Some("0"))
}

/// The script of axe, installed if it is not there or not as pinned.
pub fn ensure_axe(root: &Path) -> Result<PathBuf> {
    Ok(AXE.ensure(root)?.1)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, process};

    use super::*;

    #[test]
    fn missing_programs_are_named_with_their_packages() {
        let folder = env::temp_dir().join(format!("xtask-browser-{}", process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let folders = [PathBuf::from("/nowhere"), folder.clone()];
        let error = find(&folders).expect_err("nothing is there").to_string();
        assert!(
            error.contains("chromium (Debian: chromium), chromedriver (Debian: chromium-driver)"),
            "{error}"
        );
        File::create(folder.join("chromium")).expect("a file");
        let error = find(&folders).expect_err("one is missing").to_string();
        assert!(error.contains("chromedriver") && !error.contains("chromium (Debian"), "{error}");
        File::create(folder.join("chromedriver")).expect("a file");
        let found = Browser { chromium: folder.join("chromium"), chromedriver: folder.join("chromedriver") };
        assert_eq!(find(&folders).expect("both"), found);
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn effective_user_is_the_second_number() {
        assert!(has_user_0("Name:\tx\nUid:\t1000\t0\t0\t0\nGid:\t5\t5\t5\t5\n"));
        assert!(!has_user_0("Name:\tx\nUid:\t0\t1000\t0\t0\n"));
        assert!(!has_user_0(""));
    }
}
