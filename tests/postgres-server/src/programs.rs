//! The programs of PostgreSQL, and the user that runs them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::BIN;

/// The folder of the programs, and who executes them.
#[derive(Clone, Debug)]
pub struct Programs {
    folder: PathBuf,
    user: Option<Account>,
}

#[derive(Clone, Copy, Debug)]
struct Account {
    uid: u32,
    gid: u32,
}

impl Programs {
    pub fn find() -> Result<Self> {
        let folder = match env::var_os(BIN) {
            Some(folder) => PathBuf::from(folder),
            None => newest(Path::new("/usr/lib/postgresql"))
                .with_context(|| format!("no PostgreSQL in /usr/lib/postgresql, and {BIN} is not set"))?,
        };
        Self::at(folder)
    }

    /// Those in this folder.
    pub fn at(folder: PathBuf) -> Result<Self> {
        ensure!(folder.join("postgres").is_file(), "{}: no program postgres", folder.display());
        Ok(Self { folder, user: unprivileged()? })
    }

    /// A program, executed by who may run a server; it ends with this process.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "QUIT"]);
        if let Some(Account { uid, gid }) = self.user {
            command.args([&format!("--reuid={uid}"), &format!("--regid={gid}"), "--clear-groups"]);
        }
        command.arg("--").arg(self.folder.join(program)).env("LC_ALL", "C").current_dir("/");
        command
    }

    pub(crate) fn own(&self, path: &Path) -> Result<()> {
        if let Some(Account { uid, gid }) = self.user {
            std::os::unix::fs::chown(path, Some(uid), Some(gid))?;
        }
        Ok(())
    }
}

/// `<folder>/<highest number>/bin`.
fn newest(folder: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(folder).ok()?.filter_map(|entry| {
        let path = entry.ok()?.path();
        Some((path.file_name()?.to_str()?.parse::<u32>().ok()?, path.join("bin")))
    });
    versions.filter(|(_, bin)| bin.join("postgres").is_file()).max().map(|(_, bin)| bin)
}

/// Who runs a server, if this process is root's.
fn unprivileged() -> Result<Option<Account>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let is_root = status.lines().any(|line| line.starts_with("Uid:\t0\t"));
    if !is_root {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd")?;
    let account = |name: &str| {
        let line = accounts.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map(str::parse);
        Some(Account { uid: fields.next()?.ok()?, gid: fields.next()?.ok()? })
    };
    // Where PostgreSQL is not installed, the user of Debian that owns nothing.
    Ok(Some(account("postgres").unwrap_or(Account { uid: 65_534, gid: 65_534 })))
}
