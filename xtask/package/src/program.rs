//! The program to be packaged: built, or given, and what has to be known about it.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};
use xtask_support::workspace;

/// The date of a source that has none: the earliest that a zip file can say.
const NO_DATE: u64 = 315_532_800;

/// A version of the GNU C library.
pub(crate) type Glibc = (u32, u32);

#[derive(Clone, Debug)]
pub struct Program {
    pub content: Vec<u8>,
    pub version: String,
    /// When the source was made, in seconds since 1970. Everything in a package has it.
    pub epoch: u64,
    /// As compilers name it: `x86_64`.
    pub architecture: &'static str,
    /// The oldest C library that it runs with.
    pub glibc: Glibc,
}

impl Program {
    pub fn read(file: &Path, version: String) -> Result<Self> {
        let content = fs::read(file).with_context(|| format!("read {}", file.display()))?;
        let glibc = oldest_glibc(file)?;
        let architecture = std::env::consts::ARCH;
        Ok(Self { content, version, epoch: epoch()?, architecture, glibc })
    }
}

/// The date of the source: what the variable says, else that of the commit.
fn epoch() -> Result<u64> {
    if let Ok(given) = std::env::var("SOURCE_DATE_EPOCH") {
        return given.parse().context("SOURCE_DATE_EPOCH is a number of seconds");
    }
    let git = Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(workspace::root()).output();
    let said = git.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    let seconds = said.and_then(|said| String::from_utf8(said).ok()?.trim().parse().ok());
    Ok(seconds.unwrap_or(NO_DATE))
}

/// The oldest C library that has all symbols that the program wants. The linker, which
/// comes with `objdump`, has taken the newest version of each that this machine has.
fn oldest_glibc(file: &Path) -> Result<Glibc> {
    let output = Command::new("objdump").arg("-T").arg(file).output();
    let output = output.context("run objdump (Debian: binutils)")?;
    ensure!(output.status.success(), "objdump: {}", String::from_utf8_lossy(&output.stderr).trim());
    match newest_symbol(&String::from_utf8_lossy(&output.stdout)) {
        Some(glibc) => Ok(glibc),
        None => bail!("{} wants nothing of the GNU C library", file.display()),
    }
}

fn newest_symbol(objdump: &str) -> Option<Glibc> {
    let versions = objdump.split("GLIBC_").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let mut numbers = rest[..end].split('.');
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    });
    versions.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_symbol_decides() {
        let objdump = "0000 DF *UND* 0000 (GLIBC_2.2.5) read\n0000 DF *UND* 0000 (GLIBC_2.34) pthread_create\n\
            0000 DF *UND* 0000 (GLIBC_2.9) pipe2\n";
        assert_eq!(newest_symbol(objdump), Some((2, 34)));
        assert_eq!(newest_symbol("not a dynamic object"), None);
    }
}
