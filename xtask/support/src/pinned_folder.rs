//! Folders below `target/` that are made from pinned files, with programs that tests
//! need and the machine may not have.
//!
//! ```text
//!  the pinned files ──┬─ as in the stamp ──▶ up to date
//!                     └─ else ─ lock ─▶ removed and made again ─▶ stamp
//! ```
//!
//! The stamp is written last: a folder without one is incomplete and is made again.

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// The stamp of a folder that is finished: its own path, and what it was made
/// from.
pub const STAMP: &str = "made-from.txt";

/// Makes `folder`, if it is not there, not `sound`, or not made from this text.
/// Several processes may ask at the same time.
pub fn ensure_made(
    folder: &Path,
    made_from: &str,
    sound: impl Fn() -> bool,
    make: impl FnOnce() -> Result<()>,
) -> Result<()> {
    // Files inside contain its path, so a folder that was moved is not usable.
    let wanted = format!("# {}\n{made_from}", folder.display());
    let stamp = folder.join(STAMP);
    let is_made = || match fs::read_to_string(&stamp) {
        Ok(stamp) => Ok(stamp == wanted && sound()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("read {}", stamp.display())),
    };
    if is_made()? {
        return Ok(());
    }
    let parent = folder.parent().context("it is in a folder")?;
    fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    let lock = folder.with_extension("lock");
    // The lock is released when the file is closed.
    let file = File::create(&lock).with_context(|| format!("create {}", lock.display()))?;
    file.lock().with_context(|| format!("lock {}", lock.display()))?;
    if is_made()? {
        return Ok(());
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("remove the old {}", folder.display()));
        }
        Ok(()) | Err(_) => {}
    }
    make()?;
    fs::write(&stamp, wanted).with_context(|| format!("mark {} as made", folder.display()))
}

/// Runs a command; its output appears only in the error if it fails.
pub fn silently(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("run {program}"))?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(
        output.status.success(),
        "{program}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&said).trim_end()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, env, process};

    use super::*;

    #[test]
    fn errors_contain_the_output_of_the_command() {
        let mut command = Command::new("sh");
        let error = silently(command.args(["-c", "echo one; echo two >&2; exit 3"])).expect_err("it fails");
        let error = error.to_string();
        assert!(error.contains("one\ntwo") && error.contains('3'), "{error}");
    }

    #[test]
    fn folder_is_made_once_for_each_content() {
        let folder = env::temp_dir().join(format!("xtask-made-{}", process::id())).join("it");
        let (made, sound) = (Cell::new(0), Cell::new(true));
        let ensure = |made_from: &str, works: bool| {
            ensure_made(
                &folder,
                made_from,
                || sound.get(),
                || {
                    made.set(made.get() + 1);
                    assert!(!folder.exists(), "made from nothing");
                    fs::create_dir(&folder).context("make it")?;
                    ensure!(works, "as intended");
                    Ok(())
                },
            )
        };
        ensure("one", false).expect_err("it cannot be made");
        for (made_from, is_sound, count) in
            [("one", true, 2), ("one", true, 2), ("two", true, 3), ("two", false, 4), ("two", true, 4)]
        {
            sound.set(is_sound);
            ensure(made_from, true).expect("made");
            assert_eq!(made.get(), count, "{made_from}");
        }
        fs::remove_dir_all(folder.parent().expect("ours")).expect("removed");
    }
}
