//! A look at a journal, also while a server uses it: whether a start could open it, and
//! what the clock said when it was last changed.
//!
//! **Invariant:** it changes nothing, and locks nothing: a start at the same moment must
//! not fail because of it. So whether a server has it open is read from the system's
//! list of locks.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    contents::View,
    read,
    schema::{CHECK_WHOLE_UP_TO, folder_exists, lock_path, quick_check},
};
use crate::{journal::OpenError, time::Timestamp};

/// What a look shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    pub schema: i64,
    pub bytes: u64,
    /// When a run was last changed, by the clock of the server.
    pub latest: Option<Timestamp>,
    /// A server has it open.
    pub is_in_use: bool,
}

/// Looks at the journal; `None` if there is none yet, and a start would make one.
pub fn look(path: &Path) -> Result<Option<Look>, OpenError> {
    folder_exists(path)?;
    let bytes = match fs::metadata(path) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(OpenError::Io { path: path.display().to_string(), reason: error.to_string() });
        }
    };
    // A file that was made, and never used.
    if bytes == 0 {
        return Ok(None);
    }
    let view = View::open(path)?;
    if bytes <= CHECK_WHOLE_UP_TO {
        quick_check(&view.connection, view.at())?;
    }
    // In an old schema there may be none.
    let latest = read::latest_commit_time(&view.connection).unwrap_or_default();
    let locked = locked_files(&fs::read_to_string("/proc/locks").unwrap_or_default());
    let is_locked = |path: PathBuf| fs::metadata(path).is_ok_and(|file| locked.contains(&file.ino()));
    let is_in_use = is_locked(path.to_owned()) && is_locked(lock_path(path));
    Ok(Some(Look { schema: view.schema, bytes, latest, is_in_use }))
}

/// The inodes of the files that are locked as a whole, of a list such as
/// `1: FLOCK  ADVISORY  WRITE 1234 08:01:131 0 EOF`. A server locks two of them, so that
/// inodes without their devices will do.
fn locked_files(locks: &str) -> BTreeSet<u64> {
    let inode = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", _, file, ..] = words[..] else { return None };
        file.rsplit(':').next()?.parse().ok()
    };
    locks.lines().filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use slog::{Discard, Logger, o};

    use super::*;
    use crate::journal::sqlite::{SqliteJournal, SqliteOptions};

    #[test]
    fn look_shows_whether_a_server_has_the_journal() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("j.db");
        assert_eq!(look(&path).expect("a folder"), None);
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 0, "nothing was made");
        assert!(matches!(look(&folder.path().join("no/j.db")), Err(OpenError::NoFolder { .. })));

        let options = SqliteOptions { path: path.clone(), max_bytes: None, outbox: false };
        let journal = SqliteJournal::open(options, Logger::root(Discard, o!())).expect("a journal");
        let shown = look(&path).expect("a journal").expect("one");
        assert!(shown.is_in_use && shown.schema > 0 && shown.bytes > 0, "{shown:?}");
        drop(journal);
        assert!(!look(&path).expect("a journal").expect("one").is_in_use);

        fs::write(
            &path,
            "something else, which is long enough to have a header of a hundred bytes".repeat(9),
        )
        .expect("written");
        assert!(matches!(look(&path), Err(OpenError::Corrupt { .. })), "{:?}", look(&path));
    }

    #[test]
    fn locks_of_whole_files_are_found_in_the_list() {
        let locks = "1: FLOCK  ADVISORY  WRITE 812 00:1a:131 0 EOF\n\
                     2: POSIX  ADVISORY  WRITE 812 00:1a:132 0 EOF\n\
                     3: FLOCK  ADVISORY  READ 812 00:1a:133 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 900 00:1a:134 0 EOF\nrubbish\n";
        assert_eq!(locked_files(locks), BTreeSet::from([131]));
    }
}
