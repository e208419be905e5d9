//! A copy of a journal, taken while a server uses it.
//!
//! ```text
//!   journal ──one read transaction──▶ FILE.<pid>.partial ──checked, synced──▶ FILE
//! ```
//!
//! After a failure there is no FILE, rather than an incomplete one.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{
    contents::View,
    schema::{self, At},
};
use crate::journal::{Contents, OpenError};

/// Copies the journal to `target`, which must not exist. Returns the contents of
/// the copy and its size in bytes.
pub fn backup(journal: &Path, target: &Path) -> Result<(Contents, u64), OpenError> {
    let at = At(target);
    if target.symlink_metadata().is_ok() {
        return Err(at.io(io::Error::other("the file exists, and a backup never replaces a file")));
    }
    let view = View::open(journal)?;
    let partial = Partial::make(target)?;
    // VACUUM leaves out free pages, so the copy is as small as possible.
    view.connection
        .execute(
            "VACUUM INTO ?",
            [partial.0.to_str().ok_or_else(|| at.io(io::Error::other("the name is not UTF-8")))?],
        )
        .map_err(|e| at.sqlite(&e))?;
    let copy = View::open(&partial.0)?;
    schema::quick_check(&copy.connection, at)?;
    let contents = copy.contents()?;
    drop(copy);
    let bytes = partial.keep_as(target).map_err(|e| at.io(e))?;
    Ok((contents, bytes))
}

/// The copy until it is complete. Its file is deleted when this is dropped.
pub(super) struct Partial(PathBuf);

impl Partial {
    /// Readable by its user only: a journal contains secrets.
    pub(super) fn make(target: &Path) -> Result<Self, OpenError> {
        let mut name = target.as_os_str().to_owned();
        name.push(format!(".{}.partial", std::process::id()));
        let path = PathBuf::from(name);
        schema::private(&path).map_err(|e| At(target).io(e))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Gives the copy its name, and returns once that is durable. Unlike a rename,
    /// it does not replace a file that was made there meanwhile.
    pub(super) fn keep_as(&self, target: &Path) -> io::Result<u64> {
        let file = File::open(&self.0)?;
        file.sync_all()?;
        match fs::hard_link(&self.0, target) {
            Ok(()) => {}
            Err(failure) if failure.kind() == io::ErrorKind::AlreadyExists => return Err(failure),
            // A file system without links: an empty file of our own takes the name
            // first, so that only that is replaced.
            Err(_) => {
                schema::private(target)?;
                fs::rename(&self.0, target)?;
            }
        }
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(file.metadata()?.len())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // If it was kept, the file has another name by now.
        let _kept = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backup_does_not_replace_a_file_made_meanwhile() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("copy.db");
        let partial = Partial::make(&target).expect("a file");
        fs::write(&partial.0, "the copy").expect("written");
        // After the check, and before the copy gets its name.
        fs::write(&target, "precious").expect("written");
        let kept = partial.keep_as(&target);
        assert_eq!(fs::read_to_string(&target).expect("there"), "precious");
        assert_eq!(kept.expect_err("refused").kind(), io::ErrorKind::AlreadyExists);
        drop(partial);
        fs::remove_file(&target).expect("there");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is left behind");

        let partial = Partial::make(&target).expect("a file");
        fs::write(&partial.0, "the copy").expect("written");
        assert_eq!(partial.keep_as(&target).expect("kept"), 8);
        drop(partial);
        assert_eq!(fs::read_to_string(&target).expect("there"), "the copy");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}
