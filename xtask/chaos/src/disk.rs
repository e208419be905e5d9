//! The disk of the journal, which can be full.
//!
//! The disk is a small file system in memory that only the coordinator sees: a
//! keeper process holds it in a mount namespace of its own. The keeper ends with
//! this process, however it ends, and the disk is gone with it. Where mounting is
//! not permitted the journal is in an ordinary folder, and a limit to its size
//! takes the place of a full disk.
//!
//! ```text
//!   we ── stdin ──▶ unshare --mount: mount tmpfs; cat      (the keeper)
//!    │                     ▲ same namespace
//!    ├── nsenter ──▶ coordinator
//!    └── the keeper's root, in /proc ──▶ ballast, copies
//! ```

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use xtask_support::process;

const JOURNAL: &str = "journal.db";
const BALLAST: &str = "ballast";
/// The suffixes of the files of a database.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];
const MOUNT: &str = r#"mount -t tmpfs -o "size=$1,mode=700" chaos "$2" && echo mounted && exec cat"#;

pub(super) struct Disk {
    folder: PathBuf,
    keeper: Option<Keeper>,
}

/// The keeper of the namespace; it ends when its stdin does.
struct Keeper {
    child: Child,
    enter: &'static [&'static str],
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // The keeper has nothing else to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Disk {
    /// Makes a disk of this size in a new folder in `parent`, or just the folder
    /// if mounting is not permitted.
    pub(super) fn new(parent: &Path, bytes: u64) -> Result<Self> {
        let folder = parent.join("disk");
        fs::create_dir(&folder).with_context(|| format!("create {}", folder.display()))?;
        // As root, or as root of a user namespace.
        let ways: [(&[&str], &'static [&'static str]); 2] = [
            (&["--mount"], &["--mount"]),
            (&["--map-root-user", "--mount"], &["--user", "--preserve-credentials", "--mount"]),
        ];
        let keeper = ways.into_iter().find_map(|(unshare, enter)| {
            let child = keep(unshare, &folder, bytes)?;
            Some(Keeper { child, enter })
        });
        Ok(Self { folder, keeper })
    }

    /// Whether the disk can be filled; otherwise the journal can be limited.
    pub(super) fn is_own(&self) -> bool {
        self.keeper.is_some()
    }

    /// The path of the journal, as the coordinator sees it.
    pub(super) fn journal(&self) -> PathBuf {
        self.folder.join(JOURNAL)
    }

    /// A command that sees the disk, with this working directory and these
    /// variables.
    pub(super) fn command(&self, program: &Path, folder: &Path, vars: Vec<(&str, String)>) -> Command {
        match &self.keeper {
            Some(keeper) => {
                let mut command = process::command("nsenter", vars);
                command.arg(format!("--target={}", keeper.child.id())).args(keeper.enter);
                command.arg(format!("--wd={}", folder.display())).arg("--").arg(program);
                command
            }
            None => {
                let mut command = process::command(program, vars);
                command.current_dir(folder);
                command
            }
        }
    }

    /// Fills the disk to the last byte.
    pub(super) fn fill(&self) -> Result<()> {
        ensure!(self.is_own(), "this is not a disk of our own");
        let mut ballast = File::create(self.seen_from_here(BALLAST)).context("create the ballast")?;
        let mut chunk = vec![0_u8; 1 << 20];
        while !chunk.is_empty() {
            if ballast.write_all(&chunk).is_err() {
                // Whatever had room is written.
                chunk.truncate(chunk.len() / 2);
            }
        }
        Ok(())
    }

    pub(super) fn free(&self) -> Result<()> {
        fs::remove_file(self.seen_from_here(BALLAST)).context("remove the ballast")
    }

    /// The size of all files of the journal.
    pub(super) fn journal_bytes(&self) -> u64 {
        let size = |part: &&str| {
            let file = self.seen_from_here(&format!("{JOURNAL}{part}"));
            fs::metadata(file).map_or(0, |metadata| metadata.len())
        };
        PARTS.iter().map(size).sum()
    }

    /// Copies the journal from the disk before the disk is gone.
    pub(super) fn copy_journal(&self, to: &Path) -> Result<()> {
        for part in PARTS {
            let name = format!("{JOURNAL}{part}");
            let file = self.seen_from_here(&name);
            if file.exists() {
                fs::copy(&file, to.join(&name)).with_context(|| format!("copy {name}"))?;
            }
        }
        Ok(())
    }

    fn seen_from_here(&self, name: &str) -> PathBuf {
        let path = self.folder.join(name);
        match &self.keeper {
            Some(keeper) => {
                let root = PathBuf::from(format!("/proc/{}/root", keeper.child.id()));
                root.join(path.strip_prefix("/").unwrap_or(&path))
            }
            None => path,
        }
    }
}

/// Starts a keeper: a process in a mount namespace with a file system in this
/// folder. `None` where mounting is not permitted.
fn keep(unshare: &[&str], folder: &Path, bytes: u64) -> Option<Child> {
    let mut child = Command::new("unshare")
        .args(unshare)
        .args(["sh", "-c", MOUNT, "sh", &bytes.to_string()])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut said = String::new();
    let read = child.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut said));
    if read.is_some_and(|read| read.is_ok()) && said.trim() == "mounted" {
        return Some(child);
    }
    // The process has ended or soon will: mounting is not permitted.
    drop(child.stdin.take());
    let _ = child.wait();
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_of_our_own_can_be_full_and_have_room_again() {
        let parent = tempfile::tempdir().unwrap();
        let disk = Disk::new(parent.path(), 1 << 20).unwrap();
        if !disk.is_own() {
            assert!(disk.fill().is_err());
            return;
        }
        let journal = disk.seen_from_here(JOURNAL);
        fs::write(&journal, [1; 1000]).unwrap();
        assert!(!disk.journal().exists(), "other processes do not see it");
        disk.fill().unwrap();
        assert!(fs::write(disk.seen_from_here("more"), [1; 100_000]).is_err());
        disk.free().unwrap();
        fs::write(disk.seen_from_here("more"), [1; 100_000]).unwrap();
        disk.copy_journal(parent.path()).unwrap();
        assert_eq!(fs::read(parent.path().join(JOURNAL)).unwrap(), [1; 1000]);
        let mut ls = disk.command(Path::new("ls"), parent.path(), Vec::new());
        let seen = ls.arg(&disk.folder).output().unwrap();
        let seen = String::from_utf8(seen.stdout).unwrap();
        assert_eq!(seen.lines().collect::<Vec<_>>(), [JOURNAL, "more"]);
    }
}
